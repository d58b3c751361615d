package receivers_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/verify"
)

// runIn runs an engine in the test; the function returned ends it.
func runIn(t *testing.T, e *rig.Engine) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- e.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	}
}

var steps = []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -24 * time.Hour}

// The wall clock is set forward and back while deliveries wait and are held:
// nothing comes early, nothing is stuck or expires, nobody is disabled, and the
// signatures carry the wall clock.
func TestB63WallClock(t *testing.T) {
	t.Parallel()
	const events, pause = 20, 400 * time.Millisecond
	for _, kind := range []string{"memory", "sqlite"} {
		for _, step := range steps {
			t.Run(fmt.Sprint(kind, step), func(t *testing.T) {
				t.Parallel()
				rc := rig.Listen(t)
				var offset atomic.Int64
				now := func(at time.Time) time.Time { return at.Add(time.Duration(offset.Load())) }
				var mu sync.Mutex
				seen := map[string]int{}
				rc.Handle("/"+sick, func(_ int, r rig.Request) rig.Answer {
					mu.Lock()
					defer mu.Unlock()
					if seen[r.ID]++; seen[r.ID] <= 2 {
						return rig.Answer{Status: 500}
					}
					return rig.Answer{}
				})
				rc.Handle("/sub_held", rig.InTurn(rig.Answer{Status: 429, Header: map[string][]string{"Retry-After": {"1"}}}, rig.Answer{}))
				spec := rig.Spec{Driver: "sqlite", Pauses: patient(pause)[:10], Endpoints: []rig.Endpoint{rc.Endpoint(sick), rc.Endpoint("sub_held")}}
				spec.Endpoints[0].MaxInFlight = 1
				if kind == "sqlite" {
					spec.Path = filepath.Join(t.TempDir(), "store.db")
				}
				e, err := rig.AssembleTuned(t.Context(), spec, rig.Tune{Engine: func(cfg *delivery.Config) {
					cfg.Now = func() time.Time { return now(time.Now()) }
					cfg.DisableAfter = 30 * time.Minute
				}})
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := e.Store.Close(); err != nil {
						t.Error(err)
					}
				}()
				stop := runIn(t, e)
				var acked []string
				publish := func(tenant, id string) {
					t.Helper()
					ev := e.Event(tenant, id)
					ev.ExpiresIn = 30 * time.Minute
					if _, err := e.Publish(t.Context(), ev); err != nil {
						t.Fatal(err)
					}
					acked = append(acked, id)
				}
				for i := range events {
					publish(sick, fmt.Sprint("e", i))
				}
				publish("sub_held", "h1")
				rc.Wait(t, "the first attempts", func(rs []rig.Request) bool { return len(rs) >= events+1 })
				before := len(rc.Requests())
				offset.Store(int64(step))
				stepped := time.Now()
				publish("sub_held", "h2")
				got := rc.WaitAccepted(t, events+2)
				stop()

				firstAt := map[string]time.Time{}
				for i, r := range got {
					if last, ok := firstAt[r.ID]; ok {
						least := pause
						if r.Path == "/sub_held" {
							least = time.Second
						}
						if gap := r.At.Sub(last); gap < least || gap > least+10*time.Second {
							t.Errorf("%s was repeated after %s, want %s", r.ID, gap, least)
						}
					}
					firstAt[r.ID] = r.At
					at := r.At
					if i >= before && r.At.After(stepped.Add(100*time.Millisecond)) {
						at = now(at)
					} else if i >= before {
						continue // may have been signed before the step
					}
					v, err := verify.NewStandard(0, verify.Key{Secret: []byte(rig.Secret)})
					if err != nil {
						t.Fatal(err)
					}
					if _, err := v.Verify(t.Context(), verify.Message{Header: r.Header, Body: r.Body, At: at}); err != nil {
						t.Errorf("request %d: %v", i, err)
					}
				}
				ledger, err := rig.LedgerOf(t.Context(), e.Store)
				if err != nil {
					t.Fatal(err)
				}
				rig.Evidence{Acked: acked, Requests: rc.Requests(), Ledger: ledger}.Check(t, rig.Allow{})
				sub, err := e.Registry.Get(t.Context(), sick)
				if err != nil || sub.State != registry.Active {
					t.Errorf("the subscription is %q, %v", sub.State, err)
				}
			})
		}
	}
}

