package verify_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/verify"
)

func TestToken(t *testing.T) {
	t.Parallel()
	const k = "K-0123456789abcdef"
	strict := must(verify.NewToken("authorization", "Token", false, key("now", k),
		verify.Key{ID: "old", Secret: []byte("before"), NotAfter: unix(100)}))
	bare := must(verify.NewToken("Authorization", "Token", true, key("now", k)))
	alone := must(verify.NewToken("X-API-KEY", "", true, key("now", k)))
	tests := []struct {
		name, value           string
		strict, bare, wantKey bool
		atSec                 int64
	}{
		{name: "scheme and key", value: "Token " + k, strict: true, bare: true},
		{name: "other case of the scheme", value: "tOKEN " + k, strict: true, bare: true},
		{name: "bare key", value: k, bare: true},
		{name: "other scheme", value: "Bearer " + k},
		{name: "two spaces", value: "Token  " + k},
		{name: "tab", value: "Token\t" + k},
		{name: "extra word", value: "Token " + k + " extra"},
		{name: "no space", value: "Token" + k},
		{name: "scheme twice", value: "Token Token " + k},
		{name: "no key", value: "Token "},
		{name: "scheme alone", value: "Token"},
		{name: "empty", value: ""},
		{name: "key in other case", value: "Token " + strings.ToLower(k)},
		{name: "shorter", value: "Token " + k[:len(k)-1]},
		{name: "longer", value: "Token " + k + "0"},
		{name: "much longer", value: "Token " + strings.Repeat(k, 100)},
		{name: "leading space", value: " " + k},
		{name: "comma list", value: "Token " + k + ", Token x"},
		{name: "Kelvin sign", value: "To\u212aen " + k},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := verify.Message{Header: http.Header{"Authorization": {tt.value}}, At: unix(50)}
			if id, err := strict.Verify(t.Context(), m); (err == nil) != tt.strict || err == nil && id.Key != "now" {
				t.Errorf("strict: %+v, %v", id, err)
			}
			if _, err := bare.Verify(t.Context(), m); (err == nil) != tt.bare {
				t.Errorf("bare: %v", err)
			}
			m.Header = http.Header{"X-Api-Key": {tt.value}}
			if _, err := alone.Verify(t.Context(), m); (err == nil) != (tt.value == k) {
				t.Errorf("alone: %v", err)
			}
		})
	}
	twice := verify.Message{Header: http.Header{"Authorization": {"Token " + k, "Token " + k}}}
	_, err := strict.Verify(t.Context(), twice)
	wantError(t, err, verify.ErrRepeated)
	_, err = strict.Verify(t.Context(), verify.Message{RawQuery: "token=" + k})
	wantError(t, err, verify.ErrMissing)

	old := verify.Message{Header: http.Header{"Authorization": {"Token before"}}, At: unix(100)}
	if id, err := strict.Verify(t.Context(), old); err != nil || id.Key != "old" {
		t.Errorf("old key at its end: %+v, %v", id, err)
	}
	old.At = unix(101)
	_, err = strict.Verify(t.Context(), old)
	wantError(t, err, verify.ErrMismatch)
}

func TestNewTokenRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, header, scheme string
		bare                 bool
		keys                 []verify.Key
		want                 error
	}{
		{"no header", "", "Token", true, []verify.Key{key("", "x")}, verify.ErrConfig},
		{"nothing allowed", "A", "", false, []verify.Key{key("", "x")}, verify.ErrConfig},
		{"space in the scheme", "A", "To ken", true, []verify.Key{key("", "x")}, verify.ErrConfig},
		{"no key", "A", "Token", true, nil, verify.ErrEmptyKey},
		{"empty key", "A", "Token", true, []verify.Key{key("", "")}, verify.ErrEmptyKey},
		{"space in the key", "A", "Token", true, []verify.Key{key("", "Token x")}, verify.ErrConfig},
		{"control character", "A", "Token", true, []verify.Key{key("", "x\n")}, verify.ErrConfig},
		{"long key", "A", "Token", true, []verify.Key{key("", strings.Repeat("x", 257))}, verify.ErrConfig},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := verify.NewToken(tt.header, tt.scheme, tt.bare, tt.keys...)
			wantError(t, err, tt.want)
		})
	}
}
