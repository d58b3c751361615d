package httpsig_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/verify"
	"github.com/ringback-go/ringback/verify/httpsig"
)

const now = 1_700_000_000

// trio is one key of each algorithm.
func trio(t testing.TB) map[string]httpsig.Key {
	t.Helper()
	_, ed, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]httpsig.Key{
		"hmac-sha256":       {ID: "k", Algorithm: httpsig.HMACSHA256, Secret: []byte("0123456789abcdef")},
		"ed25519":           {ID: "k", Algorithm: httpsig.Ed25519, Private: ed},
		"ecdsa-p256-sha256": {ID: "k", Algorithm: httpsig.ECDSAP256SHA256, Private: ec},
	}
}

func request() verify.Message {
	return verify.Message{
		Method: "POST", Host: "hooks.example.com", Path: "/in", RawQuery: "a=1", Body: []byte(`{"n":1}`), At: unix(now),
		Header: http.Header{"Content-Type": {"application/json"}},
	}
}

// signed adds the headers that s makes.
func signed(t *testing.T, s httpsig.Signer, m verify.Message, nonce string) verify.Message {
	t.Helper()
	h, err := s.Sign(m, nonce)
	if err != nil {
		t.Fatal(err)
	}
	m.Header = m.Header.Clone()
	maps.Copy(m.Header, h)
	return m
}

// edit changes one header's one value.
func edit(header string, change func(string) string) func(*verify.Message) {
	return func(m *verify.Message) { m.Header.Set(header, change(m.Header.Get(header))) }
}

func replace(header, old, with string) func(*verify.Message) {
	return edit(header, func(s string) string { return strings.Replace(s, old, with, 1) })
}

var encoded = regexp.MustCompile(`:[^:]*:`)

// signature changes the encoded signature.
func signature(change func(string) string) func(*verify.Message) {
	return edit("Signature", func(s string) string {
		return encoded.ReplaceAllStringFunc(s, func(b string) string { return ":" + change(b[1:len(b)-1]) + ":" })
	})
}

