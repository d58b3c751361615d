package resources_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

// The process may open 64 files and has more connections to make: attempts
// fail, nothing spins, and all is well once connections end.
func TestB71FilesRunOut(t *testing.T) {
	t.Parallel()
	const files, inFlight = 64, 200
	rc := rig.Listen(t)
	answer := make(chan struct{})
	rc.Handle("/"+sub, rig.InTurn(rig.Answer{After: answer, Close: true}))
	p := start(t, rig.WatchSpec{Files: files, Spec: rig.Spec{
		Endpoints: []rig.Endpoint{rc.Endpoint(sub), rc.Endpoint("sub_b")}, MaxInFlight: inFlight, Lanes: lanes.Config{MaxInFlight: inFlight},
	}})
	p.say(t, "ready")
	before := filesOf(t, p.Pid())
	p.Send(t, "stuff", sub, "e", inFlight)
	p.say(t, "stuffed")
	rig.Eventually(t, "no file to open", func() bool { return filesOf(t, p.Pid()) >= files-1 })
	p.Send(t, "stuff", "sub_b", "f", 20) // cannot be sent now, but can be stored
	p.say(t, "stuffed")
	begin, was := time.Now(), cpuOf(t, p.Pid())
	rig.Eventually(t, "the end of the window", func() bool { return time.Since(begin) > 1500*time.Millisecond })
	if part := (cpuOf(t, p.Pid()) - was).Seconds() / time.Since(begin).Seconds(); part > 0.2 {
		t.Errorf("it takes %.0f %% of a core while it can do nothing", 100*part)
	} else {
		t.Logf("%.1f %% of a core", 100*part)
	}
	close(answer)
	rc.WaitAccepted(t, inFlight+20)
	p.settled(t)
	rc.CutAll()
	rig.Eventually(t, "as many files as before", func() bool { return filesOf(t, p.Pid()) <= before+4*3 }) // four readers of the store
	p.stop(t)
	ledger := rig.ReadLedger(t, p.path)
	ev := rig.Evidence{Requests: rc.Requests(), Ledger: ledger}
	for i := range inFlight {
		ev.Acked = append(ev.Acked, fmt.Sprintf("e-%d", i))
	}
	for i := range 20 {
		ev.Acked = append(ev.Acked, fmt.Sprintf("f-%d", i))
	}
	ev.Check(t, rig.Allow{})
	failed := 0
	for _, e := range ledger {
		for _, a := range e.Log {
			if a.Class == "conn" {
				failed++
			} else if a.Class != "" {
				t.Errorf("an attempt failed by %q: %s", a.Class, a.Error)
			}
		}
	}
	if failed == 0 {
		t.Error("no attempt failed")
	}
}

// Connections are opened and cut: goroutines and files are as many as before.
func TestB73ConnectionsCut(t *testing.T) {
	t.Parallel()
	n := rig.Size(10_000, 600, 300)
	rc := rig.Listen(t)
	rc.Handle("/"+sub, func(n int, _ rig.Request) rig.Answer {
		return []rig.Answer{{Close: true}, {Reset: true}, {Drop: true}, {Half: true}}[n%4]
	})
	p := start(t, rig.WatchSpec{Spec: rig.Spec{
		Endpoints: []rig.Endpoint{rc.Endpoint(sub)}, Pauses: make([]time.Duration, 2000),
	}})
	p.say(t, "ready")
	round := func(prefix string, n int) {
		t.Helper()
		p.Send(t, "stuff", sub, prefix, n)
		p.say(t, "stuffed")
		p.settled(t)
	}
	round("warm", 100) // senders and readers are there from now on
	before := p.usage(t)
	accepted, _, _ := rc.Connections()
	round("e", n)
	if now, _, _ := rc.Connections(); now-accepted < n {
		t.Errorf("%d connections for %d events", now-accepted, n)
	}
	var after rig.Usage
	rig.Eventually(t, fmt.Sprintf("as little as before: %+v", before), func() bool {
		after = p.usage(t)
		return after.Files <= before.Files+2 && after.Goroutines <= before.Goroutines+before.Goroutines/20+2
	})
	p.stop(t)
}
