package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// TestLateSettle: what an engine leased that was taken for dead is leased by
// another, and nothing that the first one says of it counts any more.
func TestLateSettle(t *testing.T) {
	t.Parallel()
	for name, freeze := range map[string]func(*engine) (thaw func()){
		"no connections": func(e *engine) func() {
			e.crashed.Store(true)
			return func() { e.crashed.Store(false) }
		},
		"stands still": func(e *engine) func() {
			gate := make(chan struct{})
			e.gate.Store(&gate)
			return func() { e.gate.Store(nil); close(gate) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, pgtest.New(t).Database(t), lanes.Config{MaxInFlight: 1000})
			s.cfg.Expiry = 1500 * time.Millisecond // the other one keeps its rights on a slow machine, too
			a, b := s.launch(), s.launch()
			const rounds, n = 5, 1000
			late := 0
			for round := range rounds {
				s.shared(20*time.Second, 32, a, b)
				s.enqueue(a, spread(fmt.Sprintf("r%d", round), n, 200)...)
				got := s.collect(20*time.Second, n, a, b)
				mine := got[a]
				late += len(mine)
				thaw := freeze(a)
				s.shared(s.cfg.Expiry+5*time.Second, 64, b)
				theirs := s.collect(10*time.Second, len(mine), b)[b]
				if x, y := ids(mine), ids(theirs); !same(x, y) {
					t.Fatalf("%d were leased again, want the %d of the first engine", len(y), len(x))
				}
				half := len(theirs) / 2
				s.settle(b, theirs[:half]...)
				var wg sync.WaitGroup
				for part := range slices.Chunk(mine, 50) {
					wg.Go(func() {
						err := a.store.Settle(t.Context(), time.Time{}, outcomes(part, delivery.GiveUp)...)
						lost, ok := errors.AsType[*delivery.LostLeasesError](err)
						if !ok || !same(lost.IDs, ids(part)) {
							t.Errorf("late Settle of %d: %v", len(part), err)
						}
					})
				}
				thaw()
				wg.Wait()
				s.settle(b, theirs[half:]...)
				s.settle(b, got[b]...)
				s.counted(b, delivery.Counts{Delivered: int64((round + 1) * n)})
			}
			t.Logf("%d late settles", late)
			if late < rounds*n/4 {
				t.Errorf("%d late settles are few", late)
			}
		})
	}
}

func same(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// TestTakeoverRace has an engine taken for dead, again and again, while it
// settles: each delivery is settled once, by the one whose call says so.
func TestTakeoverRace(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t).Database(t), lanes.Config{MaxInFlight: 1000})
	a, b := s.launch(), s.launch()
	s.shared(20*time.Second, 32, a, b)
	const n = 6000
	for ds := range slices.Chunk(spread("x", n, 300), 1000) {
		s.enqueue(a, ds...)
	}
	var mu sync.Mutex
	by := map[string][]string{}
	var lost atomic.Int64
	var over atomic.Bool
	total := n
	ctx, stop := context.WithTimeout(t.Context(), 60*time.Second)
	defer stop()
	done := func() bool { mu.Lock(); defer mu.Unlock(); return len(by) >= total } // asked here alone
	var wg sync.WaitGroup
	for name, e := range map[string]*engine{"a": a, "b": b} {
		for range 3 {
			wg.Go(func() {
				for ctx.Err() == nil && !over.Load() {
					leases, err := e.store.Lease(ctx, time.Time{}, delivery.LeaseRequest{Max: 20, TTL: time.Minute})
					if err != nil && ctx.Err() == nil {
						t.Errorf("Lease: %v", err)
						return
					}
					if len(leases) == 0 {
						some, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
						_ = e.store.Wait(some, delivery.LeaseRequest{Max: 1}) // looks again either way
						cancel()
						continue
					}
					outs := outcomes(leases, delivery.Done)
					for i := range outs {
						outs[i].Attempt.Error = name
					}
					err = e.store.Settle(ctx, time.Time{}, outs...)
					gone, _ := errors.AsType[*delivery.LostLeasesError](err)
					if err != nil && gone == nil && ctx.Err() == nil {
						t.Errorf("Settle: %v", err)
					}
					mu.Lock()
					for _, l := range leases {
						if gone == nil || !slices.Contains(gone.IDs, l.ID) {
							by[l.ID] = append(by[l.ID], name)
						} else {
							lost.Add(1)
						}
					}
					mu.Unlock()
				}
			})
		}
	}
	conn, err := pgx.Connect(ctx, s.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	tick := time.NewTicker(60 * time.Millisecond)
	defer tick.Stop()
	for ctx.Err() == nil {
		<-tick.C
		if done() && lost.Load() > 0 {
			break
		}
		if done() { // too quick to meet: once more
			for ds := range slices.Chunk(spread(fmt.Sprint("x", total, "-"), n, 300), 1000) {
				for a.store.Enqueue(ctx, time.Time{}, ds...) != nil && ctx.Err() == nil { // its shards are just going
					<-tick.C
				}
			}
			total += n
		}
		// The younger one is said to be dead, and the other told to look.
		_, err := conn.Exec(ctx, fmt.Sprintf(`UPDATE %[1]s.engine SET expires = now() - interval '1 s' WHERE id = (SELECT max(id) FROM %[1]s.engine);
			SELECT pg_notify('ringback.%[1]s', 'shards')`, s.schema))
		if err != nil && ctx.Err() == nil {
			t.Fatal(err)
		}
	}
	over.Store(true)
	wg.Wait()
	t.Logf("%d settles were lost", lost.Load())
	if len(by) != total || lost.Load() == 0 {
		t.Errorf("%d of %d are settled, %d leases were lost", len(by), total, lost.Load())
	}
	for id, who := range by {
		if len(who) != 1 {
			t.Errorf("%s was settled by %q", id, who)
		}
		attempts, err := a.store.Attempts(t.Context(), id)
		if err != nil || len(attempts) != 1 || attempts[0].Error != who[0] {
			t.Fatalf("%s has attempts %+v, settled by %q; %v", id, attempts, who, err)
		}
	}
	s.counted(b, delivery.Counts{Delivered: int64(total)})
}
