//go:build unix

package postgres_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// either is the URL of a database on whichever of two servers takes writes.
func either(t *testing.T, first, second string) string {
	t.Helper()
	u, err := url.Parse(first)
	if err != nil {
		t.Fatal(err)
	}
	v, err := url.Parse(second)
	if err != nil {
		t.Fatal(err)
	}
	u.Host += "," + v.Host
	q := u.Query()
	q.Set("target_session_attrs", "read-write")
	q.Set("connect_timeout", "2")
	u.RawQuery = q.Encode()
	return u.String()
}

func execute(t *testing.T, url string, statements ...string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	for _, text := range statements {
		if _, err := conn.Exec(t.Context(), text); err != nil {
			t.Fatal(text, err)
		}
	}
}

// The server is gone and its standby takes over, which had everything that was
// acknowledged: engines find it, and nothing is lost.
func TestB27FailoverToSynchronousStandby(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t, pgtest.Options{})
	database := primary.Database(t)
	standby := primary.Standby(t)
	execute(t, primary.URL(), `ALTER SYSTEM SET synchronous_standby_names = '*'`, `SELECT pg_reload_conf()`)
	s := newScene(t, either(t, database, standby.URL()), 8)
	s.start(t, 2)
	s.shared(t)
	s.traffic(t, "e", rig.Size(500, 200, 100))
	passes(t, expiry)
	primary.Kill(t)
	standby.Promote(t)
	if took := s.delivers(t, "after"); took > rig.Within(2*expiry+8*time.Second) {
		t.Errorf("it took %v until everything was delivered again", took)
	}
	s.halt(t)
	s.judge(t, cost{faults: 4})
}

// The standby lacks the last commits: those events are gone, though they were
// acknowledged, and nothing else is. The same IDs may come again.
func TestB27FailoverToAsynchronousStandby(t *testing.T) {
	t.Parallel()
	asynchronous(t, false)
}

// What is acknowledged by an engine that has not noticed yet that the server
// lacks what it did last is sent.
func TestB27AcknowledgedRightAfterFailover(t *testing.T) {
	t.Parallel()
	asynchronous(t, true)
}

func asynchronous(t *testing.T, atOnce bool) {
	t.Helper()
	primary := pgtest.Start(t, pgtest.Options{})
	database := primary.Database(t)
	standby := primary.Standby(t)
	s := newScene(t, either(t, database, standby.URL()), 8)
	s.start(t, 2)
	s.shared(t)
	s.traffic(t, "e", rig.Size(500, 200, 100))
	passes(t, expiry)
	s.halt(t)
	s.settled(t)
	s.eventually(t, "the standby has it all", func(ctx context.Context) bool {
		var same bool
		err := s.pool.QueryRow(ctx, `SELECT coalesce(bool_and(replay_lsn >= pg_current_wal_lsn()), false) FROM pg_stat_replication`).Scan(&same)
		return err == nil && same
	})
	execute(t, standby.URL(), `ALTER SYSTEM SET primary_conninfo = ''`, `SELECT pg_reload_conf()`)
	s.eventually(t, "the standby is cut off", func(ctx context.Context) bool {
		var n int
		err := s.pool.QueryRow(ctx, `SELECT count(*) FROM pg_stat_replication`).Scan(&n)
		return err == nil && n == 0
	})
	// What follows is lost: an engine that came, events, how they ended.
	s.kill(t, 1)
	s.start(t, 1)
	s.shared(t)
	s.delivers(t, "lost")
	s.settled(t)
	lost := map[string]bool{}
	s.void = map[string]time.Time{}
	for _, tenant := range s.tenants {
		for _, id := range []string{"lost_0_" + tenant, "lost_1_" + tenant} {
			lost[id], s.void[id] = true, time.Now()
		}
	}
	primary.Kill(t)
	standby.Promote(t)
	if !atOnce {
		passes(t, 3*expiry)
		s.shared(t)
	}
	s.delivers(t, "after")
	s.shared(t)
	s.traffic(t, "again", rig.Size(500, 200, 100))
	passes(t, expiry)
	s.halt(t)
	s.settled(t)
	for id := range lost {
		if _, known, err := s.seen.Event(t.Context(), id); err != nil || known {
			t.Errorf("%s was not lost: %v", id, err)
		}
		s.procs[0].Send(t, "publish", id[len("lost_0_"):], id)
	}
	s.rc.Wait(t, "the lost events once more", func(rs []rig.Request) bool {
		n := 0
		for i := range rs {
			if lost[rs[i].ID] {
				n++
			}
		}
		return n >= 2*len(lost)
	})
	s.judge(t, cost{faults: 6})
}
