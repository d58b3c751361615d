package main_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// verified has the official library judge a request, and returns its body.
func verified(t *testing.T, secret string, p post) (msg struct {
	Type      string          `json:"type"`
	Timestamp time.Time       `json:"timestamp"`
	Data      json.RawMessage `json:"data"`
},
) {
	t.Helper()
	wh, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		t.Fatal(err)
	}
	if err := wh.Verify([]byte(p.body), p.header); err != nil {
		t.Fatalf("%v: %v", err, p.header)
	}
	d := json.NewDecoder(strings.NewReader(p.body))
	d.DisallowUnknownFields()
	if err := d.Decode(&msg); err != nil {
		t.Fatalf("%v: %s", err, p.body)
	}
	return msg
}

// The first resends of the standard schedule in real time.
func TestStandardSchedule(t *testing.T) {
	t.Parallel()
	p := serve(t)
	rc := receive(t, firstly(500, 408))
	id, secret := p.subscribe(t, "t1", rc.url+"/hook", "order.paid")
	begin := time.Now()
	ev := p.publish(t, event("t1", "order.paid", `{ "a" : 1.50, "b":"<ü\u00fc>" }`))[0]
	if ev.Deliveries != 1 {
		t.Fatalf("%+v", ev)
	}
	got := rc.wait(t, 3)
	for i, q := range got {
		msg := verified(t, secret, q)
		if msg.Type != "order.paid" || msg.Timestamp.Sub(begin).Abs() > 5*time.Second || string(msg.Data) != `{"a":1.50,"b":"<ü\u00fc>"}` {
			t.Errorf("body %s", q.body)
		}
		if !strings.HasPrefix(q.body, `{"type":"order.paid","timestamp":"`) {
			t.Errorf("order of members: %s", q.body)
		}
		if q.id() != ev.EventID || q.body != got[0].body || q.uri != "/hook" || q.header.Get("Content-Type") != jsonType {
			t.Errorf("attempt %d: %+v", i+1, q)
		}
		// Timestamps are in seconds, and the first pause may be 900 ms.
		if i > 1 && (q.header.Get("Webhook-Timestamp") == got[i-1].header.Get("Webhook-Timestamp") ||
			q.header.Get("Webhook-Signature") == got[i-1].header.Get("Webhook-Signature")) {
			t.Errorf("attempt %d was not signed afresh", i+1)
		}
	}
	for i, want := range []time.Duration{time.Second, 5 * time.Second} {
		gap := got[i+1].at.Sub(got[i].at)
		if gap < want*9/10-10*time.Millisecond || gap > want*11/10+2*time.Second {
			t.Errorf("gap %d is %s, want %s ±10 %%", i+1, gap, want)
		}
	}
	d := p.deliveryOf(t, ev.EventID, "delivered", inState("delivered"))
	if d.Attempts != 3 || d.SubscriptionID != id || d.LastStatus == nil || *d.LastStatus != 200 || d.NextAttemptAt != nil {
		t.Errorf("%+v", d)
	}
	a := p.attempts(t, d.ID)
	statuses := []int{}
	for i, row := range a {
		if row.Number != i+1 || row.Status == nil || row.At.Location() != time.UTC {
			t.Fatalf("%+v", row)
		}
		statuses = append(statuses, *row.Status)
	}
	if !slices.Equal(statuses, []int{500, 408, 200}) {
		t.Errorf("statuses %v", statuses)
	}
}

