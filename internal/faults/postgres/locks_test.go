//go:build unix

package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// begin opens a transaction of somebody else's and runs statements in it; the
// test's end rolls it back if nobody did before.
func (s *scene) begin(t *testing.T, o pgx.TxOptions, statements ...string) pgx.Tx {
	t.Helper()
	tx, err := s.pool.BeginTx(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = tx.Rollback(context.Background()) // it may be over
	})
	for _, text := range statements {
		if _, err := tx.Exec(t.Context(), text); err != nil {
			t.Fatal(text, err)
		}
	}
	return tx
}

// Somebody's ALTER TABLE keeps everybody from a table: engines wait, with no
// more connections than their pools', and go on when it is over.
func TestB23ExclusiveLock(t *testing.T) {
	t.Parallel()
	for _, table := range []string{"delivery", "engine", "inbox", "waiting"} {
		t.Run(table, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, pgtest.New(t).Database(t), 6)
			s.spec.Expiry, s.spec.Conns = time.Second, 8
			s.start(t, 2)
			s.shared(t)
			s.traffic(t, "e", rig.Size(300, 100, 60))
			passes(t, 200*time.Millisecond)
			tx := s.begin(t, pgx.TxOptions{}, `LOCK TABLE ringback.`+table+` IN ACCESS EXCLUSIVE MODE`)
			passes(t, time.Duration(rig.Size(60, 2, 2))*time.Second) // longer than the engines' rights last
			var conns int
			if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
				AND pid <> pg_backend_pid()`).Scan(&conns); err != nil {
				t.Fatal(err)
			}
			if most := 2*8 + 2 + 4; conns > most {
				t.Errorf("%d connections, %d may be", conns, most)
			}
			if err := tx.Rollback(t.Context()); err != nil {
				t.Fatal(err)
			}
			if took := s.delivers(t, "after"); took > rig.Within(7*time.Second) {
				t.Errorf("it took %v until everything was delivered again", took)
			}
			s.halt(t)
			s.judge(t, cost{faults: 4})
		})
	}
}

// The test takes all of a pool's connections for a while, which is as long as
// the engine's rights last, and longer.
func TestB24PoolExhausted(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.New(t).Database(t), 6)
	spec := s.spec
	spec.Expiry, spec.Conns = time.Second, 4
	a, b := runHere(t, spec, rig.Tune{}), runHere(t, spec, rig.Tune{})
	s.delivered(t, "warm", a, b)
	a.traffic(t.Context(), "a", 60, 6, s.tenants)
	b.traffic(t.Context(), "b", 60, 6, s.tenants)
	holds := []time.Duration{200 * time.Millisecond, 700 * time.Millisecond, 2 * time.Second}
	for _, hold := range holds {
		pool := a.Store.(*rig.Pooled).Pool
		var held []*pgxpool.Conn
		for range spec.Conns {
			c, err := pool.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			held = append(held, c)
		}
		passes(t, hold)
		for _, c := range held {
			c.Release()
		}
		s.delivered(t, fmt.Sprintf("after%d", hold), a, b)
	}
	a.halt()
	b.halt()
	s.settled(t)
	a.end()
	b.end()
	ev := rig.Evidence{Acked: append(a.Acked(), b.Acked()...), Requests: s.rc.Requests()}
	s.check(t, &ev, cost{faults: 2 * len(holds)})
}

// The server has no connection left when all were cut: engines keep trying, and
// go on when there are some.
func TestB24TooManyConnections(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Options{Settings: map[string]string{"max_connections": "24", "fsync": "off"}})
	s := newScene(t, c.Database(t), 6)
	s.spec.Expiry, s.spec.Conns = time.Second, 6
	s.start(t, 2)
	s.shared(t)
	s.traffic(t, "e", rig.Size(300, 100, 60))
	passes(t, 200*time.Millisecond)
	var hogs []*pgx.Conn
	// The engines' are cut again and again, until somebody else has them all.
	for len(hogs) < 21 {
		if _, err := s.pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name <> 'hog'`); err != nil {
			continue // there is none for this either
		}
		for len(hogs) < 21 {
			hog, err := pgx.Connect(t.Context(), c.URL()+"&application_name=hog")
			if err != nil {
				break
			}
			hogs = append(hogs, hog)
		}
	}
	passes(t, 2*time.Second)
	for _, hog := range hogs {
		if err := hog.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if took := s.delivers(t, "after"); took > rig.Within(10*time.Second) {
		t.Errorf("it took %v until everything was delivered again", took)
	}
	s.halt(t)
	s.judge(t, cost{faults: 4})
}

// Engines whose clocks are off by minutes, each in another direction, deliver at
// once, each event once, and retry when it is time.
func TestB29EnginesWithOtherClocks(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.New(t).Database(t), 6)
	spec := s.spec
	spec.Pauses = []time.Duration{300 * time.Millisecond, 300 * time.Millisecond}
	for _, tenant := range s.tenants {
		s.rc.Handle("/"+tenant, func(n int, _ rig.Request) rig.Answer {
			if n == 1 {
				return rig.Answer{Status: 503}
			}
			return rig.Answer{}
		})
	}
	off := func(d time.Duration) rig.Tune {
		return rig.Tune{Engine: func(cfg *delivery.Config) { cfg.Now = func() time.Time { return time.Now().Add(d) } }}
	}
	begin := time.Now()
	a, b := runHere(t, spec, off(5*time.Minute)), runHere(t, spec, off(-5*time.Minute))
	for k := range 3 {
		s.delivered(t, fmt.Sprintf("e%d", k), a, b)
	}
	s.settled(t)
	if took := time.Since(begin); took > rig.Within(15*time.Second) {
		t.Errorf("it took %v", took)
	}
	a.end()
	b.end()
	ev := rig.Evidence{Acked: append(a.Acked(), b.Acked()...), Requests: s.rc.Requests()}
	s.check(t, &ev, cost{})
	if retried := len(ev.Requests) - len(ev.Ledger); retried != len(s.tenants) {
		t.Errorf("%d attempts beyond the first, want %d", retried, len(s.tenants))
	}
}
