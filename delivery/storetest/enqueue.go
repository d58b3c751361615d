package storetest

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

var enqueueRules = []rule{
	{"enqueue/fields", "What was enqueued is leased with the same bytes and the same fields.", enqueueFields},
	{"enqueue/default_lane", "A delivery without a lane waits in that of its subscription.", enqueueDefaultLane},
	{"enqueue/all_or_none", "An Enqueue with one invalid delivery stores none of its deliveries.", enqueueAllOrNone},
	{"enqueue/too_many", "An Enqueue takes MaxBatch deliveries, and more are ErrTooMany.", enqueueTooMany},
	{"enqueue/nothing", "An Enqueue of nothing does nothing, and one whose context has ended stores nothing.", enqueueNothing},
	{"enqueue/repeat", "A delivery whose ID is waiting, leased or still remembered is left alone without an error.", enqueueRepeat},
	{"enqueue/delay", "DelayIn keeps the first attempt back for so long.", enqueueDelay},
	{"enqueue/expires", "Once ExpiresIn is over a delivery is leased as Expired, at the latest then, and can be settled dead.", enqueueExpires},
	{"enqueue/marker", "A marker is remembered by its ID and its event, and never leased, listed or counted.", enqueueMarker},
}

func enqueueFields(e *env) {
	in := delivery.Delivery{
		ID: "ev1.abc", EventID: "ev1", SubscriptionID: "sub_abc", Lane: "lane/ü", Key: "customer 7 \x00\xff",
		Dialect: "standard", Type: "order.paid", Tenant: "acme", ContentType: "application/json; charset=utf-8",
		Body:        []byte("\x00\x01\xfe\xff{\"naïve\":\r\n\"json\"}" + strings.Repeat("x", 70_000)),
		Meta:        map[string]string{"X-Scope": "a b", "empty": ""},
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		PublishedAt: time.Date(2026, 3, 4, 5, 6, 7, 891_234_000, time.UTC),
	}
	small := one("small", "other")
	small.Body = nil
	e.enqueue(in, small)
	got := e.want(in.ID, small.ID)
	out := got[0].Delivery
	if !out.PublishedAt.Equal(in.PublishedAt) {
		e.Errorf("PublishedAt is %v, want %v", out.PublishedAt, in.PublishedAt)
	}
	out.PublishedAt = in.PublishedAt
	if !reflect.DeepEqual(out, in) {
		e.Errorf("the delivery changed on its way through the store:\n got %.300q\nwant %.300q", shown(out), shown(in))
	}
	if got[0].Try != 1 || got[0].Attempts != 0 || got[0].Expired || got[0].Receipt == "" {
		e.Errorf("first lease has Try %d, Attempts %d, Expired %t, Receipt %q", got[0].Try, got[0].Attempts, got[0].Expired, got[0].Receipt)
	}
	if len(got[1].Body) != 0 {
		e.Errorf("an empty body became %q", got[1].Body)
	}
	if e.settle(outcome(got[0], delivery.Retry)); e.Failed() {
		return
	}
	if again := e.wantOne(in.ID); string(again.Body) != string(in.Body) {
		e.Error("the body of the second attempt is not that of the first")
	}
}

func shown(d delivery.Delivery) string {
	if len(d.Body) > 60 {
		d.Body = d.Body[:60]
	}
	return strings.Join([]string{
		d.ID, d.EventID, d.SubscriptionID, d.Lane, d.Key, d.Dialect, d.Type, d.Tenant,
		d.ContentType, string(d.Body), d.TraceParent, d.PublishedAt.String(),
	}, "|")
}

func enqueueDefaultLane(e *env) {
	d := one("a", "sub_1")
	d.Lane = ""
	e.setLanes(delivery.LaneState{Lane: "sub_1", Mode: delivery.LanePaused})
	e.enqueue(d)
	e.want()
	e.setLanes(delivery.LaneState{Lane: "sub_1", Mode: delivery.LaneOpen})
	if l := e.wantOne("a"); l.LaneName() != "sub_1" {
		e.Errorf("lane is %q", l.LaneName())
	}
}

func enqueueAllOrNone(e *env) {
	good, also := one("good", "l"), one("also", "l")
	bad := map[string]delivery.Delivery{"no ID": one("", "l"), "bad event": one("b", "l"), "long key": one("k", "l"), "delay": one("d", "l")}
	for name, b := range bad {
		switch name {
		case "bad event":
			b.EventID = "with a dot."
		case "long key":
			b.Key = strings.Repeat("k", delivery.MaxKey+1)
		case "delay":
			b.DelayIn = -1
		}
		err := e.store.Enqueue(e.ctx, e.now, good, b, also)
		if !errors.Is(err, delivery.ErrInvalid) {
			e.Fatalf("%s: error %v, want ErrInvalid", name, err)
		}
		var at *delivery.Error
		if !errors.As(err, &at) || at.Index != 1 {
			e.Errorf("%s: error %v does not say that the one at 1 is at fault", name, err)
		}
	}
	e.want()
	e.counts(0, 0, 0)
	e.enqueue(good, also) // not remembered from before
	e.want("good", "also")
}

