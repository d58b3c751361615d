package httpsig_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/verify"
	"github.com/ringback-go/ringback/verify/httpsig"
)

// TestPolicy pairs what a signer does with what a verifier wants.
func TestPolicy(t *testing.T) {
	t.Parallel()
	list := func(s string) []string { return strings.Fields(s) }
	tests := []struct {
		name   string
		signer httpsig.SignerConfig
		policy httpsig.Policy
		nonce  string
		change func(*verify.Message)
		want   error
		id     string
	}{
		{name: "defaults"},
		{name: "defaults, no body", change: func(m *verify.Message) { m.Body = nil }},
		{name: "sha-512", signer: httpsig.SignerConfig{Digest: httpsig.SHA512}},
		{name: "parts of the URL", signer: httpsig.SignerConfig{Components: list("@method @authority @path @query content-digest")}},
		{name: "query left out", signer: httpsig.SignerConfig{Components: list("@method @authority @path content-digest")}, want: verify.ErrMissing},
		{name: "one parameter for the query", signer: httpsig.SignerConfig{Components: list(`@method @authority @path @query-param;name="a" content-digest`)}, want: verify.ErrMissing},
		{name: "request target for the URL", signer: httpsig.SignerConfig{Components: list("@method @request-target content-digest")}, want: verify.ErrMissing},
		{name: "method left out", signer: httpsig.SignerConfig{Components: list("@target-uri content-digest")}, want: verify.ErrMissing},
		{name: "body left out", signer: httpsig.SignerConfig{Components: list("@method @target-uri")}, want: verify.ErrMissing},
		{name: "body left out, allowed", signer: httpsig.SignerConfig{Components: list("@method @target-uri")}, policy: httpsig.Policy{UnsignedBody: true}},
		{name: "body left out, there is none", signer: httpsig.SignerConfig{Components: list("@method @target-uri")}, change: func(m *verify.Message) { m.Body = nil }},
		{name: "one digest of the field", signer: httpsig.SignerConfig{Components: list(`@method @target-uri content-digest;key="sha-256"`)}, want: verify.ErrMissing},
		{name: "digest as bytes", signer: httpsig.SignerConfig{Components: list("@method @target-uri content-digest;bs")}},
		{name: "digest as a structure", signer: httpsig.SignerConfig{Components: list("@method @target-uri content-digest;sf")}},
		{name: "required and covered", signer: httpsig.SignerConfig{Components: list("content-type @path content-digest")}, policy: httpsig.Policy{Required: list("@path content-type")}},
		{name: "required, not covered", policy: httpsig.Policy{Required: list("@path")}, want: verify.ErrMissing},
		{name: "required in another form", signer: httpsig.SignerConfig{Components: list("content-type;bs content-digest")}, policy: httpsig.Policy{Required: list("content-type")}, want: verify.ErrMissing},
		{name: "required does not open the body", signer: httpsig.SignerConfig{Components: list("@path")}, policy: httpsig.Policy{Required: list("@path")}, want: verify.ErrMissing},
		{name: "tag", signer: httpsig.SignerConfig{Tag: "app-1"}, policy: httpsig.Policy{Tag: "app-1"}},
		{name: "other tag", signer: httpsig.SignerConfig{Tag: "app-2"}, policy: httpsig.Policy{Tag: "app-1"}, want: verify.ErrMismatch},
		{name: "tag in other case", signer: httpsig.SignerConfig{Tag: "APP-1"}, policy: httpsig.Policy{Tag: "app-1"}, want: verify.ErrMismatch},
		{name: "no tag", policy: httpsig.Policy{Tag: "app-1"}, want: verify.ErrMismatch},
		{name: "a tag that was not asked for", signer: httpsig.SignerConfig{Tag: "login"}, want: verify.ErrMismatch},
		{name: "label", signer: httpsig.SignerConfig{Label: "hook"}, policy: httpsig.Policy{Label: "hook"}},
		{name: "other label", policy: httpsig.Policy{Label: "hook"}, want: verify.ErrMissing},
		{name: "nonce", nonce: `n-"1\`, policy: httpsig.Policy{RequireNonce: true}, id: `n-"1\`},
		{name: "no nonce", policy: httpsig.Policy{RequireNonce: true}, want: verify.ErrMissing},
		{name: "id of a header", signer: httpsig.SignerConfig{Components: list("@method @target-uri content-digest webhook-id")}, policy: httpsig.Policy{IDField: "Webhook-Id"}, nonce: "n", id: "msg_1"},
		{name: "id of a header, not covered", policy: httpsig.Policy{IDField: "Webhook-Id"}, want: verify.ErrMissing},
		{
			name: "id of a header, twice A-SIG-20", signer: httpsig.SignerConfig{Components: list("@method @target-uri content-digest webhook-id")}, policy: httpsig.Policy{IDField: "Webhook-Id"},
			change: func(m *verify.Message) { m.Header.Add("Webhook-Id", "msg_2") }, want: verify.ErrRepeated,
		},
		{
			name: "id of a header, with a blank A-SIG-27", signer: httpsig.SignerConfig{Components: list("@method @target-uri content-digest webhook-id")}, policy: httpsig.Policy{IDField: "Webhook-Id"},
			change: func(m *verify.Message) { m.Header.Set("Webhook-Id", "msg 2") }, want: verify.ErrMalformed,
		},
		{name: "alg named", signer: httpsig.SignerConfig{NameAlgorithm: true}},
		{name: "own tolerance", policy: httpsig.Policy{Tolerance: time.Second}, change: late(2), want: verify.ErrExpired},
		{name: "expires, last second", signer: httpsig.SignerConfig{Lifetime: 10 * time.Second}, change: late(10)},
		{name: "expires, past", signer: httpsig.SignerConfig{Lifetime: 10 * time.Second}, change: late(11), want: verify.ErrExpired},
		{name: "expires does not stretch the tolerance", signer: httpsig.SignerConfig{Lifetime: time.Hour}, change: late(301), want: verify.ErrExpired},
		{name: "scheme", signer: httpsig.SignerConfig{Scheme: "http"}, policy: httpsig.Policy{Scheme: "http"}},
		{name: "other scheme", signer: httpsig.SignerConfig{Scheme: "http"}, want: verify.ErrMismatch},
		{
			name: "behind a proxy", signer: httpsig.SignerConfig{Authority: "Public.example"}, policy: httpsig.Policy{Authority: "public.example:443"},
			change: func(m *verify.Message) { m.Host = "10.0.0.1:8080" },
		},
	}
	k := trio(t)["ed25519"]
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := request()
			m.Header.Set("Webhook-Id", "msg_1")
			delayed := m.At
			if tt.change != nil {
				tt.change(&m)
				delayed, m.At = m.At, unix(now)
			}
			m = signed(t, must(httpsig.NewSigner(tt.signer, k)), m, tt.nonce)
			m.At = delayed
			got, err := must(httpsig.NewVerifier(tt.policy, k)).Verify(t.Context(), m)
			wantError(t, err, tt.want)
			want := verify.Identity{}
			if tt.want == nil {
				want = verify.Identity{Scheme: "httpsig", Key: "k", MessageID: tt.id}
			}
			if got != want {
				t.Errorf("identity %+v, want %+v", got, want)
			}
		})
	}
}

