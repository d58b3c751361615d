package main_test

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringback-go/ringback/internal/pgtest"
)

// While the database is away all calls say so, and the gateway still drains: what
// it could not say ends by expiry.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	p := serve(t, sealedBy("k"), func(s settings) { s["store"] = server.Database(t) })
	rc := receive(t, nil)
	p.subscribe(t, "t1", rc.url, "a")
	p.publish(t, event("t1", "a", `1`))
	eventually(t, "a delivery", func() bool { return p.stats(t).Delivered == 1 })
	server.Stop(t)
	away := time.Now()
	for _, call := range []struct{ method, path, body string }{
		{"GET", "/admin/subscriptions", ""},
		{"GET", "/admin/stats", ""},
		{"GET", "/admin/smartbots/apps?group_id=tea-club", ""},
		{"POST", "/admin/smartbots/security-code", `{"group_id":"tea-club","security_code":"x"}`},
		{"GET", "/healthz", ""},
	} {
		eventually(t, "503 from "+call.path, func() bool {
			r, err := p.try(call.method, call.path, "", call.body, "Authorization", "Bearer "+adminToken)
			if err == nil && r.status == 404 {
				t.Fatalf("%s %s: 404", call.method, call.path)
			}
			return err == nil && r.status == 503 && time.Since(away) > 1100*time.Millisecond // what was read before counts for a second
		})
	}
	p.signal(t, syscall.SIGTERM)
	if status := p.wait(t); status != 0 {
		t.Errorf("exit status %d: %s", status, p.stderr)
	}
	if !strings.Contains(p.stderr.String(), "gateway: the store was not told everything") {
		t.Errorf("nothing is said of it: %s", p.stderr)
	}
}
