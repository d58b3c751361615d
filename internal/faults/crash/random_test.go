//go:build unix

package crash_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ringback-go/ringback/internal/faults/rig"
)

// Kills at random moments while events are published and sent. Publishing goes
// on with the first event that was not acknowledged.
func TestB13(t *testing.T) {
	t.Parallel()
	kills, events, slots := rig.Size(50, 6, 4), rig.Size(10_000, 1000, 500), 16
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 13))
	s := newScene(t, rig.Listen(t))
	s.spec.MaxInFlight, s.spec.Pad = slots, 300
	s.rc.Handle("/"+sub, func(n int, _ rig.Request) rig.Answer {
		if n%17 == 0 { // so that retries are met, too
			return rig.Answer{Status: 503}
		}
		return rig.Answer{}
	})
	acked := map[string]bool{}
	next := func() int {
		for i := range events {
			if !acked[fmt.Sprintf("e-%d", i)] {
				return i
			}
		}
		return events
	}
	take := func(p *rig.Process) {
		for _, id := range p.Words("acked") {
			acked[id] = true
		}
	}
	for k := range kills {
		// Each round publishes its share, so that the last kill meets work, too.
		first, until := next(), events*(k+1)/kills
		p := rig.Start(t, rig.EngineRole, s.spec)
		p.Await(t, "ready")
		p.Send(t, fmt.Sprintf("pump %s e %d %d 4", sub, first, until))
		<-time.After(time.Duration(50+random.IntN(450)) * time.Millisecond)
		p.Kill(t)
		take(p)
		t.Logf("kill %d: %d acknowledged, %d requests", k+1, len(acked), len(s.rc.Requests()))
	}
	s.recovers(t, func(p *rig.Process) {
		rig.Eventually(t, "all acknowledged", func() bool { take(p); return len(acked) == events })
		settled(t, p)
	}, fmt.Sprintf("pump %s e %d %d 4", sub, next(), events))
	for id := range acked {
		s.acked = append(s.acked, id)
	}
	ev := s.evidence(t)
	ev.Check(t, rig.Allow{Repeats: kills * slots, PerEvent: kills, Unlogged: kills * slots})
	if len(ev.Ledger) != events {
		t.Errorf("%d of %d stored", len(ev.Ledger), events)
	}
	t.Logf("%d requests, %d repeats", len(ev.Requests), ev.Repeats())
}
