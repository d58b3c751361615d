package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

var oldestRules = []rule{
	{"oldest/first", "Oldest tells when the first of the pending deliveries was published, leased ones included.", oldestFirst},
	{"oldest/again", "A settled delivery that is retried by hand counts again.", oldestAgain},
	{"crash/oldest", "After a crash the oldest is the same.", oldestCrash},
}

// elder skips the case if the store is none.
func (e *env) elder() delivery.Elder {
	e.Helper()
	o, ok := e.store.(delivery.Elder)
	if !ok {
		e.Skip("the store is no delivery.Elder: nobody is told the age of its backlog")
	}
	return o
}

// oldest asserts when the oldest was published.
func (e *env) oldest(when string, want time.Time) {
	e.Helper()
	if got, err := e.elder().Oldest(e.ctx); err != nil || !got.Equal(want) || got.IsZero() != want.IsZero() {
		e.Fatalf("%s the oldest is of %v, %v, want %v", when, got, err, want)
	}
}

// published enqueues a delivery of this moment and returns that.
func (e *env) published(id, lane string) time.Time {
	e.Helper()
	d := one(id, lane)
	d.PublishedAt = e.now
	e.enqueue(d)
	e.tick(time.Second)
	return d.PublishedAt
}

func oldestFirst(e *env) {
	e.elder()
	e.oldest("of none", time.Time{})
	e.enqueue(delivery.Delivery{ID: "marker", EventID: "marker", PublishedAt: e.now})
	e.oldest("of a marker", time.Time{})
	at := map[string]time.Time{}
	for i := range 8 {
		id := fmt.Sprint("d", i)
		at[id] = e.published(id, fmt.Sprint("l", i%3))
	}
	e.oldest("of all", at["d0"])
	got := e.take(plenty)
	slices.SortFunc(got, func(a, b delivery.Lease) int { return a.PublishedAt.Compare(b.PublishedAt) })
	e.oldest("of those leased", at["d0"])
	e.end(delivery.Done, got[1], got[2])
	e.oldest("as others end", at["d0"])
	e.settle(retryIn(got[0], time.Hour))
	e.oldest("as it waits for its turn", at["d0"])
	e.setLanes(delivery.LaneState{Lane: "l0", Mode: delivery.LaneClosed}) // 0, 3 and 6
	e.end(delivery.Done, got[3])
	e.oldest("of the fifth on", at["d4"])
	e.end(delivery.GiveUp, got[4], got[6])
	e.oldest("of two", at["d5"])
	e.end(delivery.Done, got[5], got[7])
	e.oldest("as all is settled", time.Time{})
}

func oldestAgain(e *env) {
	e.elder()
	o := e.operator()
	first := e.published("a", "l")
	second := e.published("b", "l")
	e.end(delivery.GiveUp, e.take(1)...)
	e.oldest("behind a dead one", second)
	e.must(o.RetryNow(e.ctx, e.now, "a"), "RetryNow")
	if got, err := e.elder().Oldest(e.ctx); err != nil || !got.Equal(first) && !got.Equal(second) { // its place may be a new one
		e.Errorf("with it the oldest is of %v, %v, want %v or %v", got, err, first, second)
	}
	e.end(delivery.Done, e.want("a", "b")[1])
	e.oldest("of it alone", first)
}

func oldestCrash(e *env) {
	e.elder()
	first := e.published("a", "l")
	second := e.published("b", "m")
	e.crash()
	e.oldest("of all", first)
	e.end(delivery.Done, e.wantBack("a", "b")[0])
	e.oldest("of one", second)
}
