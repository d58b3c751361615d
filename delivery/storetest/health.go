package storetest

import (
	"strconv"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

var healthRules = []rule{
	{"health/throttle", "After five failed attempts in a row an endpoint gets one attempt at a time, whatever else waits.", healthThrottle},
	{"health/double", "Each accepted attempt doubles what a throttled endpoint gets, up to its cap.", healthDouble},
	{"health/row", "An accepted attempt in between starts the count of failures anew.", healthRow},
	{"health/shown", "A lease shows the failures in a row and for how long the endpoint has been failing.", healthShown},
	{"health/dns", "Failures by DNS throttle an endpoint, but it does not count as failing for them.", healthDNS},
	{"health/own", "Attempts that our own side ended and leases without an attempt say nothing of the endpoint.", healthOwn},
	{"health/forget", "HealthForget and the opening of a closed lane make an endpoint a healthy one.", healthForget},
	{"health/warned", "That a warning was given is kept until an attempt is accepted.", healthWarned},
	{"health/others", "One endpoint's failures throttle no other.", healthOthers},
}

// fail has a lane fail n times, with one delivery that is retried at once.
func (e *env) fail(lane, class string, n int) {
	e.Helper()
	e.enqueue(one("failing-"+lane+class, lane))
	for range n {
		l := e.wantOne("failing-" + lane + class)
		o := retryIn(l, 0)
		o.Attempt.Class = class
		e.settle(o)
	}
	e.settle(outcome(e.wantOne("failing-"+lane+class), delivery.GiveUp))
}

func healthThrottle(e *env) {
	e.fail("l", "status", delivery.ThrottleAfter-2) // and one that is given up
	e.enqueue(many("a", "l", 4)...)
	held := e.take(plenty)
	if len(held) != 4 {
		e.Fatalf("after four failures in a row %d of 4 are leased", len(held))
	}
	e.settle(retryIn(held[0], time.Hour))
	e.enqueue(many("b", "l", 4)...)
	if got := e.take(plenty); len(got) != 0 {
		e.Fatalf("a throttled endpoint with three attempts under way got %d more", len(got))
	}
	e.end(delivery.Release, held[1:]...)
	if got := e.take(plenty); len(got) != 1 {
		e.Fatalf("a throttled endpoint got %d attempts at once, want 1", len(got))
	}
}

func healthDouble(e *env) {
	e.setLanes(delivery.LaneState{Lane: "l", MaxInFlight: 6})
	e.fail("l", "status", delivery.ThrottleAfter)
	e.enqueue(many("a", "l", 40)...)
	for _, want := range []int{1, 2, 4, 6, 6} {
		got := e.take(plenty)
		if len(got) != want {
			e.Fatalf("%d attempts at once, want %d", len(got), want)
		}
		e.end(delivery.Done, got[0])
		e.end(delivery.Release, got[1:]...)
	}
}

func healthRow(e *env) {
	for n := range 4 {
		e.enqueue(many("ok"+strconv.Itoa(n), "l", 1)...)
		e.end(delivery.Done, e.take(1)...)
		e.enqueue(many("bad"+strconv.Itoa(n)+"-", "l", delivery.ThrottleAfter-1)...)
		e.end(delivery.GiveUp, e.take(plenty)...)
	}
	e.enqueue(many("a", "l", 5)...)
	if got := e.take(plenty); len(got) != 5 {
		e.Fatalf("an endpoint that fails four times in a row at most got %d attempts at once, want 5", len(got))
	}
}

// health leases one more of a lane, gives it back and returns what it showed.
func (e *env) health(lane string) delivery.Health {
	e.Helper()
	id := "look-" + lane + strconv.FormatInt(e.now.UnixMicro(), 36)
	e.enqueue(one(id, lane))
	l := e.wantOne(id)
	h := l.Health
	cancel := outcome(l, delivery.GiveUp)
	cancel.Attempt = nil
	e.settle(cancel)
	e.tick(time.Millisecond)
	return h
}

func healthShown(e *env) {
	if h := e.health("l"); h != (delivery.Health{}) {
		e.Fatalf("a new endpoint's health is %+v", h)
	}
	e.fail("l", "status", 1)
	e.tick(time.Hour)
	e.fail("l", "timeout", 1)
	h := e.health("l")
	if h.Failures != 4 || h.FailingFor < time.Hour || h.FailingFor > time.Hour+time.Minute {
		e.Errorf("after four failures, the first an hour ago, the health is %+v", h)
	}
	e.enqueue(one("ok", "l"))
	e.end(delivery.Done, e.wantOne("ok"))
	if h := e.health("l"); h.Failures != 0 || h.FailingFor != 0 {
		e.Errorf("after an accepted attempt the health is %+v", h)
	}
}

func healthDNS(e *env) {
	e.enqueue(many("a", "l", 6)...)
	for _, l := range e.take(plenty) {
		o := outcome(l, delivery.GiveUp)
		o.Attempt.Class = "dns"
		e.settle(o)
	}
	e.tick(time.Hour)
	e.enqueue(many("b", "l", 3)...)
	got := e.take(plenty)
	if len(got) != 1 || got[0].Health.Failures != 6 || got[0].Health.FailingFor != 0 {
		e.Fatalf("after six failures by DNS: %d leases, health %+v", len(got), got[0].Health)
	}
}

func healthOwn(e *env) {
	for _, class := range []string{"unknown", "internal"} {
		e.enqueue(many(class, "l", 8)...)
		for _, l := range e.take(plenty) {
			o := outcome(l, delivery.GiveUp)
			o.Attempt.Class = class
			e.settle(o)
		}
	}
	e.enqueue(many("expired", "l", 8)...)
	for _, l := range e.take(plenty) {
		e.settle(delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: delivery.GiveUp, Reason: delivery.ReasonExpired})
	}
	if h := e.health("l"); h != (delivery.Health{}) {
		e.Fatalf("the health is %+v, want none of it counted", h)
	}
}

