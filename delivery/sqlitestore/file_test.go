package sqlitestore_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
)

// limit bounds the file to so many pages more than it has; 0 ends the bound.
func limit(t *testing.T, s *sqlitestore.Store, more int) {
	t.Helper()
	var pages, bound int
	if err := s.Writer().QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	bound = pages + more
	if more == 0 {
		bound = 1 << 30
	}
	if err := s.Writer().QueryRowContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", bound)).Scan(&bound); err != nil {
		t.Fatal(err)
	}
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s := open(t, sqlitestore.Config{Path: path, Lanes: roomy})
	if err := s.Enqueue(t.Context(), time.Time{}, deliveries("first", 100, 10)...); err != nil {
		t.Fatal(err)
	}
	leases := lease(t, s, 100)
	if len(leases) != 100 {
		t.Fatalf("%d leases", len(leases))
	}

	limit(t, s, 3)
	ds := deliveries("second", 300, 2000)
	for range 3 {
		if err := s.Enqueue(t.Context(), time.Time{}, ds...); err == nil {
			t.Fatal("Enqueue did not notice")
		}
		if err := s.Settle(t.Context(), time.Time{}, done(leases)...); err == nil {
			t.Fatal("Settle did not notice")
		}
		if c := counts(t, s); c != (delivery.Counts{Pending: 100}) {
			t.Fatalf("half of it was stored: %+v", c)
		}
	}
	var rows, outcomes int
	err := s.Reader().QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM ringback_delivery), (SELECT count(*) FROM ringback_outcome)`).Scan(&rows, &outcomes)
	if err != nil || rows != 100 || outcomes != 0 {
		t.Fatalf("%d rows, %d outcomes, %v", rows, outcomes, err)
	}
	if again := lease(t, s, 1000); len(again) != 0 {
		t.Errorf("%d leases of what is leased or was refused", len(again))
	}

	limit(t, s, 0)
	if err := s.Enqueue(t.Context(), time.Time{}, ds...); err != nil {
		t.Fatal(err)
	}
	if err := s.Settle(t.Context(), time.Time{}, done(leases)...); err != nil {
		t.Fatalf("the leases are still good: %v", err)
	}
	if c := counts(t, s); c != (delivery.Counts{Pending: 300, Delivered: 100}) {
		t.Errorf("with room again: %+v", c)
	}
	if err := s.Settle(t.Context(), time.Time{}, done(lease(t, s, 1000))...); err != nil {
		t.Fatal(err)
	}
	if c := counts(t, s); c != (delivery.Counts{Delivered: 400}) {
		t.Errorf("in the end: %+v", c)
	}
}

// What only memory knew is found again, and what is long settled is not looked
// at: the mark follows the oldest young row.
func TestReopening(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	cfg := sqlitestore.Config{Path: path, Lanes: lanes.Config{MaxInFlight: 10_000, Straggle: 100}}
	s := open(t, cfg)
	if err := s.Enqueue(t.Context(), time.Time{}, deliveries("straggler", 1, 10)...); err != nil {
		t.Fatal(err)
	}
	straggler := lease(t, s, 1)
	for i := range 6 {
		if err := s.Enqueue(t.Context(), time.Time{}, deliveries(fmt.Sprint(i), 1000, 10)...); err != nil {
			t.Fatal(err)
		}
		if i == 5 {
			break // the last ones stay
		}
		if err := s.Settle(t.Context(), time.Time{}, done(lease(t, s, 1000))...); err != nil {
			t.Fatal(err)
		}
	}
	var low, waiting int64
	err := s.Reader().QueryRowContext(t.Context(), `SELECT (SELECT value FROM ringback_meta WHERE name = 'low'),
		(SELECT count(*) FROM ringback_waiting WHERE seq = 1)`).Scan(&low, &waiting)
	if err != nil || low < 4000 || waiting != 1 {
		t.Errorf("mark at %d, straggler indexed %d, %v", low, waiting, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, cfg)
	if c := counts(t, s); c != (delivery.Counts{Pending: 1001, Delivered: 5000}) {
		t.Errorf("after the start: %+v", c)
	}
	if err := s.Settle(t.Context(), time.Time{}, done(straggler)...); !errors.Is(err, delivery.ErrLeaseLost) {
		t.Errorf("a lease of the last owner: %v", err)
	}
	seen := map[string]bool{}
	for leases := lease(t, s, 300); len(leases) > 0; leases = lease(t, s, 300) {
		for _, l := range leases {
			if seen[l.ID] {
				t.Errorf("%s twice", l.ID)
			}
			seen[l.ID] = true
		}
		if err := s.Settle(t.Context(), time.Time{}, done(leases)...); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 1001 || !seen[straggler[0].ID] {
		t.Errorf("%d leased after the start", len(seen))
	}
	if c := counts(t, s); c != (delivery.Counts{Delivered: 6001}) {
		t.Errorf("in the end: %+v", c)
	}
}

func TestWriterIsShared(t *testing.T) {
	t.Parallel()
	s := open(t, sqlitestore.Config{Path: filepath.Join(t.TempDir(), "store.db"), Lanes: roomy})
	if _, err := s.Writer().ExecContext(t.Context(), `CREATE TABLE other (n INTEGER)`); err != nil {
		t.Fatal(err)
	}
	const rounds = 50
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range rounds {
			tx, err := s.Writer().BeginTx(t.Context(), nil)
			if err != nil {
				t.Error(err)
				return
			}
			_, err = tx.ExecContext(t.Context(), `INSERT INTO other VALUES (?)`, i)
			if i%5 == 0 {
				err = errors.Join(err, tx.Rollback())
			} else {
				err = errors.Join(err, tx.Commit())
			}
			if err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		for i := range rounds {
			if err := s.Enqueue(t.Context(), time.Time{}, deliveries(fmt.Sprint(i), 10, 100)...); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Go(func() {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		for settled := 0; settled < rounds*10; {
			if err := s.Wait(ctx, delivery.LeaseRequest{Max: 100}); err != nil {
				t.Errorf("after %d: %v", settled, err)
				return
			}
			leases := lease(t, s, 100)
			if err := s.Settle(ctx, time.Time{}, done(leases)...); err != nil {
				t.Error(err)
			}
			settled += len(leases)
		}
	})
	wg.Wait()
	if c := counts(t, s); c != (delivery.Counts{Delivered: rounds * 10}) {
		t.Errorf("counts: %+v", c)
	}
	var n int
	if err := s.Reader().QueryRowContext(t.Context(), `SELECT count(*) FROM other`).Scan(&n); err != nil || n != rounds*4/5 {
		t.Errorf("%d rows of the other table, %v", n, err)
	}
}

// Over pools of the caller's nothing locks the file: whoever opens it later
// owns it, and the one before can store nothing more.
func TestSecondOwnerFencesTheFirst(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	cfg := sqlitestore.Config{
		Writer: pool(t, path, 1, "journal_mode(WAL)", "synchronous(FULL)"),
		Reader: pool(t, path, 2, "query_only(1)"),
	}
	first := open(t, cfg)
	if err := first.Enqueue(t.Context(), time.Time{}, deliveries("a", 2, 10)...); err != nil {
		t.Fatal(err)
	}
	leases := lease(t, first, 2)
	second := open(t, cfg)
	if err := first.Enqueue(t.Context(), time.Time{}, deliveries("b", 1, 10)...); !errors.Is(err, delivery.ErrOwned) {
		t.Errorf("Enqueue by the first: %v", err)
	}
	if err := first.Settle(t.Context(), time.Time{}, done(leases)...); !errors.Is(err, delivery.ErrOwned) {
		t.Errorf("Settle by the first: %v", err)
	}
	if err := first.SetLanes(t.Context(), time.Time{}, delivery.LaneState{Lane: "sub_1", Mode: delivery.LanePaused}); !errors.Is(err, delivery.ErrOwned) {
		t.Errorf("SetLanes by the first: %v", err)
	}
	if _, err := first.Counts(t.Context()); !errors.Is(err, delivery.ErrOwned) {
		t.Errorf("Counts by the first, which a health check may ask: %v", err)
	}
	if c := counts(t, second); c != (delivery.Counts{Pending: 2}) {
		t.Errorf("stored by the first: %+v", c)
	}
	if err := second.Settle(t.Context(), time.Time{}, done(lease(t, second, 10))...); err != nil {
		t.Fatal(err)
	}
	if c := counts(t, second); c != (delivery.Counts{Delivered: 2}) {
		t.Errorf("stored by the second: %+v", c)
	}
}
