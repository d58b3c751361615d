package storetest

import (
	"context"
	"errors"
	"math"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

var laneRules = []rule{
	{"lanes/fair", "With 1,000, 10 and 1 rows in three lanes each lane gets its turn within the first round.", lanesFair},
	{"lanes/cap", "A lane never has more leases than its MaxInFlight, and a settle frees a place.", lanesCap},
	{"lanes/cap_skip", "A lane at its cap costs the others nothing.", lanesCapSkip},
	{"lanes/pause", "A paused lane hands nothing out and loses nothing, and brings all when it opens.", lanesPause},
	{"lanes/hold", "NotBeforeIn holds a lane back; a shorter hold does not end a longer one, a negative one ends any.", lanesHold},
	{"lanes/rate", "PerSecond spaces the starts of a lane, and a negative one lifts the limit.", lanesRate},
	{"lanes/rate_changed", "A change of PerSecond is felt at once: the last start counts by the new rate.", lanesRateChanged},
	{"lanes/as_is", "The zero fields of a LaneState leave things as they are, and a lane without a name is refused.", lanesAsIs},
}

var closeRules = []rule{
	{"close/waiting", "All that waits in a lane is dead with its reason when the closing SetLanes returns.", closeWaiting},
	{"close/later", "What goes to a closed lane is dead at once with the lane's reason.", closeLater},
	{"close/in_flight", "What is leased of a closed lane may still be delivered, but is not tried again.", closeInFlight},
	{"close/reopen", "A closed lane that is opened again takes and hands out what comes from then on.", closeReopen},
	{"close/cut_off", "A closing whose context ends on the way strands nothing: what it left is handed out once the lane opens, and blocks no key.", closeCutOff},
	{"close/no_reason", "A lane that is closed without a reason is closed all the same.", closeNoReason},
	{"close/many", "Closing a lane kills thousands of rows and touches no other lane.", closeMany},
}

func lanesFair(e *env) {
	e.enqueue(many("big", "big", 1000)...)
	e.enqueue(many("mid", "mid", 10)...)
	e.enqueue(one("only", "only"))
	var lanes []string
	for _, l := range e.take(3) {
		lanes = append(lanes, l.Lane)
	}
	if !sameSet(lanes, []string{"big", "mid", "only"}) {
		e.Fatalf("the first three leases are of %q", lanes)
	}
	// mid gets a half of what follows, until it is empty.
	lanes = nil
	for _, l := range e.take(18) {
		lanes = append(lanes, l.Lane)
	}
	slices.Sort(lanes)
	if n := slices.Index(lanes, "mid"); n != 9 {
		e.Errorf("of 18 leases %d are of the big lane, want 9", n)
	}
}

func lanesCap(e *env) {
	e.setLanes(delivery.LaneState{Lane: "l", MaxInFlight: 3})
	e.enqueue(many("a", "l", 20)...)
	held := e.take(plenty)
	if len(held) != 3 {
		e.Fatalf("%d leases at a cap of 3", len(held))
	}
	for _, r := range []delivery.Result{delivery.Done, delivery.GiveUp, delivery.Retry} {
		o := outcome(held[0], r)
		o.RetryIn = time.Hour
		e.settle(o)
		if next := e.take(plenty); len(next) != 1 {
			e.Fatalf("%d leases after one place became free", len(next))
		} else {
			held = append(held[1:], next...)
		}
	}
	e.setLanes(delivery.LaneState{Lane: "l", MaxInFlight: 5})
	if next := e.take(plenty); len(next) != 2 {
		e.Fatalf("the cap went from 3 to 5 and %d leases followed", len(next))
	}
	e.setLanes(delivery.LaneState{Lane: "l", MaxInFlight: 1})
	e.end(delivery.Done, held...)
	if next := e.take(plenty); len(next) != 0 {
		e.Fatalf("2 are in flight at a cap of 1 and %d leases followed", len(next))
	}
	e.tick(ttl + time.Millisecond) // leases that end free their places as well
	if next := e.take(plenty); len(next) != 1 {
		e.Fatalf("%d leases at a cap of 1", len(next))
	}
	e.setLanes(delivery.LaneState{Lane: "l", MaxInFlight: -1})
	if next := e.take(plenty); len(next) < 2 {
		e.Fatalf("%d leases at the default cap", len(next))
	}
}

func lanesCapSkip(e *env) {
	e.setLanes(delivery.LaneState{Lane: "busy", MaxInFlight: 1}, delivery.LaneState{Lane: "paused", Mode: delivery.LanePaused},
		delivery.LaneState{Lane: "held", NotBeforeIn: time.Hour})
	for _, lane := range []string{"busy", "paused", "held"} {
		e.enqueue(many(lane, lane, 500)...)
	}
	if got := e.take(plenty); len(got) != 1 || got[0].Lane != "busy" {
		e.Fatalf("leased %q, want one of the busy lane", idsOf(got))
	}
	e.enqueue(many("free", "free", 5)...)
	if got := e.take(5); len(got) != 5 {
		e.Errorf("leased %q, want the five of the free lane", idsOf(got))
	}
}

func lanesPause(e *env) {
	e.enqueue(many("a", "l", 10)...)
	got := e.take(4)
	e.setLanes(delivery.LaneState{Lane: "l", Mode: delivery.LanePaused})
	e.want()
	e.settle(outcome(got[0], delivery.Done), retryIn(got[1], time.Second), outcome(got[2], delivery.Release))
	e.enqueue(many("b", "l", 5)...)
	e.tick(ttl + time.Second) // the fourth lease ends
	e.want()
	e.counts(14, 1, 0)
	e.setLanes(delivery.LaneState{Lane: "l", Mode: delivery.LaneOpen})
	all := e.take(plenty)
	if len(all) != 14 {
		e.Fatalf("%d came back after the pause, want 14: %q", len(all), idsOf(all))
	}
	e.end(delivery.Done, all...)
	e.counts(0, 15, 0)
}

func lanesHold(e *env) {
	e.enqueue(one("a", "l"), one("b", "l"))
	e.setLanes(delivery.LaneState{Lane: "l", NotBeforeIn: 10 * time.Second})
	e.want()
	e.setLanes(delivery.LaneState{Lane: "l", NotBeforeIn: 2 * time.Second})
	e.enqueue(one("c", "l"))
	e.tick(5 * time.Second)
	e.want()
	e.tick(5*time.Second - time.Millisecond)
	e.want()
	e.tick(time.Millisecond)
	e.want("a", "b", "c")
	e.enqueue(one("d", "l"))
	e.setLanes(delivery.LaneState{Lane: "l", NotBeforeIn: time.Hour})
	e.want()
	e.setLanes(delivery.LaneState{Lane: "l", NotBeforeIn: -1})
	e.wantOne("d")
}

func lanesRate(e *env) {
	e.setLanes(delivery.LaneState{Lane: "l", PerSecond: 2, MaxInFlight: 1000})
	e.enqueue(many("a", "l", 60)...)
	var starts []time.Duration
	begin := e.now
	for range 100 { // ten seconds
		for range e.take(plenty) {
			starts = append(starts, e.now.Sub(begin))
		}
		e.tick(100 * time.Millisecond)
	}
	for i := 2; i < len(starts); i++ {
		if starts[i]-starts[i-2] < time.Second {
			e.Fatalf("three leases began within %v at 2 a second", starts[i]-starts[i-2])
		}
	}
	if len(starts) < 15 {
		e.Fatalf("%d leases began in 10 s at 2 a second", len(starts))
	}
	e.setLanes(delivery.LaneState{Lane: "l", PerSecond: -1})
	if rest := e.take(plenty); len(rest) != 60-len(starts) {
		e.Errorf("%d leases began without a limit, want %d", len(rest), 60-len(starts))
	}
}

func lanesRateChanged(e *env) {
	e.enqueue(many("a", "l", 9)...)
	next := func(want int, after time.Duration) {
		e.Helper()
		e.tick(after)
		if got := e.take(1); len(got) != want {
			e.Fatalf("%d leases began, want %d", len(got), want)
		}
	}
	e.setLanes(delivery.LaneState{Lane: "l", PerSecond: 0.01})
	next(1, 0)
	next(0, time.Second)
	e.setLanes(delivery.LaneState{Lane: "l", PerSecond: 0.5}) // raised
	next(0, 900*time.Millisecond)
	next(1, 100*time.Millisecond)
	e.setLanes(delivery.LaneState{Lane: "l", PerSecond: 0.1}) // lowered
	next(0, 9900*time.Millisecond)
	next(1, 100*time.Millisecond)
	e.setLanes(delivery.LaneState{Lane: "l", PerSecond: math.SmallestNonzeroFloat64}) // as good as never
	next(0, 24*time.Hour)
	e.setLanes(delivery.LaneState{Lane: "l", PerSecond: -1})
	next(1, 0)
}

func lanesAsIs(e *env) {
	e.setLanes(delivery.LaneState{Lane: "l", Mode: delivery.LanePaused, MaxInFlight: 2, NotBeforeIn: 10 * time.Second})
	e.enqueue(many("a", "l", 5)...)
	e.setLanes(delivery.LaneState{Lane: "l"})
	e.tick(11 * time.Second)
	e.want()
	e.setLanes(delivery.LaneState{Lane: "l", Mode: delivery.LaneOpen})
	if got := e.take(plenty); len(got) != 2 {
		e.Errorf("%d leases at a cap of 2", len(got))
	}
	if err := e.store.SetLanes(e.ctx, e.now, delivery.LaneState{Mode: delivery.LanePaused}); !errors.Is(err, delivery.ErrInvalid) {
		e.Errorf("a lane without a name: %v, want ErrInvalid", err)
	}
	e.must(e.store.SetLanes(e.ctx, e.now), "SetLanes of nothing")
}

const why = "registration removed"

func closeLane(lane string) delivery.LaneState {
	return delivery.LaneState{Lane: lane, Mode: delivery.LaneClosed, Reason: why}
}

func closeWaiting(e *env) {
	late := one("late", "l")
	late.DelayIn = time.Hour
	e.enqueue(one("retried", "l"), keyed("k0", "l", "k"), keyed("k1", "l", "k"), late)
	got := e.want("retried", "k0")
	e.settle(retryIn(got[0], time.Hour), outcome(got[1], delivery.Release))
	first := one("first", "l")
	first.Ahead = true
	e.enqueue(one("waits", "l"), first, one("other", "m"))
	e.setLanes(closeLane("l"))
	for _, id := range []string{"retried", "k0", "k1", "late", "waits", "first"} {
		e.state(id, delivery.Dead, why)
	}
	e.counts(1, 0, 6)
	e.wantOne("other")
	e.tick(24 * time.Hour)
	e.wantOne("other")
}

func closeLater(e *env) {
	e.setLanes(closeLane("l"))
	e.enqueue(one("a", "l"), one("b", "m"), keyed("c", "l", "k"))
	e.state("a", delivery.Dead, why)
	e.state("c", delivery.Dead, why)
	e.counts(1, 0, 2)
	e.wantOne("b")
}

func closeInFlight(e *env) {
	e.enqueue(many("a", "l", 5)...)
	got := e.want("a0", "a1", "a2", "a3", "a4")
	e.setLanes(closeLane("l"))
	log := outcome(got[3], delivery.Release)
	log.RetryIn = time.Second
	log.Attempt = &delivery.Attempt{Number: 1, Status: 429}
	e.settle(outcome(got[0], delivery.Done), retryIn(got[1], time.Second), outcome(got[2], delivery.Release), log)
	e.tick(ttl + time.Millisecond) // the last lease ends without a word
	e.want()
	e.state("a0", delivery.Delivered, "")
	for _, id := range []string{"a1", "a2", "a3", "a4"} {
		e.state(id, delivery.Dead, why)
	}
	e.counts(0, 1, 4)
}

func closeReopen(e *env) {
	e.enqueue(one("old", "l"))
	e.setLanes(closeLane("l"))
	e.setLanes(delivery.LaneState{Lane: "l", Mode: delivery.LaneOpen})
	e.enqueue(one("new", "l"), one("old", "l"))
	e.end(delivery.Done, e.wantOne("new"))
	e.state("old", delivery.Dead, why)
	e.counts(0, 1, 1)
}

func closeMany(e *env) {
	for i := range 5 {
		e.enqueue(many("a"+strconv.Itoa(i)+"-", "l", 1000)...)
	}
	e.enqueue(many("b", "m", 20)...)
	e.setLanes(closeLane("l"))
	e.counts(20, 0, 5000)
	if got := e.take(plenty); len(got) != 20 {
		e.Errorf("%d of 20 came out of the other lane", len(got))
	}
}

func closeNoReason(e *env) {
	e.enqueue(one("a", "l"))
	e.setLanes(delivery.LaneState{Lane: "l", Mode: delivery.LaneClosed})
	e.enqueue(one("b", "l"))
	e.want()
	e.counts(0, 0, 2)
	e.state("a", delivery.Dead, "closed")
	e.state("b", delivery.Dead, "closed")
}

// ending is a context that ends when it has been asked so often.
type ending struct {
	context.Context

	asked atomic.Int32
}

func (c *ending) Err() error {
	if c.asked.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

func closeCutOff(e *env) {
	const keys = 1500
	for asked := int32(1); asked <= 2; asked++ {
		lane := "l" + strconv.Itoa(int(asked))
		e.setLanes(delivery.LaneState{Lane: lane, Mode: delivery.LanePaused, MaxInFlight: 2 * plenty})
		for i := range 2 {
			ds := many(lane+"-"+strconv.Itoa(i)+"-", lane, keys)
			for k := range ds {
				ds[k].Key = "k" + strconv.Itoa(k)
			}
			e.enqueue(ds...)
		}
		ctx := &ending{Context: e.ctx}
		ctx.asked.Store(asked)
		err := e.store.SetLanes(ctx, e.now, delivery.LaneState{Lane: lane, Mode: delivery.LaneClosed, Reason: "closed"})
		if err != nil && !errors.Is(err, context.Canceled) {
			e.Fatalf("SetLanes: %v", err)
		}
		e.setLanes(delivery.LaneState{Lane: lane, Mode: delivery.LaneOpen})
		for {
			got := e.take(plenty)
			if len(got) == 0 {
				break
			}
			e.end(delivery.Done, got...)
		}
		if b, ok := e.store.(delivery.Browser); ok {
			c, err := b.Counts(e.ctx)
			e.must(err, "Counts")
			if c.Pending != 0 {
				e.Fatalf("cut off after %d questions: %d are stranded", asked, c.Pending)
			}
		}
		e.enqueue(keyed(lane+"-new", lane, "k7"))
		e.end(delivery.Done, e.wantOne(lane+"-new"))
	}
}
