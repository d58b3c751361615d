package memstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
)

// The oldest is known however much was settled and forgotten before it.
func TestOldestAfterMuch(t *testing.T) {
	t.Parallel()
	s, err := memstore.Open(t.Context(), memstore.Config{History: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	begin := time.Now()
	const n = 5000 // several times what is kept before places are tidied up
	for i := range n {
		id := fmt.Sprint("d", i)
		at := begin.Add(time.Duration(i) * time.Second)
		err := s.Enqueue(t.Context(), begin, delivery.Delivery{ID: id, EventID: id, SubscriptionID: "l", PublishedAt: at})
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			continue // one waits, always
		}
		got, err := s.Lease(t.Context(), begin, delivery.LeaseRequest{Max: 1})
		if err != nil || len(got) != 1 {
			t.Fatalf("%d leases, %v", len(got), err)
		}
		if oldest, err := s.Oldest(t.Context()); err != nil || !oldest.Equal(at.Add(-time.Second)) {
			t.Fatalf("with %s the oldest is of %v, %v", id, oldest.Sub(begin), err)
		}
		if err := s.Settle(t.Context(), begin, delivery.Outcome{ID: got[0].ID, Receipt: got[0].Receipt, Result: delivery.Done}); err != nil {
			t.Fatal(err)
		}
	}
}
