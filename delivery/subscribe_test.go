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

func oneAtATime(sub *registry.Subscription) { sub.Limits.MaxInFlight = 1 }

func (r *rig) get(id string) registry.Subscription {
	r.Helper()
	sub, err := r.reg.Get(r.Context(), id)
	if err != nil {
		r.Fatal(err)
	}
	return sub
}

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func TestGoneDisables(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		status := http.StatusGone
		r.answer = func(int, *http.Request, string) (*http.Response, error) { return answer(status), nil }
		sub := r.subscribe(oneAtATime)
		r.publish("a", "b", "c")
		r.run()
		r.pass(time.Minute)
		want(t, "backlog", r.states(), "a=dead(gone) b=dead(gone) c=dead(gone)")
		want(t, "sent", r.bodies(), "a")
		got := r.get(sub.ID)
		want(t, "state", got.State, registry.Disabled)
		want(t, "reason", got.Reason, "gone")
		want(t, "log", r.logs.count("subscription disabled"), 1)
		want(t, "matched while disabled", r.publish("d")[0].Deliveries, 0)

		status = http.StatusOK
		r.must(r.engine.Enable(t.Context(), sub.ID))
		want(t, "matched again", r.publish("e")[0].Deliveries, 1)
		r.pass(time.Minute)
		want(t, "sent", r.bodies(), "a e")
		want(t, "end", r.states(), "a=dead(gone) b=dead(gone) c=dead(gone) e=delivered")
	})
}

func TestOldAnswerDisablesNoNewerRegistration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.answer = func(n int, req *http.Request, _ string) (*http.Response, error) {
			if n > 0 {
				return answer(200), nil
			}
			return answer(410), hang(req, 5*time.Second)
		}
		sub := r.subscribe(oneAtATime)
		r.publish("a", "b")
		r.run()
		r.pass(2 * time.Second)
		sub.URL = "https://two.example/"
		if _, err := r.engine.Subscribe(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
		r.pass(time.Minute)
		want(t, "state", r.get(sub.ID).State, registry.Active)
		want(t, "end", r.states(), "a=dead(gone) b=delivered")
		want(t, "to", r.requests()[1].url, "https://two.example/")
	})
}

func TestDisablingIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.answer = func(int, *http.Request, string) (*http.Response, error) { return answer(410), nil }
		sub := r.subscribe(oneAtATime)
		r.publish("a", "b")
		calls := 0
		r.store.setLanes = func() error {
			if calls++; calls == 2 { // the first is Run's, at its start
				return errors.New("disk away")
			}
			return nil
		}
		r.run()
		r.pass(time.Minute)
		want(t, "state", r.get(sub.ID).State, registry.Disabled)
		want(t, "end", r.states(), "a=dead(gone) b=dead(gone)")
	})
}

func TestPauseAndResumeLoseNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		sub := r.subscribe(oneAtATime)
		r.run()
		r.must(r.engine.Pause(t.Context(), sub.ID))
		r.must(r.engine.Pause(t.Context(), sub.ID)) // twice is no error
		r.publish("a", "b")
		r.pass(time.Hour)
		want(t, "while paused", r.bodies(), "")
		want(t, "reason", r.get(sub.ID).State, registry.Paused)
		r.must(r.engine.Resume(t.Context(), sub.ID))
		r.pass(time.Second)
		want(t, "after", r.bodies(), "a b")
		want(t, "end", r.states(), "a=delivered b=delivered")

		if err := r.engine.Enable(t.Context(), sub.ID); err != nil {
			t.Errorf("Enable of an active one: %v", err)
		}
		r.must(r.engine.Pause(t.Context(), sub.ID))
		r.must(r.engine.Enable(t.Context(), sub.ID))
		want(t, "Enable ends a pause", r.get(sub.ID).State, registry.Active)
		for name, do := range map[string]func() error{
			"pause":  func() error { return r.engine.Pause(t.Context(), "nobody") },
			"resume": func() error { return r.engine.Resume(t.Context(), "nobody") },
			"enable": func() error { return r.engine.Enable(t.Context(), "nobody") },
			"remove": func() error { return r.engine.Unsubscribe(t.Context(), "nobody", "") },
		} {
			if err := do(); !errors.Is(err, registry.ErrNotFound) || !strings.Contains(err.Error(), "nobody") {
				t.Errorf("%s of an unknown one: %v", name, err)
			}
		}
		disabled := r.get(sub.ID)
		disabled.State = registry.Disabled
		if _, err := r.engine.Subscribe(t.Context(), disabled); err != nil {
			t.Fatal(err)
		}
		for name, do := range map[string]func() error{
			"pause":  func() error { return r.engine.Pause(t.Context(), sub.ID) },
			"resume": func() error { return r.engine.Resume(t.Context(), sub.ID) },
		} {
			if err := do(); !errors.Is(err, delivery.ErrStateChange) {
				t.Errorf("%s of a disabled one: %v", name, err)
			}
		}
	})
}

