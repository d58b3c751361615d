package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

// heard collects notices.
type heard struct {
	mu  sync.Mutex
	all []delivery.Notice
}

func (h *heard) hear(_ context.Context, n delivery.Notice) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, n)
}

func (h *heard) list() []delivery.Notice {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]delivery.Notice(nil), h.all...)
}

// kinds names what was heard, in order.
func (h *heard) kinds() string {
	var out []string
	for _, n := range h.list() {
		out = append(out, string(n.Kind))
	}
	return strings.Join(out, " ")
}

// feed publishes an event every so often, for ever.
func (r *rig) feed(every time.Duration) {
	go func() {
		for n := 0; r.Context().Err() == nil; n++ {
			_, err := r.engine.Publish(r.Context(), delivery.Event{Dialect: "plain", Tenant: "acme", Type: "t", Data: fmt.Append(nil, n)})
			if err != nil {
				return
			}
			select {
			case <-time.After(every):
			case <-r.Context().Done():
			}
		}
	}()
}

const day = 24 * time.Hour

func TestEndpointThatAcceptsNothingIsDisabled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told heard
		r := newRig(t, func(r *rig) { r.cfg.Notify, r.plain.schedule = told.hear, delivery.Standard() })
		r.answer = func(int, *http.Request, string) (*http.Response, error) { return answer(500), nil }
		sub := r.subscribe()
		r.run()
		r.feed(time.Hour)

		r.pass(2*day + 11*time.Hour)
		want(t, "before half of five days", strings.Count(told.kinds(), "endpoint"), 0)
		r.pass(4 * time.Hour)
		want(t, "after half of them", strings.Count(told.kinds(), "endpoint_failing"), 1)
		r.pass(2 * day)
		got, err := r.engine.Registry().Get(t.Context(), sub.ID)
		if err != nil || got.State != registry.Active {
			t.Fatalf("before five days it is %v, %v", got.State, err)
		}
		r.pass(day)
		got, err = r.engine.Registry().Get(t.Context(), sub.ID)
		if err != nil || got.State != registry.Disabled || got.Reason != delivery.ReasonFailing {
			t.Fatalf("after five days it is %v (%s), %v", got.State, got.Reason, err)
		}
		want(t, "warnings", strings.Count(told.kinds(), "endpoint_failing"), 1)
		want(t, "disablings", strings.Count(told.kinds(), "endpoint_disabled"), 1)
		want(t, "recoveries", strings.Count(told.kinds(), "endpoint_recovered"), 0)
		last := told.list()[len(told.list())-1]
		if last.Kind != delivery.EndpointDisabled || last.SubscriptionID != sub.ID || last.Tenant != "acme" || last.FailingFor < 5*day {
			t.Errorf("the last notice is %+v", last)
		}
		sent := len(r.requests())
		r.pass(day)
		want(t, "requests to a disabled endpoint", len(r.requests())-sent, 0)
		want(t, "pending", strings.Count(r.states(), "=pending"), 0)

		// A new registration enables it again, with a clean slate.
		if err := r.engine.Enable(t.Context(), sub.ID); err != nil {
			t.Fatal(err)
		}
		r.pass(2 * day)
		want(t, "warnings", strings.Count(told.kinds(), "endpoint_failing"), 1)
	})
}

func TestWhatKeepsAnEndpointFromBeingDisabled(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		edit   func(*rig)
		answer func(n int, at time.Duration) (*http.Response, error)
	}{
		{"one success in four days", nil, func(_ int, at time.Duration) (*http.Response, error) {
			if at > 4*day && at < 4*day+2*time.Hour {
				return answer(200), nil
			}
			return answer(500), nil
		}},
		{"DNS alone", nil, func(int, time.Duration) (*http.Response, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "one.example", IsNotFound: true}
		}},
		{"switched off", func(r *rig) { r.cfg.DisableAfter = -1 }, nil},
		{"a dialect that endures", func(r *rig) { r.cfg.Dialects["plain"] = &enduring{r.plain.plain} }, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var told heard
				r := newRig(t, func(r *rig) {
					r.cfg.Notify, r.plain.schedule = told.hear, delivery.Standard()
					if c.edit != nil {
						c.edit(r)
					}
				})
				r.answer = func(n int, _ *http.Request, _ string) (*http.Response, error) {
					if c.answer == nil {
						return answer(500), nil
					}
					return c.answer(n, time.Since(r.start))
				}
				sub := r.subscribe()
				r.run()
				r.feed(time.Hour)
				r.pass(8 * day)
				got, err := r.engine.Registry().Get(t.Context(), sub.ID)
				if err != nil || got.State != registry.Active {
					t.Errorf("after eight days it is %v, %v", got.State, err)
				}
			})
		})
	}
}

