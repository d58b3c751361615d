//go:build unix

package rig

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strings"
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

// An Endpoint is a subscription to [EventType] in the standard dialect, in a
// form that survives JSON.
type Endpoint struct {
	ID, Tenant, URL string
	// Secret is the signing secret; empty is [Secret].
	Secret      string
	MaxInFlight int
	PerSecond   float64
	Timeout     time.Duration
}

// EventType is the type of all events, Secret the default signing secret.
const (
	EventType = "fault"
	Secret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" //nolint:gosec // of no worth
)

// A Spec describes an engine.
type Spec struct {
	// Path is the SQLite file, which holds the registry as well. Empty is a
	// memory store and a memory registry.
	Path string
	// Postgres, not empty, is the URL of a database that takes the place of the
	// file; such an engine has no steps. Expiry, Poll and NoListen are the
	// store's, Conns is the pool's cap, 0 is 12.
	Postgres     string
	Expiry, Poll time.Duration
	NoListen     bool
	Conns        int32
	// Driver is the SQL driver; empty is one with [Steps].
	Driver string
	// Endpoints are set if the registry does not know them.
	Endpoints []Endpoint
	// Pauses is the schedule; none is 20 pauses of 20 ms.
	Pauses []time.Duration
	// MaxInFlight, LeaseTTL and DrainTimeout are the engine's.
	MaxInFlight            int
	LeaseTTL, DrainTimeout time.Duration
	// Timeout is the client's; 0 is its default.
	Timeout time.Duration
	// Roots is PEM of receivers with TLS.
	Roots string
	// Lanes tunes the store.
	Lanes lanes.Config

	// Idle has an engine process publish only, Step is armed before the store
	// is opened, and Pad makes the events' data so many bytes longer.
	Idle bool
	Step string
	Pad  int
}

// An Engine is an engine with all that belongs to it.
type Engine struct {
	*delivery.Engine
	// Store and Registry are those below the steps.
	Store    FullStore
	Registry registry.Registry
	Client   *egress.Client
	Steps    *Steps
	pad      string
}

// dialect is the standard one with a schedule of the scenario's.
type dialect struct {
	*standardwebhooks.Dialect
	backoff delivery.Backoff
}

func (d dialect) Schedule(registry.Subscription) delivery.Backoff { return d.backoff }

type storeNoError interface {
	delivery.Store
	delivery.Waiter
	delivery.Browser
	delivery.Operator
	Close()
}

type quiet struct{ storeNoError }

func (q quiet) Close() error { q.storeNoError.Close(); return nil }

// Assemble opens the store and makes the engine; it does not run it. Steps nil
// are none.
func Assemble(ctx context.Context, spec Spec, steps *Steps) (*Engine, error) {
	return assemble(ctx, spec, steps, Tune{})
}

