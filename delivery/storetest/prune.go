package storetest

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

var pruneRules = []rule{
	{"prune/age", "What has been settled for longer than it is kept is forgotten with its attempts and its event, and its ID may be published again.", pruneAge},
	{"prune/states", "Delivered and dead ones have their own times, events without subscribers that of delivered ones.", pruneStates},
	{"prune/pending", "What is pending is never forgotten, nor what was settled before and is pending again.", prunePending},
	{"prune/size", "Over the bound on the size the oldest settled ones are forgotten, and no more than need be.", pruneSize},
	{"prune/steps", "One call forgets MaxBatch deliveries at most and says that there is more.", pruneSteps},
	{"prune/keep", "Negative fields keep for ever.", pruneKeep},
	{"prune/again", "What comes of age after a call is forgotten by a later one, in whatever order it was settled.", pruneAgain},
	{"prune/purge", "Purge forgets what is settled of one tenant, and of that tenant alone.", prunePurge},
	{"prune/purge_markers", "Purge forgets a tenant's events that nobody had subscribed to.", prunePurgeMarkers},
	{"crash/pruned", "After a crash what was forgotten stays forgotten, and what is published then is new.", crashPruned},
}

func (e *env) pruner() delivery.Pruner {
	e.Helper()
	p, ok := e.store.(delivery.Pruner)
	if !ok {
		e.Skip("the store is no delivery.Pruner: it remembers as it likes")
	}
	return p
}

// prune calls until there is no more to do.
func (e *env) prune(r delivery.Retention) {
	e.Helper()
	p := e.pruner()
	for more := true; more; {
		var err error
		more, err = p.Prune(e.ctx, e.now, r)
		e.must(err, "Prune")
	}
}

// remembered asserts that exactly these deliveries are listed.
func (e *env) remembered(when string, ids ...string) {
	e.Helper()
	if _, ok := e.store.(delivery.Browser); !ok {
		return
	}
	if got := listed(e.list(delivery.Filter{})); !sameSet(got, ids) {
		e.Fatalf("%s, %q are remembered, want %q", when, got, ids)
	}
}

// event asserts what is known of an event.
func (e *env) event(id string, n int, known bool) {
	e.Helper()
	b, ok := e.store.(delivery.Browser)
	if !ok {
		return
	}
	if got, knows, err := b.Event(e.ctx, id); got != n || knows != known || err != nil {
		e.Fatalf("Event(%s) is %d, %t, %v, want %d, %t", id, got, knows, err, n, known)
	}
}

const keptFor = time.Hour

var short = delivery.Retention{Delivered: keptFor, Dead: keptFor}

func pruneAge(e *env) {
	e.pruner()
	e.enqueue(one("old", "l"))
	e.settle(retryIn(e.wantOne("old"), 0))
	e.end(delivery.Done, e.wantOne("old")) // two attempts
	e.tick(time.Minute)
	e.enqueue(one("young", "l"))
	e.end(delivery.Done, e.wantOne("young"))
	e.tick(keptFor - time.Minute)
	e.prune(short)
	e.remembered("a moment too early", "old", "young")
	e.counts(0, 2, 0)

	e.tick(time.Second)
	e.prune(short)
	e.remembered("after its time", "young")
	e.counts(0, 1, 0)
	e.event("old", 0, false)
	e.event("young", 1, true)
	e.enqueue(one("young", "l")) // a repeat
	e.want()
	if b, ok := e.store.(delivery.Browser); ok {
		if _, err := b.Attempts(e.ctx, "old"); !errors.Is(err, delivery.ErrNotFound) {
			e.Errorf("Attempts of a forgotten one: %v, want ErrNotFound", err)
		}
	}
	if op, ok := e.store.(delivery.Operator); ok {
		if err := op.RetryNow(e.ctx, e.now, "old"); !errors.Is(err, delivery.ErrNotFound) {
			e.Errorf("RetryNow of a forgotten one: %v, want ErrNotFound", err)
		}
	}

	e.enqueue(one("old", "l"))
	if l := e.wantOne("old"); l.Attempts != 0 || l.Try != 1 {
		e.Errorf("published again it has Attempts %d and Try %d, want 0 and 1", l.Attempts, l.Try)
	} else {
		e.settle(retryIn(l, 0))
		e.end(delivery.Done, e.wantOne("old"))
	}
	e.counts(0, 2, 0)
	if b, ok := e.store.(delivery.Browser); ok {
		if log, err := b.Attempts(e.ctx, "old"); err != nil || len(log) != 2 {
			e.Errorf("%d attempts of the new one, %v, want 2", len(log), err)
		}
	}
}

