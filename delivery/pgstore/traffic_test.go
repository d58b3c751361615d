package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// traffic is what engines do while shards move, and what must be true of it.
type traffic struct {
	*site
	cap     int
	lanes   int // of deliveries without a key
	phase   int // deliveries between two changes
	mu      sync.Mutex
	engines []*worked
	order   map[string][]string // IDs by key, in order
	place   map[string]int      // in order
	live    map[string]*worked
	flight  map[string]int // by lane
	ending  map[string]int // settles that said or may say that it is delivered
	settled map[string]int
	wrong   []string
}

// worked is an engine with those who lease from it.
type worked struct {
	*engine
	stop context.CancelFunc
	wg   sync.WaitGroup
}

func (f *traffic) blame(format string, args ...any) {
	f.wrong = append(f.wrong, fmt.Sprintf(format, args...))
}

func (f *traffic) add() *worked {
	w := &worked{engine: f.launch()}
	ctx, stop := context.WithCancel(f.Context())
	w.stop = stop
	for range 3 {
		w.wg.Go(func() { f.consume(ctx, w) })
	}
	f.mu.Lock()
	f.engines = append(f.engines, w)
	f.mu.Unlock()
	return w
}

// end lets an engine stop in order, or crash.
func (f *traffic) end(w *worked, crash bool) {
	f.mu.Lock()
	f.engines = slices.DeleteFunc(f.engines, func(x *worked) bool { return x == w })
	f.mu.Unlock()
	if crash {
		w.crashed.Store(true)
	}
	w.stop()
	w.wg.Wait()
	w.engine.stop(f.T)
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, who := range f.live {
		if who == w {
			if !crash {
				f.blame("%s is leased still", id)
			}
			f.over(id)
		}
	}
}

func laneOf(id string) string { return id[:strings.IndexByte(id, '/')] }

// over ends an attempt.
func (f *traffic) over(id string) {
	delete(f.live, id)
	f.flight[laneOf(id)]--
}

func (f *traffic) any() *worked {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.engines[rand.IntN(len(f.engines))]
}

func (f *traffic) took(w *worked, leases []delivery.Lease) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, l := range leases {
		if who := f.live[l.ID]; who != nil {
			f.blame("%s is leased twice at once (by the same engine: %t)", l.ID, who == w)
		}
		if f.settled[l.ID] > 0 {
			f.blame("%s is leased after it was settled", l.ID)
		}
		f.live[l.ID] = w
		lane := l.LaneName()
		if f.flight[lane]++; f.flight[lane] > f.cap {
			f.blame("%d of lane %s at once, its cap is %d", f.flight[lane], lane, f.cap)
		}
		if l.Key != "" {
			for _, before := range f.order[l.Key][:f.place[l.ID]] {
				if f.ending[before] == 0 {
					f.blame("%s is leased before %s", l.ID, before)
				}
			}
		}
	}
}

func (f *traffic) consume(ctx context.Context, w *worked) {
	req := delivery.LeaseRequest{Max: 8, TTL: time.Minute}
	for ctx.Err() == nil {
		leases, err := w.store.Lease(ctx, time.Time{}, req)
		if err != nil || len(leases) == 0 {
			some, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			_ = w.store.Wait(some, req) // looks again either way
			cancel()
			continue
		}
		f.took(w, leases)
		outs := outcomes(leases, delivery.Done)
		f.mu.Lock()
		for i := range outs {
			if f.over(outs[i].ID); rand.IntN(10) == 0 {
				outs[i].Result = delivery.Retry
			} else {
				f.ending[outs[i].ID]++
			}
		}
		f.mu.Unlock()
		err = w.store.Settle(context.WithoutCancel(ctx), time.Time{}, outs...)
		lost, _ := errors.AsType[*delivery.LostLeasesError](err)
		f.mu.Lock()
		for _, o := range outs {
			switch {
			case o.Result == delivery.Retry:
			case err == nil || lost != nil && !slices.Contains(lost.IDs, o.ID):
				f.settled[o.ID]++
			default:
				f.ending[o.ID]--
				if !w.crashed.Load() {
					f.blame("Settle of %s: %v", o.ID, err)
				}
			}
		}
		f.mu.Unlock()
	}
}

