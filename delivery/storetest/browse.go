package storetest

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

var browseRules = []rule{
	{"browse/list", "Deliveries lists newest first what the filter chooses, Limit at most.", browseList},
	{"browse/status", "A status shows state, reason, latest attempt and the times that belong to it.", browseStatus},
	{"browse/attempts", "Attempts returns every recorded attempt with all its fields, oldest first, or ErrNotFound.", browseAttempts},
	{"browse/event", "Event counts the deliveries that are remembered of an event.", browseEvent},
	{"browse/ends", "A list ends when its reader stops and with its context.", browseEnds},
}

func listed(all []delivery.Status) []string {
	ids := make([]string, len(all))
	for i, st := range all {
		ids[i] = st.ID
	}
	return ids
}

func browseList(e *env) {
	e.browser()
	e.counts(0, 0, 0)
	var ids []string
	for i := range 12 {
		lane := "l"
		if i%3 == 0 {
			lane = "m"
		}
		d := one("a"+string(rune('a'+i)), lane)
		d.PublishedAt = e.now
		e.enqueue(d)
		e.tick(time.Second)
		ids = append([]string{d.ID}, ids...) // newest first
	}
	got := e.take(4)
	e.settle(outcome(got[0], delivery.Done), outcome(got[1], delivery.Done), outcome(got[2], delivery.GiveUp), retryIn(got[3], time.Hour))
	e.counts(9, 2, 1)
	if all := listed(e.list(delivery.Filter{})); !slices.Equal(all, ids) {
		e.Fatalf("all are %q, want %q", all, ids)
	}
	if few := listed(e.list(delivery.Filter{Limit: 5})); !slices.Equal(few, ids[:5]) {
		e.Errorf("a limit of 5 gives %q, want %q", few, ids[:5])
	}
	filter := func(name string, f delivery.Filter, want func(delivery.Status) bool) {
		e.Helper()
		var ids []string
		for _, st := range e.list(delivery.Filter{}) {
			if want(st) {
				ids = append(ids, st.ID)
			}
		}
		if f.Limit > 0 {
			ids = ids[:min(f.Limit, len(ids))]
		}
		if got := listed(e.list(f)); !slices.Equal(got, ids) {
			e.Errorf("%s gives %q, want %q", name, got, ids)
		}
	}
	filter("a subscription", delivery.Filter{SubscriptionID: "m"}, func(st delivery.Status) bool { return st.SubscriptionID == "m" })
	filter("no such subscription", delivery.Filter{SubscriptionID: "x"}, func(delivery.Status) bool { return false })
	for _, state := range []delivery.State{delivery.Pending, delivery.Delivered, delivery.Dead} {
		filter(string(state), delivery.Filter{State: state}, func(st delivery.Status) bool { return st.State == state })
	}
	filter("both", delivery.Filter{SubscriptionID: "l", State: delivery.Pending, Limit: 2}, func(st delivery.Status) bool {
		return st.SubscriptionID == "l" && st.State == delivery.Pending
	})
	filter("an ID", delivery.Filter{ID: "ac"}, func(st delivery.Status) bool { return st.ID == "ac" })
	filter("an ID of another state", delivery.Filter{ID: got[0].ID, State: delivery.Dead}, func(delivery.Status) bool { return false })
}

func browseStatus(e *env) {
	e.browser()
	d := one("a", "l")
	d.PublishedAt, d.DelayIn, d.Tenant = e.now, 3*time.Second, "acme"
	e.enqueue(d)
	st := e.status("a")
	if st.State != delivery.Pending || st.Attempts != 0 || st.LastStatus != 0 || st.LastError != "" || !st.SettledAt.IsZero() {
		e.Errorf("a waiting one shows %+v", st)
	}
	if !near(st.NextAttemptAt, e.now.Add(3*time.Second)) {
		e.Errorf("NextAttemptAt is %v, want %v", st.NextAttemptAt, e.now.Add(3*time.Second))
	}
	if st.Tenant != "acme" || st.EventID != "a" || st.Type != "order.paid" || !st.PublishedAt.Equal(e.now) || !bytes.Equal(st.Body, d.Body) {
		e.Errorf("the delivery shows as %+v", st.Delivery)
	}
	e.tick(3 * time.Second)
	l := e.wantOne("a")
	if st := e.status("a"); st.State != delivery.Pending {
		e.Errorf("a leased one is %q", st.State)
	}
	e.settle(retryIn(l, 20*time.Second))
	st = e.status("a")
	if st.Attempts != 1 || st.LastStatus != 500 || st.LastError != "status 500" || !near(st.NextAttemptAt, e.now.Add(20*time.Second)) {
		e.Errorf("after a failure it shows Attempts %d, LastStatus %d, LastError %q, NextAttemptAt %v (now %v)",
			st.Attempts, st.LastStatus, st.LastError, st.NextAttemptAt, e.now)
	}
	e.tick(20 * time.Second)
	e.end(delivery.Done, e.wantOne("a"))
	st = e.status("a")
	if st.State != delivery.Delivered || st.Attempts != 2 || st.LastStatus != 204 || st.LastError != "" || !st.NextAttemptAt.IsZero() || !near(st.SettledAt, e.now) {
		e.Errorf("a delivered one shows %+v", st)
	}
	e.enqueue(one("b", "l"))
	e.end(delivery.GiveUp, e.wantOne("b"))
	st = e.status("b")
	if st.State != delivery.Dead || st.Reason != "status 404" || st.LastStatus != 404 || !st.NextAttemptAt.IsZero() || !near(st.SettledAt, e.now) {
		e.Errorf("a dead one shows %+v", st)
	}
}

