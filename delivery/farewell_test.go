package delivery_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

func withFarewell(r *rig) { r.cfg.Dialects["plain"] = r.plain }

// gone reports that neither the subscription nor its tombstone is there.
func (r *rig) gone(id string) bool {
	_, err := r.reg.Get(r.Context(), id)
	return errors.Is(err, registry.ErrNotFound)
}

func TestUnsubscribe(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withFarewell)
		r.answer = func(n int, _ *http.Request, body string) (*http.Response, error) {
			if n == 0 || strings.HasPrefix(body, "bye") && n < 3 { // two times in vain
				return answer(500), nil
			}
			return answer(200), nil
		}
		sub := r.subscribe(oneAtATime)
		r.publish("a")
		r.run()
		synctest.Wait()
		r.must(r.engine.Pause(t.Context(), sub.ID))
		r.publish("b")
		r.must(r.engine.Unsubscribe(t.Context(), sub.ID, "by the user"))
		if got := r.states(); !strings.HasPrefix(got, "a=dead(registration removed) b=dead(registration removed) bye: by the user=") {
			t.Errorf("when it returned: %s", got)
		}
		tomb := r.get(sub.ID)
		want(t, "tombstone", tomb.State, registry.Removed)
		want(t, "its URL", tomb.URL, sub.URL)
		want(t, "matched", r.publish("c")[0].Deliveries, 0)
		r.must(r.engine.Unsubscribe(t.Context(), sub.ID, "again"))

		r.pass(90 * time.Second) // the second farewell is over, the third not begun
		want(t, "tombstone is kept", r.get(sub.ID).Reason, "by the user")
		r.pass(90 * time.Second)
		want(t, "sent", r.bodies(), "a bye: by the user bye: by the user bye: by the user")
		want(t, "to", r.requests()[3].url, sub.URL)
		want(t, "tombstone is gone", r.gone(sub.ID), true)
		want(t, "end", r.states(), "a=dead(registration removed) b=dead(registration removed) bye: by the user=delivered")
		if err := r.engine.Unsubscribe(t.Context(), sub.ID, "late"); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("removing what is gone: %v", err)
		}
	})
}

func TestUnsubscribeWithoutFarewell(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*rig){
		"the dialect has none":   func(*rig) {},
		"none for this one":      withFarewell,
		"the dialect is no more": func(r *rig) { r.cfg.Dialects = map[string]delivery.Dialect{"other": r.plain} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				sub := r.subscribe(func(s *registry.Subscription) { s.Label = "rude" })
				edit(r)
				r.engine = r.remake()
				r.must(r.engine.Unsubscribe(t.Context(), sub.ID, "by the user"))
				want(t, "gone", r.gone(sub.ID), true)
				r.run()
				r.pass(time.Minute)
				want(t, "sent", len(r.requests()), 0)
			})
		})
	}
}

func TestFarewellThatFailsForGood(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"dead": 400, "gone": 410} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, withFarewell)
				r.answer = func(int, *http.Request, string) (*http.Response, error) { return answer(status), nil }
				sub := r.subscribe()
				r.run()
				r.must(r.engine.Unsubscribe(t.Context(), sub.ID, ""))
				r.pass(time.Minute)
				want(t, "requests", len(r.requests()), 1)
				want(t, "tombstone is gone", r.gone(sub.ID), true)
			})
		})
	}
}

func TestFarewellOfAnExpiredSubscription(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withFarewell)
		sub := r.subscribe(func(s *registry.Subscription) { s.ExpiresAt = time.Now().Add(time.Minute) })
		r.run()
		r.pass(2 * time.Minute)
		r.must(r.engine.Unsubscribe(t.Context(), sub.ID, "over"))
		r.pass(time.Minute)
		want(t, "tombstone is gone", r.gone(sub.ID), true)
	})
}

// Registering again makes a new ID, whose lane is open and empty.
func TestRegisteringAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withFarewell)
		slot := func(s *registry.Subscription) { s.Slot = "one" }
		sub := r.subscribe(slot)
		r.publish("old")
		r.must(r.engine.Unsubscribe(t.Context(), sub.ID, ""))
		again := r.subscribe(slot)
		if again.ID == sub.ID {
			t.Fatal("a tombstone was revived")
		}
		r.publish("new")
		r.run()
		r.pass(time.Minute)
		want(t, "end", r.states(), "old=dead(registration removed) bye: =delivered new=delivered")
	})
}

// Removing is three steps in two places; Run finishes what a crash left.
func TestRunFinishesRemovals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withFarewell)
		sub := r.subscribe()
		r.publish("a")
		tomb := sub
		tomb.State, tomb.Reason = registry.Removed, "crash"
		stored, err := r.reg.Set(t.Context(), tomb) // and no more
		if err != nil {
			t.Fatal(err)
		}
		r.engine = r.remake()
		stop := r.run()
		r.pass(time.Minute)
		want(t, "end", r.states(), "a=dead(registration removed) bye: crash=delivered")
		want(t, "sent", r.bodies(), "bye: crash")
		want(t, "tombstone is gone", r.gone(sub.ID), true)
		r.must(stop())

		// A crash between the farewell's end and the tombstone's deletion.
		stored[0].Revision = 0
		if _, err := r.reg.Set(t.Context(), stored[0]); err != nil {
			t.Fatal(err)
		}
		r.engine = r.remake()
		r.run()
		r.pass(time.Minute)
		want(t, "not sent twice", r.bodies(), "bye: crash")
		want(t, "tombstone is gone", r.gone(sub.ID), true)
	})
}

// A crash before the lane was told of a state.
func TestRunServesLanesByTheirStates(t *testing.T) {
	t.Parallel()
	for state, end := range map[registry.State]string{
		registry.Paused: "a=pending", registry.Disabled: "a=dead(no)",
	} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				sub := r.subscribe()
				r.publish("a")
				sub.State, sub.Reason = state, "no"
				if _, err := r.reg.Set(t.Context(), sub); err != nil {
					t.Fatal(err)
				}
				r.engine = r.remake()
				r.run()
				r.pass(time.Minute)
				want(t, "end", r.states(), end)
				want(t, "sent", len(r.requests()), 0)
			})
		})
	}
}
