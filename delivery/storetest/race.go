package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

var raceRules = []rule{
	{"race/settle", "With many producers and consumers nothing is lost, and nothing is handed out twice while its lease lasts or after it was done.", raceSettle},
	{"race/keys", "With many consumers at once each key is still delivered one at a time and in order.", raceKeys},
}

const (
	raceProducers = 8
	raceConsumers = 8
	raceEach      = 150
)

// race is what the goroutines of a case share. Its clock is stepped by whoever
// finds nothing to do.
type race struct {
	e     *env
	start time.Time
	steps atomic.Int64 // milliseconds since start
	open  atomic.Int64 // not yet done

	mu      sync.Mutex
	expires map[string]int64 // end of the lease that is believed to last
	done    map[string]bool
	lastOf  map[string]int // by key: the number that was leased last
	err     error
}

func (e *env) newRace(total int) *race {
	r := &race{e: e, start: e.now, expires: map[string]int64{}, done: map[string]bool{}, lastOf: map[string]int{}}
	r.open.Store(int64(total))
	return r
}

func (r *race) now() (at time.Time, step int64) {
	step = r.steps.Load()
	return r.start.Add(time.Duration(step) * time.Millisecond), step
}

func (r *race) fail(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *race) failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err != nil
}

// consume leases and settles until all is done.
func (r *race) consume(ctx context.Context, seed uint64, decide decision) {
	rnd := rand.New(rand.NewPCG(seed, 7))
	for r.open.Load() > 0 && !r.failed() {
		now, step := r.now()
		leases, err := r.e.store.Lease(ctx, now, delivery.LeaseRequest{Max: 1 + rnd.IntN(20), TTL: ttl})
		if err != nil {
			r.fail("Lease: %w", err)
			return
		}
		if len(leases) == 0 {
			r.steps.Add(50)
			continue
		}
		if outs := r.leased(leases, step+ttl.Milliseconds(), rnd, decide); len(outs) > 0 {
			r.settle(ctx, outs, step+ttl.Milliseconds())
		}
	}
}

// A decision says how a lease ends, or that it is forgotten. It is called under
// the race's lock.
type decision func(rnd *rand.Rand, l delivery.Lease) (o delivery.Outcome, forget bool)

// leased notes leases that last to end and decides about them. A goroutine may
// have been held up for so long that they are over: then they say nothing.
func (r *race) leased(leases []delivery.Lease, end int64, rnd *rand.Rand, decide decision) []delivery.Outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	late := r.steps.Load() // the store has seen no later time than this
	if end <= late {
		return nil
	}
	var outs []delivery.Outcome
	for _, l := range leases {
		switch last, ok := r.expires[l.ID]; {
		case r.done[l.ID]:
			r.err = fmt.Errorf("%s was leased after it was done", l.ID)
		case ok && last > late:
			r.err = fmt.Errorf("%s was leased twice at once", l.ID)
		}
		r.expires[l.ID] = end
		if o, forget := decide(rnd, l); !forget {
			outs = append(outs, o)
		}
	}
	return outs
}

func (r *race) settle(ctx context.Context, outs []delivery.Outcome, end int64) {
	r.mu.Lock()
	for _, o := range outs { // from here on it may be leased again
		if o.Result != delivery.Done && r.expires[o.ID] == end {
			delete(r.expires, o.ID)
		}
	}
	r.mu.Unlock()
	now, _ := r.now()
	err := r.e.store.Settle(ctx, now, outs...)
	var lost *delivery.LostLeasesError
	if err != nil && !errors.As(err, &lost) {
		r.fail("Settle: %w", err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	isLost := map[string]bool{}
	if lost != nil {
		for _, id := range lost.IDs {
			isLost[id] = true
			if end > r.steps.Load() {
				r.err = fmt.Errorf("the lease of %s was lost before its end", id)
			}
		}
	}
	for _, o := range outs {
		if o.Result != delivery.Done || isLost[o.ID] {
			continue
		}
		if r.done[o.ID] {
			r.err = fmt.Errorf("%s was done twice", o.ID)
		}
		r.done[o.ID] = true
		r.open.Add(-1)
	}
}

// run starts producers of raceEach deliveries each and the consumers.
func (r *race) run(produce func(producer, i int) delivery.Delivery, decide decision) {
	ctx, cancel := context.WithCancel(r.e.ctx)
	defer cancel()
	var wg sync.WaitGroup
	for p := range raceProducers {
		wg.Go(func() {
			for i := 0; i < raceEach; {
				var batch []delivery.Delivery
				for n := min(1+i%7, raceEach-i); n > 0; n-- {
					batch = append(batch, produce(p, i))
					i++
				}
				now, _ := r.now()
				if err := r.e.store.Enqueue(ctx, now, batch...); err != nil {
					r.fail("Enqueue: %w", err)
					return
				}
			}
		})
	}
	for c := range raceConsumers {
		wg.Go(func() { r.consume(ctx, uint64(c), decide) })
	}
	wg.Wait()
	if r.err != nil {
		r.e.Fatal(r.err)
	}
	r.e.tick(time.Duration(r.steps.Load())*time.Millisecond + 24*time.Hour)
	r.e.want()
	r.e.counts(0, int64(len(r.done)), 0)
}

func raceSettle(e *env) {
	r := e.newRace(raceProducers * raceEach)
	r.run(func(p, i int) delivery.Delivery {
		d := one(fmt.Sprintf("p%d-%d", p, i), fmt.Sprintf("lane%d", (p+i)%5))
		if i%4 == 0 {
			d.DelayIn = time.Duration(i) * time.Millisecond
		}
		return d
	}, func(rnd *rand.Rand, l delivery.Lease) (delivery.Outcome, bool) {
		switch n := rnd.IntN(20); {
		case n == 0:
			return delivery.Outcome{}, true
		case n < 4:
			return retryIn(l, time.Duration(rnd.IntN(3000))*time.Millisecond), false
		case n < 7:
			return outcome(l, delivery.Release), false
		default:
			return outcome(l, delivery.Done), false
		}
	})
}

func raceKeys(e *env) {
	r := e.newRace(raceProducers * raceEach)
	r.run(func(p, i int) delivery.Delivery {
		d := keyed(fmt.Sprintf("p%d-%d", p, i), fmt.Sprintf("lane%d", p%3), fmt.Sprintf("key%d", p))
		d.Meta = map[string]string{"n": strconv.Itoa(i)}
		return d
	}, func(rnd *rand.Rand, l delivery.Lease) (delivery.Outcome, bool) {
		var n int
		if _, err := fmt.Sscan(l.Meta["n"], &n); err != nil {
			r.err = fmt.Errorf("the number of %s: %w", l.ID, err)
		}
		if last, seen := r.lastOf[l.Key]; seen && n != last && n != last+1 || !seen && n != 0 {
			r.err = fmt.Errorf("%s was leased after number %d of its key", l.ID, last)
		}
		r.lastOf[l.Key] = n
		if rnd.IntN(5) == 0 {
			return retryIn(l, time.Duration(rnd.IntN(100))*time.Millisecond), false
		}
		return outcome(l, delivery.Done), false
	})
}
