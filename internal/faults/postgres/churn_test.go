//go:build unix

package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// Every receiver refuses everything, with a backlog on each lane, and one of the
// engines dies; when they accept again everything arrives, once, in order.
func TestB51RetryStorm(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.New(t).Database(t), 12)
	s.spec.Pauses = make([]time.Duration, 500)
	for i := range s.spec.Pauses {
		s.spec.Pauses[i] = 50 * time.Millisecond
	}
	var well atomic.Bool
	for _, tenant := range s.tenants {
		s.rc.Handle("/"+tenant, func(int, rig.Request) rig.Answer {
			if well.Load() {
				return rig.Answer{}
			}
			return rig.Answer{Status: 503}
		})
	}
	s.start(t, 2)
	s.shared(t)
	s.traffic(t, "e", rig.Size(500, 200, 100))
	passes(t, time.Duration(rig.Size(20, 1, 1))*time.Second)
	s.kill(t, 0)
	s.start(t, 1)
	passes(t, time.Duration(rig.Size(20, 3, 3))*time.Second)
	s.halt(t)
	well.Store(true)
	s.delivers(t, "after")
	s.judge(t, cost{faults: 1})
}

// churn is what may happen at any moment, and how many engines' attempts may be
// repeated after it.
type churn struct {
	name string
	does func(t *testing.T, s *scene, c *pgtest.Cluster, p *proxy, random *rand.Rand)
	cost int
}

var churns = []churn{
	{"kill", func(t *testing.T, s *scene, _ *pgtest.Cluster, _ *proxy, random *rand.Rand) {
		t.Helper()
		s.kill(t, random.IntN(len(s.procs)))
		s.start(t, 1)
	}, 1},
	{"stop for good", func(t *testing.T, s *scene, _ *pgtest.Cluster, _ *proxy, random *rand.Rand) {
		t.Helper()
		i := random.IntN(len(s.procs))
		p := s.procs[i]
		p.Send(t, "halt")
		p.Signal(t, syscall.SIGTERM)
		if code := p.Exit(t); code != 0 {
			t.Errorf("exit %d", code)
		}
		s.gone = append(s.gone, p)
		s.procs = append(s.procs[:i:i], s.procs[i+1:]...)
		s.start(t, 1)
	}, 0},
	{"freeze", func(t *testing.T, s *scene, _ *pgtest.Cluster, _ *proxy, random *rand.Rand) {
		t.Helper()
		p := s.procs[random.IntN(len(s.procs))]
		p.Signal(t, syscall.SIGSTOP)
		passes(t, time.Duration(random.IntN(4000))*time.Millisecond)
		p.Signal(t, syscall.SIGCONT)
	}, 1},
	{"cut", func(t *testing.T, s *scene, _ *pgtest.Cluster, p *proxy, random *rand.Rand) {
		t.Helper()
		p.Break(true)
		passes(t, time.Duration(random.IntN(3000))*time.Millisecond)
		p.Break(false)
	}, 3},
	{"cut in the middle of commits", func(t *testing.T, s *scene, _ *pgtest.Cluster, p *proxy, random *rand.Rand) {
		t.Helper()
		parts := part(random.IntN(3))
		var n atomic.Int64
		p.Rule(func(r request) *fate {
			if r.commits() && n.Add(1)%10 == 0 {
				return &fate{cut: true, parts: parts}
			}
			return nil
		})
		passes(t, 500*time.Millisecond)
		p.Rule(nil)
	}, 6},
	{"restart", func(t *testing.T, _ *scene, c *pgtest.Cluster, _ *proxy, _ *rand.Rand) {
		t.Helper()
		c.RestartImmediate(t)
	}, 3},
	{"terminate", func(t *testing.T, s *scene, _ *pgtest.Cluster, _ *proxy, _ *rand.Rand) {
		t.Helper()
		if _, err := s.pool.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid()`); err != nil {
			t.Error(err)
		}
	}, 3},
}

// All of that in random order under traffic, three engines, for as long as is
// wanted.
func TestB13B65Churn(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	c := pgtest.Start(t, pgtest.Options{})
	url := c.Database(t)
	s := newScene(t, url, 16)
	p, through := newProxy(t, url)
	s.spec.Postgres = through
	s.start(t, 3)
	s.shared(t)
	faults := 0
	for k := range rig.Size(300, 5, 3) {
		s.traffic(t, fmt.Sprintf("r%d_", k), rig.Size(300, 150, 90))
		passes(t, time.Duration(random.IntN(500))*time.Millisecond)
		what := churns[random.IntN(len(churns))]
		t.Logf("round %d: %s", k, what.name)
		what.does(t, s, c, p, random)
		faults += what.cost
		if random.IntN(2) == 0 {
			s.delivers(t, fmt.Sprintf("d%d", k))
		}
		s.eventually(t, "the server answers", func(ctx context.Context) bool { return s.pool.Ping(ctx) == nil })
		s.halt(t)
	}
	s.delivers(t, "after")
	s.shared(t)
	s.judge(t, cost{faults: faults, overlaps: faults * slots})
}