func enqueueTooMany(e *env) {
	if err := e.store.Enqueue(e.ctx, e.now, many("m", "l", delivery.MaxBatch+1)...); !errors.Is(err, delivery.ErrTooMany) {
		e.Fatalf("error %v, want ErrTooMany", err)
	}
	e.want()
	e.must(e.store.Enqueue(e.ctx, e.now, many("m", "l", delivery.MaxBatch)...), "Enqueue of MaxBatch")
	e.counts(delivery.MaxBatch, 0, 0)
}

func enqueueNothing(e *env) {
	e.must(e.store.Enqueue(e.ctx, e.now), "Enqueue of nothing")
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	if err := e.store.Enqueue(ctx, e.now, one("a", "l")); !errors.Is(err, context.Canceled) {
		e.Fatalf("error %v, want context.Canceled", err)
	}
	e.want()
}

func enqueueRepeat(e *env) {
	first := one("a", "l")
	second := one("a", "elsewhere")
	second.Body = []byte("another body")
	check := func(l delivery.Lease) {
		e.Helper()
		if string(l.Body) != string(first.Body) || l.LaneName() != "l" {
			e.Fatalf("the repeat was stored: body %q, lane %q", l.Body, l.LaneName())
		}
	}
	e.enqueue(first, second) // in one batch
	e.enqueue(second)        // while it waits
	l := e.wantOne("a")
	check(l)
	e.enqueue(second) // while it is leased
	e.want()
	e.settle(retryIn(l, time.Second))
	e.enqueue(second) // while its retry waits
	e.want()
	e.tick(time.Second)
	l = e.wantOne("a")
	check(l)
	e.end(delivery.Done, l)
	e.enqueue(second) // after it was delivered
	e.want()
	e.counts(0, 1, 0)

	e.enqueue(one("b", "l"))
	e.end(delivery.GiveUp, e.wantOne("b"))
	e.enqueue(one("b", "l")) // after it was given up
	e.want()
	e.counts(0, 1, 1)
}

func enqueueDelay(e *env) {
	d := one("late", "l")
	d.DelayIn = 10 * time.Second
	e.enqueue(d, one("now", "l"))
	e.end(delivery.Done, e.wantOne("now"))
	e.tick(10*time.Second - time.Millisecond)
	e.want()
	e.tick(time.Millisecond)
	if l := e.wantOne("late"); l.Attempts != 0 || l.Try != 1 {
		e.Errorf("a delayed first try has Attempts %d and Try %d", l.Attempts, l.Try)
	}
}

func enqueueExpires(e *env) {
	soon, late, retried := one("soon", "l"), one("late", "l"), one("retried", "l")
	soon.ExpiresIn, late.ExpiresIn, retried.ExpiresIn = 10*time.Second, 10*time.Second, 10*time.Second
	late.DelayIn = time.Hour
	e.enqueue(soon, late, retried)
	got := e.want("soon", "retried")
	for _, l := range got {
		if l.Expired {
			e.Fatalf("%s is expired at once", l.ID)
		}
	}
	e.settle(outcome(got[0], delivery.Release), retryIn(got[1], time.Hour))
	e.tick(10*time.Second + time.Millisecond)
	got = e.want("soon", "late", "retried")
	for _, l := range got {
		if !l.Expired {
			e.Errorf("%s is not Expired after its time", l.ID)
		}
		e.settle(delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: delivery.GiveUp, Reason: delivery.ReasonExpired})
		e.state(l.ID, delivery.Dead, delivery.ReasonExpired)
	}
	e.counts(0, 0, 3)
}

func enqueueMarker(e *env) {
	m := delivery.Delivery{ID: "ev9", EventID: "ev9", PublishedAt: e.now}
	e.enqueue(m, one("a", "l"))
	e.enqueue(m)
	e.end(delivery.Done, e.wantOne("a"))
	e.tick(time.Hour)
	e.want()
	e.counts(0, 1, 0)
	b := e.browser()
	if n, known, err := b.Event(e.ctx, "ev9"); n != 0 || !known || err != nil {
		e.Errorf("Event of a marker is %d, %t, %v, want 0, true, nil", n, known, err)
	}
	if n, known, err := b.Event(e.ctx, "ev10"); n != 0 || known || err != nil {
		e.Errorf("Event of an unknown event is %d, %t, %v, want 0, false, nil", n, known, err)
	}
	if all := e.list(delivery.Filter{}); len(all) != 1 {
		e.Errorf("%d deliveries are listed, want 1", len(all))
	}
	if all := e.list(delivery.Filter{ID: "ev9"}); len(all) != 0 {
		e.Error("a marker is listed by its ID")
	}
	if _, err := b.Attempts(e.ctx, "ev9"); !errors.Is(err, delivery.ErrNotFound) {
		e.Errorf("Attempts of a marker: %v, want ErrNotFound", err)
	}
}
