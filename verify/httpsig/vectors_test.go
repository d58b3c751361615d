package httpsig_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/verify"
	"github.com/ringback-go/ringback/verify/httpsig"
)

const clientCert = ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIEludGVybWVkaWF0ZSBDQTAeFw0y" +
	"MDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3Y" +
	"C8OthxM4+k1M6aEAEFcGzkJiNy6J84y7uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0lBAwwCgYI" +
	"KwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5" +
	"r5XarmPk0wmuydBVoU4hBVZ1yhk=:"

// TestRFC9421Requests verifies the published signatures of requests.
func TestRFC9421Requests(t *testing.T) {
	t.Parallel()
	proxied := rfcRequest()
	proxied.Host = "service.internal.example"
	proxied.Header.Set("Client-Cert", clientCert)
	demo := verify.Message{Method: "GET", Host: "example.org", Path: "/demo", RawQuery: "name1=Value1&Name2=value2", At: unix(rfcCreated), Header: http.Header{
		"Date": {"Fri, 15 Jul 2022 14:24:55 GMT"}, "Accept": {"application/json", "*/*"},
	}}
	added := demo
	added.RawQuery += "&param=added"
	added.Header = demo.Header.Clone()
	added.Header.Set("Accept-Language", "en-US,en;q=0.5")
	joined := demo
	joined.Header = http.Header{"Accept": {"application/json, */*"}}
	swapped := demo
	swapped.Header = http.Header{"Accept": {"*/*", "application/json"}}
	other := demo
	other.Host = "example.com"
	const transform = `transform=("@method" "@path" "@authority" "accept");created=1618884473;keyid="test-key-ed25519"`
	const transformed = "transform=:ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA==:"
	tests := []struct {
		name             string
		m                verify.Message
		key              httpsig.Key
		input, signature string
		want             error
	}{
		{
			"B.2.5 hmac-sha256", rfcRequest(), hmacKey(),
			`sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`,
			"sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:", nil,
		},
		{
			"B.2.6 ed25519", rfcRequest(), edPublic(),
			`sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`,
			"sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:", nil,
		},
		{
			"B.3 ecdsa-p256-sha256", proxied, ecPublic(),
			`ttrp=("@path" "@query" "@method" "@authority" "client-cert");created=1618884473;keyid="test-key-ecc-p256"`,
			"ttrp=:xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw==:", nil,
		},
		{"B.4 as sent", demo, edPublic(), transform, transformed, nil},
		{"B.4 parts added that are not covered", added, edPublic(), transform, transformed, nil},
		{"B.4 lines of one field joined", joined, edPublic(), transform, transformed, nil},
		{"B.4 lines of one field swapped", swapped, edPublic(), transform, transformed, verify.ErrMismatch},
		{"B.4 another host", other, edPublic(), transform, transformed, verify.ErrMismatch},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := must(httpsig.NewVerifier(httpsig.Policy{Required: []string{"@authority"}, UnsignedBody: true}, tt.key))
			m := tt.m
			m.Header = m.Header.Clone()
			m.Header.Set("Signature-Input", tt.input)
			m.Header.Set("Signature", tt.signature)
			id, err := v.Verify(t.Context(), m)
			wantError(t, err, tt.want)
			if err == nil && id != (verify.Identity{Scheme: "httpsig", Key: tt.key.ID}) {
				t.Errorf("identity %+v", id)
			}
		})
	}
}

// TestRFC9421Signing makes the published signatures of the algorithms that
// give the same signature each time.
func TestRFC9421Signing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, label, components string
		key                     httpsig.Key
		input, signature        string
	}{
		{
			"B.2.5", "sig-b25", "date @authority content-type", hmacKey(),
			`sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`,
			"sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:",
		},
		{
			"B.2.6", "sig-b26", "date @method @path @authority content-type content-length", edKey(),
			`sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`,
			"sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:",
		},
	} {
		s := must(httpsig.NewSigner(httpsig.SignerConfig{Label: tt.label, Components: strings.Fields(tt.components)}, tt.key))
		h, err := s.Sign(rfcRequest(), "")
		if err != nil || len(h) != 2 || h.Get("Signature-Input") != tt.input || h.Get("Signature") != tt.signature {
			t.Errorf("%s: %v, %v", tt.name, h, err)
		}
	}
}

// TestRFC9421Response: B.2.4 signs a response, which is not supported here;
// its base and signature still test the algorithm.
func TestRFC9421Response(t *testing.T) {
	t.Parallel()
	base := strings.Join([]string{
		`"@status": 200`, `"content-type": application/json`,
		`"content-digest": sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:`,
		`"content-length": 23`,
		`"@signature-params": ("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256"`,
	}, "\n")
	const signature = "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw=="
	if !httpsig.Check(ecPublic(), base, signature) {
		t.Error("the published signature is refused")
	}
	if httpsig.Check(ecPublic(), base+" ", signature) || httpsig.Check(ecPublic(), base, signature[:84]+"AA==") || httpsig.Check(edPublic(), base, signature) {
		t.Error("a wrong signature is taken")
	}
	if err := httpsig.CheckDigest("sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:", []byte(`{"message": "good dog"}`)); err != nil {
		t.Error(err)
	}
}

// TestRFC9421Bases compares signature bases, those under RSA signatures too.
func TestRFC9421Bases(t *testing.T) {
	t.Parallel()
	digest := `"content-digest": sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:`
	for _, tt := range []struct {
		name, entry string
		want        []string
	}{
		{"B.2.1", `();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd"`, nil},
		{
			"B.2.2", `("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss";tag="header-example"`,
			[]string{`"@authority": example.com`, digest, `"@query-param";name="Pet": dog`},
		},
		{
			"B.2.3", `("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-rsa-pss"`,
			[]string{
				`"date": Tue, 20 Apr 2021 02:07:55 GMT`, `"@method": POST`, `"@path": /foo`, `"@query": ?param=Value&Pet=dog`, `"@authority": example.com`,
				`"content-type": application/json`, digest, `"content-length": 18`,
			},
		},
	} {
		got, err := httpsig.Base(rfcRequest(), "", "", "x="+tt.entry)
		want := strings.Join(append(slices.Clone(tt.want), `"@signature-params": `+tt.entry), "\n")
		if err != nil || got != want {
			t.Errorf("%s: %v\n%s\nwant\n%s", tt.name, err, got, want)
		}
	}
}
