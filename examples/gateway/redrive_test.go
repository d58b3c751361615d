package main_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

type countRow struct {
	Count int `json:"count"`
}

// again posts to redrive or replay and returns the count.
func (p *process) again(t *testing.T, path, body string, status int) int {
	t.Helper()
	r := p.admin(t, "POST", path, body)
	r.want(t, status)
	var c countRow
	r.into(t, &c)
	return c.Count
}

// POST /admin/redrive: dead letters by filter, the same ids, a dry run first.
func TestRedrive(t *testing.T) {
	t.Parallel()
	p := serve(t)
	bad, other := receive(t, with(404)), receive(t, with(404))
	id, _ := p.subscribe(t, "t1", bad.url, "a")
	gone, _ := p.subscribe(t, "t2", other.url, "a")
	var ids []string
	for i := range 5 {
		ids = append(ids, p.publish(t, event("t1", "a", text(i)))[0].EventID)
		p.publish(t, event("t2", "a", text(i)))
	}
	eventually(t, "all dead", func() bool { return p.stats(t).Dead == 10 })

	if n := p.again(t, "/admin/redrive", `{"dry_run":true}`, 200); n != 10 {
		t.Errorf("a dry run of all counts %d", n)
	}
	if n := p.again(t, "/admin/redrive", `{"subscription_id":"`+id+`","dry_run":true}`, 200); n != 5 {
		t.Errorf("a dry run of one subscription counts %d", n)
	}
	if n := p.again(t, "/admin/redrive", `{"to":"2020-01-01T00:00:00Z"}`, 202); n != 0 {
		t.Errorf("before anything was published there are %d", n)
	}
	bad.only(t, 5)
	bad.set(nil)
	if n := p.again(t, "/admin/redrive", `{"subscription_id":"`+id+`"}`, 202); n != 5 {
		t.Errorf("redriven: %d", n)
	}
	eventually(t, "delivered", func() bool { return p.stats(t).Delivered == 5 })
	seen := map[string]int{}
	for _, q := range bad.only(t, 10) {
		seen[q.id()]++
	}
	for _, id := range ids {
		if seen[id] != 2 {
			t.Errorf("%s was posted %d times", id, seen[id])
		}
	}
	other.only(t, 5)
	p.admin(t, "DELETE", "/admin/subscriptions/"+gone, "").want(t, 204)
	if n := p.again(t, "/admin/redrive", ``, 202); n != 0 {
		t.Errorf("those of a registration that is gone count %d", n)
	}
}

// POST /admin/replay: a time range of one subscription, delivered ones too.
func TestReplay(t *testing.T) {
	t.Parallel()
	p := serve(t)
	rc := receive(t, nil)
	id, _ := p.subscribe(t, "t1", rc.url, "a")
	p.subscribe(t, "t2", rc.url, "a")
	first := p.publish(t, event("t1", "a", `1`))[0]
	p.deliveryOf(t, first.EventID, "delivered", inState("delivered"))
	between := time.Now().UTC().Format(time.RFC3339Nano)
	var events []string
	for i := range 700 {
		events = append(events, event("t1", "a", text(i)))
	}
	p.publish(t, events...)
	p.publish(t, event("t2", "a", `1`))
	eventually(t, "all delivered", func() bool { return p.stats(t).Delivered == 702 })

	body := fmt.Sprintf(`{"subscription_id":%q,"from":%q`, id, between)
	if n := p.again(t, "/admin/replay", body+`,"dry_run":true}`, 200); n != 700 {
		t.Errorf("a dry run counts %d", n)
	}
	rc.only(t, 702)
	if n := p.again(t, "/admin/replay", body+`}`, 202); n != 700 {
		t.Errorf("replayed: %d", n)
	}
	rc.wait(t, 1402)
	eventually(t, "all delivered again", func() bool { return p.stats(t).Delivered == 702 })
	times := map[string]int{}
	for _, q := range rc.only(t, 1402) {
		times[q.id()]++
	}
	if times[first.EventID] != 1 {
		t.Error("what lies before the range was sent again")
	}
	p.admin(t, "POST", "/admin/subscriptions/"+id+"/pause", "").want(t, 204)
	if n := p.again(t, "/admin/replay", `{"subscription_id":"`+id+`","to":"`+between+`"}`, 202); n != 1 {
		t.Errorf("replayed to a paused one: %d", n)
	}
	rc.only(t, 1402)
	p.admin(t, "POST", "/admin/subscriptions/"+id+"/resume", "").want(t, 204)
	rc.wait(t, 1403)
	if !strings.Contains(p.admin(t, "POST", "/admin/replay", `{"from":"`+between+`"}`).body, "subscription_id") {
		t.Error("a replay without a subscription is not refused by its name")
	}
}

// What a key takes is said with its name.
func TestSelectionRefused(t *testing.T) {
	t.Parallel()
	p := serve(t, memory)
	for body, want := range map[string]string{
		`{"from":"x"}`:             "from takes a time such as",
		`{"tenant":"t1","to":5}`:   "to takes a time such as",
		`{"dry_run":"yes"}`:        "dry_run takes true or false",
		`{"tenant":1}`:             "tenant takes a string",
		`{"from":null,"to":[1,2]}`: "to takes a time such as",
	} {
		if r := p.admin(t, "POST", "/admin/redrive", body).want(t, 400); !strings.Contains(r.body, want) {
			t.Errorf("%s: %s, want %q", body, r.body, want)
		}
	}
	r := p.admin(t, "POST", "/admin/subscriptions", `{"dialect":"standard","tenant":"t","url":"https://127.0.0.1/","types":["a",1]}`).want(t, 400)
	if !strings.Contains(r.body, "types takes a list of strings") {
		t.Error(r.body)
	}
}
