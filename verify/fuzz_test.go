package verify_test

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"testing"

	"github.com/ringback-go/ringback/verify"
)

func demoLookup(_ context.Context, params url.Values) (string, verify.Digest, bool, error) {
	return "g", verify.CodeDigest(serverKey, demoCode), params.Get("group") == "g", nil
}

// FuzzQuery: whatever the query, no panic; what AppID and TencentSign accept
// has the right parameters by url.ParseQuery too.
func FuzzQuery(f *testing.F) {
	app := must(verify.NewAppID("1400000001"))
	sign := must(verify.NewTencentSign(0, key("", "xxxxyyyy")))
	f.Add("SdkAppid=1400000001"+tencentTail, int64(tencentNow))
	f.Add("Sign=00&RequestTime=9999999999", int64(-1)<<63)
	f.Add("Sign=%zz;&RequestTime=+", int64(0))
	f.Fuzz(func(t *testing.T, query string, now int64) {
		m := verify.Message{RawQuery: query, At: unix(now)}
		params, perr := url.ParseQuery(query)
		if _, err := app.Verify(t.Context(), m); err == nil && (perr != nil || len(params["SdkAppid"]) != 1 || params.Get("SdkAppid") != "1400000001") {
			t.Fatalf("AppID accepts %q", query)
		}
		if _, err := sign.Verify(t.Context(), m); err == nil {
			if perr != nil || len(params["Sign"]) != 1 || len(params["RequestTime"]) != 1 || len(params.Get("RequestTime")) != 10 {
				t.Fatalf("TencentSign accepts %q", query)
			}
		}
		if s, at := sign.Sign(unix(now)); s != "" {
			m.RawQuery = "RequestTime=" + at + "&Sign=" + s
			if _, err := sign.Verify(t.Context(), m); err != nil {
				t.Fatalf("own signature at %d: %v", now, err)
			}
		}
	})
}

// FuzzStandardHeaders: no panic on any header, and nothing is accepted but
// the one signed message.
func FuzzStandardHeaders(f *testing.F) {
	v := must(verify.NewStandard(0, key("", swSecret)))
	f.Add(swID, "1614265330", swGood, []byte(swBody))
	f.Add(swID, "+1", "v1, v1a,x  V1,=", []byte{})
	f.Add("a.b", "0", "v1,\n", []byte("x"))
	f.Fuzz(func(t *testing.T, id, stamp, list string, body []byte) {
		m := verify.Message{Header: http.Header{"Webhook-Id": {id}, "Webhook-Timestamp": {stamp}, "Webhook-Signature": {list}}, Body: body, At: unix(swNow)}
		got, err := v.Verify(t.Context(), m)
		if err != nil {
			return
		}
		sec, perr := strconv.ParseInt(stamp, 10, 64)
		if perr != nil || strconv.FormatInt(sec, 10) != stamp || got.MessageID != id {
			t.Fatalf("accepted id %q, timestamp %q", id, stamp)
		}
		if id != swID || string(body) != swBody {
			t.Fatalf("forged: id %q, body %q", id, body)
		}
	})
}

// FuzzStandardSign: what Sign makes, Verify accepts.
func FuzzStandardSign(f *testing.F) {
	v := must(verify.NewStandard(0, key("", swSecret), key("", swOld)))
	f.Add(swID, int64(swNow), []byte(swBody))
	f.Add("~", int64(0), []byte{})
	f.Add("a.b", int64(-1), []byte{0})
	f.Fuzz(func(t *testing.T, id string, now int64, body []byte) {
		list, err := v.Sign(id, unix(now), body)
		if err != nil {
			return
		}
		m := verify.Message{Header: swHeader(id, strconv.FormatInt(now, 10), list), Body: body, At: unix(now)}
		if got, err := v.Verify(t.Context(), m); err != nil || got.MessageID != id {
			t.Fatalf("id %q at %d: %+v, %v", id, now, got, err)
		}
	})
}

// FuzzToken: only the key behind the scheme or alone is accepted.
func FuzzToken(f *testing.F) {
	v := must(verify.NewToken("Authorization", "Token", true, key("", "K-1")))
	for _, s := range []string{"Token K-1", "K-1", "token K-1", "Token  K-1", "Bearer K-1", "Token ", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		_, err := v.Verify(t.Context(), verify.Message{Header: http.Header{"Authorization": {value}}})
		want := value == "K-1" || len(value) == 9 && value[5:] == " K-1" && http.CanonicalHeaderKey(value[:5]) == "Token"
		if (err == nil) != want {
			t.Fatalf("%q: %v", value, err)
		}
	})
}

// FuzzSecret: no form is accepted that lacks the code and its digest.
func FuzzSecret(f *testing.F) {
	v := must(verify.NewSecret(serverKey, demoLookup))
	f.Add("group=g&secret=" + demoCode)
	f.Add("group=g&secret_sha1=" + demoSHA1)
	f.Add("secret=a;secret=%zz")
	f.Fuzz(func(t *testing.T, form string) {
		m := verify.Message{Method: "POST", Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, Body: []byte(form)}
		_, err := v.Verify(t.Context(), m)
		params, perr := url.ParseQuery(form)
		if err == nil && (perr != nil || params.Get("group") != "g" || params.Get("secret") != demoCode && params.Get("secret_sha1") == "") {
			t.Fatalf("accepted %q", form)
		}
	})
}
