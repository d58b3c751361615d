package delivery_test

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/registry"
)

func TestRetentionBounds(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		r               delivery.Retention
		delivered, dead time.Time
		room            int64
	}{
		"zero":     {delivery.Retention{}, now.Add(-7 * day), now.Add(-30 * day), 1 << 30},
		"given":    {delivery.Retention{Delivered: time.Hour, Dead: 2 * time.Hour, Bytes: 5}, now.Add(-time.Hour), now.Add(-2 * time.Hour), 5},
		"no bound": {delivery.Retention{Delivered: -1, Dead: -1, Bytes: -1}, time.Time{}, time.Time{}, math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			delivered, dead := tt.r.Before(now)
			want(t, "delivered", delivered, tt.delivered)
			want(t, "dead", dead, tt.dead)
			want(t, "room", tt.r.Room(), tt.room)
		})
	}
}

// goneAnswer refuses what is to be dead.
func goneAnswer(_ int, _ *http.Request, body string) (*http.Response, error) {
	if body == "dead" {
		return answer(404), nil
	}
	return answer(200), nil
}

func TestRunPrunes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.answer = goneAnswer
		r.subscribe()
		r.run()
		r.publish("done")
		r.publish("dead")
		synctest.Wait()
		want(t, "settled", r.states(), "done=delivered dead=dead(answered 404)")
		r.pass(7*day - time.Second)
		want(t, "for seven days", r.states(), "done=delivered dead=dead(answered 404)")
		r.pass(2 * time.Minute)
		want(t, "after seven days", r.states(), "dead=dead(answered 404)")
		r.pass(23*day - 4*time.Minute)
		want(t, "for thirty days", r.states(), "dead=dead(answered 404)")
		r.pass(5 * time.Minute)
		want(t, "after thirty days", r.states(), "")
	})
}

func TestRunKeeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) { r.cfg.Retention = delivery.Retention{Delivered: -1, Dead: time.Hour, Bytes: -1} })
		r.answer = goneAnswer
		r.subscribe()
		r.run()
		r.publish("done")
		r.publish("dead")
		r.pass(2 * time.Hour)
		want(t, "after two hours", r.states(), "done=delivered")
		r.pass(100 * day)
		want(t, "after long", r.states(), "done=delivered")
	})
}

// pruning is a store whose pruning can be watched and failed.
type pruning struct {
	*spy
	prune func() (more bool, err error)
}

func (p *pruning) Prune(context.Context, time.Time, delivery.Retention) (bool, error) {
	return p.prune()
}

func TestRunPrunesInSteps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		var start time.Time
		r := newRig(t, func(r *rig) {
			r.cfg.Store = &pruning{r.store, func() (bool, error) {
				at = append(at, time.Since(start))
				if len(at) == 4 {
					return true, errors.New("the disk is away")
				}
				return len(at) < 3, nil
			}}
		})
		start = time.Now()
		stop := r.run()
		r.pass(4*time.Minute + time.Second)
		if err := stop(); err != nil {
			t.Error(err)
		}
		n := len(at)
		r.pass(time.Hour)
		want(t, "calls after the end", len(at), n)
		want(t, "calls", n, 7) // three at once, the failed one, three more
		for i, pause := range []time.Duration{time.Millisecond, time.Millisecond, time.Minute, time.Minute, time.Minute} {
			want(t, "pause", at[i+1]-at[i], pause)
		}
		want(t, "logged", r.logs.count("the disk is away"), 1)
	})
}

// plainStore is a store that is nothing else.
type plainStore struct{ delivery.Store }

func TestPurgeRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		if err := r.engine.Purge(t.Context(), ""); !errors.Is(err, delivery.ErrInvalid) {
			t.Errorf("without a tenant: %v", err)
		}
		r = newRig(t, func(r *rig) { r.cfg.Store = plainStore{r.store} })
		stop := r.run() // does without
		r.pass(time.Hour)
		if err := stop(); err != nil {
			t.Error(err)
		}
		if err := r.engine.Purge(t.Context(), "acme"); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("of a store that is no Pruner: %v", err)
		}
	})
}