func late(seconds int64) func(*verify.Message) {
	return func(m *verify.Message) { m.At = unix(now + seconds) }
}

// TestRotation: two keys, one after the other, and one message with two
// signatures.
func TestRotation(t *testing.T) {
	t.Parallel()
	keys := trio(t)
	old, next := keys["hmac-sha256"], keys["ed25519"]
	old.ID, old.NotAfter = "old", unix(now)
	next.ID, next.NotBefore = "next", unix(now-10)
	v := must(httpsig.NewVerifier(httpsig.Policy{}, next, old))
	for _, tt := range []struct {
		key  string
		at   int64
		want error
	}{
		{"old", now, nil},
		{"old", now + 1, verify.ErrUnknown}, // A-SIG-31
		{"next", now - 10, nil},
		{"next", now - 11, verify.ErrUnknown},
	} {
		k := old
		if tt.key == "next" {
			k = next
		}
		free := k
		free.NotBefore, free.NotAfter = time.Time{}, time.Time{}
		m := request()
		m.At = unix(tt.at)
		m = signed(t, must(httpsig.NewSigner(httpsig.SignerConfig{}, free)), m, "")
		id, err := v.Verify(t.Context(), m)
		wantError(t, err, tt.want)
		if err == nil && id.Key != tt.key {
			t.Errorf("key %q, want %q", id.Key, tt.key)
		}
	}
	s := must(httpsig.NewSigner(httpsig.SignerConfig{}, next, old))
	for at, want := range map[int64]string{now - 11: `keyid="old"`, now - 10: `keyid="next"`} {
		m := request()
		m.At = unix(at)
		if h, err := s.Sign(m, ""); err != nil || !strings.Contains(h.Get("Signature-Input"), want) {
			t.Errorf("at %d: %v, %v, want %s", at, h, err, want)
		}
	}
	ended := must(httpsig.NewSigner(httpsig.SignerConfig{}, old))
	m := request()
	m.At = unix(now + 1)
	_, err := ended.Sign(m, "")
	wantError(t, err, verify.ErrEmptyKey)
}

