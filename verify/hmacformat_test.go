package verify_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/verify"
)

// acme is a platform that uses everything.
func acme() verify.HMACFormat {
	return verify.HMACFormat{
		Name: "acme", Header: "x-acme-signature", Prefix: "sig:", Signed: "{method}|{url}|{id}.{timestamp}\n{body}",
		TimestampHeader: "X-Acme-Time", TimestampUnit: time.Millisecond, Tolerance: time.Minute, IDHeader: "X-Acme-Id",
	}
}

func acmeSum(text string) string {
	mac := hmac.New(sha256.New, []byte("k"))
	mac.Write([]byte(text))
	return "sig:" + hex.EncodeToString(mac.Sum(nil))
}

func acmeMessage(text string) verify.Message {
	return verify.Message{
		Method: "PUT", Host: "in.example.com", Path: "/a%2Fb", RawQuery: "x=1&y", Body: []byte("body"), At: time.UnixMilli(1_700_000_000_123),
		Header: http.Header{"X-Acme-Signature": {acmeSum(text)}, "X-Acme-Time": {"1700000000123"}, "X-Acme-Id": {"id-1"}},
	}
}

const acmeText = "PUT|https://in.example.com/a%2Fb?x=1&y|id-1.1700000000123\nbody"

func TestHMACTemplate(t *testing.T) {
	t.Parallel()
	v := must(verify.NewHMAC(acme(), key("k", "k")))
	fixed := acme()
	fixed.Origin = "http://public.example.com:8080"
	behind := must(verify.NewHMAC(fixed, key("k", "k")))
	tests := []struct {
		name   string
		v      verify.HMAC
		text   string
		change func(*verify.Message)
		want   error
	}{
		{"all parts", v, acmeText, func(*verify.Message) {}, nil},
		{"origin instead of the host", behind, strings.Replace(acmeText, "https://in.example.com", "http://public.example.com:8080", 1), func(m *verify.Message) { m.Host = "10.0.0.1" }, nil},
		{"no query", v, strings.Replace(acmeText, "?x=1&y", "", 1), func(m *verify.Message) { m.RawQuery = "" }, nil},
		{"edge of its own window", v, acmeText, func(m *verify.Message) { m.At = m.At.Add(time.Minute) }, nil},
		{"A-SIG-19 a millisecond outside", v, acmeText, func(m *verify.Message) { m.At = m.At.Add(time.Minute + time.Millisecond) }, verify.ErrExpired},
		{"A-SIG-19 a millisecond too early", v, acmeText, func(m *verify.Message) { m.At = m.At.Add(-time.Minute - time.Millisecond) }, verify.ErrNotYet},
		{"other method", v, acmeText, func(m *verify.Message) { m.Method = "POST" }, verify.ErrMismatch},
		{"A-HDR-07 other host", v, acmeText, func(m *verify.Message) { m.Host = "evil.example" }, verify.ErrMismatch},
		{"other path", v, acmeText, func(m *verify.Message) { m.Path = "/a/b" }, verify.ErrMismatch},
		{"other query", v, acmeText, func(m *verify.Message) { m.RawQuery = "x=2&y" }, verify.ErrMismatch},
		{"other id", v, acmeText, func(m *verify.Message) { m.Header.Set("X-Acme-Id", "id-2") }, verify.ErrMismatch},
		{"A-SIG-26 boundary shift", v, strings.Replace(acmeText, "id-1", "id-1.1", 1), func(m *verify.Message) { m.Header.Set("X-Acme-Id", "id-1.1") }, verify.ErrMalformed},
		{"A-SIG-27 long id", v, acmeText, func(m *verify.Message) { m.Header.Set("X-Acme-Id", strings.Repeat("a", 257)) }, verify.ErrMalformed},
		{"A-SIG-20 no id", v, acmeText, func(m *verify.Message) { m.Header.Del("X-Acme-Id") }, verify.ErrMissing},
		{"A-SIG-20 id twice", v, acmeText, func(m *verify.Message) { m.Header.Add("X-Acme-Id", "id-1") }, verify.ErrRepeated},
		{"A-SIG-20 time twice", v, acmeText, func(m *verify.Message) { m.Header.Add("X-Acme-Time", "1700000000123") }, verify.ErrRepeated},
		{"A-SIG-25 seconds", v, strings.Replace(acmeText, "0123\n", "0\n", 1), func(m *verify.Message) { m.Header.Set("X-Acme-Time", "1700000000") }, verify.ErrExpired},
		{"A-SIG-25 fifteen digits", v, acmeText, func(m *verify.Message) { m.Header.Set("X-Acme-Time", "170000000012300") }, verify.ErrMalformed},
		{"prefix in other case", v, acmeText, func(m *verify.Message) {
			m.Header.Set("X-Acme-Signature", "S"+m.Header.Get("X-Acme-Signature")[1:])
		}, verify.ErrMalformed},
		{"A-BODY-20 signature in a trailer's clothes", v, acmeText, func(m *verify.Message) {
			m.Header["Trailer:x-Acme-Signature"] = m.Header["X-Acme-Signature"]
			m.Header.Del("X-Acme-Signature")
		}, verify.ErrMissing},
		{"A-SIG-15 signature in the query", v, acmeText, func(m *verify.Message) {
			m.RawQuery += "&x-acme-signature=" + m.Header.Get("X-Acme-Signature")
			m.Header.Del("X-Acme-Signature")
		}, verify.ErrMissing},
		{"A-HDR-01 method override is ignored", v, acmeText, func(m *verify.Message) { m.Header.Set("X-Http-Method-Override", "DELETE") }, nil},
		{"A-HDR-06 forwarding headers are ignored", v, acmeText, func(m *verify.Message) { m.Header.Set("X-Forwarded-Host", "evil.example") }, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := acmeMessage(tt.text)
			tt.change(&m)
			id, err := tt.v.Verify(t.Context(), m)
			wantError(t, err, tt.want)
			want := verify.Identity{}
			if tt.want == nil {
				want = verify.Identity{Scheme: "acme", Key: "k", MessageID: "id-1"}
			}
			if id != want {
				t.Errorf("identity %+v, want %+v", id, want)
			}
		})
	}
}

func TestNewHMACRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*verify.HMACFormat){
		"no name":                      func(f *verify.HMACFormat) { f.Name = "" },
		"name with a blank":            func(f *verify.HMACFormat) { f.Name = "a b" },
		"no header":                    func(f *verify.HMACFormat) { f.Header = "" },
		"header with a blank":          func(f *verify.HMACFormat) { f.Header = "a b" },
		"id header with a colon":       func(f *verify.HMACFormat) { f.IDHeader = "a:" },
		"one header for two":           func(f *verify.HMACFormat) { f.TimestampHeader = "X-ACME-Signature" },
		"one header for id and time":   func(f *verify.HMACFormat) { f.TimestampHeader = "x-acme-id" },
		"encoding":                     func(f *verify.HMACFormat) { f.Encoding = 2 },
		"blank in the prefix":          func(f *verify.HMACFormat) { f.Prefix = "a " },
		"list without prefix":          func(f *verify.HMACFormat) { f.List, f.Prefix = true, "" },
		"list with a comma prefix":     func(f *verify.HMACFormat) { f.List, f.Prefix = true, "a," },
		"time in no list":              func(f *verify.HMACFormat) { f.TimestampHeader, f.TimestampPrefix = "", "t=" },
		"time in two places":           func(f *verify.HMACFormat) { f.List, f.TimestampPrefix = true, "t=" },
		"prefixes alike":               func(f *verify.HMACFormat) { f.List, f.TimestampHeader, f.TimestampPrefix = true, "", "sig" },
		"unit":                         func(f *verify.HMACFormat) { f.TimestampUnit = time.Minute },
		"negative tolerance":           func(f *verify.HMACFormat) { f.Tolerance = -1 },
		"tolerance without a time":     func(f *verify.HMACFormat) { f.TimestampHeader, f.Signed = "", "{body}" },
		"unknown part":                 func(f *verify.HMACFormat) { f.Signed = "{timestamp}{BODY}{body}" },
		"open brace":                   func(f *verify.HMACFormat) { f.Signed = "{timestamp}{body}{" },
		"part twice":                   func(f *verify.HMACFormat) { f.Signed = "{timestamp}{body}{body}" },
		"body not covered":             func(f *verify.HMACFormat) { f.Signed = "{timestamp}" },
		"time not covered":             func(f *verify.HMACFormat) { f.Signed = "{body}" },
		"time from nowhere":            func(f *verify.HMACFormat) { f.TimestampHeader, f.Tolerance, f.TimestampUnit = "", 0, 0 },
		"id from nowhere":              func(f *verify.HMACFormat) { f.IDHeader = "" },
		"A-SIG-26 id beside the body":  func(f *verify.HMACFormat) { f.Signed = "{timestamp}{id}{body}" },
		"origin with a path":           func(f *verify.HMACFormat) { f.Origin = "https://a/b" },
		"origin without a scheme":      func(f *verify.HMACFormat) { f.Origin = "a.example" },
		"origin without a url":         func(f *verify.HMACFormat) { f.Origin, f.Signed = "https://a", "{timestamp}{body}" },
		"the zero format A-HDR-12":     func(f *verify.HMACFormat) { *f = verify.HMACFormat{} },
		"header of control characters": func(f *verify.HMACFormat) { f.Header = "a\r\nb" },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := acme()
			change(&f)
			_, err := verify.NewHMAC(f, key("k", "k"))
			wantError(t, err, verify.ErrConfig)
		})
	}
	if _, err := verify.NewHMAC(verify.HMACFormat{Name: "least", Header: "X"}, key("k", "k")); err != nil {
		t.Errorf("the least format: %v", err)
	}
	for name, tt := range map[string]struct {
		keys []verify.Key
		want error
	}{
		"A-SIG-29 none":                 {nil, verify.ErrEmptyKey},
		"A-SIG-29 empty":                {[]verify.Key{key("k", "")}, verify.ErrEmptyKey},
		"A-SIG-30 public key":           {[]verify.Key{key("k", swPublic)}, verify.ErrConfig},
		"A-SIG-30 public key in PEM":    {[]verify.Key{key("k", "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n")}, verify.ErrConfig},
		"line break of a file":          {[]verify.Key{key("k", "secret\n")}, verify.ErrConfig},
		"binary with a line break last": {[]verify.Key{key("k", "\x01\x02\n")}, nil},
	} {
		_, err := verify.NewHMAC(verify.GitHub(), tt.keys...)
		if wantError(t, err, tt.want); err != nil && strings.Contains(err.Error(), "secret\n") {
			t.Errorf("%s: the error shows the secret", name)
		}
	}
}

