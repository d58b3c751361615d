package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

func TestRedrive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		status := 404
		r.answer = func(int, *http.Request, string) (*http.Response, error) { return answer(status), nil }
		sub := r.subscribe()
		gone := r.subscribe(func(s *registry.Subscription) { s.Tenant = "gone" })
		r.run()
		for i := range 450 {
			r.publish(fmt.Sprint(i))
		}
		_, err := r.engine.Publish(t.Context(), delivery.Event{Dialect: "plain", Type: "t", Tenant: "gone", Data: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		r.pass(time.Minute)
		want(t, "dead", strings.Count(r.states(), "=dead"), 451)
		if err := r.engine.Unsubscribe(t.Context(), gone.ID, "left"); err != nil {
			t.Fatal(err)
		}
		status = 200

		for _, c := range []struct {
			name  string
			f     delivery.Filter
			count int
		}{
			{"all", delivery.Filter{}, 450},
			{"its own", delivery.Filter{SubscriptionID: sub.ID}, 450},
			{"of nobody", delivery.Filter{SubscriptionID: "sub_none"}, 0},
			{"one that is gone", delivery.Filter{SubscriptionID: gone.ID}, 0},
			{"its tenant's", delivery.Filter{Tenant: "acme"}, 450},
			{"of another type", delivery.Filter{Type: "u"}, 0},
			{"before", delivery.Filter{To: r.start}, 0},
			{"after", delivery.Filter{From: time.Now()}, 0},
			{"from the first moment on", delivery.Filter{From: r.start, To: time.Now()}, 450},
			{"some", delivery.Filter{Limit: 333}, 333},
		} {
			n, err := r.engine.Estimate(t.Context(), c.f, false)
			if err != nil || n != c.count {
				t.Errorf("%s: estimated %d, %v; want %d", c.name, n, err, c.count)
			}
		}
		before := len(r.requests())
		n, err := r.engine.Redrive(t.Context(), delivery.Filter{Limit: 333})
		if err != nil || n != 333 {
			t.Fatalf("redrove %d, %v", n, err)
		}
		r.pass(time.Minute)
		want(t, "sent again", len(r.requests())-before, 333)
		want(t, "delivered", strings.Count(r.states(), "=delivered"), 333)
		if n, err := r.engine.Redrive(t.Context(), delivery.Filter{}); err != nil || n != 117 {
			t.Fatalf("redrove %d, %v", n, err)
		}
		r.pass(time.Minute)
		want(t, "delivered", strings.Count(r.states(), "=delivered"), 450)
		first, again := map[string]string{}, 0
		for _, s := range r.requests() {
			if id, ok := first[s.body]; ok && id == s.eventID {
				again++
			}
			first[s.body] = s.eventID
		}
		want(t, "same ids", again, 450)
	})
}

func TestReplay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		sub := r.subscribe()
		r.run()
		r.publish("early")
		r.pass(time.Hour)
		from := time.Now()
		r.publish("a", "b")
		r.pass(time.Hour)
		to := time.Now()
		r.publish("late")
		r.pass(time.Hour)
		if _, err := r.engine.Replay(t.Context(), delivery.Filter{}); !errors.Is(err, delivery.ErrInvalid) {
			t.Errorf("a replay of everybody: %v", err)
		}
		f := delivery.Filter{SubscriptionID: sub.ID, From: from, To: to}
		if n, err := r.engine.Estimate(t.Context(), f, true); err != nil || n != 2 {
			t.Errorf("estimated %d, %v", n, err)
		}
		if n, err := r.engine.Replay(t.Context(), f); err != nil || n != 2 {
			t.Errorf("replayed %d, %v", n, err)
		}
		r.pass(time.Minute)
		sent := strings.Fields(r.bodies())
		want(t, "sent", len(sent), 6)
		want(t, "the replay", strings.Contains("a b a b", strings.Join(sent[4:], " ")) || strings.Join(sent[4:], " ") == "b a", true)

		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.engine.Replay(canceled, f); !errors.Is(err, context.Canceled) {
			t.Errorf("a replay that is cut off: %v", err)
		}
	})
}

func TestCancelByFilter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		sub := r.subscribe()
		r.subscribe(func(s *registry.Subscription) { s.Tenant = "other" })
		if err := r.engine.Pause(t.Context(), sub.ID); err != nil {
			t.Fatal(err)
		}
		for i := range 450 {
			r.publish(fmt.Sprint(i))
		}
		_, err := r.engine.Publish(t.Context(), delivery.Event{Dialect: "plain", Type: "t", Tenant: "other", Data: []byte("x")})
		if err != nil {
			t.Fatal(err)
		}
		if n, err := r.engine.Cancel(t.Context(), delivery.Filter{Tenant: "acme"}); err != nil || n != 450 {
			t.Errorf("canceled %d, %v", n, err)
		}
		want(t, "canceled", strings.Count(r.states(), "=dead("+delivery.ReasonCancelled+")"), 450)
		r.run()
		r.pass(time.Minute)
		want(t, "sent", r.bodies(), "x")
	})
}

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
