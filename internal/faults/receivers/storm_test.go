package receivers_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

const (
	sick = "sub_sick"
	well = "sub_well"
)

// An endpoint with a backlog answers 500: after a few failures it gets one
// attempt at a time, also after a restart and after a kill, and all it can take
// once it is well.
func TestB51StormOf500(t *testing.T) {
	t.Parallel()
	backlog := rig.Size(100_000, 3_333, 600)
	s := newScene(t, rig.Listen(t), sick)
	s.spec.Pauses = patient(2 * time.Second) // the backlog gets its turn
	var healed atomic.Bool
	s.rc.Handle("/"+sick, func(int, rig.Request) rig.Answer {
		if healed.Load() {
			return rig.Answer{}
		}
		return rig.Answer{Status: 500}
	})
	s.start(t)
	s.backlog(t, sick, "e", backlog)
	tried := func(n int) {
		t.Helper()
		was := len(s.rc.Requests())
		s.rc.Wait(t, "more attempts", func(rs []rig.Request) bool { return len(rs) >= was+n })
	}
	tried(40)
	s.peak(t, sick) // it was well at first
	tried(60)
	if peak, n := s.peak(t, sick); peak != 1 || n < 50 {
		t.Errorf("%d attempts at once of %d while it fails, want 1", peak, n)
	}
	for _, how := range []string{"a restart", "a kill"} {
		if how == "a kill" {
			s.p.Kill(t)
			s.acked = append(s.acked, s.p.Words("acked")...)
		} else {
			s.stop(t)
		}
		s.start(t)
		tried(60)
		if peak, n := s.peak(t, sick); peak != 1 || n < 50 {
			t.Errorf("after %s: %d attempts at once of %d, want 1", how, peak, n)
		}
	}
	healed.Store(true)
	s.settled(t)
	if peak, _ := s.peak(t, sick); peak != laneCap {
		t.Errorf("%d attempts at once when it was well, want %d", peak, laneCap)
	}
	s.p.Await(t, "notice endpoint_recovered")
	s.stop(t)
	ev := s.evidence(t)
	ev.Check(t, rig.Allow{Unlogged: laneCap})
	if n := ev.Ledger.Count(delivery.Delivered); n != backlog {
		t.Errorf("%d of %d delivered", n, backlog)
	}
}

// A 429 with Retry-After holds the endpoint, and what follows is a ramp.
func TestB52TooManyRequests(t *testing.T) {
	t.Parallel()
	pause := rig.Size(30, 2, 2)
	s := newScene(t, rig.Listen(t), sick, well)
	full := make(chan struct{}) // the lane is at its cap
	var step [3]chan struct{}   // lets an answer of the ramp go
	for i := range step {
		step[i] = make(chan struct{})
	}
	s.rc.Handle("/"+sick, func(n int, _ rig.Request) rig.Answer {
		switch n -= laneCap; {
		case n < 0:
			return rig.Answer{Status: 429, After: full, Header: map[string][]string{"Retry-After": {fmt.Sprint(pause)}}}
		case n == 0:
			return rig.Answer{After: step[0]}
		case n <= 2:
			return rig.Answer{After: step[1]}
		}
		return rig.Answer{After: step[2]}
	})
	of := func(n int) []rig.Request {
		t.Helper()
		rs := s.rc.Wait(t, fmt.Sprint(n, " requests"), func(rs []rig.Request) bool { return len(rig.OfPath(rs, "/"+sick)) >= n })
		return rig.OfPath(rs, "/"+sick)
	}
	// idle reports how many were sent once another endpoint had its turn.
	turn := 0
	idle := func() int {
		t.Helper()
		turn++
		s.publish(t, well, fmt.Sprintf("w%d", turn))
		s.rc.Wait(t, "the other endpoint's event", func(rs []rig.Request) bool { return len(rig.OfPath(rs, "/"+well)) >= turn })
		return len(rig.OfPath(s.rc.Requests(), "/"+sick))
	}
	s.start(t)
	s.backlog(t, sick, "e", 100)
	of(laneCap)
	close(full)
	first := of(laneCap + 1)
	begin, next := first[laneCap-1].At, first[laneCap].At
	if waited := next.Sub(begin); waited < time.Duration(pause)*time.Second {
		t.Errorf("the next attempt came after %s, asked were %d s", waited, pause)
	}
	for i, want := range []int{1, 3, 3 + laneCap} { // each that is accepted doubles how many
		of(laneCap + want)
		if n := idle() - laneCap; n != want {
			t.Errorf("step %d of the ramp: %d sent, want %d", i, n, want)
		}
		close(step[i])
	}
	s.settled(t)
	s.stop(t)
	s.evidence(t).Check(t, rig.Allow{})
}