// shifted is a store whose every time is given, by a clock that can be set. It
// is no Waiter.
type shifted struct {
	delivery.Store
	offset *atomic.Int64
	lost   *atomic.Int64
}

func (s shifted) now() time.Time { return time.Now().Add(time.Duration(s.offset.Load())) }

func (s shifted) Enqueue(ctx context.Context, _ time.Time, ds ...delivery.Delivery) error {
	return s.Store.Enqueue(ctx, s.now(), ds...)
}

func (s shifted) Lease(ctx context.Context, _ time.Time, req delivery.LeaseRequest) ([]delivery.Lease, error) {
	return s.Store.Lease(ctx, s.now(), req)
}

func (s shifted) Extend(ctx context.Context, _ time.Time, ttl time.Duration, leases ...delivery.Lease) error {
	return s.Store.Extend(ctx, s.now(), ttl, leases...)
}

func (s shifted) Settle(ctx context.Context, _ time.Time, outs ...delivery.Outcome) error {
	err := s.Store.Settle(ctx, s.now(), outs...)
	if lost, ok := errors.AsType[*delivery.LostLeasesError](err); ok {
		s.lost.Add(int64(len(lost.IDs)))
	}
	return err
}

func (s shifted) SetLanes(ctx context.Context, _ time.Time, lanes ...delivery.LaneState) error {
	return s.Store.SetLanes(ctx, s.now(), lanes...)
}

// The clock that the store goes by is set forward over the end of all leases:
// they are given out again, what was under way counts no more, and nothing else
// is repeated.
func TestB63StoreClock(t *testing.T) {
	t.Parallel()
	const inFlight, events = 4, 50
	for _, kind := range []string{"memory", "sqlite"} {
		for _, step := range []time.Duration{time.Hour, 24 * time.Hour} {
			t.Run(fmt.Sprint(kind, step), func(t *testing.T) {
				t.Parallel()
				rc := rig.Listen(t)
				end := make(chan struct{})
				rc.Handle("/"+sick, func(n int, _ rig.Request) rig.Answer {
					if n < inFlight {
						return rig.Answer{After: end}
					}
					return rig.Answer{}
				})
				spec := rig.Spec{Driver: "sqlite", Endpoints: []rig.Endpoint{rc.Endpoint(sick)}, MaxInFlight: 16}
				spec.Endpoints[0].MaxInFlight = inFlight
				if kind == "sqlite" {
					spec.Path = filepath.Join(t.TempDir(), "store.db")
				}
				var offset, lost atomic.Int64
				e, err := rig.AssembleTuned(t.Context(), spec, rig.Tune{Engine: func(cfg *delivery.Config) {
					cfg.Store = shifted{cfg.Store, &offset, &lost}
					cfg.Poll = 2 * time.Millisecond
				}})
				if err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := e.Store.Close(); err != nil {
						t.Error(err)
					}
				}()
				stop := runIn(t, e)
				var acked []string
				for i := range events {
					id := fmt.Sprint("e", i)
					if _, err := e.Publish(t.Context(), e.Event(sick, id)); err != nil {
						t.Fatal(err)
					}
					acked = append(acked, id)
				}
				rc.Wait(t, "a full lane", func(rs []rig.Request) bool { return len(rs) == inFlight })
				offset.Store(int64(step))
				rc.Wait(t, "all events", func(rs []rig.Request) bool { return len(rs) == events+inFlight })
				close(end)
				rig.Eventually(t, "the late outcomes", func() bool { return lost.Load() == inFlight })
				stop()
				ledger, err := rig.LedgerOf(t.Context(), e.Store)
				if err != nil {
					t.Fatal(err)
				}
				rig.Evidence{Acked: acked, Requests: rc.Requests(), Ledger: ledger}.Check(t, rig.Allow{Repeats: inFlight, PerEvent: 1, Unlogged: inFlight})
			})
		}
	}
}
