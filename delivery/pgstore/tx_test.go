package pgstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/delivery/pgstore"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// transaction is one of a caller's, of either kind.
type transaction struct {
	enqueue  func(ds ...delivery.Delivery) error
	commit   func() error
	rollback func() error
}

func (s *site) begin(ctx context.Context, store *pgstore.Store, viaSQL bool, pool *pgxpool.Pool, db *sql.DB) transaction {
	s.Helper()
	if viaSQL {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			s.Fatal(err)
		}
		return transaction{func(ds ...delivery.Delivery) error { return store.EnqueueSQLTx(ctx, tx, ds...) }, tx.Commit, tx.Rollback}
	}
	tx, err := pool.Begin(ctx)
	if err != nil {
		s.Fatal(err)
	}
	return transaction{
		func(ds ...delivery.Delivery) error { return store.EnqueueTx(ctx, tx, ds...) },
		func() error { return tx.Commit(ctx) }, func() error { return tx.Rollback(ctx) },
	}
}

func (s *site) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// waitings counts how often a session is seen that waits for a lock of another's
// transaction, until the returned function is called.
func (s *site) waitings() (stop func() int64) {
	conn, err := pgx.Connect(s.Context(), s.url)
	s.must(err)
	var seen atomic.Int64
	ctx, cancel := context.WithCancel(s.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			var n int64
			err := conn.QueryRow(ctx, `SELECT (SELECT count(*) FROM pg_locks l WHERE NOT l.granted AND l.locktype IN ('transactionid', 'tuple')
				AND l.pid IN (SELECT pid FROM pg_stat_activity WHERE datname = current_database()))`).Scan(&n)
			if err == nil {
				seen.Add(n)
			}
		}
	}()
	return func() int64 {
		cancel()
		<-done
		conn.Close(context.Background())
		return seen.Load()
	}
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	for _, viaSQL := range []bool{false, true} {
		t.Run(fmt.Sprintf("database sql %t", viaSQL), func(t *testing.T) {
			t.Parallel()
			s := newSite(t, pgtest.New(t).Database(t), lanes.Config{MaxInFlight: 10_000})
			a, b := s.launch(), s.launch()
			s.shared(20*time.Second, 32, a, b)
			cfg, err := pgxpool.ParseConfig(s.url)
			s.must(err)
			cfg.MaxConns = 70
			pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
			s.must(err)
			t.Cleanup(pool.Close)
			db := stdlib.OpenDBFromPool(pool)
			t.Cleanup(func() { db.Close() })

			s.atOnce(a, b, viaSQL, pool, db)
			s.rolledBack(a, b, viaSQL, pool, db)
			s.longOpen(a, b, viaSQL, pool, db)
		})
	}
}

// atOnce has 64 transactions open that publish the same IDs to the same lanes in
// different orders, and commits them in reverse.
func (s *site) atOnce(a, b *engine, viaSQL bool, pool *pgxpool.Pool, db *sql.DB) {
	s.Helper()
	waited := s.waitings()
	ds := spread("same", 40, 7)
	for i := range ds {
		if i%3 == 0 {
			ds[i].Key = "k" + ds[i].SubscriptionID
		}
	}
	var txs []transaction
	for range 64 {
		txs = append(txs, s.begin(s.Context(), a.store, viaSQL, pool, db))
	}
	for i := range ds { // in turns
		for j, tx := range txs {
			s.must(tx.enqueue(ds[(i*7+j)%len(ds)], of(fmt.Sprintf("own-%d-%d", j, i), ds[i].SubscriptionID, "")))
		}
	}
	for _, tx := range slices.Backward(txs) {
		s.must(tx.commit())
	}
	a.store.Wake()
	want := map[string]bool{}
	for len(want) < 64*len(ds)+len(ds) {
		for e, leases := range s.collect(20*time.Second, 1, a, b) {
			for _, l := range leases {
				if want[l.ID] {
					s.Fatalf("%s arrived twice", l.ID)
				}
				want[l.ID] = true
			}
			s.settle(e, leases...)
		}
	}
	if n := waited(); n > 0 {
		s.Errorf("%d times a transaction was seen to wait for another", n)
	}
	s.counted(a, delivery.Counts{Delivered: int64(len(want))})
}

func (s *site) rolledBack(a, b *engine, viaSQL bool, pool *pgxpool.Pool, db *sql.DB) {
	s.Helper()
	tx := s.begin(s.Context(), a.store, viaSQL, pool, db)
	s.must(tx.enqueue(spread("rolled", 100, 50)...))
	s.must(tx.rollback())
	kept := s.begin(s.Context(), a.store, viaSQL, pool, db)
	s.must(kept.enqueue(spread("kept", 100, 50)...))
	s.must(kept.commit())
	for e, leases := range s.collect(20*time.Second, 100, a, b) {
		for _, l := range leases {
			if l.EventID[:4] != "kept" {
				s.Errorf("%s was leased", l.ID)
			}
		}
		s.settle(e, leases...)
	}
	if n, known, err := a.store.Event(s.Context(), "rolled-7"); n != 0 || known || err != nil {
		s.Errorf("of what was rolled back %d are known, %v", n, err)
	}
}

// longOpen: a transaction that stays open while others pass by.
func (s *site) longOpen(a, b *engine, viaSQL bool, pool *pgxpool.Pool, db *sql.DB) {
	s.Helper()
	waited := s.waitings()
	long := s.begin(s.Context(), a.store, viaSQL, pool, db)
	s.must(long.enqueue(spread("long", 1000, 90)...))
	for i := range 6 {
		s.enqueue([]*engine{a, b}[i%2], spread(fmt.Sprint("short", i), 500, 90)...)
	}
	for e, leases := range s.collect(30*time.Second, 3000, a, b) {
		for part := range slices.Chunk(leases, 500) {
			s.settle(e, part...)
		}
	}
	s.must(long.enqueue(spread("longer", 300, 90)...)) // more than a page in all
	s.must(long.commit())
	for e, leases := range s.collect(30*time.Second, 1300, a, b) {
		s.settle(e, leases...)
	}
	if n := waited(); n > 0 {
		s.Errorf("%d times a transaction was seen to wait for another", n)
	}
}

