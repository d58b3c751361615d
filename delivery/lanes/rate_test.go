package lanes_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// stubborn stores no lane while it refuses.
type stubborn struct {
	*owner

	refuses bool
}

func (s *stubborn) Commit(ctx context.Context, b *lanes.Batch) error {
	if s.refuses && len(b.Lanes) > 0 {
		return errFake
	}
	return s.owner.Commit(ctx, b)
}

// TestRateOutlivesAFailedChange: a change of the rate that was not stored leaves
// the old one, and what was sent by it counts on.
func TestRateOutlivesAFailedChange(t *testing.T) {
	t.Parallel()
	for name, rate := range map[string]float64{"lifted": -1, "raised": 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(1)
				f.calm = true
				backend := &stubborn{owner: &owner{fake: f}}
				store, err := lanes.Open(t.Context(), backend, lanes.Config{})
				if err != nil {
					t.Fatal(err)
				}
				if err := store.Enqueue(t.Context(), time.Time{}, delivery.Delivery{ID: "a.s", EventID: "a", SubscriptionID: "s", Lane: "lane"},
					delivery.Delivery{ID: "b.s", EventID: "b", SubscriptionID: "s", Lane: "lane"}); err != nil {
					t.Fatal(err)
				}
				if err := store.SetLanes(t.Context(), time.Time{}, delivery.LaneState{Lane: "lane", PerSecond: 0.1}); err != nil {
					t.Fatal(err)
				}
				begun := 0
				after := func(d time.Duration, want int) {
					t.Helper()
					time.Sleep(d) // virtual
					if begun += len(leaseAll(t, store)); begun != want {
						t.Fatalf("%d leases began, want %d", begun, want)
					}
				}
				after(0, 1)
				backend.refuses = true
				if err := store.SetLanes(t.Context(), time.Time{}, delivery.LaneState{Lane: "lane", PerSecond: rate}); !errors.Is(err, errFake) {
					t.Fatalf("SetLanes: %v", err)
				}
				after(9*time.Second, 1)
				after(time.Second, 2)
			})
		})
	}
}