// TestAttacks changes a signed message in every way that must be seen, under
// each algorithm.
func TestAttacks(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*verify.Message){
		"A-SIG-24 tampered body":         func(m *verify.Message) { m.Body = []byte(`{"n":2}`) },
		"A-SIG-24 empty body":            func(m *verify.Message) { m.Body = nil },
		"A-SIG-24 blank behind the body": func(m *verify.Message) { m.Body = append(m.Body, ' ') },
		"tampered body with its digest": func(m *verify.Message) {
			m.Body = []byte("x")
			m.Header.Set("Content-Digest", httpsig.SHA256.Of(m.Body))
		},
		"digest joined by another":        edit("Content-Digest", func(s string) string { return s + ", " + httpsig.SHA512.Of([]byte("x")) }),
		"digest removed":                  func(m *verify.Message) { m.Header.Del("Content-Digest") },
		"A-SIG-20 digest twice":           func(m *verify.Message) { m.Header.Add("Content-Digest", m.Header.Get("Content-Digest")) },
		"A-SIG-19 replay, past":           func(m *verify.Message) { m.At = unix(now + 301) },
		"A-SIG-19 replay, future":         func(m *verify.Message) { m.At = unix(now - 301) },
		"tampered created":                replace("Signature-Input", "created=1700000000", "created=1700000001"),
		"created removed":                 replace("Signature-Input", ";created=1700000000", ""),
		"A-SIG-25 created as a string":    replace("Signature-Input", "created=1700000000", `created="1700000000"`),
		"A-SIG-25 created fraction":       replace("Signature-Input", "created=1700000000", "created=1700000000.0"),
		"A-SIG-25 created leading zero":   replace("Signature-Input", "created=1700000000", "created=01700000000"),
		"A-SIG-25 created minus":          replace("Signature-Input", "created=1700000000", "created=-1700000000"),
		"A-SIG-25 created plus":           replace("Signature-Input", "created=1700000000", "created=+1700000000"),
		"A-SIG-25 created date":           replace("Signature-Input", "created=1700000000", "created=@1700000000"),
		"A-SIG-25 created MaxInt64":       replace("Signature-Input", "created=1700000000", "created=9223372036854775807"),
		"created twice":                   replace("Signature-Input", ";created=1700000000", ";created=1700000000;created=1700000000"),
		"expires added":                   replace("Signature-Input", "created=1700000000", "created=1700000000;expires=1700000400"),
		"nonce changed":                   replace("Signature-Input", "nonce-1", "nonce-2"),
		"nonce removed":                   replace("Signature-Input", `;nonce="nonce-1"`, ""),
		"nonce as a token":                replace("Signature-Input", `"nonce-1"`, "nonce-1"),
		"tag added":                       edit("Signature-Input", func(s string) string { return s + `;tag="other"` }),
		"parameter added":                 edit("Signature-Input", func(s string) string { return s + ";x" }),
		"keyid of nobody":                 replace("Signature-Input", `keyid="k"`, `keyid="x"`),
		"keyid removed":                   replace("Signature-Input", `;keyid="k"`, ""),
		"A-SIG-07 alg added, another":     edit("Signature-Input", func(s string) string { return s + `;alg="rsa-v1_5-sha256"` }),
		"A-SIG-07 alg added, none":        edit("Signature-Input", func(s string) string { return s + `;alg="none"` }),
		"A-SIG-07 alg added, empty":       edit("Signature-Input", func(s string) string { return s + `;alg=""` }),
		"method":                          func(m *verify.Message) { m.Method = "PUT" },
		"method in lower case":            func(m *verify.Message) { m.Method = "post" },
		"path":                            func(m *verify.Message) { m.Path = "/other" },
		"query":                           func(m *verify.Message) { m.RawQuery = "a=2" },
		"query removed":                   func(m *verify.Message) { m.RawQuery = "" },
		"A-HDR-07 host":                   func(m *verify.Message) { m.Host = "evil.example" },
		"header that is covered":          replace("Content-Type", "json", "xml"),
		"header that is covered, removed": func(m *verify.Message) { m.Header.Del("Content-Type") },
		"header that is covered, added":   func(m *verify.Message) { m.Header.Add("Content-Type", "text/plain") },
		"component removed":               replace("Signature-Input", `"content-digest"`, ""),
		"component twice":                 replace("Signature-Input", `"@method"`, `"@method" "@method"`),
		"components swapped":              replace("Signature-Input", `"@method" "@target-uri"`, `"@target-uri" "@method"`),
		"component unknown":               replace("Signature-Input", `"@method"`, `"@method" "@status"`),
		"component with ;req":             replace("Signature-Input", `"@method"`, `"@method";req`),
		"A-SIG-20 no input":               func(m *verify.Message) { m.Header.Del("Signature-Input") },
		"A-SIG-20 no signature":           func(m *verify.Message) { m.Header.Del("Signature") },
		"A-SIG-20 input twice":            func(m *verify.Message) { m.Header.Add("Signature-Input", m.Header.Get("Signature-Input")) },
		"A-SIG-20 signature twice":        func(m *verify.Message) { m.Header.Add("Signature", m.Header.Get("Signature")) },
		"one label twice":                 edit("Signature-Input", func(s string) string { return s + ", " + s }),
		"one label twice, signature":      edit("Signature", func(s string) string { return s + ", " + s }),
		"label in another case":           replace("Signature", "sig1", "Sig1"),
		"label of another":                replace("Signature", "sig1", "sig2"),
		"A-SIG-22 empty header":           edit("Signature", func(string) string { return "" }),
		"A-SIG-22 empty signature":        signature(func(string) string { return "" }),
		"A-SIG-22 cut signature":          signature(func(s string) string { return s[:len(s)-4] }),
		"A-SIG-22 longer signature":       signature(func(s string) string { return "AAAA" + s }),
		"A-SIG-22 unpadded":               signature(func(s string) string { return strings.TrimRight(s, "=") }),
		"A-SIG-22 stray bits":             signature(stray),
		"A-SIG-22 URL alphabet":           signature(func(s string) string { return "-_" + s[2:] }),
		"A-SIG-22 all zero":               signature(func(s string) string { return zero(s) }),
		"A-SIG-22 all ones":               signature(func(s string) string { return ones(s) }),
		"A-SIG-22 hex":                    signature(func(s string) string { return hexOf(s) }),
		"A-SIG-22 as a string":            edit("Signature", func(s string) string { return strings.ReplaceAll(s, ":", `"`) }),
		"A-SIG-22 as a list":              edit("Signature", func(s string) string { return strings.Replace(s, "=:", "=(:", 1) + ")" }),
		"A-SIG-22 no value":               edit("Signature", func(string) string { return "sig1" }),
		"A-FLOOD-06 64 KiB of signatures": edit("Signature", func(s string) string { return strings.Repeat("a=:AAAA:, ", 64<<10/10) + s }),
		"A-FLOOD-06 64 KiB of inputs":     edit("Signature-Input", func(s string) string { return strings.Repeat("a=(), ", 64<<10/6) + s }),
		"A-FLOOD-06 9 labels":             edit("Signature-Input", func(s string) string { return "a=(),b=(),c=(),d=(),e=(),f=(),g=(),h=()," + s }),
		"A-FLOOD-06 33 components":        replace("Signature-Input", `"@method"`, `"@method"`+strings.Repeat(` "x"`, 32)),
		"A-FLOOD-06 9 parameters":         edit("Signature-Input", func(s string) string { return s + ";a;b;c;d;e;f" }),
		"trailing comma":                  edit("Signature-Input", func(s string) string { return s + "," }),
		"NUL":                             edit("Signature-Input", func(s string) string { return s + "\x00" }),
		"A-SIG-15 in the query":           func(m *verify.Message) { m.RawQuery += "&Signature=x"; m.Header.Del("Signature") },
	}
	for alg, k := range trio(t) {
		v := must(httpsig.NewVerifier(httpsig.Policy{}, k))
		s := must(httpsig.NewSigner(httpsig.SignerConfig{}, k))
		good := signed(t, s, request(), "nonce-1")
		if id, err := v.Verify(t.Context(), good); err != nil || id != (verify.Identity{Scheme: "httpsig", Key: "k", MessageID: "nonce-1"}) {
			t.Fatalf("%s: %+v, %v", alg, id, err)
		}
		for name, change := range tests {
			t.Run(alg+" "+name, func(t *testing.T) {
				t.Parallel()
				m := good
				m.Header = good.Header.Clone()
				m.Body = append([]byte(nil), good.Body...)
				change(&m)
				if cmp.Equal(m, good) {
					t.Fatal("the attack changes nothing")
				}
				id, err := v.Verify(t.Context(), m)
				if err == nil || id != (verify.Identity{}) {
					t.Fatalf("accepted: %+v", id)
				}
				if given := encoded.FindString(good.Header.Get("Signature")); strings.Contains(err.Error(), given) || strings.Contains(err.Error(), `{"n`) {
					t.Errorf("the error shows too much: %v", err)
				}
			})
		}
		for name, change := range map[string]func(*verify.Message){
			"A-SIG-18 late edge":            func(m *verify.Message) { m.At = unix(now + 300) },
			"A-SIG-18 early edge":           func(m *verify.Message) { m.At = unix(now - 300) },
			"A-HDR-01 method override":      func(m *verify.Message) { m.Header.Set("X-Http-Method-Override", "PUT") },
			"default port":                  func(m *verify.Message) { m.Host += ":443" },
			"host in capitals":              func(m *verify.Message) { m.Host = strings.ToUpper(m.Host) },
			"another signature before it":   edit("Signature-Input", func(s string) string { return "proxy=();created=1, " + s }),
			"extra blanks in the structure": replace("Signature-Input", `"@method" `, ` "@method"   `),
		} {
			m := good
			m.Header = good.Header.Clone()
			change(&m)
			if _, err := v.Verify(t.Context(), m); err != nil {
				t.Errorf("%s %s: %v", alg, name, err)
			}
		}
	}
}

