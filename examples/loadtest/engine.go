package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
	"github.com/ringback-go/ringback/dialect/standardwebhooks"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

// slots is the engine's MaxInFlight.
const slots = 256

// store is what the load test needs of one.
type store interface {
	delivery.Store
	delivery.Browser
}

// rig is an engine as a user would run it: Standard Webhooks signing, the
// guarded client, the registry asked for each attempt, attempts recorded.
type rig struct {
	engine *delivery.Engine
	store  store
	reg    registry.Registry
	ready  func() bool                 // whether the engine serves its share; nil: at once
	cpu    func() float64              // of the store's server; nil: there is none
	run    func(context.Context) error // of a store that is to be run; an engine does
	closer func() error
	ended  chan error
	cancel context.CancelFunc
}

// openRig opens the store of an order, and an engine that does not run yet.
func openRig(ctx context.Context, o order, lane lanes.Config) (_ *rig, err error) {
	r := &rig{reg: &registry.Memory{}, closer: func() error { return nil }}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	switch o.Kind {
	case "memory":
		r.store, err = memstore.Open(ctx, memstore.Config{Lanes: lane})
	case "postgres":
		err = r.openPostgres(ctx, o, lane)
	default:
		err = r.openSQLite(ctx, o, lane)
	}
	if err != nil {
		return nil, err
	}
	client, err := egress.New(egress.Config{
		Policy:              egress.Policy{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, AllowHTTP: true},
		MaxIdleConns:        slots,
		MaxIdleConnsPerHost: slots,
	})
	if err != nil {
		return nil, err
	}
	r.engine, err = delivery.New(delivery.Config{
		Store: r.store, Registry: r.reg, Client: client, MaxInFlight: slots,
		Dialects:     map[string]delivery.Dialect{standardwebhooks.Name: &standardwebhooks.Dialect{}},
		DrainTimeout: 100 * time.Millisecond, // what still hangs then is cut off
		Logger:       slog.New(slog.DiscardHandler),
	})
	return r, err
}

// oneProcessorMore is for the one that waits for the disk, as sqlitestore advises.
var oneProcessorMore = sync.OnceFunc(func() { runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1) })

func (r *rig) openSQLite(ctx context.Context, o order, lane lanes.Config) error {
	oneProcessorMore()
	s, err := sqlitestore.Open(ctx, sqlitestore.Config{Path: filepath.Join(o.Dir, "load.db"), Lanes: lane})
	if err != nil {
		return err
	}
	r.store, r.closer = s, s.Close
	sealer, err := registry.NewAESGCM(o.Key)
	if err != nil {
		return err
	}
	reg, err := sqlregistry.New(sqlregistry.Config{Writer: s.Writer(), Reader: s.Reader(), Sealer: sealer})
	if err != nil {
		return err
	}
	r.reg = reg
	return reg.Migrate(ctx)
}

// endpoint is a subscription with a tenant of its own.
type endpoint struct{ id, tenant string }

// subscribe makes so many endpoints; those before hung hang.
func (r *rig) subscribe(ctx context.Context, url string, endpoints, hung int) ([]endpoint, error) {
	out := make([]endpoint, endpoints)
	run := rand.Text() // the file may have been used before
	for i := range out {
		path := "hook"
		if i < hung {
			path = "hang"
		}
		out[i].tenant = fmt.Sprintf("tenant-%s-%d", run, i)
		sub, _ := standardwebhooks.NewSubscription(out[i].tenant, fmt.Sprintf("%s/%s/%d", url, path, i), "load")
		stored, err := r.engine.Subscribe(ctx, sub)
		if err != nil {
			return nil, err
		}
		out[i].id = stored[0].ID
	}
	return out, nil
}

// start runs the engine until close.
func (r *rig) start(ctx context.Context) {
	ctx, r.cancel = context.WithCancel(ctx)
	r.ended = make(chan error, 1)
	go func() { r.ended <- r.engine.Run(ctx) }()
}

func (r *rig) publish(ctx context.Context, to endpoint, data []byte) error {
	_, err := r.engine.Publish(ctx, delivery.Event{Dialect: standardwebhooks.Name, Tenant: to.tenant, Type: "load", Data: data})
	return err
}

