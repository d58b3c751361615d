package main_test

import (
	"net/http"
	"testing"
	"time"
)

// POST retry: one attempt now, then the schedule from its start, attempt
// numbers going on, same ids.
func TestRetry(t *testing.T) {
	t.Parallel()
	p := serve(t)
	rc := receive(t, with(500))
	p.subscribe(t, "t1", rc.url, "a")
	ev := p.publish(t, event("t1", "a", `1`))[0]
	d := p.deliveryOf(t, ev.EventID, "refused twice", func(d deliveryRow) bool { return d.Attempts == 2 })
	if next := time.Until(*d.NextAttemptAt); next < 3*time.Second || d.State != "pending" || d.LastError == nil && d.LastStatus == nil {
		t.Fatalf("%s", text(d))
	}
	p.admin(t, "POST", "/admin/deliveries/"+d.ID+"/retry", "").want(t, 202)
	d = p.deliveryOf(t, ev.EventID, "the third attempt", func(d deliveryRow) bool { return d.Attempts >= 3 })
	p.deliveryOf(t, ev.EventID, "the fourth by itself", func(d deliveryRow) bool { return d.Attempts >= 4 })
	if at := rc.wait(t, 4); at[3].at.Sub(at[2].at) < 890*time.Millisecond || at[3].at.Sub(at[2].at) > 3500*time.Millisecond {
		t.Errorf("the schedule did not begin anew: the next came after %s", at[3].at.Sub(at[2].at))
	}
	rc.set(nil)
	p.admin(t, "POST", "/admin/deliveries/"+d.ID+"/retry", "").want(t, 202)
	d = p.deliveryOf(t, ev.EventID, "delivered", inState("delivered"))
	got := rc.all()
	for i, a := range p.attempts(t, d.ID) {
		if a.Number != i+1 || got[i].id() != ev.EventID || got[i].body != got[0].body {
			t.Errorf("attempt %d: %+v", i+1, a)
		}
	}
	// A delivered one goes out again, too.
	p.admin(t, "POST", "/admin/deliveries/"+d.ID+"/retry", "").want(t, 202)
	again := p.deliveryOf(t, ev.EventID, "delivered again", func(x deliveryRow) bool { return x.State == "delivered" && x.Attempts == d.Attempts+1 })
	if again.ID != d.ID {
		t.Errorf("id %s, was %s", again.ID, d.ID)
	}
	p.admin(t, "POST", "/admin/deliveries/none/retry", "").want(t, 404)
}

// A dead delivery can be retried while its registration stands.
func TestRetryOfDead(t *testing.T) {
	t.Parallel()
	p := serve(t, memory)
	rc := receive(t, with(404))
	id, _ := p.subscribe(t, "t1", rc.url, "a")
	ev := p.publish(t, event("t1", "a", `1`))[0]
	d := p.deliveryOf(t, ev.EventID, "dead", inState("dead"))
	rc.set(nil)
	p.admin(t, "POST", "/admin/deliveries/"+d.ID+"/retry", "").want(t, 202)
	if d := p.deliveryOf(t, ev.EventID, "delivered", inState("delivered")); d.Attempts != 2 {
		t.Errorf("%s", text(d))
	}
	if n := rc.only(t, 2); n[0].id() != n[1].id() {
		t.Error("the id changed")
	}
	p.admin(t, "DELETE", "/admin/subscriptions/"+id, "").want(t, 204)
	p.admin(t, "POST", "/admin/deliveries/"+d.ID+"/retry", "").want(t, 409)
	rc.only(t, 2)
}

