package storetest

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

// env is what a case works with: a store, a time that it moves itself, and
// short words for the calls. What goes wrong in a word ends the case.
type env struct {
	*testing.T

	ctx   context.Context //nolint:containedctx // one case is one call
	cfg   Config
	store delivery.Store
	now   time.Time
}

const (
	ttl    = time.Minute
	plenty = 1000 // more leases than a case of a few rows can have
)

// tick moves the time.
func (e *env) tick(d time.Duration) { e.now = e.now.Add(d) }

// one returns a delivery of its own event to a lane's subscription.
func one(id, lane string) delivery.Delivery {
	return delivery.Delivery{
		ID: id, EventID: id, SubscriptionID: lane, Lane: lane,
		Dialect: "standard", Type: "order.paid", ContentType: "application/json", Body: []byte(`{"id":"` + id + `"}`),
	}
}

func keyed(id, lane, key string) delivery.Delivery {
	d := one(id, lane)
	d.Key = key
	return d
}

// many returns n deliveries named prefix0, prefix1, … of a lane.
func many(prefix, lane string, n int) []delivery.Delivery {
	ds := make([]delivery.Delivery, n)
	for i := range ds {
		ds[i] = one(prefix+strconv.Itoa(i), lane)
	}
	return ds
}

func (e *env) must(err error, doing string) {
	e.Helper()
	if err != nil {
		e.Fatalf("%s: %v", doing, err)
	}
}

func (e *env) enqueue(ds ...delivery.Delivery) {
	e.Helper()
	for part := range slices.Chunk(ds, delivery.MaxBatch) {
		e.must(e.store.Enqueue(e.ctx, e.now, part...), "Enqueue")
	}
}

// lease asks once.
func (e *env) lease(req delivery.LeaseRequest) []delivery.Lease {
	e.Helper()
	if req.TTL == 0 {
		req.TTL = ttl
	}
	got, err := e.store.Lease(e.ctx, e.now, req)
	e.must(err, "Lease")
	if len(got) > max(req.Max, 0) {
		e.Fatalf("Lease gave %d leases, Max was %d", len(got), req.Max)
	}
	return got
}

// take asks until it has n leases or the store has no more.
func (e *env) take(n int) []delivery.Lease {
	e.Helper()
	var all []delivery.Lease
	for len(all) < n {
		got := e.lease(delivery.LeaseRequest{Max: n - len(all)})
		if len(got) == 0 {
			break
		}
		all = append(all, got...)
	}
	return all
}

// want takes exactly the deliveries named, in any order, and returns their
// leases in the order of the names.
func (e *env) want(ids ...string) []delivery.Lease {
	e.Helper()
	got := e.take(plenty)
	if !sameSet(idsOf(got), ids) {
		e.Fatalf("leased %q, want %q", idsOf(got), ids)
	}
	slices.SortFunc(got, func(a, b delivery.Lease) int {
		return slices.Index(ids, a.ID) - slices.Index(ids, b.ID)
	})
	return got
}

// wantOne takes exactly one lease.
func (e *env) wantOne(id string) delivery.Lease {
	e.Helper()
	return e.want(id)[0]
}

func (e *env) settle(outs ...delivery.Outcome) {
	e.Helper()
	e.must(e.store.Settle(e.ctx, e.now, outs...), "Settle")
}

// end settles leases, all with the same result.
func (e *env) end(r delivery.Result, leases ...delivery.Lease) {
	e.Helper()
	outs := make([]delivery.Outcome, len(leases))
	for i, l := range leases {
		outs[i] = outcome(l, r)
	}
	e.settle(outs...)
}

func (e *env) setLanes(states ...delivery.LaneState) {
	e.Helper()
	e.must(e.store.SetLanes(e.ctx, e.now, states...), "SetLanes")
}

// outcome ends a lease with an attempt, except for a release.
func outcome(l delivery.Lease, r delivery.Result) delivery.Outcome {
	o := delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: r}
	switch r {
	case delivery.Done:
		o.Attempt = &delivery.Attempt{Number: l.Attempts + 1, Status: 204}
	case delivery.Retry:
		o.Attempt = &delivery.Attempt{Number: l.Attempts + 1, Status: 500, Class: "status", Error: "status 500"}
	case delivery.GiveUp:
		o.Attempt = &delivery.Attempt{Number: l.Attempts + 1, Status: 404, Class: "status", Error: "status 404"}
		o.Reason = "status 404"
	case delivery.Release:
	}
	return o
}

func retryIn(l delivery.Lease, d time.Duration) delivery.Outcome {
	o := outcome(l, delivery.Retry)
	o.RetryIn = d
	return o
}

// lost asserts that err names exactly these deliveries.
func (e *env) lost(err error, doing string, ids ...string) {
	e.Helper()
	var lost *delivery.LostLeasesError
	if !errors.As(err, &lost) || !errors.Is(err, delivery.ErrLeaseLost) {
		e.Fatalf("%s: error %v, want a *LostLeasesError for %q", doing, err, ids)
	}
	if !sameSet(lost.IDs, ids) {
		e.Fatalf("%s: lost %q, want %q", doing, lost.IDs, ids)
	}
}

func idsOf(leases []delivery.Lease) []string {
	ids := make([]string, len(leases))
	for i, l := range leases {
		ids[i] = l.ID
	}
	return ids
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// browser skips the case if the store is none.
func (e *env) browser() delivery.Browser {
	e.Helper()
	b, ok := e.store.(delivery.Browser)
	if !ok {
		e.Skip("the store is no delivery.Browser: its deliveries cannot be looked at")
	}
	return b
}

func (e *env) operator() delivery.Operator {
	e.Helper()
	o, ok := e.store.(delivery.Operator)
	if !ok {
		e.Skip("the store is no delivery.Operator: its deliveries cannot be handled one by one")
	}
	return o
}

// list returns what a filter chooses.
func (e *env) list(f delivery.Filter) []delivery.Status {
	e.Helper()
	var out []delivery.Status
	for st, err := range e.browser().Deliveries(e.ctx, f) {
		e.must(err, "Deliveries")
		out = append(out, st)
	}
	return out
}

// status returns one delivery's status.
func (e *env) status(id string) delivery.Status {
	e.Helper()
	got := e.list(delivery.Filter{ID: id})
	if len(got) != 1 {
		e.Fatalf("Deliveries lists %d deliveries of ID %q, want 1", len(got), id)
	}
	return got[0]
}

// state asserts a delivery's state and reason where the store can tell.
func (e *env) state(id string, want delivery.State, reason string) {
	e.Helper()
	if _, ok := e.store.(delivery.Browser); !ok {
		return
	}
	if st := e.status(id); st.State != want || st.Reason != reason {
		e.Fatalf("%s is %q (reason %q), want %q (reason %q)", id, st.State, st.Reason, want, reason)
	}
}

// counts asserts the numbers where the store can tell.
func (e *env) counts(pending, delivered, dead int64) {
	e.Helper()
	b, ok := e.store.(delivery.Browser)
	if !ok {
		return
	}
	got, err := b.Counts(e.ctx)
	e.must(err, "Counts")
	if want := (delivery.Counts{Pending: pending, Delivered: delivered, Dead: dead}); got != want {
		e.Fatalf("Counts are %+v, want %+v", got, want)
	}
}