type enduring struct{ plain }

func (*enduring) Endures(registry.Subscription) bool { return true }

func TestFailingEndpointGetsOneAttemptAtATimeAndIsSaidToRecover(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told heard
		r := newRig(t, func(r *rig) { r.cfg.Notify, r.plain.schedule = told.hear, every(10*time.Second) })
		var mu sync.Mutex
		under, most, healthy := 0, 0, false
		r.answer = func(_ int, req *http.Request, _ string) (*http.Response, error) {
			mu.Lock()
			under++
			most = max(most, under)
			well := healthy
			mu.Unlock()
			err := hang(req, time.Second)
			mu.Lock()
			under--
			mu.Unlock()
			if !well {
				return answer(503), err
			}
			return answer(200), err
		}
		r.subscribe(func(s *registry.Subscription) { s.Limits.MaxInFlight = 8 })
		for i := range 30 {
			r.publish(fmt.Sprint(i))
		}
		r.run()
		r.pass(10 * time.Second)
		mu.Lock()
		want(t, "at once in the beginning", most, 8)
		most = 0
		mu.Unlock()
		r.pass(30 * time.Second)
		mu.Lock()
		want(t, "at once while it fails", most, 1)
		healthy = true
		mu.Unlock()
		r.pass(5 * time.Minute)
		mu.Lock()
		want(t, "at once when it accepts again", most, 8)
		mu.Unlock()
		want(t, "delivered", strings.Count(r.states(), "=delivered"), 30)
		want(t, "notices", told.kinds(), "endpoint_recovered")
	})
}

func TestDeadLettersAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told heard
		r := newRig(t, func(r *rig) { r.cfg.Notify = told.hear })
		r.answer = func(_ int, _ *http.Request, body string) (*http.Response, error) {
			switch body {
			case "gone":
				return answer(410), nil
			case "ok":
				return answer(200), nil
			}
			return answer(404), nil
		}
		r.subscribe()
		r.run()
		published := r.publish("bad")
		r.publish("ok")
		r.pass(time.Second)
		got := told.list()
		if len(got) != 1 || got[0].Kind != delivery.DeadLetter || got[0].EventID != published[0].EventID || got[0].Reason != "answered 404" {
			t.Fatalf("told %+v", got)
		}
		r.publish("gone", "one", "two")
		r.pass(time.Second)
		want(t, "notices", strings.Count(told.kinds(), "endpoint_disabled"), 1)
	})
}

func TestNotifyThatPanicsOrHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := make(chan string, 10)
		r := newRig(t, func(r *rig) {
			r.cfg.Notify = func(ctx context.Context, n delivery.Notice) {
				calls <- n.Reason
				if len(calls) == 1 {
					panic("the application's fault")
				}
				<-ctx.Done()
			}
		})
		r.answer = func(int, *http.Request, string) (*http.Response, error) { return answer(404), nil }
		r.subscribe()
		stop := r.run()
		r.publish("a", "b", "c")
		r.pass(time.Second)
		want(t, "calls", len(calls), 2)
		want(t, "log", r.logs.count("Config.Notify panics"), 1)
		begin := time.Now()
		if err := stop(); err != nil {
			t.Errorf("Run: %v", err)
		}
		want(t, "Run waits for it as long as the drain may last", time.Since(begin), 10*time.Second)
	})
}