// The endpoint may have asked for a pause: an operator who says now means it.
func TestRetryDuringRetryAfter(t *testing.T) {
	t.Parallel()
	for name, store := range map[string]func(settings){"memory": memory, "sqlite": func(settings) {}} {
		p := serve(t, store)
		rc := receive(t, func(n int, _ post, w http.ResponseWriter) {
			if n == 1 {
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
		p.subscribe(t, "t1", rc.url, "a")
		ev := p.publish(t, event("t1", "a", `1`))[0]
		d := p.deliveryOf(t, ev.EventID, "refused", func(d deliveryRow) bool { return d.Attempts == 1 })
		p.admin(t, "POST", "/admin/deliveries/"+d.ID+"/retry", "").want(t, 202)
		if d = p.deliveryOf(t, ev.EventID, "delivered", inState("delivered")); d.Attempts != 2 {
			t.Errorf("%s: %s", name, text(d))
		}
	}
}

// In flight: 202 without effect.
func TestRetryInFlight(t *testing.T) {
	t.Parallel()
	p := serve(t)
	slow := hold(t)
	rc := receive(t, func(int, post, http.ResponseWriter) { slow.pass() })
	p.subscribe(t, "t1", rc.url, "a")
	ev := p.publish(t, event("t1", "a", `1`))[0]
	rc.wait(t, 1)
	d := p.deliveryOf(t, ev.EventID, "pending", inState("pending"))
	p.admin(t, "POST", "/admin/deliveries/"+d.ID+"/retry", "").want(t, 202)
	slow.release()
	if d = p.deliveryOf(t, ev.EventID, "delivered", inState("delivered")); d.Attempts != 1 {
		t.Errorf("%s", text(d))
	}
	rc.only(t, 1)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	p := serve(t)
	rc := receive(t, nil)
	id, _ := p.subscribe(t, "t1", rc.url, "a")
	p.admin(t, "POST", "/admin/subscriptions/"+id+"/pause", "").want(t, 204)
	events := p.publish(t, event("t1", "a", `1`), event("t1", "a", `2`))
	d := p.deliveryOf(t, events[0].EventID, "pending", inState("pending"))
	p.admin(t, "POST", "/admin/deliveries/"+d.ID+"/cancel", "").want(t, 202)
	d = p.deliveryOf(t, events[0].EventID, "dead", inState("dead"))
	if d.LastError == nil || *d.LastError != "cancelled" || d.NextAttemptAt != nil {
		t.Errorf("%s", text(d))
	}
	p.admin(t, "POST", "/admin/deliveries/"+d.ID+"/cancel", "").want(t, 202)
	p.admin(t, "POST", "/admin/deliveries/none/cancel", "").want(t, 404)
	p.admin(t, "POST", "/admin/subscriptions/"+id+"/resume", "").want(t, 204)
	if got := rc.only(t, 1)[0]; got.id() != events[1].EventID {
		t.Error("what was cancelled was sent")
	}
	if s := p.stats(t); s.Dead != 1 || s.Endpoints != 1 {
		t.Errorf("%+v", s)
	}
}

func TestDeliveriesAndAttempts(t *testing.T) {
	t.Parallel()
	p := serve(t)
	rc := receive(t, func(_ int, _ post, w http.ResponseWriter) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte("no <such> order"))
	})
	id, _ := p.subscribe(t, "t1", rc.url+"/hook", "a")
	good := receive(t, nil)
	p.subscribe(t, "t2", good.url, "a")
	dead := p.publish(t, event("t1", "a", `1`))[0]
	d := p.deliveryOf(t, dead.EventID, "dead", inState("dead"))
	if d.SubscriptionID != id || d.Type != "a" || d.URL == nil || *d.URL != rc.url+"/hook" || d.Attempts != 1 || d.LastStatus == nil || *d.LastStatus != 400 || d.NextAttemptAt != nil {
		t.Errorf("%s", text(d))
	}
	a := p.attempts(t, d.ID)
	if len(a) != 1 || a[0].Response != "no <such> order" || a[0].DurationMS <= 0 || a[0].Status == nil || time.Since(a[0].At).Abs() > time.Minute {
		t.Errorf("%+v", a)
	}
	var order []string
	for range 5 {
		ev := p.publish(t, event("t2", "a", `1`))[0]
		p.deliveryOf(t, ev.EventID, "delivered", inState("delivered"))
		order = append(order, ev.EventID)
	}
	rows := p.deliveries(t, "state=delivered&limit=3")
	if len(rows) != 3 || rows[0].EventID != order[4] || rows[1].EventID != order[3] || rows[2].EventID != order[2] {
		t.Errorf("newest first, 3: %+v", rows)
	}
	if n := len(p.deliveries(t, "state=pending")); n != 0 {
		t.Errorf("%d pending", n)
	}
	if n := len(p.deliveries(t, "state=dead")); n != 1 {
		t.Errorf("%d dead", n)
	}
	if n := len(p.deliveries(t, "")); n != 6 {
		t.Errorf("%d in all", n)
	}
	if s := p.stats(t); s != (statsRow{Delivered: 5, Dead: 1, Endpoints: 2}) {
		t.Errorf("%+v", s)
	}
	for _, query := range []string{"deliveries?state=lost", "deliveries?state=dead&state=pending", "deliveries?state=%zz", "smartbots/apps?group_id=tea-club&group_id=chess"} {
		p.admin(t, "GET", "/admin/"+query, "").want(t, 400)
	}
	p.admin(t, "GET", "/admin/deliveries/none/attempts", "").want(t, 404)
	for _, path := range []string{"deliveries", "subscriptions", "received"} {
		for _, limit := range []string{"0", "-1", "1001", "x", "", "1.5", "1&limit=2", "%zz", "1&x=%zz", "1&limit=%zz"} {
			p.admin(t, "GET", "/admin/"+path+"?limit="+limit, "").want(t, 400)
		}
		for _, limit := range []string{"1", "1000"} {
			p.admin(t, "GET", "/admin/"+path+"?limit="+limit, "").want(t, 200)
		}
	}
}

// Without limit a list has 100 rows, and 1,000 at most.
func TestListLimits(t *testing.T) {
	t.Parallel()
	p := serve(t, memory)
	rc := receive(t, nil)
	id, _ := p.subscribe(t, "t1", rc.url, "a")
	p.admin(t, "POST", "/admin/subscriptions/"+id+"/pause", "").want(t, 204)
	events := make([]string, 1100)
	for i := range events {
		events[i] = event("t1", "a", text(i))
	}
	p.publish(t, events...)
	for query, want := range map[string]int{"state=pending": 100, "": 100, "limit=1000": 1000, "limit=7&state=pending": 7} {
		if n := len(p.deliveries(t, query)); n != want {
			t.Errorf("%q: %d rows, want %d", query, n, want)
		}
	}
}
