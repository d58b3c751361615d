package receivers_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

func TestMain(m *testing.M) {
	os.Exit(rig.Main(m, map[string]rig.Role{rig.WatchedRole: rig.Watched}))
}

// laneCap is how many attempts an endpoint may have under way: no few endpoints
// that hang can take the engine's 64 slots.
const laneCap = 8

// patient is a schedule that outlasts any fault of a test.
func patient(pause time.Duration) []time.Duration { return slices.Repeat([]time.Duration{pause}, 2000) }

// scene is an engine process with endpoints at a receiver.
type scene struct {
	rc    *rig.Receiver
	spec  rig.WatchSpec
	p     *rig.Process
	acked []string
	asked map[string]int // lines awaited so far, by first word
}

func newScene(t *testing.T, rc *rig.Receiver, subs ...string) *scene {
	t.Helper()
	s := &scene{rc: rc, spec: rig.WatchSpec{Spec: rig.Spec{
		Path: filepath.Join(t.TempDir(), "store.db"), Driver: "sqlite", Roots: rc.PEM(),
		Pauses: patient(50 * time.Millisecond), Lanes: lanes.Config{MaxInFlight: laneCap},
	}}}
	for _, id := range subs {
		s.spec.Endpoints = append(s.spec.Endpoints, rc.Endpoint(id))
	}
	return s
}

func (s *scene) start(t *testing.T) {
	t.Helper()
	s.asked = map[string]int{}
	s.p = rig.Start(t, rig.WatchedRole, s.spec)
	s.say(t, "ready")
}

// say awaits the next line with a first word and returns the rest of it.
func (s *scene) say(t *testing.T, first string) string {
	t.Helper()
	s.asked[first]++
	return s.p.Await(t, first, s.asked[first])
}

// ask sends a command and awaits its answer, "ok" and its name.
func (s *scene) ask(t *testing.T, words ...any) {
	t.Helper()
	s.p.Send(t, words...)
	s.say(t, fmt.Sprint("ok ", words[0]))
}

// publish publishes and waits until it is acknowledged.
func (s *scene) publish(t *testing.T, tenant string, ids ...string) {
	t.Helper()
	s.p.Send(t, "publish", tenant, strings.Join(ids, " "))
	for range ids {
		s.say(t, "acked")
	}
}

// backlog publishes prefix-0 to prefix-(n-1) in large batches.
func (s *scene) backlog(t *testing.T, tenant, prefix string, n int) {
	t.Helper()
	s.p.Send(t, "stuff", tenant, prefix, n)
	s.say(t, "stuffed")
	for i := range n {
		s.acked = append(s.acked, fmt.Sprintf("%s-%d", prefix, i))
	}
}

// peak returns how many attempts at an endpoint were under way at most, and how
// many began, since it was asked last.
func (s *scene) peak(t *testing.T, sub string) (peak, total int) {
	t.Helper()
	s.p.Send(t, "peak", sub)
	if _, err := fmt.Sscan(s.say(t, "peak "+sub), &peak, &total); err != nil {
		t.Fatal(err)
	}
	return peak, total
}

// settled waits until nothing is pending.
func (s *scene) settled(t *testing.T) {
	t.Helper()
	rig.Eventually(t, "nothing pending", func() bool { return s.pending(t) == 0 })
}

func (s *scene) pending(t *testing.T) (n int) {
	t.Helper()
	s.p.Send(t, "counts")
	if _, err := fmt.Sscan(s.say(t, "counts"), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

// stop drains the process, which must end well.
func (s *scene) stop(t *testing.T) {
	t.Helper()
	s.p.Signal(t, syscall.SIGTERM)
	if code := s.p.Exit(t); code != 0 {
		t.Errorf("exit %d", code)
	}
	s.acked = append(s.acked, s.p.Words("acked")...)
}

func (s *scene) evidence(t *testing.T, more ...*rig.Receiver) rig.Evidence {
	t.Helper()
	ev := rig.Evidence{Acked: s.acked, Requests: s.rc.Requests(), Ledger: rig.ReadLedger(t, s.spec.Path)}
	for _, rc := range more {
		ev.Requests = append(ev.Requests, rc.Requests()...)
	}
	return ev
}

// classes names the failures in an entry's log.
func classes(e rig.Entry) map[string]int {
	out := map[string]int{}
	for _, row := range e.Log {
		if row.Class != "" {
			out[row.Class]++
		}
	}
	return out
}