func pruneStates(e *env) {
	e.pruner()
	e.enqueue(one("done", "l"), one("dead", "l"), delivery.Delivery{ID: "marker", EventID: "marker"})
	l := e.want("done", "dead")
	e.settle(outcome(l[0], delivery.Done), outcome(l[1], delivery.GiveUp))
	e.setLanes(closeLane("closed"))
	e.enqueue(one("killed", "closed")) // dead without an attempt
	keep := delivery.Retention{Delivered: time.Hour, Dead: 3 * time.Hour}
	e.tick(time.Hour + time.Second)
	e.prune(keep)
	e.remembered("after an hour", "dead", "killed")
	e.counts(0, 0, 2)
	e.event("marker", 0, false)
	e.tick(2 * time.Hour)
	e.prune(keep)
	e.remembered("after three hours")
	e.counts(0, 0, 0)

	e.enqueue(one("done", "l"), one("dead", "l"), delivery.Delivery{ID: "marker", EventID: "marker"})
	l = e.want("done", "dead")
	e.settle(outcome(l[0], delivery.Done), outcome(l[1], delivery.GiveUp))
	e.tick(time.Hour + time.Second)
	e.prune(delivery.Retention{Delivered: 3 * time.Hour, Dead: time.Hour})
	e.remembered("with the times exchanged", "done")
	e.event("marker", 0, true)
	e.counts(0, 1, 0)
}

func prunePending(e *env) {
	e.pruner()
	e.enqueue(many("a", "l", 4)...)
	e.enqueue(keyed("k0", "m", "k"), keyed("k1", "m", "k"))
	l := e.want("a0", "a1", "a2", "a3", "k0")
	e.settle(retryIn(l[0], 20*time.Hour), outcome(l[1], delivery.Done), outcome(l[2], delivery.GiveUp), outcome(l[3], delivery.Done))
	e.settle(retryIn(l[4], 20*time.Hour))
	pending := []string{"a0", "k0", "k1"}
	if op, ok := e.store.(delivery.Operator); ok {
		e.must(op.RetryNow(e.ctx, e.now, "a1"), "RetryNow")
		pending = append(pending, "a1")
	}
	e.tick(10 * time.Hour)
	e.prune(delivery.Retention{Delivered: keptFor, Dead: keptFor, Bytes: 1})
	e.remembered("pruned", pending...)
	e.counts(int64(len(pending)), 0, 0)
	e.tick(10 * time.Hour)
	for range 2 { // k1 shows behind k0
		e.end(delivery.Done, e.take(plenty)...)
	}
	e.remembered("settled", pending...)
	e.counts(0, int64(len(pending)), 0)
	e.prune(short)
	e.remembered("settled just now", pending...)
}

func pruneSize(e *env) {
	e.pruner()
	const n, size = 400, 10_000
	ds := many("a", "l", n)
	var ids []string
	for i := range ds {
		ds[i].Body = bytes.Repeat([]byte("x"), size)
		ids = append(ids, ds[i].ID)
	}
	e.enqueue(one("pending", "held"))
	e.settle(retryIn(e.wantOne("pending"), time.Hour))
	for part := range slices.Chunk(ds, 50) { // so that the order of settling is theirs
		e.enqueue(part...)
		e.end(delivery.Done, e.take(len(part))...)
		e.tick(time.Second)
	}
	keep := delivery.Retention{Bytes: 2 * n * size}
	e.prune(keep)
	e.remembered("under the bound", append(ids, "pending")...)
	keep.Bytes = n * size / 2
	e.prune(keep)
	left := listed(e.list(delivery.Filter{State: delivery.Delivered}))
	if len(left) > n/2 || len(left) < n/4 {
		e.Errorf("%d of %d are left of what fits twice", len(left), n)
	}
	if len(left) > 50 { // in steps of 50 they were settled at one time
		slices.Reverse(left)
		if tail := ids[n-len(left)+50:]; !slices.Equal(left[50:], tail) {
			e.Errorf("left are %q and so on, want the newest, from %q on", left[50], tail[0])
		}
	}
	e.counts(1, int64(len(left)), 0)
	e.prune(keep)
	if again := e.list(delivery.Filter{State: delivery.Delivered}); len(again) != len(left) {
		e.Errorf("another call left %d of %d", len(again), len(left))
	}
	for i := range ds { // new ones in place of all that were left
		ds[i].ID = "b" + strconv.Itoa(i)
		ds[i].EventID = ds[i].ID
	}
	e.enqueue(ds[:n/2]...)
	for left := n / 2; left > 0; {
		got := e.take(plenty)
		e.end(delivery.Done, got...)
		left -= len(got)
	}
	e.prune(keep)
	now := e.list(delivery.Filter{State: delivery.Delivered})
	if len(now) > n/2 || len(now) < n/4 || now[0].ID != "b"+strconv.Itoa(n/2-1) {
		e.Errorf("after the next ones %d of %d are left, the newest is %s", len(now), n, now[0].ID)
	}
}

