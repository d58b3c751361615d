package resources_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/ringback-go/ringback/internal/faults/rig"
)

func TestMain(m *testing.M) {
	os.Exit(rig.Main(m, map[string]rig.Role{rig.WatchedRole: rig.Watched}))
}

const sub = "sub_a"

// process is an engine process and how often it was asked.
type process struct {
	*rig.Process
	path  string
	asked map[string]int
}

func start(t *testing.T, spec rig.WatchSpec) *process {
	t.Helper()
	spec.Driver = "sqlite"
	if spec.Pauses == nil {
		spec.Pauses = slices.Repeat([]time.Duration{200 * time.Millisecond}, 2000)
	}
	if spec.Path == "" {
		spec.Path = filepath.Join(t.TempDir(), "store.db")
	}
	return &process{rig.Start(t, rig.WatchedRole, spec), spec.Path, map[string]int{}}
}

// say awaits the next line with a first word and returns the rest of it.
func (p *process) say(t *testing.T, first string) string {
	t.Helper()
	p.asked[first]++
	return p.Await(t, first, p.asked[first])
}

func (p *process) usage(t *testing.T) rig.Usage {
	t.Helper()
	p.Send(t, "usage")
	return rig.ParseUsage(t, p.say(t, "usage"))
}

func (p *process) counts(t *testing.T) (pending, delivered, dead int) {
	t.Helper()
	p.Send(t, "counts")
	if _, err := fmt.Sscan(p.say(t, "counts"), &pending, &delivered, &dead); err != nil {
		t.Fatal(err)
	}
	return pending, delivered, dead
}

func (p *process) settled(t *testing.T) {
	t.Helper()
	rig.Eventually(t, "nothing pending", func() bool { n, _, _ := p.counts(t); return n == 0 })
}

func (p *process) stop(t *testing.T) {
	t.Helper()
	p.Signal(t, syscall.SIGTERM)
	if code := p.Exit(t); code != 0 {
		t.Errorf("exit %d", code)
	}
}

// runIn runs an engine in the test; the function returned ends it.
func runIn(t *testing.T, e *rig.Engine) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- e.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}
}
