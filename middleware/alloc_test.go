package middleware_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/middleware"
)

// discard is a ResponseWriter that costs nothing.
type discard struct{ h http.Header }

func (d discard) Header() http.Header         { return d.h }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// again serves one request again and again, its body rewound.
type again struct {
	w    discard
	r    *http.Request
	body *strings.Reader
	text string
}

type rewinding struct{ *strings.Reader }

func (rewinding) Close() error { return nil }

func newAgain(target, text string) *again {
	a := &again{w: discard{http.Header{}}, text: text, body: strings.NewReader(text)}
	a.r = httptest.NewRequest(http.MethodPost, target, a.body)
	a.r.Header.Set("Content-Type", "application/json")
	a.r.Body = rewinding{a.body}
	a.r.RemoteAddr = "192.0.2.1:1234"
	a.r.Header.Set("X-Forwarded-For", "127.0.0.1, 192.0.2.1")
	return a
}

func (a *again) serve(h http.Handler) {
	a.body.Reset(a.text)
	h.ServeHTTP(a.w, a.r)
}

// stacks are accepted requests and the allocations they may cost over the
// bare handler.
func stacks() map[string]struct {
	gates  middleware.Middleware
	allocs float64
} {
	limit := func(key middleware.KeyFunc) middleware.Middleware {
		return middleware.RateLimit{Key: key, Requests: 1_000_000_000, Per: time.Second}.Handler
	}
	body := middleware.Body{}.Handler
	behind := must(middleware.NewProxies(middleware.ProxiesConfig{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/28")}}))
	replay := middleware.Dedup{Store: &middleware.MemoryDedup{}, ID: func(*http.Request) string { return "id" }}
	ids := 0
	fresh := middleware.Dedup{Store: &middleware.MemoryDedup{MaxEntries: 1 << 30}, ID: func(*http.Request) string { ids++; return strconv.Itoa(ids) }}
	secret := must(secretForTests())
	// The subjects share a body, so that the parameters of this one come by GET.
	asForm := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			method, query := r.Method, r.URL.RawQuery
			r.Method, r.URL.RawQuery = http.MethodGet, "group=g&secret=DEMO-CODE"
			next.ServeHTTP(w, r)
			r.Method, r.URL.RawQuery = method, query
		})
	}
	app := middleware.AppID{Apps: apps()}.Handler
	sign := middleware.Signature{Verifier: tencent(), Now: then}.Handler
	return map[string]struct {
		gates  middleware.Middleware
		allocs float64
	}{
		"Method":        {middleware.Method{}.Handler, 0},
		"Query":         {middleware.Query{}.Handler, 0},
		"Body":          {body, 3},
		"AppID":         {app, 2},
		"Signature":     {middleware.Chain(body, sign), 3},
		"Secret":        {middleware.Chain(asForm, body, middleware.Secret{Secret: secret}.Handler), 40},
		"RateLimit":     {limit(middleware.ByPeer), 0},
		"Recover":       {middleware.Recover{}.Handler, 1},
		"Handshake":     {middleware.Handshake{Origins: []string{"a.example.com"}}.Handler, 0},
		"Probe":         {middleware.Probe{Challenge: "challenge", Post: true}.Handler, 0},
		"BodyChallenge": {middleware.Chain(body, middleware.BodyChallenge{}.Handler), 3},
		"Proxies":       {limit(behind.Key), 1},
		"Dedup":         {middleware.Chain(body, fresh.Handler), 20},
		"DedupReplay":   {middleware.Chain(body, replay.Handler), 6},
		"Payload":       {middleware.Chain(body, middleware.Payload[item]{}.Handler), 14},
		"FourGates":     {middleware.Chain(limit(middleware.ByPeer), body, app, sign), 3},
		"AllButPayload": {middleware.Chain(limit(middleware.ByPeer), middleware.Method{}.Handler, middleware.Query{}.Handler, body, app, sign, limit(middleware.ByIdentity)), 3},
	}
}

func TestAllocations(t *testing.T) {
	served := 0
	bare := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ })
	for name, s := range stacks() {
		a, h := newAgain(tencentURL, `{"name":"x"}`), s.gates(bare)
		served = 0
		n := testing.AllocsPerRun(200, func() { a.serve(h) })
		if served != 201 && (name != "DedupReplay" || served != 1) {
			t.Errorf("%s: %d of 201 requests reached the handler", name, served)
		}
		if n > s.allocs {
			t.Errorf("%s allocates %v times, want at most %v", name, n, s.allocs)
		}
	}
}

func BenchmarkGates(b *testing.B) {
	bare := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for name, s := range stacks() {
		b.Run(name, func(b *testing.B) {
			a, h := newAgain(tencentURL, `{"name":"x"}`), s.gates(bare)
			b.ReportAllocs()
			for b.Loop() {
				a.serve(h)
			}
		})
	}
}

func TestHandleAllocations(t *testing.T) {
	type answer struct {
		Name string `json:"name"`
	}
	h := middleware.Body{}.Handler(middleware.Handle(func(_ context.Context, i item) (answer, error) { return answer(i), nil }))
	a := newAgain("/", `{"name":"x"}`)
	if n := testing.AllocsPerRun(200, func() { a.serve(h) }); n > 24 {
		t.Errorf("Handle allocates %v times, want at most 24", n)
	}
}

// BenchmarkRateLimitHit is a request of a key that is known.
func BenchmarkRateLimitHit(b *testing.B) {
	a := newAgain("/", "")
	h := middleware.RateLimit{Key: middleware.ByPeer, Requests: 1_000_000_000, Per: time.Second}.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(a.w, a.r)
	}
}
