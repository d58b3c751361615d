package main_test

import (
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// outbound.timeout ends an attempt, which is then tried again.
func TestOutboundTimeout(t *testing.T) {
	t.Parallel()
	p := serve(t, memory, func(s settings) { s.section("outbound")["timeout"] = "700ms" })
	slow := hold(t)
	rc := receive(t, func(n int, _ post, _ http.ResponseWriter) {
		if n == 1 {
			slow.pass()
		}
	})
	p.subscribe(t, "t1", rc.url, "a")
	ev := p.publish(t, event("t1", "a", `1`))[0]
	d := p.deliveryOf(t, ev.EventID, "delivered", inState("delivered"))
	a := p.attempts(t, d.ID)
	if len(a) != 2 || a[0].DurationMS < 650 || a[0].DurationMS > 2500 || a[0].Status != nil || a[0].Error == nil || a[1].Status == nil {
		t.Errorf("%s", text(a))
	}
}

// Without root_ca the receivers' certificates are strangers'.
func TestUnknownAuthority(t *testing.T) {
	t.Parallel()
	p := serve(t, memory, func(s settings) { delete(s.section("outbound"), "root_ca") })
	rc := receive(t, nil)
	p.subscribe(t, "t1", rc.url, "a")
	ev := p.publish(t, event("t1", "a", `1`))[0]
	d := p.deliveryOf(t, ev.EventID, "attempted", func(d deliveryRow) bool { return d.Attempts > 0 })
	if d.State != "pending" || d.LastStatus != nil || d.LastError == nil {
		t.Errorf("%s", text(d))
	}
	if got := p.edna(t, acmeKey, `{"statusCallbackUrl":"`+rc.url+`"}`); got != `200 {"code":"error-callback-url-not-available"}` {
		t.Errorf("the probe: %s", got)
	}
	rc.only(t, 0)
}

// Networks that are not opened stay closed, loopback too.
func TestNothingOpened(t *testing.T) {
	t.Parallel()
	rc := receive(t, nil)
	port, err := strconv.Atoi(rc.url[strings.LastIndexByte(rc.url, ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	p := serve(t, memory, func(s settings) {
		s["outbound"] = settings{"allow_networks": []any{"0.0.0.0/0"}, "allow_ports": []any{port}}
	})
	p.bots(t, botsForm(rc.url), failed("BAD URL address"))
	if r := p.admin(t, "POST", "/admin/subscriptions", `{"dialect":"standard","tenant":"t","url":"`+rc.url+`","types":["a"]}`); r.status != 400 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if got := p.edna(t, acmeKey, `{"statusCallbackUrl":"`+rc.url+`"}`); got != `200 {"code":"error-callback-url-not-available"}` {
		t.Errorf("%s", got)
	}
	rc.only(t, 0)
}

// The caps hold, and an endpoint that hangs leaves the others alone.
func TestInFlight(t *testing.T) {
	t.Parallel()
	p := serve(t, memory, func(s settings) { s.section("outbound")["max_in_flight_per_endpoint"] = 3 })
	slow := hold(t)
	var now, most atomic.Int32
	rc := receive(t, func(int, post, http.ResponseWriter) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		slow.pass()
		now.Add(-1)
	})
	quick := receive(t, nil)
	p.subscribe(t, "t1", rc.url, "a")
	p.subscribe(t, "t2", quick.url, "a")
	var hung, fine []string
	for range 30 {
		hung = append(hung, event("t1", "a", `1`))
		fine = append(fine, event("t2", "a", `1`))
	}
	p.publish(t, append(hung, fine...)...)
	quick.only(t, 30)
	rc.only(t, 3)
	slow.release()
	rc.only(t, 30)
	if most.Load() != 3 {
		t.Errorf("%d in flight, want 3", most.Load())
	}
}

// A removed registration drops what waits; the URL is called no more.
func TestDeleteDropsBacklog(t *testing.T) {
	t.Parallel()
	p := serve(t)
	rc := receive(t, nil)
	id, _ := p.subscribe(t, "t1", rc.url, "a")
	if got := p.edna(t, acmeKey, `{"statusCallbackUrl":"`+rc.url+`"}`); got != ednaOK {
		t.Fatal(got)
	}
	for _, s := range p.subscriptions(t) {
		p.admin(t, "POST", "/admin/subscriptions/"+s.ID+"/pause", "").want(t, 204)
	}
	p.publish(t, event("t1", "a", `1`), ednaEvent("acme", "234", "status", `{}`))
	for _, s := range p.subscriptions(t) {
		p.admin(t, "DELETE", "/admin/subscriptions/"+s.ID, "").want(t, 204)
	}
	if s := p.stats(t); s != (statsRow{Dead: 2}) {
		t.Errorf("%+v", s)
	}
	for _, d := range p.deliveries(t, "state=dead") {
		if d.LastError == nil || *d.LastError != "registration removed" || d.Attempts != 0 {
			t.Errorf("%s", text(d))
		}
		p.admin(t, "POST", "/admin/deliveries/"+d.ID+"/retry", "").want(t, 409)
	}
	p.admin(t, "POST", "/admin/subscriptions/"+id+"/enable", "").want(t, 404)
	if ev := p.publish(t, event("t1", "a", `2`))[0]; ev.Deliveries != 0 {
		t.Errorf("%+v", ev)
	}
	rc.only(t, 1) // the probe
}

// Draining waits 10 s at most; what was cut off goes out again.
func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	p := serve(t)
	slow := hold(t)
	rc := receive(t, func(n int, _ post, _ http.ResponseWriter) {
		if n == 1 {
			slow.pass()
		}
	})
	p.subscribe(t, "t1", rc.url, "a")
	p.publish(t, event("t1", "a", `1`))
	rc.wait(t, 1)
	begin := time.Now()
	p.signal(t, syscall.SIGTERM)
	status := p.wait(t)
	if took := time.Since(begin); status != 0 || took < 9*time.Second || took > 14*time.Second {
		t.Errorf("exit status %d after %s: %s", status, took, p.stderr)
	}
	again := start(t, p.dir)
	got := rc.wait(t, 2)
	if got[0].id() != got[1].id() || got[0].body != got[1].body || !strings.HasPrefix(got[1].body, `{"type":"a"`) {
		t.Errorf("%+v %+v", got[0], got[1])
	}
	eventually(t, "delivered", func() bool { return again.stats(t).Delivered == 1 })
}
