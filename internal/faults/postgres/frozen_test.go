//go:build unix

package postgres_test

import (
	"context"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// takesOver waits until one engine has all the shards, and returns how long
// that took.
func (s *scene) takesOver(t *testing.T) time.Duration {
	t.Helper()
	begin := time.Now()
	s.eventually(t, "the other engine takes over", func(ctx context.Context) bool {
		var shards, engines int
		err := s.pool.QueryRow(ctx, `SELECT coalesce(max(n), 0), count(*) FROM
			(SELECT count(*) AS n FROM ringback.shard WHERE engine IS NOT NULL GROUP BY engine) x`).Scan(&shards, &engines)
		return err == nil && shards == 64 && engines == 1
	})
	return time.Since(begin)
}

// An engine is stopped at random moments, for longer than its rights last, and
// continued: it changes nothing any more, and gets its share again.
func TestB64B65Frozen(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	s := newScene(t, pgtest.New(t).Database(t), 12)
	s.spec.Expiry = time.Duration(rig.Size(1, 1, 3)) * time.Second // an engine that is merely slow keeps its rights
	s.start(t, 2)
	s.shared(t)
	s.traffic(t, "e", rig.Size(500, 300, 120))
	stops := rig.Size(100, 4, 2)
	for k := range stops {
		passes(t, time.Duration(random.IntN(300))*time.Millisecond)
		p := s.procs[random.IntN(2)]
		p.Signal(t, syscall.SIGSTOP)
		took := s.takesOver(t)
		if took > rig.Within(10*time.Second) {
			t.Errorf("stop %d: it took %v to take over", k, took)
		}
		passes(t, time.Duration(random.IntN(300))*time.Millisecond)
		p.Signal(t, syscall.SIGCONT)
		s.shared(t)
	}
	s.halt(t)
	s.delivers(t, "after")
	s.judge(t, cost{faults: stops, overlaps: stops * slots})
}

// An engine stops for less than its rights last: nothing changes hands.
func TestB64FrozenForAMoment(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.New(t).Database(t), 12)
	s.spec.Expiry = 10 * time.Second
	s.start(t, 2)
	s.shared(t)
	s.traffic(t, "e", rig.Size(500, 200, 100))
	for range rig.Size(20, 3, 2) {
		passes(t, 100*time.Millisecond)
		s.procs[0].Signal(t, syscall.SIGSTOP)
		passes(t, 500*time.Millisecond)
		s.procs[0].Signal(t, syscall.SIGCONT)
	}
	s.halt(t)
	s.judge(t, cost{})
}

// An engine is stopped while the server waits for the rest of its transaction,
// and holds what that locked.
func TestB64FrozenWithinACommit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		meets func(request) bool
	}{
		{"most of a result was sent", settles},
		{"most of an append was sent", appends},
		{"before the end of an edit", func(r request) bool { return r.text == "commit" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.New(t).Database(t)
			s := newScene(t, url, 12)
			p, through := newProxy(t, url)
			s.spec.Expiry, s.spec.Postgres = time.Second, through
			s.start(t, 1)
			s.spec.Postgres = url
			s.start(t, 1)
			s.shared(t)
			// Each engine has work that only its own lanes show.
			for i, tenant := range s.tenants {
				s.procs[i%2].Send(t, "publish", tenant, fmt.Sprintf("before%d", i))
			}
			s.rc.WaitAccepted(t, len(s.tenants))
			continued := make(chan struct{})
			parts := allButLast
			edits := c.name == "before the end of an edit"
			if edits {
				parts = nothing // the commit is all there is
				s.rc.Handle("/"+s.tenants[0], rig.Status(503))
			}
			met := p.Once(func(r request) bool { return c.meets(r) && (!edits || s.edits(t)) }, fate{hold: continued, parts: parts})
			if edits {
				s.cancelOwn(t, s.procs[0])
			} else {
				s.trafficOf(t, s.procs[0], "f", 200)
			}
			select {
			case <-met:
			case <-time.After(rig.Patience):
				t.Fatal("the proxy saw no such commit")
			}
			s.procs[0].Signal(t, syscall.SIGSTOP)
			if took := s.takesOver(t); took > rig.Within(10*time.Second) {
				t.Errorf("it took %v to take over", took)
			} else {
				t.Logf("taken over after %v", took)
			}
			s.procs[0].Signal(t, syscall.SIGCONT)
			close(continued)
			p.Rule(nil)
			s.shared(t)
			if !edits {
				s.halt(t)
				s.delivers(t, "after")
				s.judge(t, cost{faults: 2, overlaps: slots})
			}
		})
	}
}

// edits reports whether a transaction is open that edits a delivery.
func (s *scene) edits(t *testing.T) bool {
	t.Helper()
	var n int
	err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity a JOIN pg_locks l USING (pid)
		WHERE a.datname = current_database() AND a.state = 'idle in transaction' AND l.relation = 'ringback.tally'::regclass`).Scan(&n)
	return err == nil && n > 0
}

// cancelOwn has an engine cancel a delivery of a lane of its own.
func (s *scene) cancelOwn(t *testing.T, p *rig.Process) {
	t.Helper()
	for i, tenant := range s.tenants {
		s.rc.Handle("/"+tenant, rig.Status(503))
		id := fmt.Sprintf("doomed%d", i)
		p.Send(t, "publish", tenant, id)
		p.Send(t, "cancel", delivery.DeliveryID(id, tenant))
	}
}