// TestWithoutKeyID: a signature without a keyid is tried with each valid key.
func TestWithoutKeyID(t *testing.T) {
	t.Parallel()
	m := verify.Message{Method: "GET", Host: "h", Path: "/", At: unix(now), Header: http.Header{}}
	const input = `("@method" "@target-uri");created=1700000000`
	base, err := httpsig.Base(m, "", "", "sig1="+input)
	if err != nil {
		t.Fatal(err)
	}
	m.Header.Set("Signature-Input", "sig1="+input)
	m.Header.Set("Signature", "sig1=:"+macOf([]byte("0123456789abcdef"), base)+":")
	keys := trio(t)
	other := keys["ed25519"]
	other.ID = "other"
	id, err := must(httpsig.NewVerifier(httpsig.Policy{}, other, keys["hmac-sha256"])).Verify(t.Context(), m)
	if err != nil || id.Key != "k" {
		t.Errorf("%+v, %v", id, err)
	}
	_, err = must(httpsig.NewVerifier(httpsig.Policy{}, other)).Verify(t.Context(), m)
	wantError(t, err, verify.ErrMismatch)
}

// TestSignedButWrong: signatures that are right, of what must not be signed.
func TestSignedButWrong(t *testing.T) {
	t.Parallel()
	v := must(httpsig.NewVerifier(httpsig.Policy{}, trio(t)["hmac-sha256"]))
	const covered = `("@method" "@target-uri")`
	for _, tt := range []struct {
		name, params string
		want         error
	}{
		{"good", `;created=1700000000;keyid="k";alg="hmac-sha256"`, nil},
		{"A-SIG-07 alg of another key", `;created=1700000000;keyid="k";alg="ed25519"`, verify.ErrMismatch},
		{"A-SIG-07 alg in capitals", `;created=1700000000;keyid="k";alg="HMAC-SHA256"`, verify.ErrMismatch},
		{"no created", `;keyid="k"`, verify.ErrMissing},
		{"created zero", `;created=0;keyid="k"`, verify.ErrMalformed},
		{"expires before created", `;created=1700000100;expires=1700000050;keyid="k"`, verify.ErrMalformed},
		{"expires at created", `;created=1700000000;expires=1700000000;keyid="k"`, nil},
		{"A-SIG-27 nonce with a blank", `;created=1700000000;keyid="k";nonce="a b"`, verify.ErrMalformed},
		{"A-SIG-27 long nonce", `;created=1700000000;keyid="k";nonce="` + strings.Repeat("n", 257) + `"`, verify.ErrMalformed},
		{"empty nonce", `;created=1700000000;keyid="k";nonce=""`, verify.ErrMalformed},
	} {
		m := verify.Message{Method: "GET", Host: "h", Path: "/", At: unix(now), Header: http.Header{}}
		m.Header.Set("Signature-Input", "sig1="+covered+tt.params)
		base := "\"@method\": GET\n\"@target-uri\": https://h/\n\"@signature-params\": " + covered + tt.params
		m.Header.Set("Signature", "sig1=:"+macOf([]byte("0123456789abcdef"), base)+":")
		_, err := v.Verify(t.Context(), m)
		if wantError(t, err, tt.want); t.Failed() {
			t.Fatal(tt.name)
		}
	}
}

// TestDigest has the shapes of Content-Digest.
func TestDigest(t *testing.T) {
	t.Parallel()
	body := []byte("hello")
	good256, good512 := httpsig.SHA256.Of(body), httpsig.SHA512.Of(body)
	for _, tt := range []struct {
		name, value string
		want        error
	}{
		{"sha-256", good256, nil},
		{"sha-512", good512, nil},
		{"both", good512 + ", " + good256, nil},
		{"one of two wrong", good512 + "," + httpsig.SHA256.Of(nil), verify.ErrMismatch},
		{"md5 beside it", "md5=:AAAA:, " + good256, nil},
		{"md5 alone", "md5=:XUFAKrxLKna5cZ2REBfFkg==:", verify.ErrMissing},
		{"wrong", httpsig.SHA512.Of(nil), verify.ErrMismatch},
		{"cut", good256[:len(good256)-5] + ":", verify.ErrMalformed},
		{"no colons", strings.ReplaceAll(good256, ":", ""), verify.ErrMalformed},
		{"capitals", "SHA-256" + good256[7:], verify.ErrMalformed},
		{"twice", good256 + ", " + good256, verify.ErrMalformed},
		{"no value", "sha-256", verify.ErrMalformed},
		{"length of the other", "sha-256" + good512[7:], verify.ErrMalformed},
	} {
		if err := httpsig.CheckDigest(tt.value, body); err != tt.want { //nolint:errorlint // the sentinel itself
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
}
