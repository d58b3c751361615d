package verify_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/verify"
	"github.com/ringback-go/ringback/verify/httpsig"
)

func TestCombine(t *testing.T) {
	t.Parallel()
	app := must(verify.NewAppID("1400000001"))
	sign := must(verify.NewTencentSign(0, key("k", "xxxxyyyy")))
	all := must(verify.AllOf(app, sign))
	anyOf := must(verify.AnyOf(sign, app))
	m := verify.Message{RawQuery: "SdkAppid=1400000001" + tencentTail, At: unix(tencentNow)}

	if id, err := all.Verify(t.Context(), m); err != nil || id != (verify.Identity{Scheme: "appid+tencent-sign", Subject: "1400000001", Key: "k"}) {
		t.Errorf("all: %+v, %v", id, err)
	}
	if id, err := anyOf.Verify(t.Context(), m); err != nil || id.Scheme != "tencent-sign" {
		t.Errorf("any, both: %+v, %v", id, err)
	}
	m.At = unix(tencentNow + 100)
	if id, err := anyOf.Verify(t.Context(), m); err != nil || id.Scheme != "appid" {
		t.Errorf("any, second: %+v, %v", id, err)
	}
	id, err := all.Verify(t.Context(), m)
	if wantError(t, err, verify.ErrExpired); id != (verify.Identity{}) {
		t.Errorf("identity %+v with an error", id)
	}
	m.RawQuery = tencentTail[1:]
	_, err = anyOf.Verify(t.Context(), m)
	wantError(t, err, verify.ErrExpired)
	wantError(t, err, verify.ErrMissing)
}

func TestCombineRefuses(t *testing.T) {
	t.Parallel()
	_, err := verify.AnyOf()
	wantError(t, err, verify.ErrConfig)
	_, err = verify.AllOf()
	wantError(t, err, verify.ErrConfig)
	_, err = verify.AnyOf(verify.AppID{}, nil)
	wantError(t, err, verify.ErrConfig)
	_, err = verify.AllOf(nil)
	wantError(t, err, verify.ErrConfig)
	good := must(verify.NewAppID("1"))
	for _, v := range []verify.Verifier{verify.AppID{}, &verify.Standard{}, (*verify.HMAC)(nil), verify.All{}, httpsig.Verifier{}} {
		_, err = verify.AllOf(good, v)
		wantError(t, err, verify.ErrConfig)
		if err == nil || !strings.Contains(err.Error(), "verifier 1") {
			t.Errorf("%T: %v", v, err)
		}
	}
	if _, err := verify.AllOf(good, foreign{}); err != nil {
		t.Errorf("a foreign zero value: %v", err)
	}
}

// foreign is somebody else's verifier, whose zero value may be in order.
type foreign struct{ verify.Verifier }

func TestZeroValuesRefuse(t *testing.T) {
	t.Parallel()
	m := verify.FromRequest(httptest.NewRequest(http.MethodPost, "/?SdkAppid=&Sign=&RequestTime=", nil), nil, unix(0))
	for _, v := range []verify.Verifier{verify.AppID{}, verify.TencentSign{}, verify.Standard{}, verify.Secret{}, verify.Token{}, verify.Any{}, verify.All{}} {
		id, err := v.Verify(t.Context(), m)
		if !errors.Is(err, verify.ErrConfig) || id != (verify.Identity{}) {
			t.Errorf("%T: %+v, %v, want ErrConfig", v, id, err)
		}
	}
	wantError(t, verify.SecretChecker{}.Check("x", "", verify.Digest{}, true), verify.ErrConfig)
	_, err := verify.Standard{}.Sign("x", unix(0), nil)
	wantError(t, err, verify.ErrConfig)
}

// inDecimal is how fmt prints the first bytes of s as a slice.
func inDecimal(s string) string { return strings.Trim(fmt.Sprintf("%d", []byte(s)[:6]), "[]") }

// TestNothingPrintsSecrets prints every value that holds a secret in every
// way in which it may end in a log.
func TestNothingPrintsSecrets(t *testing.T) {
	t.Parallel()
	k := key("name", swSecret)
	lookup := func(context.Context, url.Values) (string, verify.Digest, bool, error) {
		return "", verify.Digest{}, false, nil
	}
	values := []any{
		k, &k,
		[]verify.Key{k},
		must(verify.NewStandard(0, k)), must(verify.NewTencentSign(0, k)), must(verify.NewToken("A", "Token", true, k)),
		must(verify.NewSecretChecker(k.Secret)), must(verify.NewSecret(k.Secret, lookup)),
		must(verify.AnyOf(must(verify.NewTencentSign(0, k)))),
		must(verify.NewStandard(0, key("sk", swPrivate))), must(verify.NewHMAC(verify.Stripe(), k)),
	}
	seed := "\xe9\x76\xff\x74\x27\x07\xa4\xf7"
	decoded := "\x31\xf2\x90\xf6\xbf\x06\x29\x8a\xab\x4f\x08\xd4\x0f\xc2\x0b\x20\xf6\x48\xa3\x62\xda\x2d\xa4\xb0"
	for _, v := range values {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		if err := json.NewEncoder(&log).Encode(v); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&log, "%v %+v %#v %s", v, v, v, v)
		text := log.String()
		for _, secret := range []string{swSecret, inDecimal(swSecret), inDecimal(decoded), inDecimal(seed), swPrivate[5:20], "0x77, 0x68, 0x73", "0x31, 0xf2"} {
			if strings.Contains(text, secret) {
				t.Errorf("%T prints %q: %s", v, secret, text)
			}
		}
	}
}

// TestFromRequestPath: the path is as it stood on the wire.
func TestFromRequestPath(t *testing.T) {
	t.Parallel()
	for c := range 256 {
		for _, form := range []string{"/a%cb", "/a%%%02Xb", "/%%41%%%02xb"} {
			path := fmt.Sprintf(form, c)
			u, err := url.ParseRequestURI(path)
			if err != nil {
				continue
			}
			r := &http.Request{URL: u}
			if got := verify.FromRequest(r, nil, unix(0)).Path; got != u.EscapedPath() {
				t.Errorf("%q: %q, want %q", path, got, u.EscapedPath())
			}
		}
	}
}

func TestFromRequest(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest(http.MethodPost, "http://example.com/a%2Fb?x=%20", nil)
	r.Header.Set("x-y", "z")
	m := verify.FromRequest(r, []byte("body"), unix(7))
	if m.Method != http.MethodPost || m.Host != "example.com" || m.Path != "/a%2Fb" || m.RawQuery != "x=%20" || m.Header.Get("X-Y") != "z" || string(m.Body) != "body" || !m.At.Equal(unix(7)) {
		t.Errorf("message %+v", m)
	}
}
