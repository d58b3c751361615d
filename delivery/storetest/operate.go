package storetest

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

var operateRules = []rule{
	{"operate/retry_pending", "RetryNow makes a waiting delivery due at once and starts its schedule anew; attempt numbers go on.", operateRetryPending},
	{"operate/retry_settled", "RetryNow revives dead and delivered ones.", operateRetrySettled},
	{"operate/retry_leased", "RetryNow leaves a leased one alone.", operateRetryLeased},
	{"operate/retry_closed", "RetryNow does not bring a delivery back to life in a closed lane.", operateRetryClosed},
	{"operate/cancel_waiting", "Cancel makes a waiting delivery dead.", operateCancelWaiting},
	{"operate/cancel_leased", "A canceled delivery that is leased may still be delivered, but is not tried again.", operateCancelLeased},
	{"operate/cancel_settled", "Cancel leaves a settled delivery alone and says ErrSettled.", operateCancelSettled},
	{"operate/unknown", "RetryNow and Cancel of an unknown delivery or of a marker are ErrNotFound, and name it.", operateUnknown},
}

func operateRetryPending(e *env) {
	op := e.operator()
	late := one("late", "l")
	late.DelayIn = time.Hour
	e.enqueue(one("a", "l"), late)
	e.settle(retryIn(e.wantOne("a"), time.Hour))
	e.must(op.RetryNow(e.ctx, e.now, "a"), "RetryNow of a retry")
	if l := e.wantOne("a"); l.Attempts != 1 || l.Try != 1 {
		e.Errorf("Attempts %d and Try %d, want 1 and 1", l.Attempts, l.Try)
	} else {
		e.settle(retryIn(l, time.Hour))
	}
	e.must(op.RetryNow(e.ctx, e.now, "late"), "RetryNow of a delayed one")
	e.end(delivery.Done, e.wantOne("late"))
	e.enqueue(one("due", "l"))
	e.must(op.RetryNow(e.ctx, e.now, "due"), "RetryNow of one that is due")
	e.end(delivery.Done, e.wantOne("due"))
	e.counts(1, 2, 0)
	e.tick(time.Hour)
	if l := e.wantOne("a"); l.Attempts != 2 || l.Try != 2 {
		e.Errorf("Attempts %d and Try %d, want 2 and 2", l.Attempts, l.Try)
	}
}

func operateRetrySettled(e *env) {
	op := e.operator()
	e.enqueue(one("dead", "l"), one("done", "l"))
	l := e.want("dead", "done")
	e.settle(outcome(l[0], delivery.GiveUp), outcome(l[1], delivery.Done))
	e.must(op.RetryNow(e.ctx, e.now, "dead"), "RetryNow of a dead one")
	e.must(op.RetryNow(e.ctx, e.now, "done"), "RetryNow of a delivered one")
	e.counts(2, 0, 0)
	e.state("dead", delivery.Pending, "")
	got := e.want("dead", "done")
	for _, l := range got {
		if l.Attempts != 1 || l.Try != 1 {
			e.Errorf("%s: Attempts %d and Try %d, want 1 and 1", l.ID, l.Attempts, l.Try)
		}
	}
	e.end(delivery.Done, got...)
	e.counts(0, 2, 0)
	log, err := e.browser().Attempts(e.ctx, "dead")
	if e.must(err, "Attempts"); len(log) != 2 || log[0].Number != 1 || log[1].Number != 2 {
		e.Errorf("the log is %+v", log)
	}
	e.tick(time.Hour)
	e.want()
}

func operateRetryLeased(e *env) {
	op := e.operator()
	e.enqueue(one("a", "l"))
	l := e.wantOne("a")
	e.must(op.RetryNow(e.ctx, e.now, "a"), "RetryNow of a leased one")
	e.want()
	e.end(delivery.Done, l)
	e.want()
	e.counts(0, 1, 0)
}

