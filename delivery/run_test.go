package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

func TestMaxInFlightIsSentAndNotSettled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.cfg.MaxInFlight = 4 })
		settled, most := 0, 0
		var mu sync.Mutex // several batches are settled at once
		r.store.settle = func(outs []delivery.Outcome) error {
			<-time.After(time.Second)
			mu.Lock()
			defer mu.Unlock()
			most = max(most, len(r.requests())-settled)
			settled += len(outs)
			return nil
		}
		r.subscribe()
		for i := range 20 {
			r.publish(strconv.Itoa(i))
		}
		r.run()
		r.pass(500 * time.Millisecond)
		want(t, "sent while the store is slow", len(r.requests()), 4)
		r.pass(time.Minute)
		want(t, "sent in the end", len(r.requests()), 20)
		want(t, "most at once", most, 4)
		want(t, "settled", settled, 20)
	})
}

func TestRetriesLeaveAQuarterToFirstTries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.cfg.MaxInFlight, r.plain.schedule = 8, every(10*time.Second) })
		seen := map[string]int{}
		var hung atomic.Int32
		r.answer = func(_ int, req *http.Request, body string) (*http.Response, error) {
			if body == "good" {
				return answer(200), nil
			}
			r.mu.Lock()
			seen[body]++
			first := seen[body] == 1
			r.mu.Unlock()
			if first {
				return answer(500), nil
			}
			hung.Add(1)
			defer hung.Add(-1)
			return answer(200), hang(req, time.Minute)
		}
		r.subscribe(func(s *registry.Subscription) { s.Types = []string{"t"}; s.Limits.MaxInFlight = 64 })
		for i := range 20 { // four an endpoint: none is throttled
			if i%4 == 0 {
				r.subscribe(func(s *registry.Subscription) { s.Types = []string{fmt.Sprint("bad", i)} })
			}
			ev := delivery.Event{Dialect: "plain", Tenant: "acme", Type: fmt.Sprint("bad", i-i%4), Data: fmt.Append(nil, "bad", i)}
			if _, err := r.engine.Publish(t.Context(), ev); err != nil {
				t.Fatal(err)
			}
		}
		r.run()
		r.pass(15 * time.Second)
		want(t, "retries under way", hung.Load(), 6)
		r.publish("good", "good", "good")
		r.pass(time.Second)
		want(t, "first tries", strings.Count(r.bodies(), "good"), 3)
		r.pass(time.Hour)
		want(t, "delivered", strings.Count(r.states(), "=delivered"), 23)
	})
}

func TestOrderByKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.answer = func(n int, req *http.Request, body string) (*http.Response, error) {
			if body == "a1" && time.Since(r.start) < 90*time.Second {
				return answer(500), nil
			}
			return answer(200), hang(req, time.Second)
		}
		r.subscribe()
		r.run()
		for _, x := range []string{"a1", "a2", "b1", "a3", "b2", "c"} {
			ev := delivery.Event{Dialect: "plain", Tenant: "acme", Type: "t", Data: []byte(x)}
			if x != "c" {
				ev.Key = x[:1]
			}
			if _, err := r.engine.Publish(t.Context(), ev); err != nil {
				t.Fatal(err)
			}
		}
		r.pass(time.Hour)
		order := map[string]string{}
		for _, s := range r.requests() {
			order[s.body[:1]] += s.body + " "
		}
		want(t, "a", order["a"], "a1 a1 a1 a2 a3 ")
		want(t, "b", order["b"], "b1 b2 ")
		for i, s := range r.requests() {
			for _, other := range r.requests()[i+1:] {
				if s.body[0] == other.body[0] && other.at < s.end {
					t.Errorf("%s began before %s had ended", other.body, s.body)
				}
			}
			if s.body[0] != 'a' && s.at > 2*time.Second {
				t.Errorf("%s waited %v for another key", s.body, s.at)
			}
		}
	})
}

func TestAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.answer = func(_ int, req *http.Request, body string) (*http.Response, error) {
			if body == "ahead" {
				return answer(500), hang(req, 5*time.Second)
			}
			return answer(200), nil
		}
		r.subscribe()
		r.publish("a", "b")
		_, err := r.engine.Publish(t.Context(), delivery.Event{Dialect: "plain", Tenant: "acme", Type: "t", Data: []byte("ahead"), Ahead: true})
		r.must(err)
		r.run()
		r.pass(30 * time.Second)
		want(t, "first", r.requests()[0].body, "ahead")
		for _, s := range r.requests()[1:] {
			want(t, "the others wait for its first attempt: "+s.body, s.at, 5*time.Second)
		}
		want(t, "requests", len(r.requests()), 3)
	})
}

