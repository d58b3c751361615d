package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A flood is refused by peer, over all routes together, and by sender.
func TestFloods(t *testing.T) {
	t.Parallel()
	ours := newSecrets(t, uuid)
	for name, tt := range map[string]struct {
		path   string
		send   message
		before int // status
		least  int // requests that pass
		policy string
	}{
		"by peer":    {"/github", nil, http.StatusMethodNotAllowed, 6000, `"peer"`},
		"by tencent": {"/tencent", nil, http.StatusMethodNotAllowed, 6000, `"peer"`},
		"by sender":  {"/edna", byEdna, http.StatusNoContent, 3000, `"app"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, err := readConfig(ours.file(t, "http://127.0.0.1:1", func(c map[string]any) { c["proxies"] = []string{"192.0.2.0/24"} }))
			if err != nil {
				t.Fatal(err)
			}
			s, err := open(t.Context(), cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := s.close(); err != nil {
					t.Error(err)
				}
			})
			hooks, err := s.routes()
			if err != nil {
				t.Fatal(err)
			}
			ask := func(path, peer string) *httptest.ResponseRecorder {
				r := httptest.NewRequest(http.MethodPut, path, strings.NewReader("{}"))
				if tt.send != nil {
					r = tt.send(t, ours, "", "", "{}")
				}
				r.RemoteAddr = "192.0.2.1:1" // the proxy
				r.Header.Set("X-Forwarded-For", "203.0.113.99, "+peer)
				w := httptest.NewRecorder()
				hooks.ServeHTTP(w, r)
				return w
			}
			n := 0
			w := ask(tt.path, "203.0.113.1")
			for ; w.Code == tt.before && n < 2*tt.least; n++ {
				w = ask(tt.path, "203.0.113.1")
			}
			if w.Code != http.StatusTooManyRequests || n < tt.least || w.Header().Get("Retry-After") == "" ||
				!strings.HasPrefix(w.Header().Get("RateLimit-Policy"), tt.policy) {
				t.Fatalf("%d after %d requests, %v", w.Code, n, w.Header())
			}
			if tt.send != nil {
				return // it is known by its key, whatever the address
			}
			if w := ask("/standard", "203.0.113.1"); w.Code != http.StatusTooManyRequests {
				t.Errorf("the same peer elsewhere: %d", w.Code)
			}
			if w := ask("/standard", "203.0.113.2"); w.Code != tt.before {
				t.Errorf("another peer: %d", w.Code)
			}
		})
	}
}
