package middleware_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/middleware"
)

func from(peer string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.RemoteAddr = peer
	return r
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := middleware.RateLimit{Key: middleware.ByPeer, Requests: 3, Per: time.Minute, Logger: quiet}.Handler(ok)
		for i := range 3 {
			if w := serve(t, h, from("192.0.2.1:1")); w.Code != 200 {
				t.Fatalf("request %d: status %d", i, w.Code)
			}
		}
		time.Sleep(500 * time.Millisecond)
		w := serve(t, h, from("192.0.2.1:2"))
		for name, want := range map[string]string{"Retry-After": "20", "RateLimit-Policy": `"default";q=3;w=60`, "RateLimit": `"default";r=0;t=20`} {
			if got := w.Header().Get(name); w.Code != 429 || got != want {
				t.Errorf("status %d, %s: %s, want %s", w.Code, name, got, want)
			}
		}
		if w := serve(t, h, from("192.0.2.2:1")); w.Code != 200 {
			t.Errorf("another peer: status %d", w.Code)
		}
		time.Sleep(19400 * time.Millisecond) // 19.9 s after the third
		if w := serve(t, h, from("192.0.2.1:1")); w.Code != 429 || w.Header().Get("Retry-After") != "1" {
			t.Errorf("status %d, Retry-After %s", w.Code, w.Header().Get("Retry-After"))
		}
		time.Sleep(100 * time.Millisecond)
		if w := serve(t, h, from("192.0.2.1:1")); w.Code != 200 {
			t.Errorf("after Retry-After: status %d", w.Code)
		}
	})
}

func TestRateLimitPolicyName(t *testing.T) {
	t.Parallel()
	h := middleware.RateLimit{Key: middleware.ByPeer, Requests: 1, Burst: 1, Per: 1500 * time.Millisecond, Name: "peer", Now: then, Logger: quiet}.Handler(ok)
	serve(t, h, from("192.0.2.1:1"))
	if w := serve(t, h, from("192.0.2.1:1")); w.Header().Get("RateLimit-Policy") != `"peer";q=1;w=2` {
		t.Errorf("RateLimit-Policy: %s", w.Header().Get("RateLimit-Policy"))
	}
}

func TestByPeer(t *testing.T) {
	t.Parallel()
	for addr, want := range map[string]string{
		"192.0.2.1:1234":            "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:1":  "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::1]:2":  "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1":          "fe80::/64",
		"[::ffff:192.0.2.1]:1234":   "192.0.2.1",
		"@":                         "@",
		"":                          "",
		"pipe":                      "pipe",
		"[2001:db8:1:3:ffff::1]:80": "2001:db8:1:3::/64",
	} {
		r := from(addr)
		r.Header.Set("X-Forwarded-For", "198.51.100.1")
		if got := middleware.ByPeer(r); got != want {
			t.Errorf("ByPeer(%q) = %q, want %q", addr, got, want)
		}
	}
}

type brokenLimiter struct{}

func (brokenLimiter) Allow(context.Context, string, time.Time) (middleware.Decision, error) {
	return middleware.Decision{}, errors.New("no connection")
}

