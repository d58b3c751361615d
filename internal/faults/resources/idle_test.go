package resources_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/ringback-go/ringback/internal/faults/rig"
)

// An engine with 1,000 subscriptions and nothing to do takes under 1 % of a
// core, and so does one whose endpoints are all held for long.
func TestIdle(t *testing.T) {
	t.Parallel()
	subscriptions := rig.Size(1000, 1000, 200)
	ms := rig.Size(10_000, 3_000, 3_000)
	rc := rig.Listen(t)
	p := start(t, rig.WatchSpec{Spec: rig.Spec{Endpoints: []rig.Endpoint{rc.Endpoint(sub)}, Pauses: []time.Duration{time.Hour}}})
	p.say(t, "ready")
	p.Send(t, "many", "sub_i", subscriptions, rc.URL(""))
	p.say(t, "ok many")
	rc.Handle("/"+sub, rig.InTurn(rig.Answer{}, rig.Answer{Status: 500}))
	p.Send(t, "publish", sub, "e1 e2") // has worked, and something waits
	rc.Wait(t, "two requests", func(rs []rig.Request) bool { return len(rs) == 2 })
	rig.Eventually(t, "one settled", func() bool { _, n, _ := p.counts(t); return n == 1 })
	p.Send(t, "idle", ms)
	took, err := strconv.ParseInt(p.say(t, "idle"), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	if part := float64(took) / float64(ms) / 1e6; part > 0.01 {
		t.Errorf("it takes %.2f %% of a core", 100*part)
	} else {
		t.Logf("%.3f %% of a core", 100*part)
	}
	p.stop(t)
}
