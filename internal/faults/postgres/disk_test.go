//go:build unix

package postgres_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// The tables' disk is full for a while: who publishes is told, and all goes on by
// itself once there is room.
func TestB25DiskFull(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Options{BadDisk: true})
	s := newScene(t, c.Database(t), 8)
	s.start(t, 2)
	s.shared(t)
	s.traffic(t, "e", rig.Size(500, 300, 150))
	passes(t, time.Second)
	rounds := rig.Size(10, 2, 1)
	for k := range rounds {
		c.FillDisk(t)
		for _, p := range s.procs {
			p.Await(t, "refused", k+1)
		}
		passes(t, expiry+expiry/2) // nor may an engine be able to say that it lives
		c.ClearDisk(t)
		if took := s.delivers(t, fmt.Sprintf("again%d", k)); took > rig.Within(10*time.Second) {
			t.Errorf("it took %v until everything was delivered again", took)
		}
	}
	s.halt(t)
	for _, p := range s.procs {
		if told := p.Words("refused"); !slices.ContainsFunc(told, func(text string) bool { return strings.Contains(text, "53100") }) {
			t.Errorf("nobody was told that the disk is full: %q", told)
		}
	}
	s.judge(t, cost{faults: 2 * rounds})
}

// A server whose log cannot be synced panics and recovers: what it acknowledged is
// there, and engines go on.
func TestB26SyncFails(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Options{BadDisk: true})
	s := newScene(t, c.Database(t), 8)
	s.start(t, 2)
	s.shared(t)
	s.traffic(t, "e", rig.Size(500, 300, 150))
	rounds := rig.Size(20, 3, 2)
	for k := range rounds {
		passes(t, time.Second)
		c.FailSync(t)
		if took := s.delivers(t, fmt.Sprintf("again%d", k)); took > rig.Within(10*time.Second) {
			t.Errorf("panic %d: it took %v until everything was delivered again", k, took)
		}
	}
	s.halt(t)
	s.judge(t, cost{faults: 2 * rounds})
}
