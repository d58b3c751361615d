package shutdown_test

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

func ids(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("e-%d", i))
	}
	return all
}

// SIGTERM with 200 attempts under way whose answers come in time: all of them
// end, nothing else begins, and the rest waits for the next start.
func TestB67AnswersInTime(t *testing.T) {
	t.Parallel()
	const inFlight = 200
	for _, signals := range []int{1, 3} { // B69: more than once
		t.Run(fmt.Sprint(signals, " signals"), func(t *testing.T) {
			t.Parallel()
			const events = inFlight + 100
			rc := rig.Listen(t)
			answers := make(chan struct{})
			rc.Handle("/"+sub, rig.InTurn(rig.Answer{After: answers}))
			spec := newSpec(t, rc, inFlight)
			p := rig.Start(t, rig.WatchedRole, spec)
			p.Await(t, "ready")
			p.Send(t, "stuff", sub, "e", events)
			rc.Wait(t, "200 in flight", func(rs []rig.Request) bool { return len(rs) == inFlight })
			p.Signal(t, syscall.SIGTERM)
			p.Await(t, "stopping")
			for range signals - 1 {
				p.Signal(t, syscall.SIGTERM)
			}
			close(answers)
			if code := p.Exit(t); code != 0 {
				t.Errorf("exit %d", code)
			}
			ev := rig.Evidence{Acked: ids(events), Requests: rc.Requests(), Ledger: rig.ReadLedger(t, spec.Path)}
			ev.Check(t, rig.Allow{Pending: true})
			if n := ev.Ledger.Count(delivery.Delivered); n != inFlight || len(ev.Requests) != inFlight {
				t.Errorf("%d delivered by %d requests, want %d", n, len(ev.Requests), inFlight)
			}
			p = rig.Start(t, rig.WatchedRole, spec)
			p.Await(t, "ready")
			settled(t, p)
			p.Signal(t, syscall.SIGTERM)
			p.Exit(t)
			ev = rig.Evidence{Acked: ids(events), Requests: rc.Requests(), Ledger: rig.ReadLedger(t, spec.Path)}
			ev.Check(t, rig.Allow{})
		})
	}
}

// SIGTERM while receivers hang: the process ends with the grace, what was under
// way has an unknown outcome and is due at once for whoever comes next.
func TestB68ReceiversHang(t *testing.T) {
	t.Parallel()
	const inFlight, events = 50, 80
	grace := time.Second
	rc := rig.Listen(t)
	rc.Handle("/"+sub, func(n int, _ rig.Request) rig.Answer { return rig.Answer{Hang: n < inFlight} })
	spec := newSpec(t, rc, inFlight)
	spec.DrainTimeout = grace
	p := rig.Start(t, rig.WatchedRole, spec)
	p.Await(t, "ready")
	p.Send(t, "stuff", sub, "e", events)
	rc.Wait(t, "50 in flight", func(rs []rig.Request) bool { return len(rs) == inFlight })
	begin := time.Now()
	p.Signal(t, syscall.SIGTERM)
	code := p.Exit(t)
	took := time.Since(begin)
	if code != 0 {
		t.Errorf("exit %d", code)
	}
	if took < grace || took > grace+5*time.Second { // with room for a busy machine; the attempts' own time-out is 15 s
		t.Errorf("it ended after %s, the grace is %s", took, grace)
	}
	ev := rig.Evidence{Acked: ids(events), Requests: rc.Requests(), Ledger: rig.ReadLedger(t, spec.Path)}
	ev.Check(t, rig.Allow{Pending: true})
	unknown := 0
	for id, e := range ev.Ledger {
		if e.State != delivery.Pending || e.NextAttemptAt.After(time.Now().Add(time.Second)) {
			t.Errorf("%s is %s, due %s", id, e.State, e.NextAttemptAt)
		}
		for _, a := range e.Log {
			if unknown++; a.Class != "unknown" || a.Status != 0 {
				t.Errorf("attempt of %s: %q, %d", id, a.Class, a.Status)
			}
		}
	}
	if unknown != inFlight || len(ev.Requests) != inFlight {
		t.Errorf("%d attempts unknown, %d requests, want %d", unknown, len(ev.Requests), inFlight)
	}
	p = rig.Start(t, rig.WatchedRole, spec)
	p.Await(t, "ready")
	settled(t, p)
	p.Signal(t, syscall.SIGTERM)
	p.Exit(t)
	ev = rig.Evidence{Acked: ids(events), Requests: rc.Requests(), Ledger: rig.ReadLedger(t, spec.Path)}
	ev.Check(t, rig.Allow{})
	if len(ev.Requests) != events+inFlight {
		t.Errorf("%d requests, want %d", len(ev.Requests), events+inFlight)
	}
}
