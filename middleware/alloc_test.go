package middleware_test

import (
	"net/http"
	"net/http/httptest"
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
	app := middleware.AppID{Apps: apps()}.Handler
	sign := middleware.Signature{Verifier: tencent(), Now: then}.Handler
	return map[string]struct {
		gates  middleware.Middleware
		allocs float64
	}{
		"Method":        {middleware.Method{}.Handler, 0},
		"Query":         {middleware.Query{}.Handler, 0},
		"Body":          {body, 4},
		"AppID":         {app, 2},
		"Signature":     {middleware.Chain(body, sign), 4},
		"RateLimit":     {limit(middleware.ByPeer), 0},
		"Payload":       {middleware.Chain(body, middleware.Payload[item]{}.Handler), 14},
		"AllButPayload": {middleware.Chain(limit(middleware.ByPeer), middleware.Method{}.Handler, middleware.Query{}.Handler, body, app, sign, limit(middleware.ByIdentity)), 4},
	}
}

func TestAllocations(t *testing.T) {
	served := 0
	bare := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ })
	for name, s := range stacks() {
		a, h := newAgain(tencentURL, `{"name":"x"}`), s.gates(bare)
		served = 0
		n := testing.AllocsPerRun(200, func() { a.serve(h) })
		if served != 201 {
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
