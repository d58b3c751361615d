package storetest

import (
	"time"

	"github.com/ringback-go/ringback/delivery"
)

var aheadRules = []rule{
	{"ahead/first", "A delivery that goes ahead is handed out before all that waits in its lane, and alone.", aheadFirst},
	{"ahead/failed", "The others wait for its first attempt, not for its success.", aheadFailed},
	{"ahead/released", "One that is released without an attempt stays ahead, also when it is to wait.", aheadReleased},
	{"ahead/lost", "One whose lease ended without a word stays ahead.", aheadLost},
	{"ahead/gone", "The lane goes on when the one ahead is canceled.", aheadGone},
	{"ahead/retry_now", "RetryNow of one that goes ahead does not hold up its lane.", aheadRetryNow},
	{"ahead/paused", "One that goes ahead does so after a pause of its lane too.", aheadPaused},
	{"ahead/keyed", "One that goes ahead and has a key waits for the older ones of its key and stops nothing meanwhile.", aheadKeyed},
}

func ahead(id, lane string) delivery.Delivery {
	d := one(id, lane)
	d.Ahead = true
	return d
}

func aheadFirst(e *env) {
	e.enqueue(many("a", "l", 200)...)
	e.enqueue(one("other", "m"))
	flying := e.take(4) // of both lanes; what flies is not recalled
	e.enqueue(ahead("first", "l"))
	var got []string
	for _, l := range e.take(plenty) {
		if l.LaneName() == "l" {
			got = append(got, l.ID)
		}
	}
	if len(got) != 1 || got[0] != "first" {
		e.Fatalf("leased %q of the lane, want the one ahead alone", got)
	}
	e.enqueue(one("late", "l"))
	e.want()
	e.end(delivery.Release, flying...)
	for _, l := range e.take(plenty) {
		if l.LaneName() == "l" {
			e.Fatalf("%s was leased before the first attempt of the one ahead", l.ID)
		}
	}
}

func aheadFailed(e *env) {
	for _, r := range []delivery.Result{delivery.Done, delivery.Retry, delivery.GiveUp} {
		lane := "lane" + string(rune('0'+r))
		e.enqueue(one(lane+"b", lane))
		e.enqueue(ahead(lane+"a", lane))
		l := e.wantOne(lane + "a")
		o := outcome(l, r)
		o.RetryIn = time.Hour
		e.settle(o)
		e.end(delivery.Done, e.wantOne(lane+"b"))
	}
	e.enqueue(one("n", "l"))
	e.enqueue(ahead("m", "l"))
	l := e.wantOne("m") // a release that records an attempt had its first attempt
	o := outcome(l, delivery.Release)
	o.Attempt, o.RetryIn = &delivery.Attempt{Number: 1, Status: 429}, time.Second
	e.settle(o)
	e.wantOne("n")
	e.tick(time.Second)
	e.wantOne("m")
}

func aheadReleased(e *env) {
	e.enqueue(one("b", "l"))
	e.enqueue(ahead("a", "l"))
	e.end(delivery.Release, e.wantOne("a"))
	l := e.wantOne("a")
	if l.Attempts != 0 || l.Try != 1 {
		e.Errorf("Attempts %d, Try %d after a release", l.Attempts, l.Try)
	}
	o := outcome(l, delivery.Release)
	o.RetryIn = 10 * time.Second
	e.settle(o)
	e.enqueue(one("c", "l"))
	e.tick(9 * time.Second)
	e.want()
	e.tick(time.Second)
	e.end(delivery.Done, e.wantOne("a"))
	e.want("b", "c")
}

func aheadLost(e *env) {
	e.enqueue(one("b", "l"))
	e.enqueue(ahead("a", "l"))
	e.wantOne("a")
	e.tick(ttl + time.Millisecond)
	e.end(delivery.Done, e.wantOne("a"))
	e.wantOne("b")
}

func aheadGone(e *env) {
	op := e.operator()
	e.enqueue(one("b", "l"))
	e.enqueue(ahead("a", "l"))
	e.must(op.Cancel(e.ctx, e.now, "a"), "Cancel")
	e.end(delivery.Done, e.wantOne("b"))
	e.enqueue(ahead("c", "l"), one("d", "l"))
	e.end(delivery.Done, e.wantOne("c"))
	e.wantOne("d")
}

func aheadRetryNow(e *env) {
	op := e.operator()
	for _, mode := range []delivery.LaneMode{delivery.LaneOpen, delivery.LanePaused} {
		n := string(rune('0' + mode))
		e.enqueue(one("b"+n, "l"))
		e.enqueue(ahead("a"+n, "l"))
		e.setLanes(delivery.LaneState{Lane: "l", Mode: mode})
		e.must(op.RetryNow(e.ctx, e.now, "a"+n), "RetryNow")
		e.setLanes(delivery.LaneState{Lane: "l", Mode: delivery.LaneOpen})
		var got []string
		for range 2 {
			for _, l := range e.take(plenty) {
				got = append(got, l.ID)
				e.end(delivery.Done, l)
			}
		}
		if !sameSet(got, []string{"a" + n, "b" + n}) {
			e.Fatalf("leased %q, want both", got)
		}
	}
}

func aheadPaused(e *env) {
	e.enqueue(one("b", "l"))
	e.enqueue(ahead("a", "l"))
	e.setLanes(delivery.LaneState{Lane: "l", Mode: delivery.LanePaused})
	e.enqueue(ahead("c", "l"), one("d", "l"))
	e.setLanes(delivery.LaneState{Lane: "l", Mode: delivery.LaneOpen})
	e.end(delivery.Done, e.want("a", "c")...)
	e.want("b", "d")
}

func aheadKeyed(e *env) {
	e.enqueue(keyed("a", "l", "k"))
	first := keyed("b", "l", "k")
	first.Ahead = true
	e.enqueue(first)
	e.enqueue(one("c", "l"))
	e.end(delivery.Done, e.want("a", "c")...)
	e.enqueue(many("d", "l", 20)...)
	e.end(delivery.Done, e.wantOne("b"))
	if got := e.take(plenty); len(got) != 20 {
		e.Fatalf("%d of 20 went on", len(got))
	}
}
