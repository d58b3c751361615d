package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/internal/pgtest"
)

func (s *site) set(e *engine, states ...delivery.LaneState) {
	s.Helper()
	if err := e.store.SetLanes(s.Context(), time.Time{}, states...); err != nil {
		s.Fatalf("SetLanes: %v", err)
	}
}

// none wants nothing to be leased of anybody at this moment.
func (s *site) none(all ...*engine) {
	s.Helper()
	for _, e := range all {
		got, err := e.store.Lease(s.Context(), time.Time{}, delivery.LeaseRequest{Max: 100, TTL: time.Minute})
		if err != nil || len(got) > 0 {
			s.Errorf("leased %q, %v", ids(got), err)
		}
	}
}

// TestRemoteLanes: who changes a lane need not serve it.
func TestRemoteLanes(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t).Database(t), lanes.Config{})
	a, b := s.launch(), s.launch()
	s.shared(20*time.Second, 32, a, b)
	s.idle = true
	out := s.launch()
	const n = 20
	var counts delivery.Counts
	for round, by := range []*engine{out, a, b} {
		name := func(i int) string { return fmt.Sprintf("r%d-%d", round, i) }
		each := func(st delivery.LaneState) {
			t.Helper()
			for i := range n {
				st.Lane = name(i)
				s.set(by, st)
			}
		}
		publish := func(what string) {
			t.Helper()
			for i := range n {
				s.enqueue(by, of(fmt.Sprintf("%s-%s-1", name(i), what), name(i), ""), of(fmt.Sprintf("%s-%s-2", name(i), what), name(i), ""))
			}
		}
		each(delivery.LaneState{Mode: delivery.LanePaused})
		publish("paused")
		// A letter of the store's own is behind what it published.
		each(delivery.LaneState{MaxInFlight: 1})
		s.none(a, b)
		each(delivery.LaneState{Mode: delivery.LaneOpen})
		got := s.collect(20*time.Second, n, a, b)
		s.none(a, b) // the caps
		for e, leases := range got {
			s.settle(e, leases...)
		}
		for e, leases := range s.collect(20*time.Second, n, a, b) {
			s.settle(e, leases...)
		}
		counts.Delivered += 2 * n
		each(delivery.LaneState{Mode: delivery.LanePaused})
		publish("closed")
		each(delivery.LaneState{Mode: delivery.LaneClosed, Reason: "gone"})
		counts.Dead += 2 * n
		s.counted(by, counts)
		publish("late")
		each(delivery.LaneState{PerSecond: 5}) // after which they were taken
		counts.Dead += 2 * n
		s.counted(by, counts)
	}
}

// TestRemoteOperator: deliveries are retried and canceled by whoever is asked.
func TestRemoteOperator(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t).Database(t), lanes.Config{})
	a, b := s.launch(), s.launch()
	s.shared(20*time.Second, 32, a, b)
	s.idle = true
	out := s.launch()
	var counts delivery.Counts
	for round, by := range []*engine{out, a, b} {
		for i := range 30 {
			later, now := of(fmt.Sprintf("r%d-%d-later", round, i), fmt.Sprint("l", i), ""), of(fmt.Sprintf("r%d-%d-dead", round, i), fmt.Sprint("l", i), "")
			later.DelayIn, now.DelayIn = time.Hour, time.Hour
			s.enqueue([]*engine{a, b, out}[i%3], later, now)
			if err := by.store.Cancel(t.Context(), time.Time{}, now.ID); err != nil {
				t.Fatalf("Cancel: %v", err)
			}
			if err := by.store.Cancel(t.Context(), time.Time{}, now.ID); !errors.Is(err, delivery.ErrSettled) {
				t.Fatalf("Cancel again: %v", err)
			}
			if err := by.store.RetryNow(t.Context(), time.Time{}, later.ID); err != nil {
				t.Fatalf("RetryNow: %v", err)
			}
			if err := by.store.RetryNow(t.Context(), time.Time{}, "nobody"); !errors.Is(err, delivery.ErrNotFound) {
				t.Fatalf("RetryNow of what is not known: %v", err)
			}
			for e, leases := range s.collect(10*time.Second, 1, a, b) {
				for _, l := range leases {
					if l.ID != later.ID {
						t.Fatalf("leased %s, want %s", l.ID, later.ID)
					}
				}
				s.settle(e, leases...)
			}
			counts.Delivered++
			counts.Dead++
		}
		s.counted(by, counts)
	}
}