// publish stores one delivery by any engine, by itself or in a transaction, until
// that succeeds.
func (f *traffic) publish(ctx context.Context, d delivery.Delivery) {
	for ctx.Err() == nil {
		e := f.any()
		var err error
		if rand.IntN(3) > 0 {
			err = e.store.Enqueue(ctx, time.Time{}, d)
		} else {
			err = pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error { return e.store.EnqueueTx(ctx, tx, d) })
			e.store.Wake()
		}
		if err == nil {
			return
		}
	}
}

func TestSharedUnderTraffic(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]lanes.Config{
		"default":       {MaxInFlight: 2},
		"little memory": {MaxInFlight: 2, HoldBytes: 8 << 10, Straggle: 16, BatchRows: 16},
		"guests":        {MaxInFlight: 6, Straggle: 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &traffic{
				site: newSite(t, pgtest.New(t).Database(t), cfg), cap: cfg.MaxInFlight, lanes: 30, phase: 300, order: map[string][]string{}, place: map[string]int{},
				live: map[string]*worked{}, flight: map[string]int{}, ending: map[string]int{}, settled: map[string]int{},
			}
			if name == "guests" { // there is much for few lanes
				f.lanes, f.phase = 2, 3000
			}
			f.run()
			guests := f.guests()
			if f.Logf("%d of them by guests", guests); name == "guests" && guests < 100 {
				f.Errorf("guests stored %d deliveries", guests)
			}
		})
	}
}

// guests counts the deliveries that were stored by a guest of their lane.
func (f *traffic) guests() (n int) {
	f.Helper()
	if err := f.any().pool.QueryRow(f.Context(), `SELECT count(guest) FROM `+f.schema+`.delivery`).Scan(&n); err != nil {
		f.Fatal(err)
	}
	return n
}

func (f *traffic) run() {
	a := f.add()
	a.serves(f.T, 64)
	publishing, enough := context.WithCancel(f.Context())
	var wg sync.WaitGroup
	for p := range 12 {
		wg.Go(func() {
			for i := 0; publishing.Err() == nil; i++ {
				lane, key := fmt.Sprintf("lane%d", rand.IntN(f.lanes)), ""
				if p < 8 {
					lane, key = fmt.Sprintf("lane%d", p%5), fmt.Sprintf("key%d", p)
				}
				id := fmt.Sprintf("%s/%d-%d", lane, p, i)
				f.mu.Lock()
				if f.order[key] = append(f.order[key], id); key != "" {
					f.place[id] = i
				}
				f.mu.Unlock()
				f.publish(f.Context(), of(id, lane, key))
			}
		})
	}
	delivered := func(n int) func() bool {
		return func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.settled) >= n || len(f.wrong) > 0 }
	}
	more := func() {
		f.mu.Lock()
		n := len(f.settled)
		f.mu.Unlock()
		f.until(30*time.Second, "more are delivered", delivered(n+f.phase))
	}
	more()
	b := f.add()
	f.shared(20*time.Second, 32, a.engine, b.engine)
	more()
	c := f.add()
	f.shared(20*time.Second, 22, a.engine, b.engine, c.engine)
	more()
	f.end(a, false)
	f.shared(20*time.Second, 32, b.engine, c.engine)
	more()
	f.end(b, true)
	f.shared(20*time.Second, 64, c.engine)
	d := f.add()
	f.shared(20*time.Second, 32, c.engine, d.engine)
	more()
	enough()
	wg.Wait()
	n := 0
	for _, ids := range f.order {
		n += len(ids)
	}
	f.until(60*time.Second, "all are settled", func() bool {
		counts, err := d.store.Counts(f.Context())
		return err == nil && counts == delivery.Counts{Delivered: int64(n)}
	})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Logf("%d deliveries", n)
	for id, times := range f.settled {
		if times != 1 {
			f.blame("%s was settled %d times", id, times)
		}
	}
	if len(f.wrong) > 0 {
		f.Errorf("%d wrongs, the first: %s", len(f.wrong), strings.Join(f.wrong[:min(10, len(f.wrong))], "\n"))
	}
}
