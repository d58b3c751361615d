package delivery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

// TestStartServesLanesAsSubscriptionsSay begins where a crash came between the
// registry's change of state and the lane's.
func TestStartServesLanesAsSubscriptionsSay(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		state registry.State
		lane  delivery.LaneMode
		end   string
	}{
		"resumed, lane still paused":  {registry.Active, delivery.LanePaused, "a=delivered"},
		"paused, lane still open":     {registry.Paused, delivery.LaneOpen, "a=pending"},
		"disabled, lane still open":   {registry.Disabled, delivery.LaneOpen, "a=dead(disabled)"},
		"enabled, lane still paused":  {registry.Active, delivery.LanePaused, "a=delivered"},
		"nothing happened in between": {registry.Active, delivery.LaneOpen, "a=delivered"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				sub := r.subscribe(oneAtATime)
				r.publish("a")
				sub.State = c.state
				if _, err := r.engine.Registry().Set(t.Context(), sub); err != nil {
					t.Fatal(err)
				}
				if err := r.store.SetLanes(t.Context(), time.Time{}, delivery.LaneState{Lane: sub.ID, Mode: c.lane}); err != nil {
					t.Fatal(err)
				}
				r.run()
				r.pass(time.Minute)
				want(t, "end", r.states(), c.end)
			})
		})
	}
}
