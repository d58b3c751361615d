package httpsig_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/verify"
	"github.com/ringback-go/ringback/verify/httpsig"
)

func TestStructuredFields(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"integer", "a=1, b=-15, c=0", "a=1, b=-15, c=0"},
		{"decimal", "a=1.5,b=-0.125", "a=1.5, b=-0.125"},
		{"string", `a="x \" \\ y"`, `a="x \" \\ y"`},
		{"token", "a=*x/y:z, b=Text", "a=*x/y:z, b=Text"},
		{"bytes", "a=:aGVsbG8=:, b=::", "a=:aGVsbG8=:, b=::"},
		{"bool", "a, b=?1, c=?0", "a=?1, b=?1, c=?0"},
		{"date", "a=@1659578233", "a=@1659578233"},
		{"inner list", `a=(  "x"   y;q=1 ) ;z, b=()`, ""},
		{"inner list, no blank before parameters", `a=(  "x"   y;q=1 );z, b=()`, `a=("x" y;q=1);z, b=()`},
		{"parameters", `a=1;x;y=2;  z="q";t=?1;f=?0`, `a=1;x;y=2;z="q";t;f=?0`},
		{"implicit with parameters", "a;x=1", "a=?1;x=1"},
		{"blanks around commas", "  a=1 \t,\t b=2\t ", "a=1, b=2"},
		{"keys", "*a-b_c.d*=1", "*a-b_c.d*=1"},
		{"16 members", strings.TrimSuffix(abc(16), ","), strings.ReplaceAll(strings.TrimSuffix(abc(16), ","), ",", ", ")},
		{"17 members", strings.TrimSuffix(abc(17), ","), ""},
		{"empty", "", ""},
		{"blank", " ", ""},
		{"trailing comma", "a=1,", ""},
		{"leading comma", ",a=1", ""},
		{"two commas", "a=1,,b=2", ""},
		{"no comma", "a=1 b=2", ""},
		{"key in capitals", "A=1", ""},
		{"key with a digit first", "1a=1", ""},
		{"same key twice", "a=1, a=2", ""},
		{"same parameter twice", "a=1;x=1;x=2", ""},
		{"9 parameters", "a=1;a;b;c;d;e;f;g;h;i", ""},
		{"no value", "a=", ""},
		{"blank before value", "a= 1", ""},
		{"leading zero", "a=01", ""},
		{"minus zero", "a=-0", ""},
		{"minus zero fraction", "a=-0.0", ""},
		{"minus alone", "a=-", ""},
		{"16 digits", "a=1234567890123456", ""},
		{"zero at the end of a fraction", "a=1.50", ""},
		{"four digits of fraction", "a=1.2345", ""},
		{"13 digits before a fraction", "a=1234567890123.1", ""},
		{"open fraction", "a=1.", ""},
		{"open string", `a="x`, ""},
		{"escape at the end", `a="x\`, ""},
		{"escape of a letter", `a="\n"`, ""},
		{"string beyond ASCII", "a=\"\u00fc\"", ""},
		{"string with a tab", "a=\"\t\"", ""},
		{"open bytes", "a=:aGVsbG8=", ""},
		{"bytes without padding", "a=:aGVsbG8:", ""},
		{"bytes with stray bits", "a=:aGVsbG9=:", ""},
		{"bytes of one character", "a=:a===:", ""},
		{"bytes of padding alone", "a=:====:", ""},
		{"bytes in the URL alphabet", "a=:-_-_:", ""},
		{"bool of two", "a=?2", ""},
		{"date with a fraction", "a=@1.5", ""},
		{"display string", `a=%"x"`, ""},
		{"list in a list", "a=(())", ""},
		{"open list", "a=(1", ""},
		{"list without blank", `a=("x""y")`, ""},
		{"text behind a list", "a=()x", ""},
		{"NUL", "a=1\x00", ""},
		{"line break", "a=1,\nb=2", ""},
		{"over 16 KiB", `a="` + strings.Repeat("x", 16<<10) + `"`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := httpsig.Canonical(tt.text)
			if got != tt.want || ok != (tt.want != "") {
				t.Errorf("%q, %v, want %q", got, ok, tt.want)
			}
		})
	}
}

func abc(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(string(rune('a'+i)) + "=1,")
	}
	return b.String()
}

// FuzzStructuredFields: what is taken has a canonical text that is its own
// canonical text.
func FuzzStructuredFields(f *testing.F) {
	for _, s := range []string{`sig1=("@method" "a";key="b");created=1;keyid="x"`, "a=:aGVsbG8=:,b", "a=( 1  2 );x", "a=-0.5;b=?1, c=@7", `a="\\\""`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once, ok := httpsig.Canonical(text)
		if !ok {
			return
		}
		if len(once) <= 16<<10 {
			if twice, ok := httpsig.Canonical(once); !ok || twice != once {
				t.Fatalf("%q, %q, %v", once, twice, ok)
			}
		}
	})
}

// FuzzBase: a signature base has one line for each component and one more,
// whatever the message holds: no part of it can add a line.
func FuzzBase(f *testing.F) {
	f.Add(`("@method" "@target-uri" "x";bs)`, "POST", "h", "/p", "a=1", "v")
	f.Add(`("@query-param";name="a" "x";key="k")`, "GET\n", "h\r", "/\n", "a=%0A", "k=1;x\n")
	f.Add(`("x" "@path" "@query");created=1`, "", "", "", "", " \n\"@path\": /")
	f.Fuzz(func(t *testing.T, entry, method, host, path, query, value string) {
		m := verify.Message{Method: method, Host: host, Path: path, RawQuery: query, Header: http.Header{"X": {value}}}
		base, err := httpsig.Base(m, "", "", "s="+entry)
		if err != nil {
			return
		}
		lines := strings.Split(base, "\n")
		last := lines[len(lines)-1]
		list, _, _ := strings.Cut(strings.TrimPrefix(last, `"@signature-params": (`), ")")
		if n := strings.Count(strings.NewReplacer(";bs", "", ";sf", "").Replace(list), " "); list != "" && len(lines) != n+2 || list == "" && len(lines) != 1 {
			t.Fatalf("%d lines for %q:\n%s", len(lines), list, base)
		}
	})
}

// FuzzVerify: no headers make a verifier accept what was not signed.
func FuzzVerify(f *testing.F) {
	k := httpsig.Key{ID: "k", Algorithm: httpsig.HMACSHA256, Secret: []byte("0123456789abcdef")}
	v := must(httpsig.NewVerifier(httpsig.Policy{}, k))
	h, err := must(httpsig.NewSigner(httpsig.SignerConfig{}, k)).Sign(request(), "n")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(h.Get("Signature-Input"), h.Get("Signature"), h.Get("Content-Digest"), []byte(`{"n":1}`), "/in")
	f.Add(`a=("@method");created=1;alg="none", b=()`, "a=::, b=:AAAA:", "sha-256=::", []byte{}, "/")
	f.Fuzz(func(t *testing.T, input, signature, digest string, body []byte, path string) {
		m := request()
		m.Body, m.Path = body, path
		m.Header.Set("Signature-Input", input)
		m.Header.Set("Signature", signature)
		m.Header.Set("Content-Digest", digest)
		if _, err := v.Verify(t.Context(), m); err == nil && (string(body) != `{"n":1}` || path != "/in" || m.Header.Get("Content-Digest") != h.Get("Content-Digest")) {
			t.Fatalf("forged: %q %q %q %q", input, signature, digest, body)
		}
	})
}

// FuzzSign: what a signer makes, a verifier takes.
func FuzzSign(f *testing.F) {
	k := httpsig.Key{ID: `k"\`, Algorithm: httpsig.HMACSHA256, Secret: []byte("0123456789abcdef")}
	v := must(httpsig.NewVerifier(httpsig.Policy{Tag: "t"}, k))
	s := must(httpsig.NewSigner(httpsig.SignerConfig{Tag: "t", NameAlgorithm: true}, k))
	f.Add("POST", "h:443", "/p", "a=1", "application/json", "nonce", []byte("x"))
	f.Add("", "", "", "", "", "", []byte{})
	f.Fuzz(func(t *testing.T, method, host, path, query, contentType, nonce string, body []byte) {
		m := verify.Message{Method: method, Host: host, Path: path, RawQuery: query, Body: body, At: unix(now), Header: http.Header{"Content-Type": {contentType}}}
		h, err := s.Sign(m, nonce)
		if err != nil {
			return
		}
		maps.Copy(m.Header, h)
		if id, err := v.Verify(t.Context(), m); err != nil || id.MessageID != nonce {
			t.Fatalf("%+v: %+v, %v", m, id, err)
		}
	})
}
