package delivery_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

func TestRedriveKeepsTheOrderOfAKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		status := 404
		r.answer = func(int, *http.Request, string) (*http.Response, error) { return answer(status), nil }
		r.subscribe()
		r.run()
		for i := range 5 {
			ev := delivery.Event{Dialect: "plain", Type: "t", Tenant: "acme", Key: "k", Data: fmt.Append(nil, i)}
			if _, err := r.engine.Publish(t.Context(), ev); err != nil {
				t.Fatal(err)
			}
		}
		r.pass(time.Minute)
		status = 200
		if n, err := r.engine.Redrive(t.Context(), delivery.Filter{}); err != nil || n != 5 {
			t.Fatalf("redrove %d, %v", n, err)
		}
		r.pass(time.Minute)
		want(t, "sent", r.bodies(), "0 1 2 3 4 0 1 2 3 4")
	})
}

// slowRetry gives others the time to deliver what it is about to revive.
type slowRetry struct{ *spy }

func (s slowRetry) RetryNow(ctx context.Context, now time.Time, ids ...string) error {
	<-time.After(time.Second)
	return s.spy.RetryNow(ctx, now, ids...)
}

func TestTwoRedrivesSendNothingTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.cfg.Store = slowRetry{r.store} })
		status := 404
		r.answer = func(int, *http.Request, string) (*http.Response, error) { return answer(status), nil }
		r.subscribe()
		r.run()
		for i := range 300 {
			r.publish(fmt.Sprint(i))
		}
		r.pass(time.Minute)
		status = 200
		for range 2 {
			go func() {
				if _, err := r.engine.Redrive(t.Context(), delivery.Filter{}); err != nil {
					t.Errorf("Redrive: %v", err)
				}
			}()
		}
		r.pass(time.Hour)
		want(t, "sent", len(r.requests()), 600)
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

// odd is a context that cannot be compared.
type odd struct {
	context.Context

	_ []int
}

func TestTraceMeetsAnOddContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) {
			r.cfg.Trace.PublishStart = func(ctx context.Context, _ []delivery.Event) context.Context { return ctx }
		})
		r.subscribe()
		if _, err := r.engine.Publish(odd{Context: t.Context()}, delivery.Event{Dialect: "plain", Type: "t", Data: []byte("x")}); err != nil {
			t.Error(err)
		}
	})
}

func TestPausedSubscriptionOfALaneOfItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leases := 0
		r := newRig(t, func(r *rig) {
			r.cfg.Trace.LeaseDone = func(_ context.Context, l delivery.LeaseDone) { leases += l.Got }
		})
		sub := r.subscribe()
		if err := r.engine.Pause(t.Context(), sub.ID); err != nil {
			t.Fatal(err)
		}
		d := delivery.Delivery{ID: "e1." + sub.ID, EventID: "e1", SubscriptionID: sub.ID, Lane: "own", Dialect: "plain"}
		if err := r.store.Enqueue(t.Context(), time.Time{}, d); err != nil {
			t.Fatal(err)
		}
		r.run()
		r.pass(10 * time.Second)
		if leases == 0 || leases > 11 {
			t.Errorf("%d leases in ten seconds of a pause", leases)
		}
		want(t, "sent", r.bodies(), "")
	})
}