// TestRemoteBefore: what was asked for while nobody ran is so before anything is
// leased.
func TestRemoteBefore(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t).Database(t), lanes.Config{MaxInFlight: 100})
	for round := range 8 {
		s.idle = true
		out := s.launch()
		p := fmt.Sprintf("r%d", round)
		for i := range 20 { // and much besides
			s.enqueue(out, spread(fmt.Sprint(p, "x", i), 50, 64)...)
		}
		s.enqueue(out, of(p+"-paused", p+"paused", ""), of(p+"-closed", p+"closed", ""), of(p+"-reopened", p+"reopened", ""), of(p+"-canceled", p+"lane", ""))
		s.set(out, delivery.LaneState{Lane: p + "paused", Mode: delivery.LanePaused})
		if round%2 == 0 {
			s.set(out, delivery.LaneState{Lane: p + "closed", Mode: delivery.LaneClosed})
			s.set(out, delivery.LaneState{Lane: p + "reopened", Mode: delivery.LaneClosed})
			s.set(out, delivery.LaneState{Lane: p + "reopened", Mode: delivery.LaneOpen})
		}
		if round%4 < 2 {
			if err := out.store.Cancel(t.Context(), time.Time{}, p+"-canceled"); err != nil {
				t.Fatal(err)
			}
		}
		s.enqueue(out, of(p+"-last", p+"reopened", ""))
		s.idle = false
		a := s.launch()
		want := 1000 + 1
		if round%2 != 0 {
			want += 2
		}
		if round%4 >= 2 {
			want++
		}
		for _, l := range s.collect(30*time.Second, want, a)[a] {
			bad := l.LaneName() == p+"paused" || round%2 == 0 && (l.ID == p+"-closed" || l.ID == p+"-reopened") || round%4 < 2 && l.ID == p+"-canceled"
			if bad {
				t.Errorf("round %d: %s was leased", round, l.ID)
			}
			s.settle(a, l)
		}
		// Said to the engine itself, this is younger than all letters.
		s.set(a, delivery.LaneState{Lane: p + "paused", Mode: delivery.LaneOpen})
		s.settle(a, s.collect(10*time.Second, 1, a)[a]...)
		a.stop(t)
	}
	s.idle = true
	out := s.launch()
	counts, err := out.store.Counts(t.Context())
	if err != nil || counts.Pending != 0 {
		t.Errorf("%+v, %v", counts, err)
	}
}

// TestRemoteUnderway: lanes are changed and deliveries canceled while shards move
// and engines crash. What was said last is so in the end.
func TestRemoteUnderway(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t).Database(t), lanes.Config{})
	a := s.launch()
	s.shared(20*time.Second, 64, a)
	b, c := s.launch(), s.launch()
	s.idle = true
	out := s.launch()
	s.idle = false
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	modes := make([]delivery.LaneMode, 12)
	for i := range modes {
		wg.Go(func() {
			lane := fmt.Sprint("lane", i)
			for k := 0; ctx.Err() == nil; k++ {
				id := fmt.Sprintf("%s-%d", lane, k)
				if err := out.store.Enqueue(t.Context(), time.Time{}, of(id, lane, "")); err != nil {
					t.Errorf("Enqueue: %v", err)
					return
				}
				by := []*engine{a, out}[rand.IntN(2)] // neither ends
				switch rand.IntN(4) {
				case 0, 1:
					modes[i] = []delivery.LaneMode{delivery.LaneOpen, delivery.LanePaused, delivery.LaneClosed}[rand.IntN(3)]
					if err := by.store.SetLanes(t.Context(), time.Time{}, delivery.LaneState{Lane: lane, Mode: modes[i]}); err != nil {
						t.Errorf("SetLanes: %v", err)
					}
				case 2:
					if err := by.store.Cancel(t.Context(), time.Time{}, id); err != nil && !errors.Is(err, delivery.ErrSettled) {
						t.Errorf("Cancel %s: %v", id, err)
					}
				default:
					if err := by.store.RetryNow(t.Context(), time.Time{}, id); err != nil {
						t.Errorf("RetryNow %s: %v", id, err)
					}
				}
			}
		})
	}
	for range 2 {
		s.shared(30*time.Second, 22, a, b, c)
		b.crash(t)
		s.shared(30*time.Second, 32, a, c)
		c.stop(t)
		b, c = s.launch(), s.launch()
	}
	s.shared(30*time.Second, 22, a, b, c)
	stop()
	wg.Wait()
	for i, mode := range modes {
		lane := fmt.Sprint("lane", i)
		s.enqueue(out, of("last-"+lane, lane, ""))
		s.set(out, delivery.LaneState{Lane: lane, PerSecond: 1000}) // after which it was taken
		_ = mode
	}
	leased := map[string]bool{}
	s.until(20*time.Second, "what may be leased is leased", func() bool {
		for _, e := range []*engine{a, b, c} {
			leases, err := e.store.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: 100, TTL: time.Minute})
			s.must(err)
			for _, l := range leases {
				leased[l.ID] = true
			}
			s.settle(e, leases...)
		}
		for i, mode := range modes {
			if id := fmt.Sprint("last-lane", i); !leased[id] && (mode == delivery.LaneOpen || mode == delivery.LaneAsIs) {
				return false
			}
		}
		return true
	})
	for i, mode := range modes {
		if id := fmt.Sprint("last-lane", i); leased[id] && mode != delivery.LaneOpen && mode != delivery.LaneAsIs {
			t.Errorf("%s was leased, its lane's mode is %d", id, mode)
		}
	}
	counts, err := a.store.Counts(t.Context())
	s.must(err)
	s.counted(a, counts)
}
