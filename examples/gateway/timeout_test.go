package main_test

import (
	"database/sql"
	"net/http"
	"path/filepath"
	"testing"
	"time"
)

// after answers when some time is over.
func after(t *testing.T, d time.Duration, answer func(int, post, http.ResponseWriter)) func(int, post, http.ResponseWriter) {
	t.Helper()
	return func(n int, p post, w http.ResponseWriter) {
		select {
		case <-time.After(d):
		case <-t.Context().Done():
		}
		answer(n, p, w)
	}
}

func shortTimeout(s settings) { s.section("outbound")["timeout"] = "300ms" }

// outbound.timeout is not for Tencent callbacks, which have 2 s, and not for
// edna's probe, which has 5 s.
func TestTimeoutOfOthers(t *testing.T) {
	t.Parallel()
	late := receive(t, after(t, 1200*time.Millisecond, accept))
	p := serve(t, memory, shortTimeout, sending(late.url, false, attrCmd))
	ev := p.publish(t, tencentEvent("", attrData))[0]
	p.deliveryOf(t, ev.EventID, "delivered", inState("delivered"))
	if got := p.edna(t, acmeKey, `{"statusCallbackUrl":"`+late.url+`"}`); got != ednaOK {
		t.Errorf("the probe: %s", got)
	}

	later := receive(t, after(t, 3*time.Second, accept))
	p = serve(t, memory, sending(later.url, false, attrCmd))
	ev = p.publish(t, tencentEvent("", attrData))[0]
	d := p.deliveryOf(t, ev.EventID, "dead", inState("dead"))
	if a := p.attempts(t, d.ID); len(a) != 1 || a[0].DurationMS < 1900 || a[0].DurationMS > 2900 {
		t.Errorf("%s", text(a))
	}
	if got := p.edna(t, acmeKey, `{"statusCallbackUrl":"`+later.url+`"}`); got != ednaOK {
		t.Errorf("the probe: %s", got)
	}
}

// What counts is what the configuration says now, not when the registration was
// stored, nor what was stored with it.
func TestTimeoutOfStoredRegistrations(t *testing.T) {
	t.Parallel()
	late := receive(t, after(t, 1200*time.Millisecond, accept))
	p := serve(t, sending(late.url, false, attrCmd), shortTimeout)
	p.subscribe(t, "t1", late.url, "a")
	p.stop(t)
	db, err := sql.Open("sqlite", filepath.Join(p.dir, "callbacks.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if r, err := db.ExecContext(t.Context(), `UPDATE subscription SET timeout = 400000000`); err != nil {
		t.Fatal(err)
	} else if n, err := r.RowsAffected(); n != 2 || err != nil {
		t.Fatalf("%d rows (%v)", n, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	p = start(t, configure(t, p.dir, sending(late.url, false, attrCmd)))
	for _, ev := range p.publish(t, event("t1", "a", `1`), tencentEvent("", attrData)) {
		d := p.deliveryOf(t, ev.EventID, "delivered", inState("delivered"))
		if d.Attempts != 1 {
			t.Errorf("%s", text(d))
		}
	}
}
