package shutdown_test

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

// leasing is a store that tells of a Lease with work and holds it until the
// test lets it go.
type leasing struct {
	rig.FullStore
	got, let chan struct{}
	once     sync.Once
}

func (s *leasing) Lease(ctx context.Context, now time.Time, req delivery.LeaseRequest) ([]delivery.Lease, error) {
	leases, err := s.FullStore.Lease(ctx, now, req)
	if len(leases) > 0 {
		s.once.Do(func() {
			close(s.got)
			<-s.let
		})
	}
	return leases, err
}

// An engine is told to end in an odd moment, by one or several: it ends, and
// what it had leased is sent or due again at once.
func TestB69Moments(t *testing.T) {
	t.Parallel()
	const events = 200
	for _, kind := range []string{"memory", "sqlite"} {
		for name, play := range map[string]func(t *testing.T, e *rig.Engine, s *leasing, rc *rig.Receiver){
			"in mid-claim": func(t *testing.T, e *rig.Engine, s *leasing, rc *rig.Receiver) {
				ctx, cancel := context.WithCancel(t.Context())
				ran := make(chan error, 1)
				go func() { ran <- e.Run(ctx) }()
				<-s.got
				cancel()
				close(s.let)
				if err := <-ran; err != nil {
					t.Error(err)
				}
				if n := len(rc.Requests()); n >= events { // what was not begun is given back
					t.Errorf("%d of %d sent", n, events)
				}
			},
			"before the start": func(t *testing.T, e *rig.Engine, s *leasing, _ *rig.Receiver) {
				close(s.let)
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				for range 2 { // and with a dead context again
					if err := e.Run(ctx); err != nil {
						t.Error(err)
					}
				}
			},
			"by several at once": func(t *testing.T, e *rig.Engine, s *leasing, _ *rig.Receiver) {
				close(s.let)
				ctx, cancel := context.WithCancel(t.Context())
				ran := make(chan error, 1)
				go func() { ran <- e.Run(ctx) }()
				<-s.got
				defer cancel()
				var wg sync.WaitGroup
				for range 4 {
					wg.Go(cancel)
				}
				wg.Wait()
				if err := <-ran; err != nil {
					t.Error(err)
				}
			},
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				t.Parallel()
				rc := rig.Listen(t)
				spec := rig.Spec{Driver: "sqlite", Endpoints: []rig.Endpoint{rc.Endpoint(sub)}, MaxInFlight: events, Lanes: lanes.Config{MaxInFlight: events}}
				if kind == "sqlite" {
					spec.Path = filepath.Join(t.TempDir(), "store.db")
				}
				s := &leasing{got: make(chan struct{}), let: make(chan struct{})}
				e, err := rig.AssembleTuned(t.Context(), spec, rig.Tune{Engine: func(cfg *delivery.Config) {
					s.FullStore = cfg.Store.(rig.FullStore)
					cfg.Store = s
				}})
				if err != nil {
					t.Fatal(err)
				}
				var acked []string
				var evs []delivery.Event
				for i := range events {
					acked = append(acked, fmt.Sprint("e", i))
					evs = append(evs, e.Event(sub, acked[i]))
				}
				if _, err := e.Publish(t.Context(), evs...); err != nil {
					t.Fatal(err)
				}
				play(t, e, s, rc)
				// Its end leaves nothing behind: another run sends the rest.
				ctx, cancel := context.WithCancel(t.Context())
				ran := make(chan error, 1)
				go func() { ran <- e.Run(ctx) }()
				rc.WaitAccepted(t, events)
				cancel()
				if err := <-ran; err != nil {
					t.Error(err)
				}
				ledger, err := rig.LedgerOf(t.Context(), e.Store)
				if err != nil {
					t.Fatal(err)
				}
				rig.Evidence{Acked: acked, Requests: rc.Requests(), Ledger: ledger}.Check(t, rig.Allow{})
				var wg sync.WaitGroup
				for range 2 {
					wg.Go(func() {
						if err := e.Store.Close(); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
			})
		}
	}
}