func TestExpiresIn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.plain.schedule = every(4 * time.Second) })
		r.answer = func(int, *http.Request, string) (*http.Response, error) { return answer(500), nil }
		r.subscribe()
		_, err := r.engine.Publish(t.Context(), delivery.Event{Dialect: "plain", Tenant: "acme", Type: "t", Data: []byte("x"), ExpiresIn: 10 * time.Second})
		r.must(err)
		r.run()
		r.pass(time.Minute)
		want(t, "attempts", len(r.requests()), 3) // at 0, 4 and 8 s
		want(t, "end", r.states(), "x=dead(expired)")
		want(t, "when", r.all()[0].SettledAt.Sub(r.start).Round(10*time.Millisecond), 10*time.Second)
	})
}

func TestSlowAttemptsKeepTheirLeases(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.cfg.LeaseTTL = 3 * time.Second })
		r.answer = func(_ int, req *http.Request, _ string) (*http.Response, error) {
			return answer(200), hang(req, 10*time.Second)
		}
		r.subscribe()
		r.publish("a", "b")
		r.run()
		r.pass(time.Minute)
		want(t, "requests", len(r.requests()), 2)
		want(t, "end", r.states(), "a=delivered b=delivered")
		want(t, "lost", r.logs.count("lost lease"), 0)
	})
}

func TestLostLeasesAreDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.cfg.LeaseTTL = 3 * time.Second })
		r.store.extend = func() error { return nil } // says so and does not
		r.answer = func(n int, req *http.Request, _ string) (*http.Response, error) {
			if n == 0 {
				return answer(400), hang(req, 10*time.Second)
			}
			return answer(200), nil
		}
		r.subscribe()
		r.publish("a")
		r.run()
		r.pass(time.Minute)
		want(t, "requests", len(r.requests()), 2)
		want(t, "end", r.states(), "a=delivered") // and not dead, as the late one had it
		want(t, "log", r.logs.count("outcome of a lost lease dropped"), 1)
		want(t, "attempts recorded", len(r.attempts(r.all()[0].ID)), 1)
	})
}

// Another engine has the farewell now: the tombstone is its own to delete.
func TestLostFarewellKeepsTheTombstone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withFarewell, func(r *rig) { r.cfg.LeaseTTL = 3 * time.Second })
		r.store.extend = func() error { return nil }
		r.answer = func(n int, req *http.Request, _ string) (*http.Response, error) {
			return answer(200), hang(req, []time.Duration{4 * time.Second, 2 * time.Second}[min(n, 1)])
		}
		sub := r.subscribe()
		r.run()
		r.must(r.engine.Unsubscribe(t.Context(), sub.ID, ""))
		r.pass(4500 * time.Millisecond)
		want(t, "log", r.logs.count("outcome of a lost lease dropped"), 1)
		want(t, "deleted too early", r.gone(sub.ID), false)
		r.pass(time.Minute)
		want(t, "tombstone is gone", r.gone(sub.ID), true)
		want(t, "end", r.states(), "bye: =delivered")
	})
}

func TestStoreErrorsLoseNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.cfg.MaxInFlight = 2 })
		away := errors.New("disk away")
		failing := func(phase time.Duration) error { // 1 of 2 s
			if t := time.Since(r.start); t < 20*time.Second && (t+phase)%(2*time.Second) < time.Second {
				return away
			}
			return nil
		}
		r.store.lease = func() error { return failing(0) }
		r.store.settle = func([]delivery.Outcome) error { return failing(500 * time.Millisecond) }
		r.subscribe()
		r.run()
		for i := range 40 {
			r.publish(strconv.Itoa(i))
			r.pass(300 * time.Millisecond)
		}
		r.pass(2 * time.Minute)
		want(t, "requests", len(r.requests()), 40) // an outcome that is kept repeats nothing
		want(t, "delivered", strings.Count(r.states(), "=delivered"), 40)
		if r.logs.count("cannot lease") == 0 || r.logs.count("cannot settle") == 0 {
			t.Error("the log says nothing")
		}
		if n := r.logs.count("cannot"); n > 200 {
			t.Errorf("%d failures within 20 s: it does not back off", n)
		}
	})
}