func stray(s string) string {
	at := strings.IndexByte(s, '=') - 1
	return s[:at] + string(s[at]+1) + s[at+1:]
}

func zero(s string) string {
	n := len(must(base64.StdEncoding.DecodeString(s)))
	return base64.StdEncoding.EncodeToString(make([]byte, n))
}

func ones(s string) string {
	return base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\xff", len(must(base64.StdEncoding.DecodeString(s))))))
}

func hexOf(s string) string {
	const digits = "0123456789abcdef"
	var out []byte
	for _, b := range must(base64.StdEncoding.DecodeString(s)) {
		out = append(out, digits[b>>4], digits[b&15])
	}
	return string(out)
}

// TestAlgorithmConfusion: A-SIG-30 and A-SIG-07. The attacker knows the public
// key, uses its bytes as a secret, and says hmac-sha256.
func TestAlgorithmConfusion(t *testing.T) {
	t.Parallel()
	ed := trio(t)["ed25519"]
	public := ed.Private.(ed25519.PrivateKey).Public().(ed25519.PublicKey)
	v := must(httpsig.NewVerifier(httpsig.Policy{}, httpsig.Key{ID: "k", Algorithm: httpsig.Ed25519, Public: public}))
	for _, named := range []bool{false, true} {
		forger := must(httpsig.NewSigner(httpsig.SignerConfig{NameAlgorithm: named}, httpsig.Key{ID: "k", Algorithm: httpsig.HMACSHA256, Secret: public}))
		_, err := v.Verify(t.Context(), signed(t, forger, request(), ""))
		wantError(t, err, verify.ErrMismatch)
	}
	_, err := httpsig.NewVerifier(httpsig.Policy{}, httpsig.Key{ID: "a", Algorithm: httpsig.HMACSHA256, Secret: public}, httpsig.Key{ID: "b", Algorithm: httpsig.Ed25519, Public: public})
	wantError(t, err, verify.ErrConfig)
}

