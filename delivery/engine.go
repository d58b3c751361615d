package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringback-go/ringback/registry"
)

// Config makes an [Engine].
type Config struct {
	// Store keeps the deliveries. Needed.
	Store Store
	// Registry keeps the subscriptions. Needed. The engine caches what it reads
	// for a second at most; see [Engine.Registry].
	Registry registry.Registry
	// Dialects are the ways to talk, by the names that events and subscriptions
	// use. Needed. Deliveries of others are left in the store, a minute at a time,
	// for an engine that has theirs.
	Dialects map[string]Dialect
	// Client sends the requests. Needed; see registry/egress.
	Client Client
	// MaxInFlight bounds the deliveries that are sent and not durably settled;
	// so many may be repeated after a kill. It should be several times what one
	// endpoint may have at once (16, see lanes.Config and registry.Limits), so
	// that one that hangs leaves slots to the others. 0 is 64.
	MaxInFlight int
	// LeaseTTL is how long a lease lasts; it is extended three times as often.
	// 0 is 30 s.
	LeaseTTL time.Duration
	// DrainTimeout is how long Run waits for attempts under way once its
	// context is canceled. 0 is 10 s.
	DrainTimeout time.Duration
	// Poll is how often a store that is no [Waiter] is asked for work. 0 is
	// 250 ms.
	Poll time.Duration
	// Retention is how long settled deliveries are remembered, if the store is
	// a [Pruner]. The zero value is 7 days, 30 for dead ones, 1 GiB in all.
	Retention Retention
	// DisableAfter is how long an endpoint may accept nothing before its
	// subscription is disabled; the application is warned at half of it. What
	// fails by DNS alone is never disabled, nor is what the dialect has endure.
	// 0 is 5 days, negative is never.
	DisableAfter time.Duration
	// Notify, if not nil, is told what the application should know, one notice
	// after another, in a goroutine of its own. It may use the engine, but not
	// wait for deliveries to end, as Purge does: should it fall far behind, they
	// wait for it.
	Notify func(context.Context, Notice)
	// Trace observes what the engine does. The zero value observes nothing.
	Trace Trace
	// Logger takes what operators should know. Nil is slog.Default().
	Logger *slog.Logger
	// Now gives the wall clock for events, timestamps and signatures; due times
	// go by the store's own clock. Nil is time.Now.
	Now func() time.Time
}

// An Engine publishes events and posts them until they are accepted. Publish
// and the methods on subscriptions may be used without Run, by any number of
// goroutines; what they store waits for an engine that runs.
type Engine struct {
	cfg    Config
	store  Store
	reg    *registry.Cache
	sender Sender
	log    *slog.Logger
	wakeup chan struct{}
	trace  tracer

	running   atomic.Bool
	redriving chan struct{} // holds one while a redrive or a replay goes on

	states sync.Mutex // orders changes of subscriptions and of their lanes
}

// New makes an engine. It does no I/O and starts nothing.
func New(cfg Config) (*Engine, error) {
	switch {
	case cfg.Store == nil:
		return nil, errors.New("delivery: Config.Store is needed")
	case cfg.Registry == nil:
		return nil, errors.New("delivery: Config.Registry is needed")
	case len(cfg.Dialects) == 0:
		return nil, errors.New("delivery: Config.Dialects is needed")
	case cfg.Client == nil:
		return nil, errors.New("delivery: Config.Client is needed; registry/egress makes one that judges addresses")
	case cfg.MaxInFlight < 0 || cfg.LeaseTTL < 0 || cfg.DrainTimeout < 0 || cfg.Poll < 0:
		return nil, errors.New("delivery: a negative number in Config")
	}
	for name, d := range cfg.Dialects {
		if d == nil || name == "" {
			return nil, fmt.Errorf("delivery: Config.Dialects[%q] is nil or has no name", name)
		}
	}
	cfg.MaxInFlight = cmp.Or(cfg.MaxInFlight, 64)
	cfg.LeaseTTL = cmp.Or(cfg.LeaseTTL, 30*time.Second)
	cfg.DrainTimeout = cmp.Or(cfg.DrainTimeout, 10*time.Second)
	cfg.Poll = cmp.Or(cfg.Poll, 250*time.Millisecond)
	cfg.DisableAfter = cmp.Or(cfg.DisableAfter, 5*24*time.Hour)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cache, ok := cfg.Registry.(*registry.Cache)
	if !ok {
		cache = registry.NewCache(cfg.Registry, 0)
	}
	return &Engine{
		cfg:    cfg,
		store:  cfg.Store,
		reg:    cache,
		sender: Sender{Client: cfg.Client, Dialects: cfg.Dialects, Now: cfg.Now},
		log:    cfg.Logger,
		trace:  tracer{cfg.Trace, cfg.Logger},

		redriving: make(chan struct{}, 1),
		wakeup:    make(chan struct{}, 1),
	}, nil
}

// Registry returns the registry as the engine sees it: what is changed through
// it counts for the next attempt, what is changed otherwise within a second.
func (e *Engine) Registry() registry.Registry { return e.reg }

// Store returns the engine's store.
func (e *Engine) Store() Store { return e.store }

// Wake tells a running engine to look for work now. It is a hint, for those who
// enqueued in a transaction of their own.
func (e *Engine) Wake() {
	if w, ok := e.store.(Waker); ok {
		w.Wake()
	}
	select {
	case e.wakeup <- struct{}{}:
	default:
	}
}

var errRunning = errors.New("delivery: the engine runs already")

// Run sends until ctx is canceled and then drains: it leases nothing more,
// gives back at once what it has not begun, waits DrainTimeout at most for the
// attempts under way, cuts off the others and gives them back, too. It returns
// nil when each lease was settled or given back, those that were cut off
// included, and an error when it could not begin or could not store the last
// outcomes. One Run at a time: another one is refused.
func (e *Engine) Run(ctx context.Context) error {
	if !e.running.CompareAndSwap(false, true) {
		return errRunning
	}
	defer e.running.Store(false)
	stop := e.runStore(ctx)
	if err := e.reconcile(ctx); err != nil && ctx.Err() == nil {
		return errors.Join(err, stop())
	}
	r := newRun(ctx, e)
	return errors.Join(r.loop(ctx), stop())
}

// runStore runs the store, if it is one to be run, until stop is called.
func (e *Engine) runStore(ctx context.Context) (stop func() error) {
	runner, ok := e.store.(Runner)
	if !ok {
		return func() error { return nil }
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(ctx) }()
	return func() error {
		cancel()
		return <-ended
	}
}