// 410 disables the subscription, its backlog is dead; /enable works.
func TestStandardGone(t *testing.T) {
	t.Parallel()
	p := serve(t, func(s settings) { s.section("outbound")["max_in_flight_per_endpoint"] = 1 })
	slow := hold(t)
	rc := receive(t, func(n int, _ post, w http.ResponseWriter) {
		if n == 1 {
			slow.pass()
			w.WriteHeader(http.StatusGone)
		}
	})
	id, _ := p.subscribe(t, "t1", rc.url, "a")
	events := p.publish(t, event("t1", "a", `1`), event("t1", "a", `2`), event("t1", "a", `3`))
	rc.wait(t, 1)
	slow.release()
	eventually(t, "the backlog dead", func() bool { return p.stats(t).Dead == 3 })
	for _, d := range p.deliveries(t, "state=dead") {
		if d.LastError == nil || *d.LastError != "gone" {
			t.Errorf("last_error %v", d.LastError)
		}
	}
	if s := p.subscriptions(t)[0]; s.State != "disabled" {
		t.Errorf("state %s", s.State)
	}
	refused := p.admin(t, "POST", "/admin/deliveries/"+p.deliveries(t, "state=dead")[0].ID+"/retry", "").want(t, 409)
	if !strings.Contains(refused.body, "enable") {
		t.Errorf("a retry of what is disabled: %s", refused.body)
	}
	if ev := p.publish(t, event("t1", "a", `4`))[0]; ev.Deliveries != 0 {
		t.Errorf("%d deliveries to what is disabled", ev.Deliveries)
	}
	p.admin(t, "POST", "/admin/subscriptions/"+id+"/enable", "").want(t, 204)
	p.publish(t, event("t1", "a", `5`))
	got := rc.only(t, 2)
	if !strings.Contains(got[1].body, `"data":5}`) {
		t.Errorf("after /enable came %s", got[1].body)
	}
	if ids := []string{events[0].EventID, events[1].EventID, events[2].EventID}; slices.Contains(ids, got[1].id()) {
		t.Error("the dead backlog came to life")
	}
}