func TestWarningThatCannotBeNotedIsGivenLater(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told heard
		var away sync.Map
		r := newRig(t, func(r *rig) { r.cfg.Notify, r.plain.schedule = told.hear, every(time.Hour) })
		r.store.setLanes = func() error {
			if _, yes := away.Load("away"); yes {
				return errors.New("away")
			}
			return nil
		}
		r.answer = func(int, *http.Request, string) (*http.Response, error) { return answer(500), nil }
		r.subscribe()
		r.run()
		r.feed(time.Hour)
		r.pass(time.Second)
		away.Store("away", true)
		r.pass(3 * day)
		want(t, "warnings while they cannot be noted", told.kinds(), "")
		away.Delete("away")
		r.pass(6 * time.Hour)
		want(t, "warnings", told.kinds(), "endpoint_failing")
	})
}

func TestPauseIsNoFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told heard
		r := newRig(t, func(r *rig) { r.cfg.Notify, r.plain.schedule = told.hear, delivery.Standard() })
		r.answer = func(int, *http.Request, string) (*http.Response, error) { return answer(500), nil }
		sub := r.subscribe()
		r.run()
		for i := range 20 {
			r.publish(fmt.Sprint(i))
		}
		r.pass(10 * time.Minute)
		if err := r.engine.Pause(t.Context(), sub.ID); err != nil {
			t.Fatal(err)
		}
		r.pass(6 * day)
		if err := r.engine.Resume(t.Context(), sub.ID); err != nil {
			t.Fatal(err)
		}
		r.pass(time.Hour)
		got, err := r.engine.Registry().Get(t.Context(), sub.ID)
		if err != nil || got.State != registry.Active {
			t.Errorf("after six days of pause it is %v, %v; told %s", got.State, err, told.kinds())
		}
	})
}

func TestNobodyIsDisabledWithoutAWarning(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told heard
		r := newRig(t, func(r *rig) {
			pauses := []time.Duration{time.Second, time.Second, time.Second, time.Second}
			r.cfg.Notify, r.plain.schedule = told.hear, delivery.Schedule{Pauses: pauses}
		})
		r.answer = func(int, *http.Request, string) (*http.Response, error) { return answer(500), nil }
		r.subscribe()
		r.run()
		r.publish("monday")
		r.pass(6 * day)
		r.publish("sunday")
		r.pass(time.Minute)
		before, _, disabled := strings.Cut(told.kinds(), "endpoint_disabled")
		if !disabled || !strings.Contains(before, "endpoint_failing") {
			t.Errorf("told %s", told.kinds())
		}
	})
}

func TestNewURLIsNotHeldBackByTheOldOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.answer = func(_ int, q *http.Request, _ string) (*http.Response, error) {
			if q.URL.Host == "one.example" {
				return answer(503, "Retry-After", "86400"), nil
			}
			return answer(200), nil
		}
		sub := r.subscribe()
		r.run()
		r.publish("a")
		r.pass(time.Second)
		sub.URL = "https://two.example/"
		if _, err := r.engine.Subscribe(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
		r.publish("b")
		r.pass(time.Second)
		want(t, "sent", r.bodies(), "a b")
	})
}

// A lease that was lost swallows its outcome, but not what was done meanwhile.
func TestDisablingIsToldThoughTheOutcomeCameTooLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var told heard
		r := newRig(t, func(r *rig) { r.cfg.Notify = told.hear })
		r.answer = func(_ int, _ *http.Request, body string) (*http.Response, error) {
			if body == "gone" {
				return answer(410), nil
			}
			return answer(404), nil
		}
		r.store.settle = func(outs []delivery.Outcome) error {
			lost := &delivery.LostLeasesError{}
			for _, o := range outs {
				lost.IDs = append(lost.IDs, o.ID)
			}
			return lost
		}
		r.subscribe()
		r.run()
		r.publish("bad")
		r.pass(time.Second)
		want(t, "told of a dead letter that is none", told.kinds(), "")
		r.publish("gone")
		r.pass(time.Second)
		want(t, "told", told.kinds(), "endpoint_disabled")
	})
}