// TestSnapshotCursor: rows that are committed late, in savepoints, or many at
// once are neither passed over nor taken twice.
func TestSnapshotCursor(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t).Database(t), lanes.Config{MaxInFlight: 100_000})
	a, b := s.launch(), s.launch()
	s.shared(20*time.Second, 32, a, b)
	type open struct {
		tx    pgx.Tx
		until int
	}
	var txs []open
	cfg, err := pgxpool.ParseConfig(s.url)
	s.must(err)
	cfg.MaxConns = 40
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	s.must(err)
	t.Cleanup(pool.Close)
	seen, want := map[string]int{}, 0
	drain := func(e *engine) {
		leases, err := e.store.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: 1000, TTL: time.Minute})
		s.must(err)
		for _, l := range leases {
			seen[l.ID]++
		}
		s.settle(e, leases...)
	}
	errUndo := errors.New("undo")
	for step := range 250 {
		if len(txs) < 20 && step < 200 {
			tx, err := pool.Begin(t.Context())
			s.must(err)
			txs = append(txs, open{tx, step + rand.IntN(60)})
		}
		for i, o := range txs {
			id := fmt.Sprintf("s%d-%d", step, i)
			switch rand.IntN(4) {
			case 0: // a savepoint that is kept
				s.must(pgx.BeginFunc(t.Context(), o.tx, func(sub pgx.Tx) error {
					return a.store.EnqueueTx(t.Context(), sub, of(id, fmt.Sprint("lane", rand.IntN(99)), ""))
				}))
				want++
			case 1: // and one that is not
				err := pgx.BeginFunc(t.Context(), o.tx, func(sub pgx.Tx) error {
					return errors.Join(a.store.EnqueueTx(t.Context(), sub, of("undone"+id, "lane1", "")), errUndo)
				})
				if err == nil || err.Error() != errUndo.Error() {
					t.Fatal(err)
				}
			case 2:
				s.must(b.store.EnqueueTx(t.Context(), o.tx, of(id, fmt.Sprint("lane", rand.IntN(99)), "")))
				want++
			default:
			}
		}
		if step%50 == 10 { // pages
			s.must(pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
				for i := range 3 {
					if err := a.store.EnqueueTx(t.Context(), tx, spread(fmt.Sprintf("p%d-%d", step, i), 900, 99)...); err != nil {
						return err
					}
				}
				return nil
			}))
			want += 2700
		}
		txs = slices.DeleteFunc(txs, func(o open) bool {
			if o.until > step && step < 249 {
				return false
			}
			s.must(o.tx.Commit(t.Context()))
			return true
		})
		drain(a)
		drain(b)
	}
	s.until(20*time.Second, "all arrive", func() bool { drain(a); drain(b); return len(seen) >= want })
	s.until(10*time.Second, "the inbox is empty", func() bool {
		var n int
		s.must(pool.QueryRow(t.Context(), `SELECT count(*) FROM `+s.schema+`.inbox`).Scan(&n))
		return n == 0
	})
	drain(a)
	drain(b)
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was leased %d times", id, n)
		}
	}
	s.counted(a, delivery.Counts{Delivered: int64(want)})
}

// TestIdleProcess: what a process stores that does not run is delivered by
// others, at once if they listen, and soon if not.
func TestIdleProcess(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		deaf  bool
		poll  time.Duration
		limit time.Duration
	}{
		"told":  {false, 30 * time.Second, 5 * time.Second},
		"looks": {true, 200 * time.Millisecond, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, pgtest.New(t).Database(t), lanes.Config{})
			s.cfg.NoListen, s.cfg.Poll, s.cfg.Expiry = c.deaf, c.poll, 4*time.Second
			a := s.launch()
			s.shared(20*time.Second, 64, a)
			s.idle = true
			out := s.launch()
			for i := range 20 {
				s.enqueue(out, of(fmt.Sprint("x", i, "-1"), "l", ""))
				s.enqueue(out, of(fmt.Sprint("x", i, "-2"), "l", "")) // while the first is being told of
				s.settle(a, s.collect(c.limit, 2, a)[a]...)
			}
			s.counted(out, delivery.Counts{Delivered: 40})
		})
	}
}

// TestDeafListener: a listening connection that dies is replaced.
func TestDeafListener(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t).Database(t), lanes.Config{})
	s.cfg.Poll = 500 * time.Millisecond
	a := s.launch()
	s.shared(20*time.Second, 64, a)
	pool, err := pgxpool.New(t.Context(), s.url)
	s.must(err)
	t.Cleanup(pool.Close)
	listens := func() (pid int) {
		err := pool.QueryRow(t.Context(), `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`).Scan(&pid)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			t.Fatal(err)
		}
		return pid
	}
	for i := range 3 {
		var before int
		s.until(20*time.Second, "somebody listens", func() bool { before = listens(); return before != 0 })
		if _, err := pool.Exec(t.Context(), `SELECT pg_terminate_backend($1)`, before); err != nil {
			t.Fatal(err)
		}
		s.must(pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
			return a.store.EnqueueTx(t.Context(), tx, of(fmt.Sprint("x", i), "l", ""))
		}))
		s.settle(a, s.collect(10*time.Second, 1, a)[a]...)
		s.until(20*time.Second, "another listens", func() bool { pid := listens(); return pid != 0 && pid != before })
	}
}
