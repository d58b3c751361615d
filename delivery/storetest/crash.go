package storetest

import (
	"slices"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

var crashRules = []rule{
	{"crash/waiting", "After a crash all that was acknowledged and is not settled is handed out, each once; settled ones stay settled.", crashWaiting},
	{"crash/leased", "After a crash what was leased is due at once, unless engines share the store, and old receipts are lost.", crashLeased},
	{"crash/retries", "After a crash retries are due at their time with their attempt numbers.", crashRetries},
	{"crash/keys", "After a crash ordering keys keep their order.", crashKeys},
	{"crash/ahead", "After a crash one that goes ahead still does.", crashAhead},
	{"crash/lanes", "After a crash lanes are as they were set.", crashLanes},
	{"crash/health", "After a crash a failing endpoint is as throttled and as long failing as before, and a healthy one healthy.", crashHealth},
	{"crash/clock", "A clock that was set back while nobody ran holds up nothing that was due, unless engines share the store and its clock.", crashClock},
	{"crash/history", "After a crash history, events and the attempt log are as they were.", crashHistory},
	{"crash/again", "A store may crash again and again.", crashAgain},
}

// crash abandons the store and opens what it left.
func (e *env) crash() {
	e.Helper()
	if e.cfg.Reopen == nil {
		e.Fatal("storetest: a case of a crash without Config.Reopen")
	}
	e.store = e.cfg.Reopen(e.T, e.store)
}

// takeBack is want, but has patience with a store that engines share: what a
// dead engine held comes back only after its expiry.
func (e *env) takeBack(n int) []delivery.Lease {
	e.Helper()
	all := e.take(n)
	for e.cfg.Traits.SharedByEngines && len(all) < n {
		select {
		case <-time.After(20 * time.Millisecond):
		case <-e.ctx.Done():
			e.Fatalf("only %d of %d came back: %v", len(all), n, e.ctx.Err())
		}
		all = append(all, e.take(n-len(all))...)
	}
	if len(all) < n {
		e.Fatalf("%d of %d came back: %q", len(all), n, idsOf(all))
	}
	return all
}

func (e *env) wantBack(ids ...string) []delivery.Lease {
	e.Helper()
	got := e.takeBack(len(ids))
	got = append(got, e.take(plenty)...)
	if !sameSet(idsOf(got), ids) {
		e.Fatalf("leased %q, want %q", idsOf(got), ids)
	}
	slices.SortFunc(got, func(a, b delivery.Lease) int { return slices.Index(ids, a.ID) - slices.Index(ids, b.ID) })
	return got
}

func crashWaiting(e *env) {
	const lanes, each = 40, 60
	for i := range lanes {
		n := strconv.Itoa(i)
		e.enqueue(many("a"+n+"-", "lane"+n, each)...)
	}
	first := e.take(100)
	e.end(delivery.Done, first[:50]...)
	e.end(delivery.GiveUp, first[50:]...)
	e.crash()
	e.counts(lanes*each-100, 50, 50)
	seen := map[string]bool{}
	for _, l := range first {
		seen[l.ID] = true
	}
	for len(seen) < lanes*each {
		got := e.takeBack(min(100, lanes*each-len(seen)))
		for _, l := range got {
			if seen[l.ID] {
				e.Fatalf("%s came again", l.ID)
			}
			seen[l.ID] = true
		}
		e.end(delivery.Done, got...)
	}
	e.want()
	e.enqueue(first[0].Delivery, first[99].Delivery) // their IDs are remembered
	e.want()
}

func crashLeased(e *env) {
	e.enqueue(many("a", "l", 5)...)
	old := e.want("a0", "a1", "a2", "a3", "a4")
	e.crash()
	e.lost(e.store.Settle(e.ctx, e.now, outcome(old[0], delivery.Done)), "settle under a receipt from before the crash", "a0")
	got := e.wantBack("a0", "a1", "a2", "a3", "a4")
	for _, l := range got {
		if l.Attempts != 0 || l.Try != 1 {
			e.Errorf("%s has Attempts %d and Try %d", l.ID, l.Attempts, l.Try)
		}
	}
	err := e.store.Settle(e.ctx, e.now, outcome(old[1], delivery.Done), outcome(got[2], delivery.Done))
	e.lost(err, "settle under a receipt from before the crash", "a1")
	e.counts(4, 1, 0)
}

func crashRetries(e *env) {
	e.enqueue(many("a", "l", 3)...)
	l := e.want("a0", "a1", "a2")
	log := outcome(l[1], delivery.Release)
	log.Attempt = &delivery.Attempt{Number: 1, Status: 429}
	log.RetryIn = 2 * time.Hour
	e.settle(retryIn(l[0], time.Hour), log, retryIn(l[2], 0))
	late := one("late", "l")
	late.DelayIn, late.ExpiresIn = 3*time.Hour, 4*time.Hour
	e.enqueue(late)
	e.crash()
	if got := e.wantBack("a2")[0]; got.Attempts != 1 || got.Try != 2 {
		e.Errorf("Attempts %d and Try %d, want 1 and 2", got.Attempts, got.Try)
	} else {
		e.end(delivery.Done, got)
	}
	e.tick(time.Hour - time.Second)
	e.want()
	e.tick(time.Second)
	e.end(delivery.Done, e.wantOne("a0"))
	e.tick(time.Hour)
	if got := e.wantOne("a1"); got.Attempts != 1 || got.Try != 1 {
		e.Errorf("Attempts %d and Try %d, want 1 and 1", got.Attempts, got.Try)
	} else {
		e.end(delivery.Done, got)
	}
	e.tick(time.Hour)
	if got := e.wantOne("late"); got.Expired {
		e.Error("expired an hour before its time")
	} else {
		e.end(delivery.Release, got)
	}
	e.tick(time.Hour)
	if got := e.wantOne("late"); !got.Expired {
		e.Error("not expired after its time")
	}
}

func crashKeys(e *env) {
	for i := range 10 {
		e.enqueue(keyed("a"+strconv.Itoa(i), "l", "k"), keyed("b"+strconv.Itoa(i), "l", "j"))
	}
	got := e.want("a0", "b0")
	e.end(delivery.Done, got[0])
	e.settle(retryIn(got[1], time.Hour))
	e.crash()
	got = e.wantBack("a1")
	e.end(delivery.Done, got...)
	for i := 2; i < 10; i++ {
		e.end(delivery.Done, e.wantOne("a"+strconv.Itoa(i)))
	}
	e.tick(time.Hour)
	for i := range 10 {
		e.end(delivery.Done, e.wantOne("b"+strconv.Itoa(i)))
	}
}

func crashAhead(e *env) {
	e.enqueue(many("b", "l", 50)...)
	e.enqueue(ahead("a", "l"))
	e.enqueue(one("n", "m"))
	e.enqueue(ahead("m", "m"))
	m := e.want("a", "m")[1]
	e.settle(retryIn(m, time.Hour)) // had its first attempt
	e.crash()
	got := e.wantBack("a", "n")
	e.end(delivery.Release, got[0])
	e.end(delivery.Done, e.wantOne("a"))
	if rest := e.take(plenty); len(rest) != 50 {
		e.Errorf("%d of 50 followed", len(rest))
	}
}

func crashLanes(e *env) {
	for _, lane := range []string{"paused", "closed", "capped", "held", "reset"} {
		e.enqueue(many(lane, lane, 5)...)
	}
	e.setLanes(
		delivery.LaneState{Lane: "paused", Mode: delivery.LanePaused},
		closeLane("closed"),
		delivery.LaneState{Lane: "capped", MaxInFlight: 2},
		delivery.LaneState{Lane: "held", NotBeforeIn: time.Hour},
		delivery.LaneState{Lane: "reset", Mode: delivery.LanePaused, MaxInFlight: 1, NotBeforeIn: time.Hour},
		delivery.LaneState{Lane: "rated", PerSecond: 1},
	)
	e.setLanes(delivery.LaneState{Lane: "reset", Mode: delivery.LaneOpen, MaxInFlight: -1, NotBeforeIn: -1})
	e.crash()
	e.counts(20, 0, 5)
	e.enqueue(one("late", "closed"))
	e.state("late", delivery.Dead, why)
	e.enqueue(many("rated", "rated", 5)...)
	count := map[string]int{}
	for _, l := range e.takeBack(8) {
		count[l.Lane]++
	}
	for _, l := range e.take(plenty) {
		count[l.Lane]++
	}
	if count["paused"] != 0 || count["held"] != 0 || count["closed"] != 0 || count["capped"] != 2 || count["reset"] != 5 || count["rated"] != 1 {
		e.Fatalf("leased %v, want 2 of capped, 5 of reset, 1 of rated", count)
	}
	e.tick(time.Hour)
	e.setLanes(delivery.LaneState{Lane: "paused", Mode: delivery.LaneOpen})
	clear(count)
	for _, l := range e.take(plenty) {
		count[l.Lane]++
	}
	if count["paused"] != 5 || count["held"] != 5 {
		e.Fatalf("leased %v, want 5 of paused and of held", count)
	}
}

func crashHistory(e *env) {
	b := e.browser()
	e.enqueue(one("a", "l"), one("b", "l"), one("c", "m"), delivery.Delivery{ID: "marker", EventID: "marker"})
	l := e.want("a", "b", "c")
	e.settle(retryIn(l[0], 0), outcome(l[1], delivery.GiveUp), retryIn(l[2], time.Hour))
	e.end(delivery.Done, e.wantOne("a"))
	before := e.list(delivery.Filter{})
	log, err := b.Attempts(e.ctx, "a")
	e.must(err, "Attempts")
	e.crash()
	b = e.browser()
	after := e.list(delivery.Filter{})
	if !slices.Equal(listed(after), listed(before)) {
		e.Fatalf("listed are %q, before it was %q", listed(after), listed(before))
	}
	for i, st := range after {
		was := before[i]
		if st.State != was.State || st.Reason != was.Reason || st.Attempts != was.Attempts || st.LastStatus != was.LastStatus ||
			st.LastError != was.LastError || !st.NextAttemptAt.Equal(was.NextAttemptAt) || !st.SettledAt.Equal(was.SettledAt) {
			e.Errorf("%s is %+v, before it was %+v", st.ID, st, was)
		}
	}
	again, err := b.Attempts(e.ctx, "a")
	if e.must(err, "Attempts"); len(again) != len(log) || len(log) != 2 {
		e.Errorf("%d attempts are recorded, before it were %d", len(again), len(log))
	}
	if n, known, err := b.Event(e.ctx, "b"); n != 1 || !known || err != nil {
		e.Errorf("Event is %d, %t, %v", n, known, err)
	}
	if n, known, err := b.Event(e.ctx, "marker"); n != 0 || !known || err != nil {
		e.Errorf("Event of a marker is %d, %t, %v", n, known, err)
	}
	e.counts(1, 1, 1)
}

func crashAgain(e *env) {
	done := 0
	for round := range 6 {
		n := strconv.Itoa(round)
		e.enqueue(many("a"+n+"-", "l", 30)...)
		e.enqueue(keyed("k"+n, "l", "k"))
		got := e.takeBack(10)
		e.end(delivery.Done, got[:7]...)
		done += 7
		e.crash()
		e.counts(int64(31*(round+1)-done), int64(done), 0)
	}
	for left := 31*6 - done; left > 0; {
		got := e.takeBack(1)
		e.end(delivery.Done, got...)
		left -= len(got)
	}
	e.want()
	e.counts(0, 31*6, 0)
}

func crashClock(e *env) {
	e.now = time.Now().Add(24 * time.Hour) // by a clock that is wrong
	late := one("late", "l")
	late.DelayIn = time.Hour
	e.enqueue(one("a", "l"), late)
	e.setLanes(delivery.LaneState{Lane: "held", NotBeforeIn: time.Hour})
	e.crash()
	e.now = time.Time{} // the store's own, which is right again
	if e.cfg.Traits.SharedByEngines {
		return
	}
	e.end(delivery.Done, e.wantOne("a"))
	e.enqueue(one("b", "l"))
	e.end(delivery.Done, e.wantOne("b"))
}
