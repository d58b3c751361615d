package verify_test

import (
	"net/http"
	"strings"
	"testing"

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
	return map[string]row{
		"AppID":       {must(verify.NewAppID("1400000001")), verify.Message{RawQuery: query}, 0},
		"TencentSign": {must(verify.NewTencentSign(0, key("", "xxxxyyyy"))), verify.Message{RawQuery: query, At: unix(tencentNow)}, 0},
		"Standard":    {standard, swMessage(swID, "1614265330", swGood, swBody), 2},
		"Token": {
			must(verify.NewToken("Authorization", "Token", true, key("", "K-0123456789abcdef"))),
			verify.Message{Header: http.Header{"Authorization": {"Token K-0123456789abcdef"}}},
			0,
		},
	}
}

func TestAllocations(t *testing.T) {
	ctx := t.Context()
	for name, a := range accepted() {
		if raceEnabled && name == "Standard" {
			t.Log("Standard is not measured: the race detector empties its pool at random")
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
