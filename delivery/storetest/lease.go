package storetest

import (
	"errors"
	"slices"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

var leaseRules = []rule{
	{"lease/max", "A lease request gets at most Max, and nothing for a Max of zero or less.", leaseMax},
	{"lease/retries", "Retries bounds how many of a request are other than first tries, and first tries pass where retries may not.", leaseRetries},
	{"lease/once", "What is leased is not handed out again before its lease ends, and then under a new receipt.", leaseOnce},
	{"lease/default_ttl", "A lease without a TTL lasts 60 seconds.", leaseDefaultTTL},
	{"lease/order", "An unkeyed lane's first tries are handed out in the order in which they became due.", leaseOrder},
}

var receiptRules = []rule{
	{"receipt/extend", "An extended lease lasts for the new TTL from the time of the call, be it longer or shorter.", receiptExtend},
	{"receipt/extend_lost", "Extend names exactly the leases that have ended or never were, and extends the others.", receiptExtendLost},
	{"receipt/settle_lost", "Settle names exactly the outcomes whose receipt is not the current one, and settles the others.", receiptSettleLost},
	{"receipt/double_settle", "A lease is settled once: the second settle of the same receipt is lost, also within one call.", receiptDouble},
}

func leaseMax(e *env) {
	e.enqueue(many("a", "l", 5)...)
	e.enqueue(many("b", "m", 5)...)
	for _, n := range []int{0, -1} {
		if got := e.lease(delivery.LeaseRequest{Max: n}); len(got) != 0 {
			e.Fatalf("Max %d gave %d leases", n, len(got))
		}
	}
	first := e.take(3)
	if len(first) != 3 {
		e.Fatalf("10 are due, Max 3 gave %d", len(first))
	}
	rest := e.take(plenty)
	if got := append(idsOf(first), idsOf(rest)...); len(got) != 10 || len(slices.Compact(slices.Sorted(slices.Values(got)))) != 10 {
		e.Fatalf("leased %q, want all ten once", got)
	}
}

// tries tells first tries and retries apart.
func tries(leases []delivery.Lease) (fresh, retries int) {
	for _, l := range leases {
		if l.Attempts > 0 {
			retries++
		} else {
			fresh++
		}
	}
	return fresh, retries
}

func leaseRetries(e *env) {
	e.enqueue(many("r", "l", 3)...)
	e.enqueue(many("s", "other", 3)...)
	for _, l := range e.take(6) {
		e.settle(retryIn(l, time.Second))
	}
	e.tick(time.Second)
	if got := e.lease(delivery.LeaseRequest{Max: 5, Retries: -1}); len(got) != 0 {
		e.Fatalf("negative Retries gave %d retries", len(got))
	}
	e.enqueue(many("f", "l", 3)...)
	if fresh, retries := tries(e.lease(delivery.LeaseRequest{Max: 3, Retries: -1})); fresh != 3 || retries != 0 {
		e.Fatalf("negative Retries, behind 6 retries: %d first tries and %d retries, want 3 and 0", fresh, retries)
	}
	e.enqueue(many("g", "l", 10)...)
	got := e.lease(delivery.LeaseRequest{Max: 8, Retries: 2})
	if fresh, retries := tries(got); retries > 2 || fresh+retries != 8 {
		e.Fatalf("Max 8, Retries 2 gave %d first tries and %d retries", fresh, retries)
	}
	if _, all := tries(append(got, e.take(plenty)...)); all != 6 { // zero is Max
		e.Fatalf("%d retries came out in all, want 6", all)
	}
	// A released first try is a first try still.
	e.enqueue(one("back", "l"))
	e.end(delivery.Release, e.wantOne("back"))
	if got := e.lease(delivery.LeaseRequest{Max: 1, Retries: -1}); len(got) != 1 {
		e.Error("a released first try counts as a retry")
	}
}

func leaseOnce(e *env) {
	e.enqueue(one("a", "l"))
	first := e.wantOne("a")
	e.want()
	e.tick(ttl - time.Millisecond)
	e.want()
	e.tick(2 * time.Millisecond)
	second := e.wantOne("a")
	if second.Receipt == first.Receipt {
		e.Fatal("the second lease has the receipt of the first")
	}
	if second.Attempts != 0 || second.Try != 1 {
		e.Errorf("a lease that just ended counts as an attempt: Attempts %d, Try %d", second.Attempts, second.Try)
	}
	e.lost(e.store.Settle(e.ctx, e.now, outcome(first, delivery.Done)), "settle under the old receipt", "a")
	e.want()
	e.end(delivery.Done, second)
	e.tick(time.Hour)
	e.want()
	e.counts(0, 1, 0)
}

func leaseDefaultTTL(e *env) {
	e.enqueue(one("a", "l"))
	got, err := e.store.Lease(e.ctx, e.now, delivery.LeaseRequest{Max: 1})
	if e.must(err, "Lease"); len(got) != 1 {
		e.Fatalf("leased %q", idsOf(got))
	}
	e.tick(59 * time.Second)
	e.want()
	e.tick(2 * time.Second)
	e.wantOne("a")
}

func leaseOrder(e *env) {
	var want []string
	for _, d := range many("a", "l", 30) {
		e.enqueue(d)
		want = append(want, d.ID)
		e.tick(time.Millisecond)
	}
	var got []string
	for range 30 {
		for _, l := range e.lease(delivery.LeaseRequest{Max: 1}) {
			got = append(got, l.ID)
		}
	}
	if !slices.Equal(got, want) {
		e.Errorf("leased %q, want %q", got, want)
	}
}

func receiptExtend(e *env) {
	e.enqueue(one("long", "l"), one("short", "l"))
	got := e.want("long", "short")
	e.tick(ttl / 2)
	e.must(e.store.Extend(e.ctx, e.now, 2*ttl, got[0]), "Extend")
	e.must(e.store.Extend(e.ctx, e.now, ttl/4, got[1]), "Extend")
	e.tick(ttl/4 + time.Millisecond)
	e.wantOne("short")
	e.tick(2*ttl - ttl/4 - 3*time.Millisecond)
	for _, l := range e.take(plenty) {
		if l.ID == "long" {
			e.Fatal("an extended lease ended early")
		}
	}
	e.end(delivery.Done, got[0])
}

func receiptExtendLost(e *env) {
	e.enqueue(many("a", "l", 5)...)
	got := e.want("a0", "a1", "a2", "a3", "a4")
	e.end(delivery.Done, got[0])
	garbled, foreign, unknown := got[1], got[2], got[3]
	garbled.Receipt = "no receipt"
	foreign.Receipt = got[4].Receipt
	unknown.ID = "nobody"
	e.tick(ttl / 2)
	err := e.store.Extend(e.ctx, e.now, ttl, got[0], garbled, foreign, unknown, got[4])
	e.lost(err, "Extend", "a0", "a1", "a2", "nobody")
	e.tick(ttl/2 + time.Millisecond)
	e.want("a1", "a2", "a3") // a4 was extended
	e.end(delivery.Done, got[4])
}

func receiptSettleLost(e *env) {
	e.enqueue(many("a", "l", 8)...)
	old := e.want("a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7")
	e.tick(ttl + time.Millisecond)
	cur := e.want("a0", "a1", "a2", "a3", "a4", "a5", "a6", "a7")
	outs := []delivery.Outcome{outcome(cur[0], delivery.Done)}
	for i, receipt := range []string{old[1].Receipt, "", "garbled", cur[0].Receipt, "-", cur[5].Receipt + "0"} {
		o := outcome(cur[i+1], delivery.Done)
		o.Receipt = receipt
		outs = append(outs, o)
	}
	outs = append(outs, outcome(cur[7], delivery.Done))
	e.lost(e.store.Settle(e.ctx, e.now, outs...), "Settle", "a1", "a2", "a3", "a4", "a5", "a6")
	e.counts(6, 2, 0)
	e.end(delivery.Done, cur[1:7]...) // untouched by the foreign outcomes
	e.counts(0, 8, 0)
}

func receiptDouble(e *env) {
	e.enqueue(one("a", "l"), one("b", "l"), one("c", "l"))
	got := e.want("a", "b", "c")
	for i, r := range []delivery.Result{delivery.Done, delivery.Retry, delivery.Release} {
		e.settle(outcome(got[i], r))
		e.lost(e.store.Settle(e.ctx, e.now, outcome(got[i], delivery.GiveUp)), "second settle", got[i].ID)
	}
	e.counts(2, 1, 0)
	again := e.want("b", "c")
	err := e.store.Settle(e.ctx, e.now, outcome(again[0], delivery.Done), outcome(again[0], delivery.GiveUp), outcome(again[1], delivery.Done))
	e.lost(err, "Settle with a receipt twice", "b")
	e.counts(0, 3, 0)
	if errors.Is(err, delivery.ErrUnknown) {
		e.Error("a lost lease is ErrUnknown")
	}
}
