package storetest

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

// Benchmark measures batches of enqueue, lease and settle with 1, 20 and 1,000
// lanes, over an empty store and over 100,000 rows that wait in lanes of their
// own which may not send. One operation is one delivery, from Enqueue to
// Settle.
func Benchmark(b *testing.B, open func(b *testing.B) delivery.Store) {
	b.Helper()
	for _, backlog := range []int{0, 100_000} {
		for _, lanes := range []int{1, 20, 1000} {
			b.Run(fmt.Sprintf("lanes=%d/backlog=%d", lanes, backlog), func(b *testing.B) {
				store := open(b)
				pile(b, store, lanes, backlog)
				bench(b, store, lanes)
			})
		}
	}
}

const benchBatch = 200

// pile fills lanes that are paused: what waits there must cost nothing.
func pile(b *testing.B, store delivery.Store, lanes, n int) {
	b.Helper()
	if n == 0 {
		return
	}
	states := make([]delivery.LaneState, lanes)
	for i := range states {
		states[i] = delivery.LaneState{Lane: "paused" + strconv.Itoa(i), Mode: delivery.LanePaused}
	}
	if err := store.SetLanes(b.Context(), time.Time{}, states...); err != nil {
		b.Fatal(err)
	}
	ds := make([]delivery.Delivery, n)
	for i := range ds {
		ds[i] = one("pile"+strconv.Itoa(i), "paused"+strconv.Itoa(i%lanes))
	}
	for part := range slices.Chunk(ds, delivery.MaxBatch) {
		if err := store.Enqueue(b.Context(), time.Time{}, part...); err != nil {
			b.Fatal(err)
		}
	}
}

func bench(b *testing.B, store delivery.Store, lanes int) {
	b.Helper()
	b.ReportAllocs()
	body := make([]byte, 512)
	batch := make([]delivery.Delivery, 0, benchBatch)
	outs := make([]delivery.Outcome, 0, benchBatch)
	sent := 0
	for n := 0; b.Loop(); n++ {
		d := one("b"+strconv.Itoa(n), "lane"+strconv.Itoa(n%lanes))
		d.Body = body
		if batch = append(batch, d); len(batch) < benchBatch {
			continue
		}
		if err := store.Enqueue(b.Context(), time.Time{}, batch...); err != nil {
			b.Fatal(err)
		}
		batch = batch[:0]
		for left := benchBatch; left > 0; {
			leases, err := store.Lease(b.Context(), time.Time{}, delivery.LeaseRequest{Max: left})
			if err != nil || len(leases) == 0 {
				b.Fatalf("%d of %d are still to come, Lease gave none: %v", left, benchBatch, err)
			}
			outs = outs[:0]
			for _, l := range leases {
				outs = append(outs, outcome(l, delivery.Done))
			}
			if err := store.Settle(b.Context(), time.Time{}, outs...); err != nil {
				b.Fatal(err)
			}
			left -= len(leases)
			sent += len(leases)
		}
	}
	b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "deliveries/s")
}
