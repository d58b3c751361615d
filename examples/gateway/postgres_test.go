package main_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/internal/pgtest"
)

// onPostgres puts subscriptions and deliveries into a database of its own, which
// gateways with the same edit share.
func onPostgres(t *testing.T) func(settings) {
	t.Helper()
	url := pgtest.New(t).Database(t)
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	return func(s settings) { s["store"], s["secret_key"] = url, key }
}

// Whatever gateway is asked, it is one service.
func TestGatewaysShareADatabase(t *testing.T) {
	t.Parallel()
	edit := onPostgres(t)
	a := serve(t, edit)
	b := serve(t, edit)
	rc := receive(t, nil)
	const endpoints, events = 8, 160
	for i := range endpoints { // lanes of both gateways
		a.subscribe(t, fmt.Sprintf("t%d", i), rc.url, "a")
	}
	for i := range events {
		p := []*process{a, b}[i%2]
		p.publish(t, fmt.Sprintf(`{"dialect":"standard","tenant":"t%d","type":"a","data":{"n":%d}}`, i%endpoints, i))
	}
	for _, p := range []*process{a, b} {
		eventually(t, "everything delivered", func() bool { return p.stats(t).Delivered == events })
	}
	seen := map[string]bool{}
	for _, q := range rc.all() {
		seen[q.id()] = true
	}
	if len(seen) != events || len(rc.all()) != events {
		t.Errorf("%d events arrived in %d posts, want %d in as many", len(seen), len(rc.all()), events)
	}
	a.stop(t) // what it served goes to the other at once
	b.publish(t, `{"dialect":"standard","tenant":"t0","type":"a","data":{}}`)
	within(t, 5*time.Second, "a delivery after the other gateway ended", func() bool { return len(rc.all()) == events+1 })
}

// A code that was changed at one gateway is soon the other's, too.
func TestGatewaysShareCodes(t *testing.T) {
	t.Parallel()
	edit := onPostgres(t)
	a, b := serve(t, edit), serve(t, edit)
	rc := receive(t, nil)
	a.secrets.addCode(newCode)
	b.secrets.addCode(newCode)
	a.changeCode(t, "tea-club", newCode)
	asks := func(code string) string {
		return b.call(t, "POST", "/api/simple.html", formType, botsForm(rc.url, "secret", code).Encode()).body
	}
	eventually(t, "the new code at the other gateway", func() bool { return strings.Contains(asks(newCode), `"result":"OK"`) })
	if r := asks(teaCode); strings.Contains(r, `"result":"OK"`) {
		t.Errorf("the old code still counts: %s", r)
	}
}

// The kill of one gateway under load loses nothing: the other takes over.
func TestKillOneOfTwo(t *testing.T) {
	t.Parallel()
	edit := onPostgres(t)
	slots := func(s settings) { s.section("outbound")["max_in_flight"] = killSlots }
	a, b := serve(t, edit, slots), serve(t, edit, slots)
	const tenants, events = 6, 3000
	var receivers []*receiver
	for i := range tenants {
		rc := receive(t, nil)
		receivers = append(receivers, rc)
		a.subscribe(t, fmt.Sprintf("t%d", i), rc.url, "a")
	}
	pb := &publisher{acked: map[string]bool{}}
	pb.at.Store(a)
	done := make(chan error, 1)
	go func() { done <- pb.publish(t, events, 100, tenants) }()
	eventually(t, "1,000 deliveries", func() bool {
		n := 0
		for _, rc := range receivers {
			n += len(rc.all())
		}
		return n >= 1000
	})
	a.kill(t)
	pb.at.Store(b)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing pending", func() bool { return b.stats(t).Pending == 0 })
	if s := b.stats(t); s.Delivered != events || s.Dead != 0 {
		t.Errorf("%+v", s)
	}
	pb.judge(t, receivers, killSlots)
}
