package storetest

import (
	"slices"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

var keyRules = []rule{
	{"keys/order", "Of each lane and key one delivery at a time is handed out, in the order of Enqueue, whatever became of the one before.", keysOrder},
	{"keys/independent", "Other keys, deliveries without a key and the same key of another lane do not wait for a key.", keysIndependent},
	{"keys/retry", "The successor of a failed delivery waits until that is settled.", keysRetry},
	{"keys/dead", "The successor of a dead delivery goes.", keysDead},
	{"keys/cancel", "The successor of a canceled delivery goes.", keysCancel},
	{"keys/retry_now", "A delivery that is revived by hand does not run beside another one of its key.", keysRetryNow},
	{"keys/lost", "A lease that ends without a word does not let the successor pass.", keysLost},
	{"keys/crowd", "500 rows of one key do not starve what waits behind them.", keysCrowd},
	{"keys/delay", "A delayed delivery holds up its successors: order is that of Enqueue.", keysDelay},
}

func keysOrder(e *env) {
	const n = 24
	var want, got []string
	for i := range n {
		d := keyed("a"+strconv.Itoa(i), "l", "k")
		want = append(want, d.ID)
		e.enqueue(d)
	}
	for range 10 * n {
		leases := e.take(plenty)
		if len(leases) == 0 {
			break
		}
		if len(leases) != 1 {
			e.Fatalf("%q are in flight at once", idsOf(leases))
		}
		l := leases[0]
		switch turn := len(got) % 4; {
		case turn == 1 && l.Attempts == 0:
			e.settle(retryIn(l, 0))
			continue
		case turn == 2 && l.Attempts == 0:
			o := outcome(l, delivery.Release)
			o.Attempt = &delivery.Attempt{Number: 1, Status: 503}
			e.settle(o)
			continue
		case turn == 3:
			e.end(delivery.GiveUp, l)
		default:
			e.end(delivery.Done, l)
		}
		got = append(got, l.ID)
	}
	if !slices.Equal(got, want) {
		e.Errorf("settled %q, want %q", got, want)
	}
}

func keysIndependent(e *env) {
	e.enqueue(keyed("a", "l", "k"), keyed("b", "l", "k"), keyed("c", "l", "other"), one("d", "l"), keyed("e", "m", "k"))
	e.want("a", "c", "d", "e")
}

func keysRetry(e *env) {
	e.enqueue(keyed("a", "l", "k"), keyed("b", "l", "k"))
	e.settle(retryIn(e.wantOne("a"), 10*time.Second))
	e.want()
	e.tick(9 * time.Second)
	e.want()
	e.tick(time.Second)
	a := e.wantOne("a")
	e.end(delivery.Release, a)
	e.end(delivery.Done, e.wantOne("a"))
	e.wantOne("b")
}

func keysDead(e *env) {
	e.enqueue(keyed("a", "l", "k"), keyed("b", "l", "k"), keyed("c", "l", "k"))
	e.end(delivery.GiveUp, e.wantOne("a"))
	e.end(delivery.GiveUp, e.wantOne("b"))
	e.wantOne("c")
}

func keysCancel(e *env) {
	op := e.operator()
	e.enqueue(keyed("a", "l", "k"), keyed("b", "l", "k"), keyed("c", "l", "k"), keyed("d", "l", "k"))
	e.must(op.Cancel(e.ctx, e.now, "b"), "Cancel of one that is hidden")
	e.must(op.Cancel(e.ctx, e.now, "a"), "Cancel of the first")
	c := e.wantOne("c")
	e.must(op.Cancel(e.ctx, e.now, "c"), "Cancel of a leased one")
	e.want()
	e.settle(retryIn(c, 0))
	e.wantOne("d")
	e.counts(1, 0, 3)
}

func keysRetryNow(e *env) {
	op := e.operator()
	e.enqueue(keyed("a", "l", "k"), keyed("b", "l", "k"), keyed("c", "l", "k"))
	e.end(delivery.GiveUp, e.wantOne("a"))
	e.must(op.RetryNow(e.ctx, e.now, "a"), "RetryNow")
	seen := map[string]int{}
	for range 3 {
		got := e.take(plenty)
		if len(got) != 1 {
			e.Fatalf("%q are in flight at once", idsOf(got))
		}
		seen[got[0].ID]++
		e.end(delivery.Done, got...)
	}
	if len(seen) != 3 {
		e.Fatalf("leased %v, want each once", seen)
	}
	// And while the other one is in flight.
	e.enqueue(keyed("d", "l", "k"), keyed("e", "l", "k"))
	d := e.wantOne("d")
	e.must(op.RetryNow(e.ctx, e.now, "b"), "RetryNow")
	e.want()
	e.must(op.RetryNow(e.ctx, e.now, "e"), "RetryNow of one that is hidden")
	e.want()
	e.end(delivery.Done, d)
	for range 2 {
		got := e.take(plenty)
		if len(got) != 1 {
			e.Fatalf("%q are in flight at once, want one", idsOf(got))
		}
		e.end(delivery.Done, got...)
	}
	e.counts(0, 5, 0)
}

func keysLost(e *env) {
	e.enqueue(keyed("a", "l", "k"), keyed("b", "l", "k"))
	e.wantOne("a")
	e.tick(ttl + time.Millisecond)
	e.end(delivery.Done, e.wantOne("a"))
	e.wantOne("b")
}

func keysCrowd(e *env) {
	var ds []delivery.Delivery
	for i := range 500 {
		ds = append(ds, keyed("a"+strconv.Itoa(i), "l", "k"))
	}
	ds = append(ds, keyed("b", "l", "other"), one("c", "l"))
	e.enqueue(ds...)
	got := e.want("a0", "b", "c")
	e.end(delivery.Done, got[1:]...)
	e.settle(retryIn(got[0], time.Hour))
	e.enqueue(keyed("d", "l", "third"), one("e", "l"))
	e.end(delivery.Done, e.want("d", "e")...)
	e.tick(time.Hour)
	for i := range 500 {
		e.end(delivery.Done, e.wantOne("a"+strconv.Itoa(i)))
	}
	e.counts(0, 504, 0)
}

func keysDelay(e *env) {
	late := keyed("a", "l", "k")
	late.DelayIn = 10 * time.Second
	e.enqueue(late, keyed("b", "l", "k"))
	e.want()
	e.tick(10 * time.Second)
	e.end(delivery.Done, e.wantOne("a"))
	e.wantOne("b")
}
