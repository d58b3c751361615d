package middleware_test

import (
	"errors"
	"math"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringback-go/ringback/middleware"
)

// bytesPerKey is what a key of a LocalLimiter may take, its text included.
const bytesPerKey = 400

// TestLimiterMemory: a million keys take the memory of MaxKeys, whether all of
// them are in use or none is.
func TestLimiterMemory(t *testing.T) {
	for per, keys := range map[time.Duration]int{time.Hour: 1_000_000, time.Nanosecond: 200_000} {
		l := must(middleware.NewLocalLimiter(middleware.LocalLimiterConfig{Requests: 1, Per: per, MaxKeys: 10_000}))
		before, now, passed := heap(), time.Now(), 0
		for i := range keys {
			if must(l.Allow(t.Context(), strconv.Itoa(i), now)).Allowed {
				passed++
			}
		}
		grown := heap() - before
		t.Logf("%d keys, %d bytes for each that is configured", keys, grown/10_000)
		if grown > 10_000*bytesPerKey || l.Len() > 10_000 {
			t.Errorf("%d keys, the heap grew by %d KiB", l.Len(), grown>>10)
		}
		if per == time.Hour && (passed != 10_001 || l.Len() != 10_000) {
			t.Errorf("%d keys, %d passed", l.Len(), passed)
		}
		runtime.KeepAlive(l)
	}
}

// TestLimiterLikeTokenBucket: the decisions are those of a token bucket that
// counts tokens.
func TestLimiterLikeTokenBucket(t *testing.T) {
	t.Parallel()
	const burst, interval = 4, 100 * time.Millisecond
	l := must(middleware.NewLocalLimiter(middleware.LocalLimiterConfig{Requests: 10, Per: time.Second, Burst: burst}))
	now, tokens := time.Now(), float64(burst)
	for i := range 10_000 {
		pause := time.Duration(i*7919%180) * time.Millisecond
		now = now.Add(pause)
		tokens = min(burst, tokens+float64(pause)/float64(interval))
		want := middleware.Decision{Limit: 10, Window: time.Second}
		if want.Allowed = tokens > 1-1e-6; want.Allowed {
			tokens--
			want.Remaining = int(tokens + 1e-6)
		} else {
			want.RetryAfter = time.Duration((1 - tokens) * float64(interval)).Round(time.Microsecond)
		}
		want.ResetAfter = time.Duration((burst - tokens) * float64(interval)).Round(time.Microsecond)
		if d := must(l.Allow(t.Context(), "key", now)); d != want {
			t.Fatalf("request %d: %+v, want %+v", i, d, want)
		}
	}
}

// TestLimiterExact: a full bucket has its burst, whatever the rate does to
// floating point numbers, and is told how long to wait.
func TestLimiterExact(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for n := 1; n <= 500; n++ {
		l := must(middleware.NewLocalLimiter(middleware.LocalLimiterConfig{Requests: n, Per: time.Second}))
		for i := range n {
			if d := must(l.Allow(t.Context(), "key", now)); !d.Allowed || d.Remaining != n-1-i || d.RetryAfter != 0 {
				t.Fatalf("request %d of %d: %+v", i, n, d)
			}
		}
		d := must(l.Allow(t.Context(), "key", now))
		if d.Allowed || d.RetryAfter < time.Second/time.Duration(n) {
			t.Fatalf("one more than %d: %+v", n, d)
		}
		if d := must(l.Allow(t.Context(), "key", now.Add(d.RetryAfter))); !d.Allowed {
			t.Fatalf("after the wait, of %d: %+v", n, d)
		}
	}
}

// TestLimiterOvertaken: goroutines that read the clock in one order and ask in
// another win nothing by it.
func TestLimiterOvertaken(t *testing.T) {
	t.Parallel()
	l := must(middleware.NewLocalLimiter(middleware.LocalLimiterConfig{Requests: 1, Per: time.Second}))
	start := time.Now()
	for i := range 100 {
		now := start.Add(time.Duration(i%2) * 900 * time.Millisecond)
		if d := must(l.Allow(t.Context(), "key", now)); d.Allowed != (i == 0) {
			t.Errorf("request %d: %+v", i, d)
		}
	}
}

func TestLimiterClocks(t *testing.T) {
	t.Parallel()
	l := must(middleware.NewLocalLimiter(middleware.LocalLimiterConfig{Requests: 2, Per: time.Minute}))
	start := time.Unix(1669872112, 0)
	for i, now := range []time.Time{
		start, start, // the bucket is empty
		start.Add(-24 * time.Hour), // set back: empty still, and not for a day
		start.Add(-24*time.Hour + 30*time.Second),
		start.Add(-24*time.Hour + 31*time.Second),
	} {
		if d := must(l.Allow(t.Context(), "key", now)); d.Allowed != (i != 2 && i != 4) || d.RetryAfter > 30*time.Second {
			t.Errorf("request %d: %+v", i, d)
		}
	}
	for i, now := range []time.Time{{}, time.Unix(math.MaxInt64/4, 0), {}} { // further than durations go
		if d := must(l.Allow(t.Context(), "far "+strconv.Itoa(i), now)); !d.Allowed {
			t.Errorf("%v: %+v", now, d)
		}
	}
	_, err := middleware.NewLocalLimiter(middleware.LocalLimiterConfig{Requests: 1, Per: time.Hour, Burst: 1 << 40})
	if !errors.Is(err, middleware.ErrConfig) {
		t.Errorf("a burst of ages: %v", err)
	}
}

