package storetest

import (
	"time"

	"github.com/ringback-go/ringback/delivery"
)

var settleRules = []rule{
	{"settle/done", "A delivery that is done is never handed out again.", settleDone},
	{"settle/retry", "A retry is due RetryIn after the settle, not before, and its attempt counts.", settleRetry},
	{"settle/give_up", "A delivery that is given up is dead for its reason and never handed out again.", settleGiveUp},
	{"settle/release", "A release without an attempt gives the delivery back as it was, due at once or after RetryIn.", settleRelease},
	{"settle/release_attempt", "A release with an attempt counts in the log and in Attempts, not for Try.", settleReleaseAttempt},
	{"settle/no_attempt", "An outcome without an attempt adds none to the log.", settleNoAttempt},
	{"settle/mixed", "One Settle may end leases in every way at once.", settleMixed},
}

func settleDone(e *env) {
	e.enqueue(many("a", "l", 3)...)
	e.end(delivery.Done, e.want("a0", "a1", "a2")...)
	e.tick(24 * time.Hour)
	e.want()
	e.counts(0, 3, 0)
	e.state("a1", delivery.Delivered, "")
}

func settleRetry(e *env) {
	e.enqueue(one("a", "l"), one("b", "other"))
	l := e.want("a", "b")
	e.settle(retryIn(l[0], 5*time.Second), retryIn(l[1], 0))
	now := e.wantOne("b")
	if now.Attempts != 1 || now.Try != 2 {
		e.Errorf("after one failure Attempts is %d and Try %d, want 1 and 2", now.Attempts, now.Try)
	}
	e.tick(5*time.Second - time.Millisecond)
	e.want()
	for n := 1; n <= 4; n++ {
		e.tick(5 * time.Second)
		if got := e.wantOne("a"); got.Attempts != n || got.Try != n+1 {
			e.Fatalf("after %d failures Attempts is %d and Try %d", n, got.Attempts, got.Try)
		} else {
			e.settle(retryIn(got, 5*time.Second))
		}
	}
	e.counts(2, 0, 0)
}

func settleGiveUp(e *env) {
	e.enqueue(one("a", "l"))
	e.end(delivery.GiveUp, e.wantOne("a"))
	e.tick(24 * time.Hour)
	e.want()
	e.counts(0, 0, 1)
	e.state("a", delivery.Dead, "status 404")
}

func settleRelease(e *env) {
	e.enqueue(one("a", "l"), one("b", "l"))
	l := e.want("a", "b")
	back := outcome(l[1], delivery.Release)
	back.RetryIn = 5 * time.Second
	e.settle(outcome(l[0], delivery.Release), back)
	again := e.wantOne("a")
	if again.Attempts != 0 || again.Try != 1 {
		e.Errorf("a release made it Attempts %d and Try %d, want 0 and 1", again.Attempts, again.Try)
	}
	if again.Receipt == l[0].Receipt {
		e.Error("the receipt of a released lease was given out again")
	}
	e.lost(e.store.Settle(e.ctx, e.now, outcome(l[0], delivery.Done)), "settle after a release", "a")
	e.tick(5*time.Second - time.Millisecond)
	e.want()
	e.tick(time.Millisecond)
	e.settle(retryIn(e.wantOne("b"), time.Second))
	e.tick(time.Second)
	e.end(delivery.Release, e.wantOne("b")) // a retry is given back as a retry
	if l := e.wantOne("b"); l.Attempts != 1 || l.Try != 2 {
		e.Errorf("a released retry has Attempts %d and Try %d, want 1 and 2", l.Attempts, l.Try)
	}
}

func settleReleaseAttempt(e *env) {
	e.enqueue(one("a", "l"))
	l := e.wantOne("a")
	o := outcome(l, delivery.Release)
	o.Attempt = &delivery.Attempt{Number: 1, Status: 429, Class: "status", Error: "busy"}
	o.RetryIn = time.Second
	e.settle(o)
	e.want()
	e.tick(time.Second)
	again := e.wantOne("a")
	if again.Attempts != 1 || again.Try != 1 {
		e.Errorf("Attempts %d and Try %d, want 1 and 1", again.Attempts, again.Try)
	}
	e.settle(retryIn(again, 0))
	if third := e.wantOne("a"); third.Attempts != 2 || third.Try != 2 {
		e.Errorf("Attempts %d and Try %d, want 2 and 2", third.Attempts, third.Try)
	}
	log, err := e.browser().Attempts(e.ctx, "a")
	if e.must(err, "Attempts"); len(log) != 2 || log[0].Number != 1 || log[1].Number != 2 {
		e.Errorf("the log is %+v", log)
	}
}

func settleNoAttempt(e *env) {
	e.enqueue(one("a", "l"), one("b", "l"))
	l := e.want("a", "b")
	e.settle(
		delivery.Outcome{ID: "a", Receipt: l[0].Receipt, Result: delivery.GiveUp, Reason: "never sent"},
		delivery.Outcome{ID: "b", Receipt: l[1].Receipt, Result: delivery.Done},
	)
	e.counts(0, 1, 1)
	for _, id := range []string{"a", "b"} {
		if log, err := e.browser().Attempts(e.ctx, id); err != nil || len(log) != 0 {
			e.Errorf("%s has attempts %+v, %v", id, log, err)
		}
		if st := e.status(id); st.Attempts != 0 {
			e.Errorf("%s has Attempts %d without a request", id, st.Attempts)
		}
	}
}

func settleMixed(e *env) {
	e.enqueue(many("a", "l", 4)...)
	l := e.want("a0", "a1", "a2", "a3")
	e.settle(outcome(l[0], delivery.Done), retryIn(l[1], time.Second), outcome(l[2], delivery.GiveUp), outcome(l[3], delivery.Release))
	e.counts(2, 1, 1)
	e.wantOne("a3")
	e.tick(time.Second)
	e.wantOne("a1")
	e.must(e.store.Settle(e.ctx, e.now), "Settle of nothing")
}
