package delivery_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

func TestDrainWaitsForWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.answer = func(_ int, req *http.Request, _ string) (*http.Response, error) {
			return answer(200), hang(req, 5*time.Second)
		}
		r.subscribe(oneAtATime)
		r.publish("a", "b", "c")
		stop := r.run()
		r.pass(2 * time.Second)
		began := time.Now()
		r.must(stop())
		want(t, "took", time.Since(began), 3*time.Second)
		want(t, "end", r.states(), "a=delivered b=pending c=pending")
		want(t, "sent", r.bodies(), "a")

		r.run()
		r.pass(time.Minute)
		want(t, "after another start", r.bodies(), "a b c")
	})
}

// With two slots and 16 leases at most in the queue, the senders are busy when
// the drain begins: what they have not begun is due at once for whoever comes.
func TestDrainGivesBackWhatIsNotBegun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		reading := make(chan struct{})
		r.cfg.Registry = &held{Memory: r.reg, until: reading}
		r.cfg.MaxInFlight = 64
		r.engine = r.remake()
		r.answer = func(_ int, req *http.Request, _ string) (*http.Response, error) {
			return answer(200), hang(req, time.Second)
		}
		for i := range 40 {
			r.subscribe(func(s *registry.Subscription) { s.Label = string(rune('A' + i)) })
		}
		r.publish("x")
		stop := r.run()
		synctest.Wait() // 16 senders wait for the registry, 24 leases wait for them
		ended := make(chan error)
		go func() { ended <- stop() }()
		synctest.Wait()
		leases, err := r.store.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: 100})
		r.must(err)
		want(t, "due at once", len(leases), 24)
		for _, l := range leases {
			want(t, "attempts", l.Attempts, 0)
		}
		close(reading)
		r.must(<-ended)
		want(t, "sent", len(r.requests()), 16)
	})
}

// held is a registry whose Get waits.
type held struct {
	*registry.Memory
	until <-chan struct{}
}

func (h *held) Get(ctx context.Context, id string) (registry.Subscription, error) {
	<-h.until
	return h.Memory.Get(ctx, id)
}

func TestDrainCutsWhatTakesTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) {
			r.cfg.DrainTimeout = 2 * time.Second
			r.plain.schedule = delivery.Schedule{Pauses: []time.Duration{time.Hour}}
		})
		r.answer = func(n int, req *http.Request, _ string) (*http.Response, error) {
			if n == 0 {
				return nil, hang(req, time.Minute)
			}
			return answer(500), nil
		}
		r.subscribe()
		r.publish("a")
		stop := r.run()
		r.pass(time.Second)
		began := time.Now()
		r.must(stop())
		want(t, "took", time.Since(began), 2*time.Second)
		st := r.all()[0]
		want(t, "state", st.State, delivery.Pending)
		as := r.attempts(st.ID)
		if len(as) != 1 || as[0].Class != "unknown" || as[0].Duration != 3*time.Second || as[0].Number != 1 {
			t.Errorf("attempts: %+v", as)
		}

		r.run()
		synctest.Wait()
		want(t, "due at once", len(r.requests()), 2)
		r.pass(2 * time.Hour) // the schedule has one pause: it was not used up
		want(t, "attempts", len(r.requests()), 3)
		want(t, "end", r.states(), "a=dead(answered 500)")
		want(t, "last number", r.attempts(st.ID)[2].Number, 3)
	})
}

// stuck is a registry whose Get ends with its context alone.
type stuck struct{ *registry.Memory }

func (stuck) Get(ctx context.Context, _ string) (registry.Subscription, error) {
	<-ctx.Done()
	return registry.Subscription{}, ctx.Err()
}

func TestDrainCutsTheRegistryToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.cfg.Registry = stuck{r.reg} })
		r.subscribe()
		r.publish("a")
		r.pass(time.Minute) // what the publish read is remembered no more
		stop := r.run()
		r.pass(time.Second)
		began := time.Now()
		r.must(stop())
		want(t, "took", time.Since(began), 10*time.Second)
		leases, err := r.store.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: 1})
		r.must(err)
		want(t, "due at once", len(leases), 1)
		for _, l := range leases {
			want(t, "attempts", l.Attempts, 0)
		}
	})
}

func TestDrainReportsWhatItCouldNotStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		away := errors.New("disk away")
		r.store.settle = func([]delivery.Outcome) error { return away }
		r.subscribe()
		r.publish("a", "b")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := r.engine.Run(ctx); !errors.Is(err, away) {
			t.Errorf("Run: %v", err)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("took %v", took)
		}
		r.store.settle = nil
		r.pass(time.Minute) // the leases end
		r.run()
		r.pass(time.Minute)
		want(t, "end", r.states(), "a=delivered b=delivered")
	})
}

func TestRunDoesNotBeginWithoutTheRegistry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withFarewell)
		sub := r.subscribe()
		sub.State = registry.Removed
		if _, err := r.reg.Set(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
		away := errors.New("disk away")
		r.store.setLanes = func() error { return away }
		if err := r.engine.Run(t.Context()); !errors.Is(err, away) {
			t.Errorf("Run: %v", err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.engine.Run(ctx); err != nil {
			t.Errorf("Run with a canceled context: %v", err)
		}
	})
}

func TestIdleEngineDoesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var leases, extends atomic.Int32
		r.store.lease = func() error { leases.Add(1); return nil }
		r.store.extend = func() error { extends.Add(1); return nil }
		r.subscribe()
		r.run()
		r.pass(time.Hour)
		if n := leases.Load(); n > 3 {
			t.Errorf("%d leases asked for in an idle hour", n)
		}
		want(t, "extends", extends.Load(), 0)

		r.answer = func(int, *http.Request, string) (*http.Response, error) { return answer(500), nil }
		r.publish("x")
		r.pass(time.Hour)
		if n := leases.Load(); n > 3+3*61 {
			t.Errorf("%d leases asked for 60 retries", n)
		}
	})
}

// polled is a store that cannot say when there is work.
type polled struct {
	delivery.Store
	delivery.Browser
}

func TestWake(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) {
			r.cfg.Store, r.cfg.Poll = polled{r.store, r.store}, time.Minute
		})
		sub := r.subscribe()
		r.run()
		r.pass(10 * time.Second)
		enqueue := func(id string) {
			r.must(r.store.Enqueue(t.Context(), time.Time{}, delivery.Delivery{
				ID: delivery.DeliveryID(id, sub.ID), EventID: id, SubscriptionID: sub.ID, Dialect: "plain", Body: []byte(id),
			}))
		}
		enqueue("polled")
		r.pass(time.Second)
		want(t, "before the poll", r.bodies(), "")
		r.pass(time.Minute)
		want(t, "after it", r.bodies(), "polled")
		enqueue("woken")
		for range 3 {
			r.engine.Wake()
		}
		synctest.Wait()
		want(t, "woken", r.bodies(), "polled woken")
	})
}

func TestPollIsAQuarterOfASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.cfg.Store = polled{r.store, r.store} })
		var leases atomic.Int32
		r.store.lease = func() error { leases.Add(1); return nil }
		r.run()
		r.pass(time.Minute)
		if n := leases.Load(); n < 235 || n > 245 {
			t.Errorf("%d polls in a minute", n)
		}
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for name, edit := range map[string]func(*delivery.Config){
			"Store":              func(c *delivery.Config) { c.Store = nil },
			"Registry":           func(c *delivery.Config) { c.Registry = nil },
			"Dialects":           func(c *delivery.Config) { c.Dialects = nil },
			"Client":             func(c *delivery.Config) { c.Client = nil },
			"Dialects[\"x\"]":    func(c *delivery.Config) { c.Dialects = map[string]delivery.Dialect{"x": nil} },
			"Dialects[\"\"]":     func(c *delivery.Config) { c.Dialects = map[string]delivery.Dialect{"": r.plain} },
			"negative":           func(c *delivery.Config) { c.MaxInFlight = -1 },
			"a negative":         func(c *delivery.Config) { c.LeaseTTL = -1 },
			"a negative number":  func(c *delivery.Config) { c.DrainTimeout = -1 },
			"a negative number ": func(c *delivery.Config) { c.Poll = -1 },
		} {
			cfg := r.cfg
			edit(&cfg)
			if _, err := delivery.New(cfg); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(name)) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// The shortest lease does not stop the clock that extends it.
func TestTinyLeaseTTL(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.cfg.LeaseTTL = 2 })
		stop := r.run()
		r.pass(time.Millisecond)
		r.must(stop())
	})
}