func operateRetryClosed(e *env) {
	op := e.operator()
	e.enqueue(one("a", "l"))
	e.setLanes(closeLane("l"))
	e.must(op.RetryNow(e.ctx, e.now, "a"), "RetryNow")
	e.want()
	e.state("a", delivery.Dead, why)
	e.counts(0, 0, 1)
	e.setLanes(delivery.LaneState{Lane: "l", Mode: delivery.LaneOpen})
	e.want()
	e.must(op.RetryNow(e.ctx, e.now, "a"), "RetryNow after the lane was opened")
	e.wantOne("a")
}

func operateCancelWaiting(e *env) {
	op := e.operator()
	late := one("late", "l")
	late.DelayIn = time.Hour
	e.enqueue(one("a", "l"), late, one("r", "l"), one("p", "paused"))
	l := e.want("a", "r", "p")
	e.settle(outcome(l[0], delivery.Release), retryIn(l[1], time.Hour), outcome(l[2], delivery.Release))
	e.setLanes(delivery.LaneState{Lane: "paused", Mode: delivery.LanePaused})
	for _, id := range []string{"a", "late", "r", "p"} {
		e.must(op.Cancel(e.ctx, e.now, id), "Cancel of "+id)
		e.state(id, delivery.Dead, delivery.ReasonCancelled)
	}
	e.counts(0, 0, 4)
	e.setLanes(delivery.LaneState{Lane: "paused", Mode: delivery.LaneOpen})
	e.tick(2 * time.Hour)
	e.want()
}

func operateCancelLeased(e *env) {
	op := e.operator()
	e.enqueue(many("a", "l", 4)...)
	l := e.want("a0", "a1", "a2", "a3")
	for _, x := range l {
		e.must(op.Cancel(e.ctx, e.now, x.ID), "Cancel of a leased one")
	}
	e.settle(outcome(l[0], delivery.Done), retryIn(l[1], 0), outcome(l[2], delivery.Release))
	e.tick(ttl + time.Millisecond) // the last lease ends without a word
	e.want()
	e.state("a0", delivery.Delivered, "")
	for _, id := range []string{"a1", "a2", "a3"} {
		e.state(id, delivery.Dead, delivery.ReasonCancelled)
	}
	e.counts(0, 1, 3)
}

func operateCancelSettled(e *env) {
	op := e.operator()
	e.enqueue(one("dead", "l"), one("done", "l"))
	l := e.want("dead", "done")
	e.settle(outcome(l[0], delivery.GiveUp), outcome(l[1], delivery.Done))
	for _, id := range []string{"dead", "done"} {
		if err := op.Cancel(e.ctx, e.now, id); !errors.Is(err, delivery.ErrSettled) {
			e.Errorf("Cancel of a %s one: %v, want ErrSettled", id, err)
		}
	}
	e.state("dead", delivery.Dead, "status 404")
	e.state("done", delivery.Delivered, "")
	e.counts(0, 1, 1)
}

func operateUnknown(e *env) {
	op := e.operator()
	e.enqueue(delivery.Delivery{ID: "marker", EventID: "marker"})
	for _, id := range []string{"nobody", "marker", "", "no\x00body", "\xff"} {
		if err := op.RetryNow(e.ctx, e.now, id); !errors.Is(err, delivery.ErrNotFound) || !strings.Contains(err.Error(), strconv.Quote(id)) {
			e.Errorf("RetryNow of %q: %v, want ErrNotFound with the ID", id, err)
		}
		if err := op.Cancel(e.ctx, e.now, id); !errors.Is(err, delivery.ErrNotFound) || !strings.Contains(err.Error(), strconv.Quote(id)) {
			e.Errorf("Cancel of %q: %v, want ErrNotFound with the ID", id, err)
		}
		if b, ok := e.store.(delivery.Browser); ok {
			if _, err := b.Attempts(e.ctx, id); !errors.Is(err, delivery.ErrNotFound) {
				e.Errorf("Attempts of %q: %v, want ErrNotFound", id, err)
			}
			if n, known, err := b.Event(e.ctx, id); err != nil || n != 0 || known != (id == "marker") {
				e.Errorf("Event of %q: %d, %t, %v", id, n, known, err)
			}
			for st, err := range b.Deliveries(e.ctx, delivery.Filter{ID: id}) {
				if err != nil || id != "" {
					e.Errorf("Deliveries of %q: %+v, %v", id, st, err)
				}
			}
		}
	}
}
