package delivery_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/registry"
)

// sharedStore is one that several engines run over.
type sharedStore struct {
	*memstore.Store

	hold atomic.Pointer[chan struct{}] // what the next SetLanes waits for
	runs atomic.Int32
}

func (s *sharedStore) Run(ctx context.Context) error {
	s.runs.Add(1)
	defer s.runs.Add(-1)
	<-ctx.Done()
	return nil
}

func (s *sharedStore) SetLanes(ctx context.Context, now time.Time, lanes ...delivery.LaneState) error {
	if hold := s.hold.Swap(nil); hold != nil {
		<-*hold
	}
	return s.Store.SetLanes(ctx, now, lanes...)
}

func sharing(t *testing.T, engines int) (*sharedStore, *registry.Memory, []*delivery.Engine) {
	t.Helper()
	mem, err := memstore.Open(t.Context(), memstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s, reg := &sharedStore{Store: mem}, &registry.Memory{}
	var out []*delivery.Engine
	for range engines {
		e, err := delivery.New(delivery.Config{
			Store: s, Registry: reg, Dialects: map[string]delivery.Dialect{"plain": &plain{}}, Client: http.DefaultClient, // nothing is sent
		})
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return s, reg, out
}

// Two processes change one subscription at the same time: its lane ends as the
// registry does, whichever of them is late.
func TestLanesFollowTheRegistry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, reg, engines := sharing(t, 2)
		ctx := t.Context()
		stored, err := engines[0].Subscribe(ctx, registry.Subscription{Dialect: "plain", Tenant: "t", URL: "https://example.com/", Types: []string{"*"}})
		if err != nil {
			t.Fatal(err)
		}
		id := stored[0].ID
		if err := engines[0].Pause(ctx, id); err != nil {
			t.Fatal(err)
		}
		late := make(chan struct{})
		s.hold.Store(&late)
		done := make(chan error, 1)
		go func() { done <- engines[0].Resume(ctx, id) }()
		synctest.Wait() // the registry says active, the lane is paused
		if err := engines[1].Pause(ctx, id); err != nil {
			t.Fatal(err)
		}
		close(late)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if sub, err := reg.Get(ctx, id); err != nil || sub.State != registry.Paused {
			t.Fatalf("%v, %v", sub, err)
		}
		if err := s.Enqueue(ctx, time.Time{}, delivery.Delivery{ID: "a", EventID: "a", SubscriptionID: id}); err != nil {
			t.Fatal(err)
		}
		if leases, err := s.Lease(ctx, time.Time{}, delivery.LeaseRequest{Max: 1}); err != nil || len(leases) > 0 {
			t.Errorf("the lane of a paused subscription gives %v, %v", leases, err)
		}
	})
}

// An engine runs its store from before it starts until after it has drained.
func TestEngineRunsItsStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, _, engines := sharing(t, 1)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- engines[0].Run(ctx) }()
		synctest.Wait()
		if s.runs.Load() != 1 {
			t.Error("the store does not run")
		}
		cancel()
		if err := <-ended; err != nil || s.runs.Load() != 0 {
			t.Errorf("Run: %v; %d stores still run", err, s.runs.Load())
		}
	})
}