func assemble(ctx context.Context, spec Spec, steps *Steps, tune Tune) (_ *Engine, err error) {
	e := &Engine{Steps: steps, pad: strings.Repeat("x", spec.Pad)}
	if steps == nil {
		e.Steps = &Steps{}
	}
	if err := e.openStore(ctx, spec); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Store.Close())
		}
	}()
	if e.Client, err = client(spec, e.Steps, tune); err != nil {
		return nil, err
	}
	if spec.Pauses == nil {
		for range 20 {
			spec.Pauses = append(spec.Pauses, 20*time.Millisecond)
		}
	}
	cfg := delivery.Config{
		Store: e.Store, Registry: e.Registry, Client: e.Client,
		Dialects:    map[string]delivery.Dialect{standardwebhooks.Name: dialect{&standardwebhooks.Dialect{}, delivery.Schedule{Pauses: spec.Pauses}}},
		MaxInFlight: spec.MaxInFlight, LeaseTTL: spec.LeaseTTL, DrainTimeout: spec.DrainTimeout,
		Logger: logger,
	}
	if steps != nil {
		cfg.Store, cfg.Registry, cfg.Client = &steppedStore{e.Store, steps}, &steppedRegistry{e.Registry, steps}, &steppedClient{e.Client, steps}
	}
	if tune.Engine != nil {
		tune.Engine(&cfg)
	}
	if e.Engine, err = delivery.New(cfg); err != nil {
		return nil, err
	}
	for _, ep := range spec.Endpoints {
		if err := e.subscribe(ctx, ep); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (e *Engine) openStore(ctx context.Context, spec Spec) error {
	if spec.Postgres != "" {
		return e.openPostgres(ctx, spec)
	}
	if spec.Path == "" {
		s, err := memstore.Open(ctx, memstore.Config{Lanes: spec.Lanes})
		if err != nil {
			return err
		}
		e.Store, e.Registry = quiet{s}, &registry.Memory{}
		return nil
	}
	driver := spec.Driver
	if driver == "" {
		driver = "sqlite-steps"
		RegisterDriver(driver, "", e.Steps.Hooks())
	}
	s, err := sqlitestore.Open(withOp(ctx, "open"), sqlitestore.Config{Path: spec.Path, Driver: driver, Lanes: spec.Lanes})
	if err != nil {
		return err
	}
	e.Store = s
	reg, err := OpenRegistry(withOp(ctx, "migrate"), s.Writer(), s.Reader())
	if err != nil {
		return errors.Join(err, s.Close())
	}
	e.Registry = reg
	return nil
}

var logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))

const sealingKey = "the key of the rig, 32 bytes of " // of no worth

// OpenRegistry opens the registry that engines keep in their file.
func OpenRegistry(ctx context.Context, writer, reader *sql.DB) (*sqlregistry.Registry, error) {
	sealer, err := registry.NewAESGCM([]byte(sealingKey))
	if err != nil {
		return nil, err
	}
	reg, err := sqlregistry.New(sqlregistry.Config{Writer: writer, Reader: reader, Sealer: sealer})
	if err != nil {
		return nil, err
	}
	return reg, reg.Migrate(ctx)
}

func client(spec Spec, steps *Steps, tune Tune) (*egress.Client, error) {
	cfg := egress.Config{
		Policy: egress.Policy{
			AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			AllowHTTP:     true,
		},
		Timeout:     spec.Timeout,
		DialContext: steps.dial,
	}
	if spec.Roots != "" {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM([]byte(spec.Roots)) {
			return nil, errors.New("rig: Roots holds no certificate")
		}
	}
	if tune.Client != nil {
		tune.Client(&cfg)
	}
	return egress.New(cfg)
}

// Subscription is the endpoint as the registry takes it.
func (ep Endpoint) Subscription() registry.Subscription {
	secret := ep.Secret
	if secret == "" {
		secret = Secret
	}
	return registry.Subscription{
		ID: ep.ID, Dialect: standardwebhooks.Name, Tenant: ep.Tenant, URL: ep.URL, Types: []string{EventType},
		Secrets: []registry.Secret{registry.NewSecret(secret)},
		Limits:  registry.Limits{MaxInFlight: ep.MaxInFlight, PerSecond: ep.PerSecond, Timeout: ep.Timeout},
	}
}

func (e *Engine) subscribe(ctx context.Context, ep Endpoint) error {
	switch _, err := e.Registry.Get(ctx, ep.ID); {
	case err == nil:
		return nil
	case !errors.Is(err, registry.ErrNotFound):
		return err
	}
	_, err := e.Subscribe(ctx, ep.Subscription())
	return err
}

// Event is the event with an ID for a tenant.
func (e *Engine) Event(tenant, id string) delivery.Event {
	return delivery.Event{
		ID: id, Dialect: standardwebhooks.Name, Tenant: tenant, Type: EventType,
		Data: fmt.Appendf(nil, `{"event":%q,"pad":%q}`, id, e.pad),
	}
}
