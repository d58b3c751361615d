package memstore_test

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
)

// BenchmarkLease is a lease of 64 from lanes that may all send, with little and
// with much waiting, and giving back what was leased.
func BenchmarkLease(b *testing.B) {
	for _, size := range []struct{ lanes, each int }{{1000, 1}, {1000, 1000}, {10_000, 1}, {10_000, 100}} {
		b.Run(fmt.Sprintf("lanes=%d/each=%d", size.lanes, size.each), func(b *testing.B) {
			store := open(b, memstore.Config{})
			fill(b, store, size.lanes, size.each)
			outs := make([]delivery.Outcome, 0, 64)
			b.ReportAllocs()
			for b.Loop() {
				leases, err := store.Lease(b.Context(), time.Time{}, delivery.LeaseRequest{Max: 64})
				if err != nil || len(leases) == 0 {
					b.Fatalf("%d leases, %v", len(leases), err)
				}
				outs = outs[:0]
				for _, l := range leases {
					outs = append(outs, delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: delivery.Release})
				}
				if err := store.Settle(b.Context(), time.Time{}, outs...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func fill(b *testing.B, store delivery.Store, lanes, each int) {
	b.Helper()
	ds := make([]delivery.Delivery, 0, delivery.MaxBatch)
	for i := range lanes * each {
		id := "fill_" + strconv.Itoa(i)
		ds = append(ds, delivery.Delivery{
			ID: id, EventID: id, SubscriptionID: "lane-" + strconv.Itoa(i%lanes), Dialect: "none", Type: "load",
			ContentType: "application/json", Body: make([]byte, 512), PublishedAt: time.Now(),
		})
		if len(ds) < cap(ds) && i+1 < lanes*each {
			continue
		}
		if err := store.Enqueue(b.Context(), time.Time{}, ds...); err != nil {
			b.Fatal(err)
		}
		ds = ds[:0]
	}
}
