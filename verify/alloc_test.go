package verify_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/ringback-go/ringback/internal/race"
	"github.com/ringback-go/ringback/verify"
)

// accepted are messages that pass, with the number of allocations that each
// scheme is allowed.
func accepted() map[string]struct {
	v      verify.Verifier
	m      verify.Message
	allocs float64
} {
	type row = struct {
		v      verify.Verifier
		m      verify.Message
		allocs float64
	}
	query := "SdkAppid=1400000001&CallbackCommand=C2C.CallbackAfterSendMsg&contenttype=json&ClientIP=203.0.113.7&OptPlatform=RESTAPI" + tencentTail
	standard := must(verify.NewStandard(0, key("new", swOld), key("old", swSecret)))
	rows := map[string]row{
		"AppID":       {must(verify.NewAppID("1400000001")), verify.Message{RawQuery: query}, 0},
		"TencentSign": {must(verify.NewTencentSign(0, key("", "xxxxyyyy"))), verify.Message{RawQuery: query, At: unix(tencentNow)}, 0},
		"Standard":    {standard, swMessage(swID, "1614265330", swGood, swBody), 2},
		"Token": {
			must(verify.NewToken("Authorization", "Token", true, key("", "K-0123456789abcdef"))),
			verify.Message{Header: http.Header{"Authorization": {"Token K-0123456789abcdef"}}},
			0,
		},
		"StandardV1a":   {must(verify.NewStandard(0, key("", swPublic))), swMessage(swID, "1614265330", swGoodV1a, swBody), 2},
		"StandardMixed": {must(verify.NewStandard(0, key("a", swPublic), key("b", swSecret))), swMessage(swID, "1614265330", swGoodV1a+" "+swGood, swBody), 2},
		"Acme":          {must(verify.NewHMAC(acme(), key("", "k"))), acmeMessage(acmeText), 0},
	}
	for name, p := range platforms() {
		rows[name] = row{must(verify.NewHMAC(p.format, key("", p.secret))), p.message(), 0}
	}
	return rows
}

// pooled reports whether a scheme keeps its states in a sync.Pool.
func pooled(v verify.Verifier) bool {
	switch v.(type) {
	case verify.Standard, verify.HMAC:
		return true
	}
	return false
}

func TestAllocations(t *testing.T) {
	ctx := t.Context()
	for name, a := range accepted() {
		if race.Enabled && pooled(a.v) {
			t.Logf("%s is not measured: the race detector empties its pool at random", name)
			continue
		}
		if n := testing.AllocsPerRun(200, func() {
			if _, err := a.v.Verify(ctx, a.m); err != nil {
				t.Fatal(name, err)
			}
		}); n > a.allocs {
			t.Errorf("%s allocates %v times, want at most %v", name, n, a.allocs)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	rows := accepted()
	large := rows["Standard"]
	body := []byte(strings.Repeat("x", 64<<10))
	standard := must(verify.NewStandard(0, key("", swSecret)))
	sign, err := standard.Sign(swID, unix(swNow), body)
	if err != nil {
		b.Fatal(err)
	}
	large.v, large.m = standard, swMessage(swID, "1614265330", sign, string(body))
	rows["Standard64KiB"] = large
	secret := rows["Token"]
	secret.v = must(verify.NewSecret(serverKey, demoLookup))
	secret.m = verify.Message{Method: "GET", RawQuery: "group=g&secret=" + demoCode}
	rows["Secret"] = secret
	for name, a := range rows {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := a.v.Verify(b.Context(), a.m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSign(b *testing.B) {
	v := must(verify.NewStandard(0, key("", swSecret)))
	body := []byte(swBody)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Sign(swID, unix(swNow), body); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAgainstReference runs the official Standard Webhooks library and
// ours side by side: one secret, one signature. Its tolerance check reads the
// clock and is left out; ours is not.
func BenchmarkAgainstReference(b *testing.B) {
	theirs, err := standardwebhooks.NewWebhook(swSecret)
	if err != nil {
		b.Fatal(err)
	}
	ours := must(verify.NewStandard(0, key("", swSecret)))
	for _, size := range []int{20, 512, 4096, 65536} {
		body := []byte(strings.Repeat("x", size))
		m := swMessage(swID, "1614265330", must(ours.Sign(swID, unix(swNow), body)), string(body))
		b.Run("ours/"+strconv.Itoa(size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ours.Verify(b.Context(), m); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("reference/"+strconv.Itoa(size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := theirs.VerifyIgnoringTimestamp(m.Body, m.Header); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
