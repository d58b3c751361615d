package lanes_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// away is a backend whose commits take long and fail while it is away.
type away struct {
	seq   int64
	away  atomic.Bool
	takes time.Duration
}

var errAway = errors.New("away")

func (a *away) Load(context.Context) (lanes.Loaded, error) { return lanes.Loaded{NextSeq: 1}, nil }

func (a *away) HoldsAll() bool { return true }

func (a *away) Refill(context.Context, int64, []lanes.Want) ([]lanes.Found, error) { return nil, nil }

func (a *away) Commit(_ context.Context, b *lanes.Batch) error {
	if a.away.Load() {
		time.Sleep(a.takes) // virtual
		return errAway
	}
	for _, x := range b.Append {
		a.seq++
		x.Seq = a.seq
	}
	return nil
}

// leaseOne opens a store of a and leases one of three deliveries.
func leaseOne(t *testing.T, a *away) (*lanes.Store, delivery.Lease) {
	t.Helper()
	s, err := lanes.Open(t.Context(), a, lanes.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", "b", "c"} {
		if err := s.Enqueue(t.Context(), time.Time{}, delivery.Delivery{ID: id, EventID: id, SubscriptionID: "l"}); err != nil {
			t.Fatal(err)
		}
	}
	leases, err := s.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: 1, TTL: 30 * time.Second})
	if err != nil || len(leases) != 1 {
		t.Fatalf("%d leases, %v", len(leases), err)
	}
	return s, leases[0]
}

// TestFailureCountsOnce: while the backend is away, Settle is called again and
// again for the same attempt.
func TestFailureCountsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &away{}
		s, l := leaseOne(t, a)
		a.away.Store(true)
		out := delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: delivery.Retry, Attempt: &delivery.Attempt{Number: 1, Class: "status", Status: 500}}
		for range 5 {
			if err := s.Settle(t.Context(), time.Time{}, out); !errors.Is(err, errAway) {
				t.Fatalf("Settle: %v", err)
			}
			<-time.After(time.Second)
		}
		a.away.Store(false)
		if err := s.Settle(t.Context(), time.Time{}, out); err != nil {
			t.Fatal(err)
		}
		again, err := s.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: 10})
		if err != nil || len(again) != 3 || again[0].Health.Failures != 1 {
			t.Errorf("after one failed attempt: %d leases, %+v, %v", len(again), again[0].Health, err)
		}
	})
}

// TestLeaseOutlivesItsSettle: a lease that is extended does not end while its
// outcome is tried to be stored, however long that takes.
func TestLeaseOutlivesItsSettle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &away{takes: 5 * time.Second}
		s, l := leaseOne(t, a)
		a.away.Store(true)
		time.AfterFunc(time.Minute, func() { a.away.Store(false) })
		ended := make(chan struct{})
		go func() {
			for {
				select {
				case <-ended:
					return
				case <-time.After(10 * time.Second):
				}
				if err := s.Extend(t.Context(), time.Time{}, 30*time.Second, l); err != nil {
					t.Errorf("Extend: %v", err)
				}
			}
		}()
		<-time.After(9 * time.Second)
		out := delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: delivery.Done, Attempt: &delivery.Attempt{Number: 1, Status: 200}}
		for {
			err := s.Settle(t.Context(), time.Time{}, out)
			if err == nil {
				break
			}
			if !errors.Is(err, errAway) {
				t.Fatalf("Settle: %v", err)
			}
			<-time.After(5 * time.Second)
		}
		close(ended)
		again, err := s.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: 10})
		if err != nil || len(again) != 2 {
			t.Errorf("%d leases after the outcome was stored, want the other two; %v", len(again), err)
		}
		<-time.After(time.Minute)
	})
}
