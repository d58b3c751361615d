package httpsig_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/verify"
	"github.com/ringback-go/ringback/verify/httpsig"
)

func macOf(key []byte, text string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func TestKeysRefused(t *testing.T) {
	t.Parallel()
	keys := trio(t)
	ed, ec := keys["ed25519"].Private.(ed25519.PrivateKey), keys["ecdsa-p256-sha256"].Private.(*ecdsa.PrivateKey)
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	secret := []byte("0123456789abcdef")
	unmade := &ecdsa.PublicKey{Curve: elliptic.P256()}
	off := &ecdsa.PublicKey{Curve: elliptic.P256(), X: big.NewInt(1), Y: big.NewInt(1)} //nolint:staticcheck // no constructor makes it
	for _, tt := range []struct {
		name string
		keys []httpsig.Key
		want error
	}{
		{"A-SIG-29 none", nil, verify.ErrEmptyKey},
		{"A-SIG-29 empty secret", []httpsig.Key{{ID: "k", Algorithm: httpsig.HMACSHA256}}, verify.ErrEmptyKey},
		{"A-SIG-29 no ed25519 key", []httpsig.Key{{ID: "k", Algorithm: httpsig.Ed25519}}, verify.ErrEmptyKey},
		{"A-SIG-29 no ECDSA key", []httpsig.Key{{ID: "k", Algorithm: httpsig.ECDSAP256SHA256}}, verify.ErrEmptyKey},
		{"A-SIG-29 short secret", []httpsig.Key{{ID: "k", Algorithm: httpsig.HMACSHA256, Secret: secret[:15]}}, verify.ErrConfig},
		{"zero key", []httpsig.Key{{}}, verify.ErrConfig},
		{"no algorithm", []httpsig.Key{{ID: "k", Private: ed}}, verify.ErrConfig},
		{"unknown algorithm", []httpsig.Key{{ID: "k", Private: ed, Algorithm: 9}}, verify.ErrConfig},
		{"no id", []httpsig.Key{{Algorithm: httpsig.HMACSHA256, Secret: secret}}, verify.ErrConfig},
		{"id with a line break", []httpsig.Key{{ID: "a\n", Algorithm: httpsig.HMACSHA256, Secret: secret}}, verify.ErrConfig},
		{"one id twice", []httpsig.Key{{ID: "k", Algorithm: httpsig.HMACSHA256, Secret: secret}, {ID: "k", Algorithm: httpsig.Ed25519, Private: ed}}, verify.ErrConfig},
		{"ends before it begins", []httpsig.Key{{ID: "k", Algorithm: httpsig.HMACSHA256, Secret: secret, NotBefore: unix(2), NotAfter: unix(1)}}, verify.ErrConfig},
		{"A-SIG-30 secret and public", []httpsig.Key{{ID: "k", Algorithm: httpsig.HMACSHA256, Secret: secret, Public: ed.Public()}}, verify.ErrConfig},
		{"A-SIG-30 public key for a secret", []httpsig.Key{{ID: "k", Algorithm: httpsig.HMACSHA256, Public: ed.Public()}}, verify.ErrConfig},
		{"A-SIG-30 PEM for a secret", []httpsig.Key{{ID: "k", Algorithm: httpsig.HMACSHA256, Secret: []byte("-----BEGIN PUBLIC KEY-----")}}, verify.ErrConfig},
		{"secret for ed25519", []httpsig.Key{{ID: "k", Algorithm: httpsig.Ed25519, Secret: secret}}, verify.ErrConfig},
		{"ECDSA key for ed25519", []httpsig.Key{{ID: "k", Algorithm: httpsig.Ed25519, Private: ec}}, verify.ErrConfig},
		{"ECDSA public key for ed25519", []httpsig.Key{{ID: "k", Algorithm: httpsig.Ed25519, Public: ec.Public()}}, verify.ErrConfig},
		{"ed25519 key for ECDSA", []httpsig.Key{{ID: "k", Algorithm: httpsig.ECDSAP256SHA256, Private: ed}}, verify.ErrConfig},
		{"RSA key for ECDSA", []httpsig.Key{{ID: "k", Algorithm: httpsig.ECDSAP256SHA256, Public: &rsa.PublicKey{}}}, verify.ErrConfig},
		{"another curve", []httpsig.Key{{ID: "k", Algorithm: httpsig.ECDSAP256SHA256, Private: p384}}, verify.ErrConfig},
		{"another curve, public", []httpsig.Key{{ID: "k", Algorithm: httpsig.ECDSAP256SHA256, Public: p384.Public()}}, verify.ErrConfig},
		{"key that was never made", []httpsig.Key{{ID: "k", Algorithm: httpsig.ECDSAP256SHA256, Public: unmade}}, verify.ErrConfig},
		{"off the curve", []httpsig.Key{{ID: "k", Algorithm: httpsig.ECDSAP256SHA256, Public: off}}, verify.ErrConfig},
		{"private key that was never made", []httpsig.Key{{ID: "k", Algorithm: httpsig.ECDSAP256SHA256, Private: &ecdsa.PrivateKey{PublicKey: *ec.Public().(*ecdsa.PublicKey)}}}, verify.ErrConfig},
		{"nil ECDSA key", []httpsig.Key{{ID: "k", Algorithm: httpsig.ECDSAP256SHA256, Private: (*ecdsa.PrivateKey)(nil)}}, verify.ErrConfig},
		{"cut ed25519 key", []httpsig.Key{{ID: "k", Algorithm: httpsig.Ed25519, Public: ed25519.PublicKey(secret)}}, verify.ErrConfig},
		{"cut private ed25519 key", []httpsig.Key{{ID: "k", Algorithm: httpsig.Ed25519, Private: ed[:32]}}, verify.ErrConfig},
		{"point of small order", []httpsig.Key{{ID: "k", Algorithm: httpsig.Ed25519, Public: ed25519.PublicKey(make([]byte, 32))}}, verify.ErrConfig},
		{"halves of two pairs", []httpsig.Key{{ID: "k", Algorithm: httpsig.Ed25519, Private: ed, Public: edPublic().Public}}, verify.ErrConfig},
		{"halves of two ECDSA pairs", []httpsig.Key{{ID: "k", Algorithm: httpsig.ECDSAP256SHA256, Private: ec, Public: ecPublic().Public}}, verify.ErrConfig},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := httpsig.NewVerifier(httpsig.Policy{}, tt.keys...)
			wantError(t, err, tt.want)
			_, err = httpsig.NewSigner(httpsig.SignerConfig{}, tt.keys...)
			wantError(t, err, tt.want)
			if err != nil && strings.Contains(err.Error(), "0123456789") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func TestConfigRefused(t *testing.T) {
	t.Parallel()
	for name, p := range map[string]httpsig.Policy{
		"negative tolerance":   {Tolerance: -1},
		"scheme":               {Scheme: "ftp"},
		"authority with path":  {Authority: "a/b"},
		"authority not ASCII":  {Authority: "ü"},
		"component unknown":    {Required: []string{"@nothing"}},
		"component in quotes":  {Required: []string{`"@method"`}},
		"component in capital": {Required: []string{"Content-Type"}},
		"component twice":      {Required: []string{"@path", "@path"}},
		"component empty":      {Required: []string{""}},
		"33 components":        {Required: make([]string, 33)},
		"id field":             {IDField: "a b"},
	} {
		_, err := httpsig.NewVerifier(p, hmacKey())
		if wantError(t, err, verify.ErrConfig); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for name, c := range map[string]httpsig.SignerConfig{
		"label":             {Label: "Sig"},
		"label with a mark": {Label: "a,b"},
		"tag":               {Tag: "a b"},
		"negative lifetime": {Lifetime: -time.Second},
		"half a second":     {Lifetime: time.Second / 2},
		"digest":            {Digest: 2},
		"scheme":            {Scheme: "HTTPS"},
		"component":         {Components: []string{"@status"}},
	} {
		_, err := httpsig.NewSigner(c, hmacKey())
		if wantError(t, err, verify.ErrConfig); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	_, err := httpsig.NewSigner(httpsig.SignerConfig{}, edPublic())
	wantError(t, err, verify.ErrConfig)
	_, err = httpsig.Signer{}.Sign(request(), "")
	wantError(t, err, verify.ErrConfig)
	_, err = httpsig.Verifier{}.Verify(t.Context(), request())
	wantError(t, err, verify.ErrConfig)
}

func TestSignRefuses(t *testing.T) {
	t.Parallel()
	s := must(httpsig.NewSigner(httpsig.SignerConfig{Components: []string{"x-a", "content-digest"}}, hmacKey()))
	for _, tt := range []struct {
		name, nonce string
		change      func(*verify.Message)
		want        error
	}{
		{"good", "n", func(*verify.Message) {}, nil},
		{"header missing", "", func(m *verify.Message) { m.Header.Del("X-A") }, verify.ErrMissing},
		{"no header at all", "", func(m *verify.Message) { m.Header = nil }, verify.ErrMissing},
		{"A-HDR-16 line break", "", func(m *verify.Message) { m.Header.Set("X-A", "a\r\nb") }, verify.ErrMalformed},
		{"nonce with a blank", "a b", func(*verify.Message) {}, verify.ErrMalformed},
		{"long nonce", strings.Repeat("n", 257), func(*verify.Message) {}, verify.ErrMalformed},
		{"no time", "", func(m *verify.Message) { m.At = time.Time{} }, verify.ErrMalformed},
		{"far time", "", func(m *verify.Message) { m.At = unix(1 << 40) }, verify.ErrMalformed},
		{"digest of another body", "", func(m *verify.Message) { m.Header.Set("Content-Digest", httpsig.SHA256.Of(nil)) }, verify.ErrMismatch},
		{"digest there", "", func(m *verify.Message) { m.Header.Set("Content-Digest", httpsig.SHA256.Of(m.Body)) }, nil},
	} {
		m := request()
		m.Header.Set("X-A", "a")
		tt.change(&m)
		before := m.Header.Clone()
		h, err := s.Sign(m, tt.nonce)
		wantError(t, err, tt.want)
		if (err == nil) != (h != nil) || len(before) != len(m.Header) {
			t.Errorf("%s: %v, header before %v, after %v", tt.name, h, before, m.Header)
		}
	}
}

// TestNothingPrintsSecrets: A-SIG-43.
func TestNothingPrintsSecrets(t *testing.T) {
	t.Parallel()
	secret := []byte("0123456789abcdef")
	ed := edKey()
	mac := httpsig.Key{ID: "m", Algorithm: httpsig.HMACSHA256, Secret: secret}
	for _, v := range []any{
		mac, &mac,
		[]httpsig.Key{mac, ed},
		must(httpsig.NewVerifier(httpsig.Policy{}, mac, ed)), must(httpsig.NewSigner(httpsig.SignerConfig{}, mac, ed)),
	} {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		if err := json.NewEncoder(&log).Encode(v); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&log, "%v %+v %#v %s", v, v, v, v)
		for _, bad := range []string{string(secret), "48 49 50 51", "0x30, 0x31", "159 131 98 248", "0x9f, 0x83", "MDEyMzQ1"} {
			if strings.Contains(log.String(), bad) {
				t.Errorf("%T prints %q: %s", v, bad, log.String())
			}
		}
	}
}

// TestDependencies: this package is the standard library and our own.
func TestDependencies(t *testing.T) {
	t.Parallel()
	const module = "github.com/ringback-go/ringback/"
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", module+"verify/httpsig").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		if !strings.HasPrefix(path, module+"verify") && !strings.HasPrefix(path, module+"internal/") {
			t.Errorf("httpsig depends on %s", path)
		}
	}
}
