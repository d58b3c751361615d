package storetest

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

var waitRules = []rule{
	{"wait/enqueue", "Wait returns when work is enqueued, by the store's own clock.", waitEnqueue},
	{"wait/due", "Wait returns when a retry, a delayed delivery, a held lane or a lease falls due, by the store's own clock.", waitDue},
	{"wait/sooner", "Wait notices what falls due sooner than what it was waiting for, also the end of a lease.", waitSooner},
	{"wait/place", "Wait returns when a settle frees a place in a lane at its cap.", waitPlace},
	{"wait/idle", "Wait does not spin while there is nothing to do, and ends with its context.", waitIdle},
}

func (e *env) waiter() delivery.Waiter {
	e.Helper()
	w, ok := e.store.(delivery.Waiter)
	if !ok {
		e.Skip("the store is no delivery.Waiter: it is polled")
	}
	return w
}

// await leases one delivery by the store's own clock, waiting for it. Wait may
// return early now and then, but it must not be a busy loop.
func (e *env) await(ctx context.Context, w delivery.Waiter) (delivery.Lease, error) {
	req := delivery.LeaseRequest{Max: 1, TTL: ttl}
	for range 1000 {
		got, err := e.store.Lease(ctx, time.Time{}, req)
		if err != nil {
			return delivery.Lease{}, err
		}
		if len(got) == 1 {
			return got[0], nil
		}
		if err := w.Wait(ctx, req); err != nil {
			return delivery.Lease{}, err
		}
	}
	return delivery.Lease{}, errors.New("the wait returned 1,000 times without work")
}

func waitEnqueue(e *env) {
	w := e.waiter()
	const n = 50
	came := make(chan string, 1)
	failed := make(chan error, 1)
	go func() {
		for range n {
			l, err := e.await(e.ctx, w)
			if err == nil {
				err = e.store.Settle(e.ctx, time.Time{}, outcome(l, delivery.Done))
			}
			if err != nil {
				failed <- err
				return
			}
			came <- l.ID
		}
	}()
	for i := range n {
		id := "a" + strconv.Itoa(i)
		e.must(e.store.Enqueue(e.ctx, time.Time{}, one(id, "l")), "Enqueue")
		select {
		case got := <-came:
			if got != id {
				e.Fatalf("%s came, want %s", got, id)
			}
		case err := <-failed:
			e.Fatal(err)
		}
	}
}

func waitDue(e *env) {
	w := e.waiter()
	const short = 30 * time.Millisecond
	want := func(id string, since time.Time, least time.Duration) delivery.Lease {
		e.Helper()
		l, err := e.await(e.ctx, w)
		if e.must(err, "waiting for "+id); l.ID != id {
			e.Fatalf("%s came, want %s", l.ID, id)
		}
		if took := time.Since(since); took < least-time.Millisecond {
			e.Fatalf("%s came after %v, want %v at least", id, took, least)
		}
		return l
	}
	late := one("late", "l")
	late.DelayIn = short
	begin := time.Now()
	e.must(e.store.Enqueue(e.ctx, time.Time{}, late), "Enqueue")
	l := want("late", begin, short)

	begin = time.Now()
	e.must(e.store.Settle(e.ctx, time.Time{}, retryIn(l, short)), "Settle")
	l = want("late", begin, short)
	e.must(e.store.Settle(e.ctx, time.Time{}, outcome(l, delivery.Done)), "Settle")

	begin = time.Now()
	e.must(e.store.SetLanes(e.ctx, time.Time{}, delivery.LaneState{Lane: "l", NotBeforeIn: short}), "SetLanes")
	e.must(e.store.Enqueue(e.ctx, time.Time{}, one("held", "l")), "Enqueue")
	l = want("held", begin, short)

	begin = time.Now()
	e.must(e.store.Extend(e.ctx, time.Time{}, short, l), "Extend")
	l = want("held", begin, short)
	e.must(e.store.Settle(e.ctx, time.Time{}, outcome(l, delivery.Done)), "Settle")
}

func waitSooner(e *env) {
	w := e.waiter()
	far := one("far", "far")
	far.DelayIn = time.Hour
	e.must(e.store.Enqueue(e.ctx, time.Time{}, far), "Enqueue")
	const n = 20
	came := make(chan error, 1)
	go func() { // waits for the hour, at first
		for range n {
			l, err := e.await(e.ctx, w)
			if err == nil {
				err = e.store.Settle(e.ctx, time.Time{}, outcome(l, delivery.Done))
			}
			came <- err
		}
	}()
	for i := range n {
		d := one("a"+strconv.Itoa(i), "l")
		if i%2 == 0 {
			d.DelayIn = time.Millisecond
		}
		e.must(e.store.Enqueue(e.ctx, time.Time{}, d), "Enqueue")
		if i%2 == 1 { // the other one gets it when this lease ends
			_, err := e.store.Lease(e.ctx, time.Time{}, delivery.LeaseRequest{Max: 1, TTL: time.Millisecond})
			e.must(err, "Lease")
		}
		e.must(<-came, "waiting")
	}
}

func waitPlace(e *env) {
	w := e.waiter()
	e.must(e.store.SetLanes(e.ctx, time.Time{}, delivery.LaneState{Lane: "l", MaxInFlight: 1}), "SetLanes")
	e.must(e.store.Enqueue(e.ctx, time.Time{}, many("a", "l", 20)...), "Enqueue")
	l, err := e.await(e.ctx, w)
	e.must(err, "the first")
	for range 19 {
		next := make(chan error, 1)
		was := l
		go func() {
			var err error
			l, err = e.await(e.ctx, w)
			next <- err
		}()
		e.must(e.store.Settle(e.ctx, time.Time{}, outcome(was, delivery.Done)), "Settle")
		e.must(<-next, "the next")
	}
}

func waitIdle(e *env) {
	w := e.waiter()
	paused := delivery.LaneState{Lane: "paused", Mode: delivery.LanePaused}
	e.must(e.store.SetLanes(e.ctx, time.Time{}, paused, delivery.LaneState{Lane: "capped", MaxInFlight: 1}), "SetLanes")
	far := one("far", "l")
	far.DelayIn = time.Hour
	e.must(e.store.Enqueue(e.ctx, time.Time{}, far, one("p", "paused"), one("c1", "capped"), one("c2", "capped")), "Enqueue")
	if _, err := e.await(e.ctx, w); err != nil {
		e.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(e.ctx, 200*time.Millisecond)
	defer cancel()
	l, err := e.await(ctx, w) // a thousand returns within 200 ms are an error of their own
	if err == nil {
		e.Fatalf("%s came", l.ID)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		e.Fatal(err)
	}
}