// flaky is a registry whose Get can be made to fail.
type flaky struct {
	*registry.Memory
	err atomic.Pointer[error]
}

func (f *flaky) Get(ctx context.Context, id string) (registry.Subscription, error) {
	if err := f.err.Load(); err != nil {
		return registry.Subscription{}, *err
	}
	return f.Memory.Get(ctx, id)
}

func TestRegistryErrorsDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reg := &flaky{}
		r := newRig(t, func(r *rig) { reg.Memory, r.cfg.Registry = r.reg, reg })
		r.subscribe()
		away := errors.New("registry away")
		reg.err.Store(&away)
		r.publish("a")
		r.pass(time.Minute) // what the publish read is remembered no more
		r.run()
		r.pass(5500 * time.Millisecond)
		want(t, "requests", len(r.requests()), 0)
		if n := r.logs.count("cannot read the subscription"); n < 3 || n > 8 {
			t.Errorf("%d tries in 5.5 s", n)
		}
		reg.err.Store(nil)
		r.pass(2 * time.Second)
		want(t, "end", r.states(), "a=delivered")
		want(t, "attempt numbers", r.attempts(r.all()[0].ID)[0].Number, 1)
	})
}

func TestPanicsOfADialectAreFailedAttempts(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(*rig, func()){
		"Request": func(r *rig, boom func()) { r.plain.request = func(delivery.Delivery) error { boom(); return nil } },
		"Judge":   func(r *rig, boom func()) { r.plain.judge = func(int) { boom() } },
		"Schedule": func(r *rig, boom func()) {
			r.plain.schedule = backoffFunc(func(int) (time.Duration, bool) { boom(); return 0, false })
		},
		"client": func(r *rig, boom func()) {
			r.answer = func(int, *http.Request, string) (*http.Response, error) { boom(); return answer(200), nil }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				edit(r, func() {
					if time.Since(r.start) < time.Second {
						panic("a defect")
					}
				})
				if r.answer == nil {
					r.answer = func(int, *http.Request, string) (*http.Response, error) {
						if name == "Schedule" && time.Since(r.start) < time.Second {
							return answer(500), nil
						}
						return answer(200), nil
					}
				}
				r.subscribe()
				r.publish("x")
				r.run()
				r.pass(time.Hour)
				want(t, "end", r.states(), "x=delivered")
				as := r.attempts(r.all()[0].ID)
				if len(as) < 2 || as[0].Class != "internal" || !strings.Contains(as[0].Error, "a defect") {
					t.Errorf("attempts: %+v", as)
				}
			})
		})
	}
}

// nothing is a dialect whose functions return zero values.
type nothing struct{ plain }

func (*nothing) Request(context.Context, delivery.Delivery, registry.Subscription, time.Time) (*http.Request, error) {
	return nil, nil //nolint:nilnil // the defect of the test
}

func (*nothing) Schedule(registry.Subscription) delivery.Backoff { return nil }

// TestDialectOfNothing: a dialect that returns neither a request nor a schedule is
// named, and the standard schedule goes on.
func TestDialectOfNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.cfg.Dialects["plain"] = &nothing{} })
		r.subscribe()
		r.publish("x")
		r.run()
		r.pass(40 * time.Hour)
		as := r.attempts(r.all()[0].ID)
		want(t, "attempts", len(as), 10)
		want(t, "error", as[0].Error, "the dialect's Schedule returned nil")
		a := sender(clientFunc(func(*http.Request) (*http.Response, error) { return answer(200), nil }), &nothing{}).
			Attempt(t.Context(), parcel(), registry.Subscription{URL: "https://one.example/"})
		want(t, "verdict", a.Verdict, delivery.VerdictRetry)
		want(t, "error without a schedule", a.Error, "the dialect's Request returned neither a request nor an error")
	})
}

type backoffFunc func(int) (time.Duration, bool)

func (f backoffFunc) Delay(attempt int) (time.Duration, bool) { return f(attempt) }

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

// TestRunOnce: a second Run is refused while the first one goes on.
func TestRunOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		stop := r.run()
		synctest.Wait()
		if err := r.engine.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "runs already") {
			t.Errorf("a second Run: %v", err)
		}
		r.must(stop())
		r.run()
		synctest.Wait()
	})
}
