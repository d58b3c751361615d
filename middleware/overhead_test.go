package middleware_test

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/ringback-go/ringback/internal/race"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/verify"
)

const overheadSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// overheadURL is a query as Tencent sends it.
const overheadURL = "/tencent?SdkAppid=1400000001&CallbackCommand=C2C.CallbackAfterSendMsg&contenttype=json&ClientIP=203.0.113.7" +
	"&OptPlatform=RESTAPI&Sign=" + tencentSign + "&RequestTime=1669872112"

// overheadBody has 300 bytes.
var overheadBody = `{"name":"` + strings.Repeat("x", 289) + `"}`

// reader is the bare handler: it reads the body. Behind the gates the body has
// been read, and holder takes it.
var (
	reader = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b, err := io.ReadAll(r.Body); err != nil || len(b) != len(overheadBody) {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	holder = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b, found := middleware.RawBody(r); !found || len(b) != len(overheadBody) {
			w.WriteHeader(http.StatusTeapot)
		}
	})
)

// overheadSubjects are what is measured: one accepted message each.
func overheadSubjects(tb testing.TB) map[string]func() {
	limit := middleware.RateLimit{Key: middleware.ByPeer, Requests: 1_000_000_000, Per: time.Second}.Handler
	stack := middleware.Chain(limit, middleware.Body{}.Handler, middleware.AppID{Apps: apps()}.Handler, middleware.Signature{Verifier: tencent(), Now: nowAsThen}.Handler)
	all, bare, hit := newAgain(overheadURL, overheadBody), newAgain(overheadURL, overheadBody), newAgain("/", "")
	gates, limited := stack(holder), limit(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))

	app, sign := apps(), tencent()
	message := verify.FromRequest(all.r, []byte(overheadBody), then())

	ours := must(verify.NewStandard(0, verify.Key{Secret: []byte(overheadSecret)}))
	theirs := must(standardwebhooks.NewWebhook(overheadSecret))
	now, body := time.Now(), []byte(overheadBody)
	signed := newAgain("/", overheadBody).r
	signed.Header.Set("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	signed.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	signed.Header.Set("webhook-signature", must(ours.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", now, body)))

	check := func(err error) {
		if err != nil {
			tb.Fatal(err)
		}
	}
	return map[string]func(){
		"bare":  func() { bare.serve(reader) },
		"gates": func() { all.serve(gates) },
		"limit": func() { limited.ServeHTTP(hit.w, hit.r) },
		"appid+sign": func() {
			_, err := app.Verify(tb.Context(), message)
			check(err)
			_, err = sign.Verify(tb.Context(), message)
			check(err)
		},
		"standard": func() {
			_, err := ours.Verify(tb.Context(), verify.FromRequest(signed, body, time.Now()))
			check(err)
		},
		"official": func() { check(theirs.Verify(body, signed.Header)) },
	}
}

// nowAsThen reads the clock, as a gate does that nobody tests.
func nowAsThen() time.Time { return time.Unix(tencentNow, int64(time.Now().Nanosecond())) }

// BenchmarkOverhead prints what receiving costs, all of it in one run. The
// subjects take turns of a thousand messages, and a figure is the median of
// the turns: what the machine does besides falls on some of them. The
// collector's cycles are in all that allocate, and more of them than in a
// service: they come for every 4 MiB while a heap is as small as this one.
//
//	appid+sign-ns   at most 600: SdkAppid and Tencent Sign
//	limit-ns        at most 200: a rate limit's hit
//	gates-ns        at most 1500: RateLimit, Body, AppID and Signature, over a bare handler that reads the same body, 300 bytes
//	gates-allocs    at most 4, over the bare handler's
//	standard-ratio  at most 0.33: Standard Webhooks, to the official library
//
// Allocations are bounded by TestOverheadAllocations.
func BenchmarkOverhead(b *testing.B) {
	const turn = 1000
	subjects := overheadSubjects(b)
	names := slices.Sorted(maps.Keys(subjects))
	took := map[string][]float64{}
	for b.Loop() {
		for _, name := range names {
			f, start := subjects[name], time.Now()
			for range turn {
				f()
			}
			took[name] = append(took[name], float64(time.Since(start))/turn)
		}
	}
	median := func(name string) float64 {
		all := slices.Sorted(slices.Values(took[name]))
		return all[len(all)/2]
	}
	allocs := func(name string) float64 { return testing.AllocsPerRun(1000, subjects[name]) }
	b.ReportMetric(median("gates")-median("bare"), "gates-ns")
	b.ReportMetric(median("bare"), "bare-ns")
	b.ReportMetric(median("appid+sign"), "appid+sign-ns")
	b.ReportMetric(median("limit"), "limit-ns")
	b.ReportMetric(median("standard"), "standard-ns")
	b.ReportMetric(median("standard")/median("official"), "standard-ratio")
	b.ReportMetric(allocs("gates")-allocs("bare"), "gates-allocs")
}

func TestOverheadAllocations(t *testing.T) {
	s := overheadSubjects(t)
	allocs := func(name string) float64 { return testing.AllocsPerRun(500, s[name]) }
	for name, most := range map[string]float64{"limit": 0, "appid+sign": 0, "standard": 2, "gates": 4 + allocs("bare")} {
		if race.Enabled && name == "standard" {
			t.Log("standard is not measured: the race detector empties its pool at random")
			continue
		}
		if n := allocs(name); n > most {
			t.Errorf("%s allocates %v times, want at most %v", name, n, most)
		}
	}
}
