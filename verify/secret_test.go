package verify_test

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/verify"
)

const (
	demoCode = "DEMO-CODE"
	demoSHA1 = "3af691611d1fd4ccf7947b077f2e660513e2aebb"
	xSHA1    = "11f6ad8ec52a2984abaafd7c3b516503785c2072"
)

var serverKey = []byte("0123456789abcdef")

func TestCodeDigest(t *testing.T) {
	t.Parallel()
	want := verify.CodeDigest(serverKey, demoCode)
	for _, sum := range []string{demoSHA1, strings.ToUpper(demoSHA1)} {
		if got, err := verify.CodeDigestSHA1(serverKey, sum); err != nil || got != want {
			t.Errorf("CodeDigestSHA1(%s) = %x, %v, want %x", sum, got, err, want)
		}
	}
	if verify.CodeDigest([]byte("other key"), demoCode) == want || verify.CodeDigest(serverKey, "x") == want {
		t.Error("the digest does not depend on key and code")
	}
	for _, sum := range []string{"", demoSHA1[1:], demoSHA1 + "0", "g" + demoSHA1[1:], " " + demoSHA1} {
		_, err := verify.CodeDigestSHA1(serverKey, sum)
		wantError(t, err, verify.ErrMalformed)
	}
	_, err := verify.CodeDigestSHA1(nil, demoSHA1)
	wantError(t, err, verify.ErrEmptyKey)
	defer func() {
		if recover() == nil {
			t.Error("CodeDigest without a key does not panic")
		}
	}()
	verify.CodeDigest(nil, demoCode)
}

func TestSecretChecker(t *testing.T) {
	t.Parallel()
	c := must(verify.NewSecretChecker(serverKey))
	want := verify.CodeDigest(serverKey, demoCode)
	empty := sha1.Sum(nil)
	tests := []struct {
		name, secret, sum string
		known             bool
		want              error
	}{
		{"code", demoCode, "", true, nil},
		{"digest", "", demoSHA1, true, nil},
		{"upper-case digest", "", strings.ToUpper(demoSHA1), true, nil},
		{"both", demoCode, demoSHA1, true, nil},
		{"digest disagrees", demoCode, xSHA1, true, verify.ErrMismatch},
		{"code disagrees", "x", demoSHA1, true, verify.ErrMismatch},
		{"neither", "", "", true, verify.ErrMissing},
		{"digest of nothing", "", hex.EncodeToString(empty[:]), true, verify.ErrMismatch},
		{"digest as code", demoSHA1, "", true, verify.ErrMismatch},
		{"code as digest", "", demoCode, true, verify.ErrMalformed},
		{"trailing space", demoCode + " ", "", true, verify.ErrMismatch},
		{"39 digits", "", demoSHA1[1:], true, verify.ErrMalformed},
		{"unknown group", demoCode, "", false, verify.ErrMismatch},
		{"unknown group, both", demoCode, demoSHA1, false, verify.ErrMismatch},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			wantError(t, c.Check(tt.secret, tt.sum, want, tt.known), tt.want)
		})
	}
	wantError(t, c.Check("", hex.EncodeToString(empty[:]), verify.CodeDigest(serverKey, ""), true), verify.ErrMismatch)
	wrong, unknown := c.Check("x", "", want, true), c.Check("x", "", want, false)
	if wrong.Error() != unknown.Error() {
		t.Errorf("a wrong code (%v) can be told from an unknown group (%v)", wrong, unknown)
	}
	_, err := verify.NewSecretChecker(nil)
	wantError(t, err, verify.ErrEmptyKey)
}

func TestSecret(t *testing.T) {
	t.Parallel()
	down := errors.New("database is down")
	v := must(verify.NewSecret(serverKey, func(_ context.Context, params url.Values) (string, verify.Digest, bool, error) {
		switch params.Get("group") {
		case "My Group":
			return "My Group", verify.CodeDigest(serverKey, demoCode), true, nil
		case "down":
			return "", verify.Digest{}, false, down
		}
		return "", verify.Digest{}, false, nil
	}))
	const form = "application/x-www-form-urlencoded"
	tests := []struct {
		name, method, query, media, body string
		want                             error
	}{
		{"post", "POST", "", form, "group=My+Group&secret=DEMO-CODE", nil},
		{"post with a charset", "POST", "", form + "; charset=utf-8", "group=My%20Group&secret_sha1=" + demoSHA1, nil},
		{"get", "GET", "group=My+Group&secret=DEMO-CODE", "", "", nil},
		{"get ignores its body", "GET", "group=My+Group", form, "secret=DEMO-CODE", verify.ErrMissing},
		{"post ignores its query", "POST", "secret=DEMO-CODE", form, "group=My+Group", verify.ErrMissing},
		{"post JSON", "POST", "", "application/json", `{}`, verify.ErrMalformed},
		{"post without a type", "POST", "", "", "group=My+Group&secret=DEMO-CODE", verify.ErrMissing},
		{"put", "PUT", "", form, "group=My+Group&secret=DEMO-CODE", verify.ErrMalformed},
		{"broken escape", "POST", "", form, "group=My+Group&secret=DEMO-CODE&x=%zz", verify.ErrMalformed},
		{"secret twice", "POST", "", form, "group=My+Group&secret=DEMO-CODE&secret=DEMO-CODE", verify.ErrRepeated},
		{"digest twice", "POST", "", form, "group=My+Group&secret_sha1=" + demoSHA1 + "&secret_sha1=" + xSHA1, verify.ErrRepeated},
		{"empty secret", "POST", "", form, "group=My+Group&secret=", verify.ErrMissing},
		{"unknown group", "POST", "", form, "group=x&secret=DEMO-CODE", verify.ErrMismatch},
		{"look-up fails", "POST", "", form, "group=down&secret=DEMO-CODE", verify.ErrLookup},
		{"10,001 parameters", "POST", "", form, "group=My+Group&secret=DEMO-CODE" + strings.Repeat("&a=b", 10_001), verify.ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := verify.Message{Method: tt.method, RawQuery: tt.query, Header: http.Header{}, Body: []byte(tt.body)}
			if tt.media != "" {
				m.Header.Set("Content-Type", tt.media)
			}
			id, err := v.Verify(t.Context(), m)
			wantError(t, err, tt.want)
			if err == nil && id != (verify.Identity{Scheme: "secret", Subject: "My Group"}) {
				t.Errorf("identity %+v", id)
			}
			if err != nil && (strings.Contains(err.Error(), demoCode) || strings.Contains(err.Error(), demoSHA1)) {
				t.Errorf("the error shows the secret: %v", err)
			}
			if errors.Is(tt.want, verify.ErrLookup) && !errors.Is(err, down) {
				t.Errorf("the cause is lost: %v", err)
			}
		})
	}
	_, err := verify.NewSecret(serverKey, nil)
	wantError(t, err, verify.ErrConfig)
	_, err = verify.NewSecret(nil, nil)
	wantError(t, err, verify.ErrEmptyKey)
}
