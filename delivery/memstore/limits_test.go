package memstore_test

import (
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
)

func one(id string) delivery.Delivery {
	return delivery.Delivery{ID: id, EventID: id, SubscriptionID: "sub_1", Body: []byte("{}")}
}

// finish leases and settles n deliveries.
func finish(t *testing.T, s *memstore.Store, n int, r delivery.Result) {
	t.Helper()
	leases, err := s.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: n})
	if err != nil || len(leases) != n {
		t.Fatalf("leased %d of %d: %v", len(leases), n, err)
	}
	for _, l := range leases {
		if err := s.Settle(t.Context(), time.Time{}, delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: r, Reason: "why"}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFull(t *testing.T) {
	t.Parallel()
	s := open(t, memstore.Config{MaxPending: 3})
	if err := s.Enqueue(t.Context(), time.Time{}, one("a"), one("b")); err != nil {
		t.Fatal(err)
	}
	if err := s.Enqueue(t.Context(), time.Time{}, one("c"), one("d")); !errors.Is(err, delivery.ErrFull) {
		t.Fatalf("error %v, want ErrFull", err)
	}
	if err := s.Enqueue(t.Context(), time.Time{}, one("c")); err != nil {
		t.Fatalf("the third of three: %v", err)
	}
	if err := s.Enqueue(t.Context(), time.Time{}, one("d")); !errors.Is(err, delivery.ErrFull) {
		t.Fatalf("error %v, want ErrFull", err)
	}
	finish(t, s, 1, delivery.Done)
	if err := s.Enqueue(t.Context(), time.Time{}, one("d")); err != nil {
		t.Fatalf("after one was delivered: %v", err)
	}
	finish(t, s, 3, delivery.Done)
}

func TestHistory(t *testing.T) {
	t.Parallel()
	s := open(t, memstore.Config{History: 10})
	marker := delivery.Delivery{ID: "marker", EventID: "marker"}
	if err := s.Enqueue(t.Context(), time.Time{}, marker); err != nil {
		t.Fatal(err)
	}
	for i := range 3000 {
		if err := s.Enqueue(t.Context(), time.Time{}, one(strconv.Itoa(i))); err != nil {
			t.Fatal(err)
		}
		finish(t, s, 1, []delivery.Result{delivery.Done, delivery.GiveUp}[i%2])
	}
	counts, err := s.Counts(t.Context())
	if want := (delivery.Counts{Delivered: 5, Dead: 5}); err != nil || counts != want {
		t.Errorf("counts are %+v, %v, want %+v", counts, err, want)
	}
	i := 2999
	for st, err := range s.Deliveries(t.Context(), delivery.Filter{}) {
		if err != nil || st.ID != strconv.Itoa(i) {
			t.Fatalf("listed %q, %v, want %d", st.ID, err, i)
		}
		i--
	}
	if i != 2989 {
		t.Errorf("the list ends before %d, want 2989", i)
	}
	for _, event := range []string{"100", "marker"} {
		if n, known, err := s.Event(t.Context(), event); n != 0 || known || err != nil {
			t.Errorf("event %s: %d, %t, %v, want it forgotten", event, n, known, err)
		}
	}
	if _, err := s.Attempts(t.Context(), "100"); !errors.Is(err, delivery.ErrNotFound) {
		t.Errorf("attempts of a forgotten one: %v, want ErrNotFound", err)
	}
	if err := s.Enqueue(t.Context(), time.Time{}, one("100")); err != nil {
		t.Fatal(err)
	}
	finish(t, s, 1, delivery.Done) // its ID was forgotten too
}

func TestClose(t *testing.T) {
	t.Parallel()
	s := open(t, memstore.Config{})
	s.Close()
	s.Close()
	if err := s.Enqueue(t.Context(), time.Time{}, one("a")); !errors.Is(err, delivery.ErrClosed) {
		t.Errorf("Enqueue: %v, want ErrClosed", err)
	}
	if _, err := s.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: 1}); !errors.Is(err, delivery.ErrClosed) {
		t.Errorf("Lease: %v, want ErrClosed", err)
	}
	if err := s.Wait(t.Context(), delivery.LeaseRequest{Max: 1}); err != nil {
		t.Errorf("Wait: %v", err)
	}
}

// TestWaitToTheMoment waits in virtual time: a retry comes when it falls due,
// and the one wait for it returns neither early nor again and again.
func TestWaitToTheMoment(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, memstore.Config{})
		if err := s.Enqueue(t.Context(), time.Time{}, one("a")); err != nil {
			t.Fatal(err)
		}
		req := delivery.LeaseRequest{Max: 1}
		for _, delay := range []time.Duration{time.Second, 7 * time.Hour, 240 * time.Hour} {
			leases, err := s.Lease(t.Context(), time.Time{}, req)
			if err != nil || len(leases) != 1 {
				t.Fatalf("leased %d: %v", len(leases), err)
			}
			o := delivery.Outcome{ID: "a", Receipt: leases[0].Receipt, Result: delivery.Retry, RetryIn: delay}
			if err := s.Settle(t.Context(), time.Time{}, o); err != nil {
				t.Fatal(err)
			}
			begin, waits := time.Now(), 0
			for ; waits < 3; waits++ {
				if err := s.Wait(t.Context(), req); err != nil {
					t.Fatal(err)
				}
				if time.Since(begin) >= delay {
					break
				}
			}
			if took := time.Since(begin); took < delay || took > delay+time.Millisecond {
				t.Errorf("after %d waits %v had passed, want %v", waits+1, took, delay)
			}
		}
	})
}