// TestLimiterConcurrent: no request of many at once is let through twice.
func TestLimiterConcurrent(t *testing.T) {
	t.Parallel()
	l := must(middleware.NewLocalLimiter(middleware.LocalLimiterConfig{Requests: 100, Per: time.Hour, MaxKeys: 3}))
	now := time.Now()
	var passed atomic.Int32
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := range 400 {
				if must(l.Allow(t.Context(), strconv.Itoa(i%2), now)).Allowed {
					passed.Add(1)
				}
			}
		})
	}
	all.Wait()
	if passed.Load() != 200 {
		t.Errorf("%d passed, want 100 of each key", passed.Load())
	}
}

// TestRateLimitAnnounce: each gate adds its policy to the fields, on answers
// and on refusals.
func TestRateLimitAnnounce(t *testing.T) {
	t.Parallel()
	gate := func(name string, n int) middleware.Middleware {
		return middleware.RateLimit{Key: middleware.ByPeer, Requests: n, Per: time.Minute, Name: name, Announce: true, Now: then, Logger: quiet}.Handler
	}
	h := middleware.Chain(gate("outer", 10), gate("inner", 2))(ok)
	for i, want := range []struct {
		status          int
		policies, limit []string
	}{
		{200, []string{`"outer";q=10;w=60`, `"inner";q=2;w=60`}, []string{`"outer";r=9;t=6`, `"inner";r=1;t=30`}},
		{200, []string{`"outer";q=10;w=60`, `"inner";q=2;w=60`}, []string{`"outer";r=8;t=12`, `"inner";r=0;t=60`}},
		{429, []string{`"outer";q=10;w=60`, `"inner";q=2;w=60`}, []string{`"outer";r=7;t=18`, `"inner";r=0;t=30`}},
	} {
		w := serve(t, h, from("192.0.2.1:1"))
		got := w.Header()
		if w.Code != want.status || !slices.Equal(got["Ratelimit-Policy"], want.policies) || !slices.Equal(got["Ratelimit"], want.limit) {
			t.Errorf("request %d: %d %v", i, w.Code, got)
		}
	}
	open := middleware.RateLimit{Key: middleware.ByPeer, Limiter: brokenLimiter{}, FailOpen: true, Announce: true, Logger: quiet}.Handler(ok)
	if w := serve(t, open, from("192.0.2.1:1")); w.Code != 200 || w.Header().Get("RateLimit") != "" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// TestPerApp: one app that floods does not take another's turn, behind one
// proxy of ours.
func TestPerApp(t *testing.T) {
	t.Parallel()
	p := proxies(t, middleware.ProxiesConfig{})
	h := middleware.Chain(
		middleware.RateLimit{Key: p.Key, Requests: 4, Per: time.Minute, Name: "peer", Now: then, Logger: quiet}.Handler,
		middleware.AppID{Apps: apps(), Logger: quiet}.Handler,
		middleware.RateLimit{Key: middleware.ByIdentity, Requests: 2, Per: time.Minute, Name: "app", Now: then, Logger: quiet}.Handler,
	)(ok)
	for i, tt := range []struct {
		app, client string
		status      int
		policy      string
	}{
		{"1400000001", "192.0.2.1", 200, ""},
		{"1400000001", "192.0.2.2", 200, ""},
		{"1400000001", "192.0.2.3", 429, `"app";q=2;w=60`},
		{"1400000002", "192.0.2.1", 200, ""},
		{"14", "2001:db8::1", 401, ""},
		{"14", "2001:db8::2", 401, ""},
		{"14", "2001:db8::3", 401, ""},
		{"14", "2001:db8::4", 401, ""},
		{"1400000002", "2001:db8::5", 429, `"peer";q=4;w=60`},
		{"1400000002", "2001:db8:0:1::5", 200, ""},
	} {
		r := post("/?SdkAppid="+tt.app, "", "")
		r.RemoteAddr = "10.0.0.1:1"
		r.Header.Set("X-Forwarded-For", "127.0.0.1, "+tt.client)
		if w := serve(t, h, r); w.Code != tt.status || w.Header().Get("RateLimit-Policy") != tt.policy {
			t.Errorf("request %d: %d %v", i, w.Code, w.Header())
		}
	}
}