// FuzzHMAC: nothing is accepted but the one signed message, on any platform.
func FuzzHMAC(f *testing.F) {
	rows := platforms()
	vs := map[string]verify.HMAC{}
	for name, p := range rows {
		vs[name] = must(verify.NewHMAC(p.format, key("", p.secret)))
		f.Add(p.header.Get(p.signatureName), p.header.Get(p.format.TimestampHeader), "id", []byte(p.body))
	}
	f.Add("t=1,t=,v1=,v1=zz,,", "-1", "", []byte(nil))
	f.Fuzz(func(t *testing.T, value, stamp, id string, body []byte) {
		for name, p := range rows {
			m := verify.Message{Header: http.Header{p.signatureName: {value}}, Body: body, At: unix(p.at)}
			if p.format.TimestampHeader != "" {
				m.Header[p.format.TimestampHeader] = []string{stamp}
			}
			if p.format.IDHeader != "" {
				m.Header[p.format.IDHeader] = []string{id}
			}
			if got, err := vs[name].Verify(t.Context(), m); err == nil && (string(body) != p.body || p.format.IDHeader != "" && got.MessageID != id) {
				t.Fatalf("%s: forged %q, %q, %q", name, value, stamp, body)
			}
		}
	})
}

// FuzzHMACFormat: a format that is taken signs what it verifies.
func FuzzHMACFormat(f *testing.F) {
	f.Add("{timestamp}.{body}", "v1=", "id", false, []byte("x"))
	f.Add("{method}|{url}|{id}.{timestamp}\n{body}", "sig:", "a.b", true, []byte("x"))
	f.Add("{id}{body}", "", "", false, []byte{})
	f.Fuzz(func(t *testing.T, signed, prefix, id string, list bool, body []byte) {
		format := verify.HMACFormat{Name: "x", Header: "S", Prefix: prefix, List: list, Signed: signed}
		if strings.Contains(signed, "{timestamp}") {
			format.TimestampHeader = "T"
		}
		if strings.Contains(signed, "{id}") {
			format.IDHeader = "I"
		} else {
			id = ""
		}
		v, err := verify.NewHMAC(format, key("", "k"))
		if err != nil {
			return
		}
		m := verify.Message{Method: "POST", Host: "h", Path: "/", Body: body, At: unix(swNow)}
		if m.Header, err = v.Sign(id, m); err != nil {
			return
		}
		if got, err := v.Verify(t.Context(), m); err != nil || got.MessageID != id {
			t.Fatalf("%+v: %+v, %v", format, got, err)
		}
		m.Body = append([]byte("{"), body...)
		if _, err := v.Verify(t.Context(), m); err == nil {
			t.Fatal("another body passes")
		}
	})
}