func healthForget(e *env) {
	open := []delivery.LaneState{{Lane: "l", Health: delivery.HealthForget}}
	reopen := []delivery.LaneState{{Lane: "l", Mode: delivery.LaneClosed, Reason: "gone"}, {Lane: "l", Mode: delivery.LaneOpen}}
	for n, states := range [][]delivery.LaneState{open, reopen} {
		class := "status" + strconv.Itoa(n)
		e.fail("l", class, delivery.ThrottleAfter)
		if h := e.health("l"); h.Failures == 0 || h.FailingFor == 0 {
			e.Fatalf("after failures the health is %+v", h)
		}
		for _, st := range states {
			e.setLanes(st)
		}
		e.enqueue(many("after"+class, "l", 7)...)
		got := e.take(plenty)
		if len(got) != 7 || got[0].Health != (delivery.Health{}) {
			e.Fatalf("%d of 7 leased, health %+v", len(got), got[0].Health)
		}
		e.end(delivery.Done, got...)
	}
}

func healthWarned(e *env) {
	e.fail("l", "status", 1)
	e.setLanes(delivery.LaneState{Lane: "l", Health: delivery.HealthWarned})
	if h := e.health("l"); !h.Warned || h.Failures == 0 {
		e.Errorf("after a warning the health is %+v", h)
	}
	e.enqueue(one("ok", "l"))
	e.end(delivery.Done, e.wantOne("ok"))
	if h := e.health("l"); h.Warned {
		e.Error("the warning outlives an accepted attempt")
	}
}

func healthOthers(e *env) {
	e.fail("bad", "status", 2*delivery.ThrottleAfter)
	e.enqueue(many("a", "good", 10)...)
	e.enqueue(many("b", "bad", 10)...)
	got := e.take(plenty)
	good := 0
	for _, l := range got {
		if l.Lane == "good" {
			good++
		}
	}
	if good != 10 || len(got) != 11 {
		e.Fatalf("%d leases, %d of the healthy endpoint; want 11 and 10", len(got), good)
	}
}

func crashHealth(e *env) {
	e.fail("l", "status", delivery.ThrottleAfter)
	e.setLanes(delivery.LaneState{Lane: "l", Health: delivery.HealthWarned})
	e.fail("healed", "status", delivery.ThrottleAfter)
	e.enqueue(many("h", "healed", 20)...)
	for range 6 { // back to the cap
		got := e.take(1)
		e.end(delivery.Done, got...)
	}
	e.tick(time.Hour)
	e.crash()
	e.takeBack(14)
	e.enqueue(many("a", "l", 3)...)
	got := e.take(plenty)
	if len(got) != 1 {
		e.Fatalf("after a crash a throttled endpoint gets %d attempts at once", len(got))
	}
	if h := got[0].Health; h.FailingFor < time.Hour || !h.Warned || h.Failures < delivery.ThrottleAfter {
		e.Errorf("after a crash the health is %+v", h)
	}
}
