//go:build unix

package postgres_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// Somebody's transaction keeps vacuum from removing anything while deliveries
// pass: they do not become slower, nor does looking for them.
func TestB20LongForeignTransaction(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		options    pgx.TxOptions
		statements []string
	}{
		{"that reads", pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, []string{`SELECT count(*) FROM ringback.shard`}},
		{"that wrote", pgx.TxOptions{IsoLevel: pgx.RepeatableRead}, []string{`CREATE TABLE theirs (n integer)`, `INSERT INTO theirs VALUES (1)`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, pgtest.New(t).Database(t), 12)
			s.spec.MaxInFlight = 64
			s.start(t, 2)
			s.shared(t)
			tx := s.begin(t, c.options, c.statements...)
			window := time.Duration(rig.Size(5000, 1500, 1500)) * time.Millisecond
			idle := s.look(t, window)
			half := time.Duration(rig.Size(60_000, 2500, 2500)) * time.Millisecond
			s.traffic(t, "e", rig.Size(2000, 1000, 400))
			passes(t, half/5) // the first moments are for caches
			a := s.spent(t)
			passes(t, half)
			b := s.spent(t)
			passes(t, half)
			c := s.spent(t)
			s.halt(t)
			s.settled(t)
			first, second := b.since(a), c.since(b)
			t.Logf("%d delivered in the first half, %d in the second; %d and %d pages for each",
				first.delivered, second.delivered, first.pages/first.delivered, second.pages/second.delivered)
			// By the clock alone a short run on a busy machine tells little.
			if second.delivered*int64(rig.Size(2, 6, 6)) < first.delivered || second.pages/second.delivered > 8*(first.pages/first.delivered) {
				t.Error("deliveries became slower")
			}
			after := s.look(t, window)
			t.Logf("pages for one look at the inbox: %.1f before, %.1f after; %d dead rows there", idle.pages, after.pages, after.dead)
			if after.pages > 4*idle.pages+10 {
				t.Errorf("%.1f pages are read for one look at the inbox, %.1f were before", after.pages, idle.pages)
			}
			if err := tx.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.judge(t, cost{})
		})
	}
}

// spent is what was delivered so far, and how many pages the server looked at.
type spent struct{ delivered, pages int64 }

func (a spent) since(b spent) spent { return spent{max(a.delivered-b.delivered, 1), a.pages - b.pages} }

func (s *scene) spent(t *testing.T) (now spent) {
	t.Helper()
	c, err := s.seen.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	err = s.pool.QueryRow(t.Context(), `SELECT blks_hit + blks_read FROM pg_stat_database WHERE datname = current_database()`).Scan(&now.pages)
	if err != nil {
		t.Fatal(err)
	}
	now.delivered = c.Delivered
	return now
}

// looks are what idle engines do.
type looks struct {
	pages float64 // of the inbox, for each scan
	dead  int64   // rows of it that are there for old snapshots alone
}

func (s *scene) look(t *testing.T, window time.Duration) looks {
	t.Helper()
	read := func() (pages, scans, dead int64) {
		if err := s.pool.QueryRow(t.Context(), `SELECT coalesce(heap_blks_hit + heap_blks_read, 0) + coalesce(idx_blks_hit + idx_blks_read, 0),
			coalesce(idx_scan, 0) + seq_scan, n_dead_tup FROM pg_statio_all_tables JOIN pg_stat_all_tables USING (relid)
			WHERE relid = 'ringback.inbox'::regclass`).Scan(&pages, &scans, &dead); err != nil {
			t.Fatal(err)
		}
		return pages, scans, dead
	}
	// Servers tell of their work a second late, or more where they have nothing to do.
	passes(t, 1500*time.Millisecond)
	pages, scans, _ := read()
	passes(t, window)
	pages2, scans2, dead := read()
	if scans2 == scans {
		t.Fatal("nobody looked at the inbox")
	}
	return looks{float64(pages2-pages) / float64(scans2-scans), dead}
}