// TestBoundedWork: A-FLOOD-06. The worst texts within the limit of 16 KiB,
// and one beyond it, are refused in time that does not depend on their kind.
func TestBoundedWork(t *testing.T) {
	t.Parallel()
	k := trio(t)["ecdsa-p256-sha256"]
	v := must(httpsig.NewVerifier(httpsig.Policy{}, k))
	good := signed(t, must(httpsig.NewSigner(httpsig.SignerConfig{}, k)), request(), "")
	for name, text := range map[string]string{
		"brackets":   strings.Repeat("(", 16<<10),
		"items":      "a=(" + strings.Repeat(`"x" `, 4<<10-2) + ")",
		"blanks":     "a=(" + strings.Repeat(" ", 16<<10-3),
		"members":    strings.Repeat("a,", 8<<10),
		"parameters": "a=1" + strings.Repeat(";a", 8<<10-2),
		"a string":   `a="` + strings.Repeat(`\\`, 8<<10-2),
		"bytes":      "a=:" + strings.Repeat("A", 16<<10-4) + ":",
		"1 MiB":      strings.Repeat("a=(), ", 1<<20/6),
	} {
		for _, header := range []string{"Signature-Input", "Signature"} {
			m := good
			m.Header = good.Header.Clone()
			m.Header.Set(header, text)
			took := time.Hour // the best of several: the machine may be busy
			for try := 0; try < 10 && took > time.Second; try++ {
				start := time.Now()
				for range 20 {
					if _, err := v.Verify(t.Context(), m); err == nil {
						t.Errorf("%s: accepted", name)
					}
				}
				took = min(took, time.Since(start))
			}
			if took > time.Second {
				t.Errorf("%s: 20 refusals took %v", name, took)
			}
		}
	}
}
