package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
	"github.com/ringback-go/ringback/dialect/standardwebhooks"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

// publishers is how many callers publish at once, one event each time.
const publishers = 64

// slots is the engine's MaxInFlight.
const slots = 256

// rig is an engine as a user would run it: Standard Webhooks signing, the
// guarded client, the registry asked for each attempt, attempts recorded.
type rig struct {
	engine *delivery.Engine
	store  interface {
		delivery.Store
		delivery.Browser
	}
	tenants []string
	closers []func() error
	ended   chan error
	cancel  context.CancelFunc
}

// openRig opens a fresh store of a kind with so many endpoints.
func openRig(ctx context.Context, kind, target string, endpoints int) (_ *rig, err error) {
	r := &rig{}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	reg, err := r.openStore(ctx, kind)
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
		Store: r.store, Registry: reg, Client: client, MaxInFlight: slots,
		Dialects: map[string]delivery.Dialect{standardwebhooks.Name: &standardwebhooks.Dialect{}},
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, err
	}
	for i := range endpoints {
		tenant := "tenant-" + strconv.Itoa(i)
		sub, _ := standardwebhooks.NewSubscription(tenant, fmt.Sprintf("%s/hook/%d", target, i), "load")
		if _, err := r.engine.Subscribe(ctx, sub); err != nil {
			return nil, err
		}
		r.tenants = append(r.tenants, tenant)
	}
	return r, nil
}

func (r *rig) openStore(ctx context.Context, kind string) (registry.Registry, error) {
	if kind == "memory" {
		s, err := memstore.Open(ctx, memstore.Config{})
		r.store = s
		return &registry.Memory{}, err
	}
	dir, err := os.MkdirTemp("", "ringback-load-")
	if err != nil {
		return nil, err
	}
	r.closers = append(r.closers, func() error { return os.RemoveAll(dir) })
	s, err := sqlitestore.Open(ctx, sqlitestore.Config{Path: filepath.Join(dir, "load.db")})
	if err != nil {
		return nil, err
	}
	r.store = s
	r.closers = append(r.closers, s.Close)
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails; it ends the program instead
	sealer, err := registry.NewAESGCM(key)
	if err != nil {
		return nil, err
	}
	reg, err := sqlregistry.New(sqlregistry.Config{Writer: s.Writer(), Reader: s.Reader(), Sealer: sealer})
	if err != nil {
		return nil, err
	}
	return reg, reg.Migrate(ctx)
}

// start runs the engine until close.
func (r *rig) start(ctx context.Context) {
	ctx, r.cancel = context.WithCancel(ctx)
	r.ended = make(chan error, 1)
	go func() { r.ended <- r.engine.Run(ctx) }()
}

// publish publishes n events, spread evenly, and returns when all are durable.
func (r *rig) publish(ctx context.Context, n int) error {
	var next atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, publishers)
	for range publishers {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				_, err := r.engine.Publish(ctx, delivery.Event{
					Dialect: standardwebhooks.Name, Tenant: r.tenants[int(i)%len(r.tenants)], Type: "load", Data: payload,
				})
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}

// settled waits until nothing is pending.
func (r *rig) settled(ctx context.Context) error {
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for {
		c, err := r.store.Counts(ctx)
		if err != nil || c.Pending == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-r.ended:
			return fmt.Errorf("loadtest: the engine ended early: %w", err)
		case <-ticker.C:
		}
	}
}

func (r *rig) close() error {
	var errs []error
	if r.cancel != nil {
		r.cancel()
		errs = append(errs, <-r.ended)
	}
	for _, c := range slices.Backward(r.closers) {
		errs = append(errs, c())
	}
	return errors.Join(errs...)
}

// loop is the whole loop once: publish n events and deliver them all.
func loop(ctx context.Context, kind, target string, n, endpoints int) (took time.Duration, err error) {
	r, err := openRig(ctx, kind, target, endpoints)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	r.start(ctx)
	begin := time.Now()
	if err := r.publish(ctx, n); err != nil {
		return 0, err
	}
	if err := r.settled(ctx); err != nil {
		return 0, err
	}
	return time.Since(begin), nil
}
