package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

var redriveRules = []rule{
	{"redrive/many", "RetryNow takes many deliveries in one step, whatever their states.", redriveMany},
	{"redrive/unknown", "RetryNow of several of which one is not known revives the others and is ErrNotFound.", redriveUnknown},
	{"redrive/too_many", "RetryNow takes MaxBatch deliveries at most.", redriveTooMany},
	{"redrive/order", "Of a key's deliveries that come back in one step, the first that was named is handed out first.", redriveOrder},
	{"redrive/filter", "A filter chooses by subscription, tenant, type, state and the time of publishing.", redriveFilter},
	{"redrive/while", "Deliveries may be revived while they are listed, and each is listed once.", redriveWhile},
}

func redriveMany(e *env) {
	op := e.operator()
	e.setLanes(delivery.LaneState{Lane: "l", MaxInFlight: plenty})
	dead := many("dead", "l", 300)
	e.enqueue(dead...)
	for n := 0; n < len(dead); {
		got := e.take(plenty)
		for _, l := range got {
			e.settle(delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: delivery.GiveUp, Reason: delivery.ReasonExpired})
		}
		n += len(got)
	}
	e.enqueue(many("done", "m", 3)...)
	e.end(delivery.Done, e.take(plenty)...)
	late := one("late", "n")
	late.DelayIn = time.Hour
	e.enqueue(late, one("leased", "o"))
	held := e.wantOne("leased")
	ids := []string{"late", "leased", "done1", "done1"}
	for _, d := range dead {
		ids = append(ids, d.ID)
	}
	e.must(op.RetryNow(e.ctx, e.now, ids...), "RetryNow")
	e.must(op.RetryNow(e.ctx, e.now), "RetryNow of none")
	e.counts(303, 2, 0)
	ids = append(ids[4:], "late", "done1")
	if got := idsOf(e.take(plenty)); !sameSet(got, ids) {
		e.Errorf("%d are leased, want the %d that were asked for and were not leased", len(got), len(ids))
	}
	e.end(delivery.Done, held)
}

func redriveOrder(e *env) {
	op := e.operator()
	e.enqueue(keyed("a", "l", "k"), keyed("b", "l", "k"), keyed("c", "l", "k"))
	for _, id := range []string{"a", "b", "c"} {
		e.end(delivery.GiveUp, e.wantOne(id))
	}
	e.must(op.RetryNow(e.ctx, e.now, "c", "a", "b"), "RetryNow")
	for _, id := range []string{"c", "a", "b"} {
		e.end(delivery.Done, e.wantOne(id))
	}
}

func redriveUnknown(e *env) {
	op := e.operator()
	e.enqueue(one("a", "l"), one("b", "l"))
	e.end(delivery.GiveUp, e.want("a", "b")...)
	if err := op.RetryNow(e.ctx, e.now, "a", "none", "b"); !errors.Is(err, delivery.ErrNotFound) {
		e.Errorf("RetryNow: %v, want ErrNotFound", err)
	}
	e.end(delivery.Done, e.want("a", "b")...)
}

func redriveTooMany(e *env) {
	if err := e.operator().RetryNow(e.ctx, e.now, make([]string, delivery.MaxBatch+1)...); !errors.Is(err, delivery.ErrTooMany) {
		e.Errorf("RetryNow: %v, want ErrTooMany", err)
	}
}

func redriveFilter(e *env) {
	start := e.now
	for i, tenant := range []string{"t0", "t1", "t0", "t1"} {
		d := one([]string{"a", "b", "c", "d"}[i], "lane-"+tenant)
		d.Tenant, d.Type, d.PublishedAt = tenant, []string{"x", "x", "x", "y"}[i], start.Add(time.Duration(i)*time.Hour)
		e.enqueue(d)
	}
	l := e.want("a", "b", "c", "d")
	e.end(delivery.GiveUp, l[0], l[1])
	e.end(delivery.Done, l[2])
	for _, c := range []struct {
		name string
		f    delivery.Filter
		want []string
	}{
		{"all", delivery.Filter{}, []string{"d", "c", "b", "a"}},
		{"by tenant", delivery.Filter{Tenant: "t1"}, []string{"d", "b"}},
		{"by subscription", delivery.Filter{SubscriptionID: "lane-t0"}, []string{"c", "a"}},
		{"by type", delivery.Filter{Type: "y"}, []string{"d"}},
		{"by state", delivery.Filter{State: delivery.Dead}, []string{"b", "a"}},
		{"by state and tenant", delivery.Filter{State: delivery.Dead, Tenant: "t0"}, []string{"a"}},
		{"by both, the first", delivery.Filter{Tenant: "t0", Limit: 1}, []string{"c"}},
		{"from is included", delivery.Filter{From: start.Add(2 * time.Hour)}, []string{"d", "c"}},
		{"to is not", delivery.Filter{To: start.Add(2 * time.Hour)}, []string{"b", "a"}},
		{"from and to", delivery.Filter{From: start.Add(time.Hour), To: start.Add(3 * time.Hour), State: delivery.Delivered}, []string{"c"}},
		{"none", delivery.Filter{Tenant: "t2"}, nil},
	} {
		var got []string
		for _, st := range e.list(c.f) {
			got = append(got, st.ID)
		}
		if !slices.Equal(got, c.want) {
			e.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

func redriveWhile(e *env) {
	op := e.operator()
	const n = 1200
	ds := many("a", "l", n)
	for i := range ds {
		ds[i].ExpiresIn = time.Minute
	}
	e.setLanes(delivery.LaneState{Lane: "l", MaxInFlight: n})
	e.enqueue(ds...)
	for left := n; left > 0; {
		got := e.take(left)
		for _, l := range got {
			e.settle(delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: delivery.GiveUp, Reason: delivery.ReasonExpired})
		}
		left -= len(got)
	}
	e.setLanes(delivery.LaneState{Lane: "l", Mode: delivery.LanePaused})
	seen := map[string]bool{}
	for st, err := range e.browser().Deliveries(e.ctx, delivery.Filter{State: delivery.Dead}) {
		e.must(err, "Deliveries")
		if seen[st.ID] {
			e.Fatalf("%s was listed twice", st.ID)
		}
		seen[st.ID] = true
		e.must(op.RetryNow(e.ctx, e.now, st.ID), "RetryNow")
	}
	if len(seen) != n {
		e.Fatalf("%d of %d were listed", len(seen), n)
	}
	e.counts(n, 0, 0)
}
