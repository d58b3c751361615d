package memstore_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
)

func prune(t *testing.T, s *memstore.Store, now time.Time, keep delivery.Retention) (calls int) {
	t.Helper()
	for more := true; more; calls++ {
		var err error
		if more, err = s.Prune(t.Context(), now, keep); err != nil {
			t.Fatal(err)
		}
	}
	return calls
}

// TestPruneBySize: bodies and answers count, not only the number.
func TestPruneBySize(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		body, response int
		room           int64
		left           int
	}{
		"small":     {0, 0, 8100, 10},
		"bodies":    {10_000, 0, 54_500, 5},
		"answers":   {0, 4000, 24_500, 5},
		"none fits": {0, 0, 100, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, memstore.Config{})
			for i := range 20 {
				d := one(strconv.Itoa(i))
				d.Body = make([]byte, tt.body)
				if err := s.Enqueue(t.Context(), time.Time{}, d); err != nil {
					t.Fatal(err)
				}
				leases, err := s.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: 1})
				if err != nil || len(leases) != 1 {
					t.Fatal(leases, err)
				}
				a := &delivery.Attempt{Number: 1, Status: 200, Response: make([]byte, tt.response)}
				if err := s.Settle(t.Context(), time.Time{}, delivery.Outcome{ID: d.ID, Receipt: leases[0].Receipt, Result: delivery.Done, Attempt: a}); err != nil {
					t.Fatal(err)
				}
			}
			prune(t, s, time.Time{}, delivery.Retention{Bytes: tt.room})
			i := 20
			for st, err := range s.Deliveries(t.Context(), delivery.Filter{}) {
				if i--; err != nil || st.ID != strconv.Itoa(i) {
					t.Fatalf("listed %s, %v, want %d", st.ID, err, i)
				}
			}
			if left := 20 - i; left != tt.left {
				t.Errorf("%d are left, want %d", left, tt.left)
			}
		})
	}
}

// What is forgotten by count, by age and by hand goes together with what is
// retried: nothing is counted twice.
func TestPruneAndHistory(t *testing.T) {
	t.Parallel()
	s := open(t, memstore.Config{History: 2500})
	for i := range 3000 {
		if err := s.Enqueue(t.Context(), time.Time{}, one(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
		finish(t, s, 1, []delivery.Result{delivery.Done, delivery.GiveUp}[i%2])
	}
	if err := s.RetryNow(t.Context(), time.Time{}, "2998"); err != nil {
		t.Fatal(err)
	}
	calls := prune(t, s, time.Now().Add(8*24*time.Hour), delivery.Retention{})
	if c, err := s.Counts(t.Context()); err != nil || c != (delivery.Counts{Pending: 1, Dead: 1250}) || calls < 2 {
		t.Errorf("after %d calls counts are %+v, %v", calls, c, err)
	}
	prune(t, s, time.Now().Add(31*24*time.Hour), delivery.Retention{})
	if c, err := s.Counts(t.Context()); err != nil || c != (delivery.Counts{Pending: 1}) {
		t.Errorf("after a month counts are %+v, %v", c, err)
	}
	finish(t, s, 1, delivery.Done)
	if c, err := s.Counts(t.Context()); err != nil || c != (delivery.Counts{Delivered: 1}) {
		t.Errorf("in the end counts are %+v, %v", c, err)
	}
}