// near allows for a store that keeps milliseconds.
func near(a, b time.Time) bool { return a.Sub(b).Abs() < time.Millisecond }

func browseAttempts(e *env) {
	b := e.browser()
	e.enqueue(one("a", "l"), one("fresh", "l"))
	var want []delivery.Attempt
	attempts := []delivery.Attempt{
		{Status: 500, Class: "status", Error: "status 500", Response: bytes.Repeat([]byte("\x00é"), delivery.MaxResponse/3), Duration: 1234567 * time.Microsecond},
		{Class: "timeout", Error: "no answer within 10 s", Duration: 10 * time.Second},
		{Status: 429, Class: "status", Error: "busy", Response: []byte(""), Duration: time.Millisecond},
		{Status: 200, Response: []byte("ok"), Duration: 3 * time.Millisecond},
	}
	for i, a := range attempts {
		var l delivery.Lease
		for _, got := range e.take(plenty) {
			if got.ID == "a" {
				l = got
			}
		}
		if l.Attempts != i {
			e.Fatalf("attempt %d has Attempts %d (ID %q)", i+1, l.Attempts, l.ID)
		}
		a.Number, a.At = l.Attempts+1, e.now.Add(123456*time.Microsecond)
		want = append(want, a)
		o := delivery.Outcome{ID: "a", Receipt: l.Receipt, Result: delivery.Retry, Attempt: &a}
		switch i {
		case 2:
			o.Result = delivery.Release
		case 3:
			o.Result = delivery.Done
		}
		e.settle(o)
		e.tick(time.Second)
	}
	got, err := b.Attempts(e.ctx, "a")
	e.must(err, "Attempts")
	if len(got) != len(want) {
		e.Fatalf("%d attempts are recorded, want %d", len(got), len(want))
	}
	for i := range got {
		if !near(got[i].At, want[i].At) || (got[i].Duration-want[i].Duration).Abs() >= time.Millisecond {
			e.Errorf("attempt %d: At %v, Duration %v, want %v, %v", i+1, got[i].At, got[i].Duration, want[i].At, want[i].Duration)
		}
		if !bytes.Equal(got[i].Response, want[i].Response) {
			e.Errorf("attempt %d: the response of %d bytes came back as %d bytes", i+1, len(want[i].Response), len(got[i].Response))
		}
		got[i].At, got[i].Duration, got[i].Response = want[i].At, want[i].Duration, want[i].Response
		if !reflect.DeepEqual(got[i], want[i]) {
			e.Errorf("attempt %d is %+v, want %+v", i+1, got[i], want[i])
		}
	}
	if log, err := b.Attempts(e.ctx, "fresh"); err != nil || len(log) != 0 {
		e.Errorf("attempts of one that had none: %v, %v", log, err)
	}
	if _, err := b.Attempts(e.ctx, "nobody"); !errors.Is(err, delivery.ErrNotFound) {
		e.Errorf("attempts of an unknown one: %v, want ErrNotFound", err)
	}
}

func browseEvent(e *env) {
	b := e.browser()
	ds := many("shared.", "l", 3)
	for i := range ds {
		ds[i].EventID, ds[i].SubscriptionID = "shared", "sub"+string(rune('0'+i))
		ds[i].ID = delivery.DeliveryID("shared", ds[i].SubscriptionID)
	}
	e.enqueue(ds...)
	e.enqueue(ds...)
	check := func(want int) {
		e.Helper()
		if n, known, err := b.Event(e.ctx, "shared"); n != want || !known || err != nil {
			e.Errorf("Event is %d, %t, %v, want %d, true, nil", n, known, err, want)
		}
	}
	check(3)
	e.end(delivery.Done, e.take(2)...)
	check(3) // settled ones are remembered
}

func browseEnds(e *env) {
	b := e.browser()
	e.enqueue(many("a", "l", 300)...)
	n := 0
	for _, err := range b.Deliveries(e.ctx, delivery.Filter{}) {
		e.must(err, "Deliveries")
		if n++; n == 7 {
			break
		}
	}
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	var last error
	for _, err := range b.Deliveries(ctx, delivery.Filter{}) {
		if last != nil {
			e.Fatal("the list went on after its error")
		}
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		e.Errorf("the list of an ended context ended with %v", last)
	}
	e.end(delivery.Done, e.take(5)...) // while nobody reads, the store goes on
	for st, err := range b.Deliveries(e.ctx, delivery.Filter{}) {
		e.must(err, "Deliveries")
		e.must(e.store.Enqueue(e.ctx, e.now, one("during-"+st.ID, "l")), "Enqueue while a list is read")
		break
	}
}