// The registry and the store are two places: what failed between them is done
// by asking again.
func TestResumeAgainAfterAStoreError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		sub := r.subscribe()
		r.run()
		r.must(r.engine.Pause(t.Context(), sub.ID))
		r.publish("a")
		away := errors.New("disk away")
		r.store.setLanes = func() error { return away }
		if err := r.engine.Resume(t.Context(), sub.ID); !errors.Is(err, away) {
			t.Fatalf("Resume: %v", err)
		}
		r.store.setLanes = nil
		r.must(r.engine.Resume(t.Context(), sub.ID))
		r.pass(time.Second)
		want(t, "end", r.states(), "a=delivered")
	})
}

func TestLimitsOfASubscription(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		sub := r.subscribe(func(s *registry.Subscription) { s.Limits.MaxInFlight = 3 })
		r.answer = func(_ int, req *http.Request, _ string) (*http.Response, error) {
			return answer(200), hang(req, time.Second)
		}
		r.publish("a", "b", "c", "d", "e", "f", "g")
		r.run()
		r.pass(500 * time.Millisecond)
		want(t, "in flight", len(r.requests()), 3)
		r.pass(time.Second)
		want(t, "in two rounds", len(r.requests()), 6)
		r.pass(time.Minute)
		want(t, "in all", len(r.requests()), 7)

		sub.Limits = registry.Limits{PerSecond: 2}
		if _, err := r.engine.Subscribe(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
		began := time.Since(r.start)
		r.publish("h", "i", "j")
		r.pass(time.Minute)
		for i, s := range r.requests()[7:] {
			want(t, "start", (s.at - began).Round(time.Millisecond), time.Duration(i)*500*time.Millisecond)
		}
	})
}

// Rule 5: what the registry says counts for what waits already.
func TestChangesCountForWhatWaits(t *testing.T) {
	t.Parallel()
	secret := func(s *registry.Subscription) { s.Secrets = []registry.Secret{registry.NewSecret("new")} }
	tests := map[string]struct {
		edit func(*registry.Subscription)
		now  func(sent) bool // the request shows the change; nil: none is made
		end  string          // of those that came after
	}{
		"secret":   {secret, func(s sent) bool { return s.secret == "new" }, "delivered"},
		"url":      {func(s *registry.Subscription) { s.URL = "https://new.example/" }, func(s sent) bool { return s.url == "https://new.example/" }, "delivered"},
		"paused":   {func(s *registry.Subscription) { s.State = registry.Paused }, nil, "pending"},
		"disabled": {func(s *registry.Subscription) { s.State, s.Reason = registry.Disabled, "no" }, nil, "dead(no)"},
		"removed":  {func(s *registry.Subscription) { s.State = registry.Removed }, nil, "dead(registration removed)"},
		"expired":  {func(s *registry.Subscription) { s.ExpiresAt = time.Now() }, nil, "dead(expired)"},
	}
	for name, tt := range tests {
		for _, where := range []string{"through the engine", "behind its back"} {
			t.Run(name+" "+where, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					r := newRig(t)
					sub := r.subscribe(func(s *registry.Subscription) {
						s.Secrets = []registry.Secret{registry.NewSecret("old")}
						s.Limits.MaxInFlight, s.Limits.PerSecond = 1, 10 // one every 100 ms
					})
					for range 50 {
						r.publish("x")
					}
					r.run()
					r.pass(2050 * time.Millisecond)
					before := len(r.requests())
					tt.edit(&sub)
					var within time.Duration
					if where == "behind its back" {
						within = time.Second
						if _, err := r.reg.Set(t.Context(), sub); err != nil {
							t.Fatal(err)
						}
					} else if _, err := r.engine.Subscribe(t.Context(), sub); err != nil {
						t.Fatal(err)
					}
					changed := time.Since(r.start)
					r.pass(time.Minute)
					after := r.requests()[before:]
					if tt.now != nil {
						want(t, "requests in all", before+len(after), 50)
					}
					for _, s := range after {
						if old := tt.now == nil || !tt.now(s); old && s.at > changed+within {
							t.Errorf("%v after the change a request was as before it", s.at-changed)
						}
					}
					want(t, "last one", r.states()[len(r.states())-len("x="+tt.end):], "x="+tt.end)
				})
			})
		}
	}
}
