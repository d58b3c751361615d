package sqlitestore_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
)

// Pruning, publishing, settling and reviving at the same time.
func TestPruneInTraffic(t *testing.T) {
	t.Parallel()
	s := open(t, sqlitestore.Config{Path: filepath.Join(t.TempDir(), "store.db"), Lanes: crowded})
	const rounds, each = 20, 50
	var traffic, pruning sync.WaitGroup
	stop := make(chan struct{})
	pruning.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			_, err := s.Prune(t.Context(), time.Time{}, delivery.Retention{Bytes: 20_000})
			if err == nil && i%3 == 0 {
				_, err = s.Purge(t.Context(), "acme")
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	traffic.Go(func() {
		for i := range rounds {
			ds := deliveries(fmt.Sprint(i), each, 100)
			for k := range ds[:10] {
				ds[k].Tenant = "acme"
			}
			if err := s.Enqueue(t.Context(), time.Time{}, ds...); err != nil {
				t.Error(err)
			}
			leases, err := s.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: 1000})
			if err != nil {
				t.Error(err)
			}
			if err := s.Settle(t.Context(), time.Time{}, brief(leases)...); err != nil {
				t.Error(err)
			}
			for k := range ds[:5] {
				if err := s.RetryNow(t.Context(), time.Time{}, ds[k].ID); err != nil && !errors.Is(err, delivery.ErrNotFound) {
					t.Error(err)
				}
			}
		}
	})
	traffic.Wait()
	close(stop)
	pruning.Wait()
	left := lease(t, s, 1000) // the last that were revived, at least
	if c := counts(t, s); c.Pending != int64(len(left)) {
		t.Errorf("%d are leased, counts are %+v", len(left), c)
	}
	c := counts(t, s)
	for query, want := range map[string]int64{
		`SELECT count(*) FROM ringback_delivery`:                                                     c.Pending + c.Delivered + c.Dead,
		`SELECT count(*) FROM ringback_outcome WHERE state = 1`:                                      c.Delivered,
		`SELECT count(*) FROM ringback_outcome WHERE state = 2`:                                      c.Dead,
		`SELECT count(*) FROM ringback_outcome WHERE seq NOT IN (SELECT seq FROM ringback_delivery)`: 0,
		`SELECT count(*) FROM ringback_attempt WHERE seq NOT IN (SELECT seq FROM ringback_delivery)`: 0,
		`SELECT count(*) FROM ringback_waiting WHERE seq IN (SELECT seq FROM ringback_outcome)`:      0,
		`SELECT count(*) FROM ringback_waiting WHERE seq NOT IN (SELECT seq FROM ringback_delivery)`: 0,
	} {
		if n := number(t, s.Reader(), query); n != want {
			t.Errorf("%s: %d, want %d", query, n, want)
		}
	}
	if c.Delivered*100 > 3*20_000 {
		t.Errorf("%d delivered are left", c.Delivered)
	}
}
