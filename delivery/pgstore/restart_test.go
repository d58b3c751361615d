package pgstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// TestServerRestarts: engines are of use again after the database was away,
// whatever was being committed when it went.
func TestServerRestarts(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{})
	s := newSite(t, server.Database(t), lanes.Config{})
	a, b := s.launch(), s.launch()
	s.shared(20*time.Second, 32, a, b)
	for round := range 2 {
		stored := make(chan struct{})
		go func() { // until all are stored
			defer close(stored)
			for i := range 400 {
				d := of(fmt.Sprintf("r%d-%d", round, i), fmt.Sprint("lane", i), "")
				for a.store.Enqueue(t.Context(), time.Time{}, d) != nil && t.Context().Err() == nil {
					<-time.After(10 * time.Millisecond)
				}
			}
		}()
		s.until(20*time.Second, "some are stored", func() bool {
			c, err := b.store.Counts(t.Context())
			return err == nil && c.Pending+c.Delivered >= int64(round*400+50)
		})
		server.Kill(t)
		<-time.After(1500 * time.Millisecond) // commits are given up
		server.Restart(t)
		s.until(30*time.Second, "all are stored and sent", func() bool {
			for _, e := range []*engine{a, b} {
				leases, _ := e.store.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: 100, TTL: time.Minute}) // if not, then later
				_ = e.store.Settle(t.Context(), time.Time{}, outcomes(leases, delivery.Done)...)
			}
			c, err := b.store.Counts(t.Context())
			return err == nil && c == delivery.Counts{Delivered: int64((round + 1) * 400)}
		})
		<-stored
		s.shared(20*time.Second, 32, a, b)
	}
}