func pruneSteps(e *env) {
	p := e.pruner()
	const n = 2*delivery.MaxBatch + 500
	e.enqueue(many("a", "l", n)...)
	for left := n; left > 0; {
		got := e.take(plenty)
		e.end(delivery.Done, got...)
		left -= len(got)
	}
	e.tick(2 * keptFor)
	left, calls := int64(n), 0
	for more := true; more; calls++ {
		var err error
		more, err = p.Prune(e.ctx, e.now, short)
		e.must(err, "Prune")
		if b, ok := e.store.(delivery.Browser); ok {
			c, err := b.Counts(e.ctx)
			e.must(err, "Counts")
			if left-c.Delivered > delivery.MaxBatch {
				e.Fatalf("one call forgot %d", left-c.Delivered)
			}
			left = c.Delivered
			if left > 0 && !more {
				e.Fatalf("no more, and %d are left", left)
			}
		}
	}
	if calls < 3 {
		e.Errorf("%d were forgotten in %d calls", n, calls)
	}
	e.remembered("in the end")
}

func pruneKeep(e *env) {
	e.pruner()
	e.enqueue(many("a", "l", 2)...)
	l := e.want("a0", "a1")
	e.settle(outcome(l[0], delivery.Done), outcome(l[1], delivery.GiveUp))
	e.tick(10 * 365 * 24 * time.Hour)
	e.prune(delivery.Retention{Delivered: -1, Dead: -1, Bytes: -1})
	e.remembered("after ten years", "a0", "a1")
	e.prune(delivery.Retention{Delivered: -1})
	e.remembered("dead ones by default", "a0")
	e.prune(delivery.Retention{})
	e.remembered("all by default")
}

func pruneAgain(e *env) {
	e.pruner()
	const n = 30
	e.enqueue(many("a", "l", n)...)
	var leases []delivery.Lease
	for len(leases) < n {
		got := e.lease(delivery.LeaseRequest{Max: n - len(leases), TTL: 2 * keptFor})
		if len(got) == 0 {
			e.Fatalf("leased %d of %d", len(leases), n)
		}
		leases = append(leases, got...)
	}
	end := map[string]int{} // minute
	for i := range n {
		e.tick(time.Minute)
		k := i * 7 % n // not in their order
		e.end(delivery.Done, leases[k])
		end[leases[k].ID] = i
		e.prune(short)
	}
	e.tick(keptFor - (n-1)*time.Minute + time.Second) // the first one's time is over
	for i := range n {
		e.prune(short)
		var want []string
		for id, minute := range end {
			if minute > i {
				want = append(want, id)
			}
		}
		e.remembered("minute "+strconv.Itoa(i), want...)
		e.counts(0, int64(len(want)), 0)
		e.tick(time.Minute)
	}
}

func crashPruned(e *env) {
	e.pruner()
	e.enqueue(many("a", "l", 30)...)
	for range 10 {
		l := e.take(3)
		e.settle(outcome(l[0], delivery.Done), outcome(l[1], delivery.GiveUp), retryIn(l[2], 0))
	}
	for left := 10; left > 0; {
		got := e.take(plenty)
		e.end(delivery.Done, got...)
		left -= len(got)
	}
	e.tick(2 * keptFor)
	e.prune(short)
	e.crash()
	e.remembered("after the crash")
	e.counts(0, 0, 0)
	e.want()
	e.enqueue(many("a", "l", 3)...) // no attempt, no end is left for them
	e.counts(3, 0, 0)
	e.crash()
	for _, l := range e.wantBack("a0", "a1", "a2") {
		if l.Attempts != 0 {
			e.Errorf("%s has %d attempts", l.ID, l.Attempts)
		}
		e.end(delivery.Done, l)
	}
	e.prune(short)
	e.remembered("in the end", "a0", "a1", "a2")
	if b, ok := e.store.(delivery.Browser); ok {
		if log, err := b.Attempts(e.ctx, "a0"); err != nil || len(log) != 1 {
			e.Errorf("%d attempts, %v, want 1", len(log), err)
		}
	}
}