func TestPurge(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, withFarewell)
		r.answer = func(_ int, req *http.Request, body string) (*http.Response, error) {
			if body == "hangs" {
				if err := hang(req, 5*time.Second); err != nil {
					return nil, err
				}
				return answer(500), nil // and is not tried again
			}
			if strings.HasPrefix(body, "fails") || strings.HasPrefix(body, "bye") {
				return answer(500), nil
			}
			return answer(200), nil
		}
		sub := r.subscribe()
		leaving := r.subscribe(func(s *registry.Subscription) { s.Types = []string{"other"} })
		r.subscribe(func(s *registry.Subscription) { s.Tenant, s.URL = "other", "https://other.example/" })
		r.run()
		r.publish("done")
		r.publish("fails")
		if _, err := r.engine.Publish(t.Context(), delivery.Event{Dialect: "plain", Type: "t", Tenant: "other", Data: []byte("others")}); err != nil {
			t.Fatal(err)
		}
		r.must(r.engine.Unsubscribe(t.Context(), leaving.ID, "moving")) // its farewell fails and waits
		synctest.Wait()
		r.publish("hangs")
		synctest.Wait()
		r.must(r.engine.Pause(t.Context(), sub.ID))
		r.publish("waits")

		before, begin := len(r.requests()), time.Now()
		r.must(r.engine.Purge(t.Context(), "acme"))
		if took := time.Since(begin); took < 5*time.Second || took > 20*time.Second {
			t.Errorf("it took %v, an attempt under way 5 s", took)
		}
		want(t, "left", r.states(), "others=delivered")
		want(t, "its subscription is gone", r.gone(sub.ID), true)
		want(t, "its tombstone is gone", r.gone(leaving.ID), true)
		want(t, "matched", r.publish("c")[0].Deliveries, 0)
		r.must(r.engine.Purge(t.Context(), "acme"))
		r.pass(time.Hour)
		want(t, "sent since", len(r.requests()), before)
		want(t, "in the end", r.states(), "others=delivered")

		sub.Revision = 0 // registered again past the engine: its lane is as any other
		if _, err := r.reg.Set(t.Context(), sub); err != nil {
			t.Fatal(err)
		}
		r.pass(2 * time.Second)
		r.publish("new")
		synctest.Wait()
		want(t, "registered again", r.states(), "others=delivered new=delivered")
	})
}

// What waits for subscriptions that were deleted behind the engine is found by
// its tenant; without an engine that runs nothing is under way.
func TestPurgeOfStrays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		sub := r.subscribe()
		r.publish("a", "b")
		r.must(r.reg.Delete(t.Context(), sub.ID))
		r.must(r.engine.Purge(t.Context(), "acme"))
		want(t, "left", r.states(), "")
	})
}

func TestPurgeGivesUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.subscribe()
		r.publish("settled", "under way")
		leases, err := r.store.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: 2, TTL: time.Hour})
		if err != nil || len(leases) != 2 {
			t.Fatal(leases, err)
		}
		outs := []delivery.Outcome{{ID: leases[0].ID, Receipt: leases[0].Receipt, Result: delivery.Done}}
		r.must(r.store.Settle(t.Context(), time.Time{}, outs...))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := r.engine.Purge(ctx, "acme"); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 deliveries") {
			t.Errorf("error %v, want one that says what is left", err)
		}
		want(t, "left", len(r.all()), 1)
		outs[0] = delivery.Outcome{ID: leases[1].ID, Receipt: leases[1].Receipt, Result: delivery.Retry}
		r.must(r.store.Settle(t.Context(), time.Time{}, outs...))
		r.must(r.engine.Purge(t.Context(), "acme"))
		want(t, "in the end", r.states(), "")
	})
}

// TestPurgeMany has more to forget than one step does.
func TestPurgeMany(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		sub := r.subscribe()
		for range 6 {
			r.publish(strings.Fields(strings.Repeat("x ", 500))...)
		}
		r.must(r.engine.Pause(t.Context(), sub.ID))
		r.must(r.engine.Purge(t.Context(), "acme"))
		want(t, "left", len(r.all()), 0)
		c, err := r.store.Counts(t.Context())
		want(t, "counts", c, delivery.Counts{})
		want(t, "error", err, nil)
	})
}

var _ delivery.Pruner = (*memstore.Store)(nil)