func TestRateLimitFailure(t *testing.T) {
	t.Parallel()
	logger, text := captured()
	for _, tt := range []struct {
		name   string
		gate   middleware.RateLimit
		peer   string
		status int
	}{
		{"closed", middleware.RateLimit{Key: middleware.ByPeer, Limiter: brokenLimiter{}, Logger: quiet}, "192.0.2.1:1", 503},
		{"open on request", middleware.RateLimit{Key: middleware.ByPeer, Limiter: brokenLimiter{}, FailOpen: true, Logger: logger}, "192.0.2.1:1", 200},
		{"empty key", middleware.RateLimit{Key: middleware.ByPeer, Limiter: brokenLimiter{}, FailOpen: true, Logger: quiet}, "", 500},
		{"identity outside of its gate", middleware.RateLimit{Key: middleware.ByIdentity, Requests: 1, Per: 1, Logger: quiet}, "192.0.2.1:1", 500},
		{"zero limiter", middleware.RateLimit{Key: middleware.ByPeer, Limiter: &middleware.LocalLimiter{}, Logger: quiet}, "192.0.2.1:1", 500},
	} {
		if w := serve(t, tt.gate.Handler(ok), from(tt.peer)); w.Code != tt.status {
			t.Errorf("%s: status %d, want %d", tt.name, w.Code, tt.status)
		}
	}
	if !strings.Contains(text.String(), "the request passes") {
		t.Errorf("failing open leaves no trace: %q", text)
	}
	if d, err := (middleware.RateLimit{}).Check(from("192.0.2.1:1")); !errors.Is(err, middleware.ErrConfig) || d.Allowed {
		t.Errorf("zero value: %+v, %v", d, err)
	}
	var none *middleware.LocalLimiter
	if none.Len() != 0 {
		t.Error("a nil limiter has keys")
	}
}

// TestClientCannotOpen: what fails because the client has left lets nothing
// pass, whatever FailOpen says.
func TestClientCannotOpen(t *testing.T) {
	t.Parallel()
	gone, leave := context.WithCancel(t.Context())
	leave()
	guard := dedup(&brokenStore{claim: context.Canceled})
	guard.FailOpen = true
	for name, h := range map[string]http.Handler{
		"limit": middleware.RateLimit{Key: middleware.ByPeer, Limiter: brokenLimiter{}, FailOpen: true, Logger: quiet}.Handler(ok),
		"dedup": guarded(guard, ok),
	} {
		if w := serve(t, h, withID("1", "a").WithContext(gone)); w.Code != 503 {
			t.Errorf("%s: status %d for a client that has left", name, w.Code)
		}
		if w := serve(t, h, withID("1", "a")); w.Code != 200 {
			t.Errorf("%s: status %d for one that waits", name, w.Code)
		}
	}
}

func TestNewLocalLimiterRefuses(t *testing.T) {
	t.Parallel()
	for _, cfg := range []middleware.LocalLimiterConfig{
		{},
		{Requests: 1},
		{Per: 1},
		{Requests: -1, Per: 1},
		{Requests: 1, Per: -1},
		{Requests: 1, Per: 1, Burst: -1},
		{Requests: 1, Per: 1, MaxKeys: -1},
	} {
		if _, err := middleware.NewLocalLimiter(cfg); !errors.Is(err, middleware.ErrConfig) {
			t.Errorf("%+v: %v, want ErrConfig", cfg, err)
		}
	}
}

// TestLimiterOverflow: a full table does not let strangers pass unlimited,
// does not forget an empty bucket, and recovers when keys become idle.
func TestLimiterOverflow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := must(middleware.NewLocalLimiter(middleware.LocalLimiterConfig{Requests: 2, Per: time.Minute, MaxKeys: 10}))
		allow := func(key string) bool {
			d, err := l.Allow(t.Context(), key, time.Now())
			if err != nil {
				t.Fatal(err)
			}
			return d.Allowed
		}
		for i, want := range []bool{true, true, false} {
			if allow("attacker") != want {
				t.Fatalf("request %d passes: %v, want %v", i, !want, want)
			}
		}
		passed := 0
		for i := range 1000 {
			if allow("made up " + strconv.Itoa(i)) {
				passed++
			}
		}
		if passed != 9+2 { // nine places, and the shared bucket
			t.Errorf("%d made-up keys passed, want 11", passed)
		}
		if allow("attacker") {
			t.Error("the attacker got rid of an empty bucket")
		}
		if l.Len() != 10 {
			t.Errorf("%d keys, want 10", l.Len())
		}
		time.Sleep(59 * time.Second)
		if !allow("attacker") { // not idle: its end is postponed
			t.Error("the bucket does not fill")
		}
		time.Sleep(9 * time.Second) // and an eighth of a minute more
		if !allow("new") || l.Len() != 2 {
			t.Errorf("%d keys after the others became idle, want 2", l.Len())
		}
	})
}
