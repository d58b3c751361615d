package main_test

import (
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// Each public API refuses in its own packet what is over the limit; /admin is
// not limited.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, path, contentType, want string
		body                          func() string
		query                         func() string
	}{
		{
			"smartbots", "/api/simple.html", formType, failed("TOO MANY REQUESTS"),
			func() string { return "action=x" }, func() string { return "" },
		},
		{
			"edna", "/api/callback/set", jsonType, `{"code":"error-too-many-requests"}`,
			func() string { return `{}` }, func() string { return "" },
		},
		{
			"tencentchat", "/tencent/callback", jsonType, `{"ActionStatus":"FAIL","ErrorInfo":"too many requests","ErrorCode":429}`,
			func() string { return attr }, func() string { return "?" + signed(chatApp, attrCmd, chatToken, 0) },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := serve(t, memory, func(s settings) { s["rate_limit"] = settings{"per_second": 0.1, "burst": 3} })
			for i := range 5 {
				r := p.call(t, "POST", tt.path+tt.query(), tt.contentType, tt.body(), "X-API-KEY", acmeKey)
				switch {
				case i < 3 && r.status == 429:
					t.Fatalf("request %d: 429", i+1)
				case i < 3:
					continue
				}
				after, err := strconv.Atoi(r.header.Get("Retry-After"))
				if r.status != 429 || strings.TrimSpace(r.body) != tt.want || err != nil || after < 1 || after > 11 {
					t.Errorf("request %d: %d %s, Retry-After %q", i+1, r.status, r.body, r.header.Get("Retry-After"))
				}
			}
			for range 20 {
				p.admin(t, "GET", "/admin/stats", "").want(t, 200)
			}
			if r := p.call(t, "GET", "/healthz", "", ""); r.status != 200 {
				t.Errorf("/healthz: %d", r.status)
			}
		})
	}
}

// Without rate_limit nothing is limited.
func TestRateLimitOff(t *testing.T) {
	t.Parallel()
	p := serve(t, memory)
	for range 200 {
		r := p.call(t, "POST", "/api/callback/set", jsonType, `{}`, "X-API-KEY", acmeKey)
		if r.status != 200 || r.header.Get("RateLimit") != "" {
			t.Fatalf("%d %v", r.status, r.header)
		}
	}
}

// A proven key has tokens of its own, whichever peers spend them.
func TestRateLimitByKey(t *testing.T) {
	t.Parallel()
	p := serve(t, memory, func(s settings) { s["rate_limit"] = settings{"per_second": 0.1, "burst": 3} })
	ask := func(peer, key string) int {
		t.Helper()
		d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(peer)}}
		c := &http.Client{Transport: &http.Transport{DialContext: d.DialContext, DisableKeepAlives: true}, Timeout: patience}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.base+"/api/callback/set", strings.NewReader(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-API-KEY", key)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for _, tt := range []struct {
		peer, key string
		status    int
	}{
		{"127.0.0.2", "wrong", 401},
		{"127.0.0.2", "wrong", 401},
		{"127.0.0.2", "wrong", 401},
		{"127.0.0.2", acmeKey, 429}, // the peer's
		{"127.0.0.3", acmeKey, 200},
		{"127.0.0.3", acmeKey, 200},
		{"127.0.0.4", acmeKey, 200},
		{"127.0.0.4", acmeKey, 429}, // the key's
		{"127.0.0.4", zetaKey, 200},
		{"127.0.0.5", acmeKey, 429},
	} {
		if got := ask(tt.peer, tt.key); got != tt.status {
			t.Errorf("%s with %s: %d, want %d", tt.peer, tt.key, got, tt.status)
		}
	}
}
