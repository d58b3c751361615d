//go:build unix

package crash_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ringback-go/ringback/internal/faults/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m, nil)) }

const sub = "sub_a"

// scene is one endpoint, one file and the processes over it.
type scene struct {
	rc    *rig.Receiver
	spec  rig.Spec
	acked []string
}

func newScene(t *testing.T, rc *rig.Receiver) *scene {
	t.Helper()
	return &scene{rc: rc, spec: rig.Spec{
		Path: filepath.Join(t.TempDir(), "store.db"), Roots: rc.PEM(),
		Endpoints: []rig.Endpoint{rc.Endpoint(sub)}, MaxInFlight: 1,
	}}
}

// dies starts a process, has it armed, sends it commands and returns what it
// said until it killed itself.
func (s *scene) dies(t *testing.T, step string, commands ...string) *rig.Process {
	t.Helper()
	p := rig.Start(t, rig.EngineRole, s.spec)
	p.Await(t, "ready")
	p.Send(t, "arm", step)
	p.Await(t, "ok arm")
	for _, c := range commands {
		p.Send(t, c)
	}
	p.Killed(t)
	s.acked = append(s.acked, p.Words("acked")...)
	return p
}

// recovers starts a process over what is left, sends it commands, lets f wait
// for the end, and has it drained.
func (s *scene) recovers(t *testing.T, f func(p *rig.Process), commands ...string) {
	t.Helper()
	p := rig.Start(t, rig.EngineRole, s.spec)
	p.Await(t, "ready")
	for _, c := range commands {
		p.Send(t, c)
	}
	f(p)
	p.Signal(t, syscall.SIGTERM)
	if code := p.Exit(t); code != 0 {
		t.Errorf("exit %d", code)
	}
	s.acked = append(s.acked, p.Words("acked")...)
}

// settled waits until nothing is pending.
func settled(t *testing.T, p *rig.Process) {
	t.Helper()
	settledAfter(t, p, 0)
}

// settledAfter is settled for a process that said its counts n times before. It
// returns how often it has said them now.
func settledAfter(t *testing.T, p *rig.Process, n int) int {
	t.Helper()
	rig.Eventually(t, "nothing pending", func() bool {
		p.Send(t, "counts")
		n++
		said := p.Await(t, "counts", n)
		return len(said) > 2 && said[:2] == "0 "
	})
	return n
}

func (s *scene) evidence(t *testing.T) rig.Evidence {
	t.Helper()
	return rig.Evidence{Acked: s.acked, Requests: s.rc.Requests(), Ledger: rig.ReadLedger(t, s.spec.Path)}
}