// publishAll publishes n events as fast as so many callers can, spread evenly,
// and returns when all are durable. each, if not nil, is told how long the
// calls of a publisher took.
func (r *rig) publishAll(ctx context.Context, by, n int, to []endpoint, each func(calls []time.Duration)) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range by {
		wg.Go(func() {
			var calls []time.Duration
			for i := next.Add(1); i <= int64(n) && failed.Load() == nil; i = next.Add(1) {
				begin := time.Now()
				if err := r.publish(ctx, to[int(i)%len(to)], payload); err != nil {
					failed.Store(&err)
				}
				if each != nil {
					calls = append(calls, time.Since(begin))
				}
			}
			if each != nil {
				each(calls)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// stuckAfter is longer than an attempt can take.
const stuckAfter = 30 * time.Second

// settled waits until no more than rest are pending.
func (r *rig) settled(ctx context.Context, rest int64) error {
	return r.until(ctx, func(c delivery.Counts) (bool, error) { return c.Pending <= rest, nil })
}

func (r *rig) until(ctx context.Context, enough func(delivery.Counts) (bool, error)) error {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	var last delivery.Counts
	moved := time.Now()
	for {
		c, err := r.store.Counts(ctx)
		if err != nil {
			return err
		}
		if c != last {
			last, moved = c, time.Now()
		}
		if time.Since(moved) > stuckAfter {
			return fmt.Errorf("nothing was settled for %v: %+v", stuckAfter, c)
		}
		if yes, err := enough(c); yes || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-r.ended:
			r.ended <- err // for close
			return fmt.Errorf("the engine ended early: %w", err)
		case <-ticker.C:
		}
	}
}

func (r *rig) close() error {
	var err error
	if r.cancel != nil {
		r.cancel()
		err = <-r.ended
		r.cancel = nil
	}
	closer := r.closer
	r.closer = func() error { return nil }
	return errors.Join(err, closer())
}

// loopRound is the whole loop once, on a fresh store of the row's name.
func loopRound(ctx context.Context, b *bench, row row) (round, error) {
	r, err := b.inScratch(ctx, order{Part: "loop", Kind: row.name, Events: b.events, Endpoints: b.endpoints, Cold: b.cold, Profile: b.profileTo})
	return roundOf(r), err
}

func playLoop(ctx context.Context, o order) (_ report, err error) {
	// Who has few endpoints gives each more than the default.
	lane := lanes.Config{MaxInFlight: max(16, slots/o.Endpoints)}
	if o.Engines > 1 {
		return playEngines(ctx, o, lane)
	}
	r, err := openRig(ctx, o, lane)
	if err != nil {
		return report{}, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	to, err := r.subscribe(ctx, o.URL, o.Endpoints, 0)
	if err != nil {
		return report{}, err
	}
	return r.deliver(ctx, o, to, 0)
}

// warm delivers an event to each endpoint, unless the order is a cold one. What
// is measured after it is the rate that lasts: an engine reads a tenant's
// subscriptions and opens an endpoint's lane once.
func (r *rig) warm(ctx context.Context, o order, to []endpoint, rest int64) error {
	if o.Cold {
		return nil
	}
	if err := r.publishAll(ctx, callers, len(to), to, nil); err != nil {
		return err
	}
	return r.settled(ctx, rest)
}

// deliver runs the engine, publishes the order's events and waits until all but
// rest are settled: the clock runs from the first publish to the last settle.
func (r *rig) deliver(ctx context.Context, o order, to []endpoint, rest int64) (report, error) {
	r.start(ctx)
	if err := r.awaitReady(ctx); err != nil {
		return report{}, err
	}
	if err := r.warm(ctx, o, to, rest); err != nil {
		return report{}, err
	}
	if _, err := ask(ctx, o.URL); err != nil { // which counts from here on
		return report{}, err
	}
	by := publishers
	if o.Kind == "memory" { // nobody waits for a commit
		by = callers
	}
	m := startMeter(r.cpu)
	if err := r.publishAll(ctx, by, o.Events, to, nil); err != nil {
		return report{}, err
	}
	if err := r.settled(ctx, rest); err != nil {
		return report{}, err
	}
	out := m.report(o.Events)
	c, err := ask(ctx, o.URL)
	out.Lost, out.Twice = o.Events-c.IDs, c.Requests-c.IDs
	return out, err
}

// millis returns durations in milliseconds.
func millis(durations []time.Duration) []float64 {
	out := make([]float64, len(durations))
	for i, d := range durations {
		out[i] = float64(d) / float64(time.Millisecond)
	}
	return out
}
