//go:build unix

package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// passes lets so much time go by in which faults meet traffic.
func passes(t *testing.T, d time.Duration) {
	t.Helper()
	if !pause(t.Context(), d) {
		t.Fatal("the test is over")
	}
}

func seeded(t *testing.T) *rand.Rand {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 13))
}

// Without a fault two engines send each delivery once.
func TestB65TwoEnginesWithoutFault(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.New(t).Database(t), 12)
	s.spec.Expiry = 0 // the default
	s.start(t, 2)
	s.shared(t)
	s.traffic(t, "e", rig.Size(1000, 400, 150))
	passes(t, time.Duration(rig.Size(20, 3, 3))*time.Second)
	s.halt(t)
	s.judge(t, cost{})
}

// Engines are killed at random moments and others come in their place.
func TestB13RandomKillsOfOneOfTwo(t *testing.T) {
	t.Parallel()
	random := seeded(t)
	s := newScene(t, pgtest.New(t).Database(t), 12)
	s.start(t, 2)
	kills := rig.Size(100, 4, 3)
	for k := range kills {
		s.traffic(t, fmt.Sprintf("k%d_", k), rig.Size(500, 300, 120))
		passes(t, time.Duration(50+random.IntN(450))*time.Millisecond)
		s.kill(t, random.IntN(2))
		s.halt(t)
		s.start(t, 1)
	}
	s.delivers(t, "after")
	s.judge(t, cost{faults: kills})
}

// A server that ends without finishing anything recovers, and engines go on.
func TestB15ImmediateRestart(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Options{})
	s := newScene(t, c.Database(t), 8)
	s.start(t, 2)
	s.traffic(t, "e", rig.Size(500, 300, 150))
	restarts := rig.Size(20, 2, 2)
	for k := range restarts {
		passes(t, time.Second)
		c.RestartImmediate(t)
		if took := s.delivers(t, fmt.Sprintf("again%d", k)); took > rig.Within(10*time.Second) {
			t.Errorf("restart %d: it took %v until everything was delivered again", k, took)
		}
	}
	s.halt(t)
	s.judge(t, cost{faults: 2 * restarts})
}

// A server that is killed, and stays away until the engines' rights have ended:
// what it had acknowledged is there.
func TestB26ServerKilled(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Options{})
	s := newScene(t, c.Database(t), 4)
	s.start(t, 2)
	s.traffic(t, "e", rig.Size(500, 300, 150))
	passes(t, time.Second)
	c.Kill(t)
	passes(t, expiry+expiry/2) // the engines' rights end meanwhile
	c.Restart(t)
	if took := s.delivers(t, "again"); took > rig.Within(15*time.Second) {
		t.Errorf("it took %v until everything was delivered again", took)
	}
	s.halt(t)
	s.judge(t, cost{faults: 2})
}

// Whoever listens is found dead, and until another listens work is found by
// looking.
func TestB19ListenersKilled(t *testing.T) {
	t.Parallel()
	s := newScene(t, pgtest.New(t).Database(t), 8)
	s.start(t, 2)
	s.shared(t)
	for k := range rig.Size(20, 3, 2) {
		killed := 0
		s.eventually(t, "listeners", func(ctx context.Context) bool {
			var n int
			err := s.pool.QueryRow(ctx, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
				WHERE datname = current_database() AND query LIKE 'LISTEN%'`).Scan(&n)
			killed += n
			return err == nil && killed >= 2
		})
		if took := s.delivers(t, fmt.Sprintf("deaf%d", k)); took > rig.Within(3*time.Second) {
			t.Errorf("it took %v to find what was left", took)
		}
	}
	s.judge(t, cost{})
}