// Statuses that end a delivery, and those that do not.
func TestStandardAnswers(t *testing.T) {
	t.Parallel()
	p := serve(t)
	elsewhere := receive(t, nil)
	tests := []struct {
		status int
		state  string
	}{
		{200, "delivered"},
		{201, "delivered"},
		{204, "delivered"},
		{299, "delivered"},
		{302, "pending"},
		{307, "pending"},
		{400, "dead"},
		{404, "dead"},
		{422, "dead"},
		{425, "pending"},
		{500, "pending"},
		{502, "pending"},
	}
	for _, tt := range tests {
		t.Run(text(tt.status), func(t *testing.T) {
			rc := receive(t, func(_ int, _ post, w http.ResponseWriter) {
				w.Header().Set("Location", elsewhere.url)
				w.WriteHeader(tt.status)
			})
			id, _ := p.subscribe(t, text(tt.status), rc.url, "a")
			ev := p.publish(t, event(text(tt.status), "a", `1`))[0]
			d := p.deliveryOf(t, ev.EventID, "attempted", func(d deliveryRow) bool { return d.Attempts > 0 })
			if d.State != tt.state || d.LastStatus == nil || *d.LastStatus != tt.status || (d.NextAttemptAt != nil) != (tt.state == "pending") {
				t.Errorf("%s", text(d))
			}
			if tt.state == "dead" && d.LastError == nil {
				t.Error("dead without last_error")
			}
			p.admin(t, "DELETE", "/admin/subscriptions/"+id, "").want(t, 204)
		})
	}
	if n := len(elsewhere.all()); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

// Retry-After on 503 holds the endpoint: nothing leaves for it before.
func TestStandardRetryAfter(t *testing.T) {
	t.Parallel()
	p := serve(t)
	rc := receive(t, func(n int, _ post, w http.ResponseWriter) {
		if n == 1 {
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})
	other := receive(t, nil)
	p.subscribe(t, "t1", rc.url, "a")
	p.subscribe(t, "t2", other.url, "a")
	first := p.publish(t, event("t1", "a", `1`))[0]
	p.deliveryOf(t, first.EventID, "refused", func(d deliveryRow) bool { return d.Attempts == 1 })
	p.publish(t, event("t1", "a", `2`), event("t2", "a", `3`))
	free := other.wait(t, 1)[0].at
	got := rc.wait(t, 3)
	for _, q := range got[1:] {
		if gap := q.at.Sub(got[0].at); gap < 2900*time.Millisecond || gap > 8*time.Second {
			t.Errorf("the held endpoint was called after %s", gap)
		}
		if !free.Before(q.at) {
			t.Error("the other endpoint was held, too")
		}
	}
}

// Events of one key go out one after another, in publish order, while the
// first is retried; those of other keys pass.
func TestStandardKeys(t *testing.T) {
	t.Parallel()
	p := serve(t)
	rc := receive(t, firstly(500))
	p.subscribe(t, "t1", rc.url, "a")
	keyed := func(n, key string) string {
		return `{"dialect":"standard","tenant":"t1","type":"a","key":"` + key + `","data":` + n + `}`
	}
	p.publish(t, keyed("1", "k"))
	rc.wait(t, 1)
	p.publish(t, keyed("2", "k"), keyed("3", "k"))
	p.publish(t, keyed("4", "k"), keyed("5", "other"))
	var order []string
	for _, q := range rc.wait(t, 6) {
		_, data, _ := strings.Cut(q.body, `"data":`)
		order = append(order, strings.TrimSuffix(data, "}"))
	}
	if i := slices.Index(order, "5"); i > 1 {
		t.Errorf("another key waited: %v", order)
	}
	order = slices.DeleteFunc(order, func(s string) bool { return s == "5" })
	if !slices.Equal(order, []string{"1", "1", "2", "3", "4"}) {
		t.Errorf("order %v", order)
	}
}

func TestPauseLosesNothing(t *testing.T) {
	t.Parallel()
	p := serve(t)
	rc := receive(t, nil)
	id, _ := p.subscribe(t, "t1", rc.url, "a")
	p.admin(t, "POST", "/admin/subscriptions/"+id+"/pause", "").want(t, 204)
	p.admin(t, "POST", "/admin/subscriptions/"+id+"/pause", "").want(t, 204)
	var events []string
	for range 50 {
		events = append(events, event("t1", "a", `1`))
	}
	for _, ev := range p.publish(t, events...) {
		if ev.Deliveries != 1 {
			t.Fatalf("%+v", ev)
		}
	}
	if s := p.stats(t); s.Pending != 50 || p.subscriptions(t)[0].State != "paused" {
		t.Errorf("%+v", s)
	}
	p.stop(t)
	p = start(t, p.dir)
	if s := p.stats(t); s.Pending != 50 || p.subscriptions(t)[0].State != "paused" {
		t.Errorf("after a restart: %+v", s)
	}
	rc.only(t, 0)
	p.admin(t, "POST", "/admin/subscriptions/"+id+"/resume", "").want(t, 204)
	ids := map[string]bool{}
	for _, q := range rc.only(t, 50) {
		ids[q.id()] = true
	}
	if len(ids) != 50 {
		t.Errorf("%d different events came", len(ids))
	}
	for _, path := range []string{"pause", "resume", "enable"} {
		p.admin(t, "POST", "/admin/subscriptions/none/"+path, "").want(t, 404)
	}
	p.admin(t, "DELETE", "/admin/subscriptions/none", "").want(t, 404)
}

// Two subscriptions of one event carry the same webhook-id and bodies of their
// own signature.
func TestStandardFanOut(t *testing.T) {
	t.Parallel()
	p := serve(t, memory)
	one, two, other := receive(t, nil), receive(t, nil), receive(t, nil)
	_, s1 := p.subscribe(t, "t1", one.url, "a", "b")
	_, s2 := p.subscribe(t, "t1", two.url, "b")
	p.subscribe(t, "t2", other.url, "b")
	ev := p.publish(t, event("t1", "b", `{}`))[0]
	q1, q2 := one.wait(t, 1)[0], two.wait(t, 1)[0]
	verified(t, s1, q1)
	verified(t, s2, q2)
	if ev.Deliveries != 2 || s1 == s2 || q1.id() != ev.EventID || q2.id() != ev.EventID || q1.body != q2.body {
		t.Errorf("%+v %+v %+v", ev, q1, q2)
	}
	other.only(t, 0)
}
