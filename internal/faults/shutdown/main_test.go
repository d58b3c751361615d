package shutdown_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

func TestMain(m *testing.M) {
	code := rig.Main(m, map[string]rig.Role{rig.WatchedRole: rig.Watched})
	removeGateway()
	os.Exit(code)
}

const sub = "sub_a"

// newSpec is an engine with room for so many attempts at one endpoint.
func newSpec(t *testing.T, rc *rig.Receiver, inFlight int) rig.WatchSpec {
	t.Helper()
	return rig.WatchSpec{Spec: rig.Spec{
		Path: filepath.Join(t.TempDir(), "store.db"), Driver: "sqlite", Endpoints: []rig.Endpoint{rc.Endpoint(sub)},
		MaxInFlight: inFlight, Lanes: lanes.Config{MaxInFlight: inFlight},
		Pauses: slices.Repeat([]time.Duration{50 * time.Millisecond}, 1000),
	}}
}

// settled waits until nothing is pending.
func settled(t *testing.T, p *rig.Process) {
	t.Helper()
	n := 0
	rig.Eventually(t, "nothing pending", func() bool {
		p.Send(t, "counts")
		n++
		pending := -1
		if _, err := fmt.Sscan(p.Await(t, "counts", n), &pending); err != nil {
			t.Fatal(err)
		}
		return pending == 0
	})
}
