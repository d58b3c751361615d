package delivery_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestHangUpLeavesNoHalfChange: the caller is gone between the registry's change
// and the lane's; the lane follows all the same.
func TestHangUpLeavesNoHalfChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		sub := r.subscribe(oneAtATime)
		r.run()
		if err := r.engine.Pause(t.Context(), sub.ID); err != nil {
			t.Fatal(err)
		}
		r.publish("a")
		r.pass(time.Second)
		want(t, "paused", r.states(), "a=pending")
		ctx, hangUp := context.WithCancel(t.Context())
		r.store.setLanes = func() error {
			hangUp()
			return nil
		}
		if err := r.engine.Resume(ctx, sub.ID); err != nil {
			t.Errorf("Resume: %v", err)
		}
		r.pass(time.Second)
		want(t, "resumed", r.states(), "a=delivered")
	})
}
