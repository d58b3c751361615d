package main

import (
	"cmp"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/ednapulse"
	"github.com/ringback-go/ringback/dialect/smartbots"
	"github.com/ringback-go/ringback/dialect/standardwebhooks"
	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/registry/egress/probelimit"
	"github.com/ringback-go/ringback/verify"
)

// gateway is the service and all that it is made of.
type gateway struct {
	cfg      *config
	log      *slog.Logger
	observed telemetry
	store    store
	engine   *delivery.Engine
	client   *egress.Client
	prober   probelimit.Client // the client, for registering
	groups   *groups
	tenants  *ednapulse.Tenants
	received received
	handler  http.Handler
	draining atomic.Bool
	closers  []func() error
	alone    func(context.Context, func() error) error // runs something that no other gateway does meanwhile

	background background
}

type options struct {
	logs io.Writer
	// console is where OTEL_TRACES_EXPORTER=console prints. Nil is logs.
	console io.Writer
	// wrap, if not nil, stands between the engine and the guarded client.
	wrap func(delivery.Client) delivery.Client
}

// open builds the gateway: store, registry, engine, dialects, handlers.
func open(ctx context.Context, cfg *config, opt options) (_ *gateway, err error) {
	g := &gateway{cfg: cfg, alone: func(_ context.Context, f func() error) error { return f() }}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.close())
		}
	}()
	if g.observed, err = newTelemetry(ctx, cmp.Or(opt.console, opt.logs)); err != nil {
		return nil, err
	}
	g.log = g.observed.logs(slog.NewJSONHandler(opt.logs, nil))
	g.closers = append(g.closers, func() error { // last, and a collector that is away is no failure of the drain
		if err := g.observed.shutdown(ctx); err != nil {
			g.log.LogAttrs(ctx, slog.LevelWarn, "gateway: telemetry not flushed", slog.Any("error", err))
		}
		return nil
	})
	key, err := cfg.key()
	if err != nil {
		return nil, err
	}
	sealer, err := registry.NewAESGCM(key.bytes)
	if err != nil {
		return nil, err
	}
	codeKey, err := hkdf.Key(sha256.New, key.bytes, nil, "gateway: security codes", 32)
	if err != nil {
		return nil, err
	}
	reg, codes, err := g.openStore(ctx, sealer)
	if err != nil {
		return nil, err
	}
	said, err := digests(cfg.groups, codeKey)
	if err != nil {
		return nil, err
	}
	if err := key.proven(ctx, sealer, reg, codes, said); err != nil {
		return nil, err
	}
	if g.groups, err = newGroups(ctx, cfg.groups, said, codeKey, codes); err != nil {
		return nil, err
	}
	if g.tenants, err = ednapulse.NewTenants(cfg.tenants...); err != nil {
		return nil, err
	}
	tencent := tencentchat.Dialect{}
	if len(cfg.apps) > 0 {
		apps, err := tencentchat.NewApps(cfg.apps...)
		if err != nil {
			return nil, err
		}
		tencent.Signer = apps.Signer
	}
	g.client, err = egress.New(egress.Config{Policy: cfg.policy, RootCAs: cfg.roots, Timeout: cfg.longest()})
	if err != nil {
		return nil, err
	}
	if g.prober, err = g.newProber(); err != nil {
		return nil, err
	}
	client := delivery.Client(g.client)
	if opt.wrap != nil {
		client = opt.wrap(client)
	}
	g.engine, err = delivery.New(delivery.Config{
		Store:    g.store,
		Registry: timed(capped(reg, cfg.urls), cfg.timeout),
		Client:   client,
		Dialects: map[string]delivery.Dialect{
			smartbots.Name:        &smartbots.Dialect{Groups: g.groups},
			ednapulse.Name:        ednapulse.Dialect{Keys: g.tenants.WebhookKey},
			tencentchat.Name:      tencent,
			standardwebhooks.Name: &standardwebhooks.Dialect{},
		},
		MaxInFlight: cfg.slots,
		Notify:      g.noticed,
		Trace:       g.observed.sending(),
		Logger:      g.log,
	})
	if err != nil {
		return nil, err
	}
	stop, err := g.observed.watch(g.store, reg)
	if err != nil {
		return nil, err
	}
	g.closers = append(g.closers, stop)
	g.background.open(ctx)
	g.closers = append(g.closers, g.background.close)
	checker, err := verify.NewSecretChecker(codeKey)
	if err != nil {
		return nil, err
	}
	handler, err := g.routes(checker)
	if err != nil {
		return nil, err
	}
	g.handler = g.observed.receiving(handler, cfg.listen)
	return g, g.alone(ctx, func() error { return g.reconcile(ctx) })
}

// reconcile brings the registrations up to what the configuration says: groups
// whose code changed lose theirs, Tencent apps have theirs.
func (g *gateway) reconcile(ctx context.Context) error {
	for _, id := range g.groups.ids() {
		if _, err := smartbots.CodeChanged(ctx, g.engine, g.groups, id); err != nil {
			return err
		}
	}
	wanted := map[string]registry.Subscription{}
	for _, app := range g.cfg.apps {
		if app.URL == "" || len(app.Commands) == 0 {
			continue
		}
		sub, err := tencentchat.NewSubscription(app)
		if err != nil {
			return err
		}
		sub.ID = "" // an app that comes back must not revive its old backlog
		wanted[app.SDKAppID] = sub
	}
	var gone []string
	states := []registry.State{registry.Active, registry.Paused, registry.Disabled}
	for have, err := range g.engine.Registry().List(ctx, registry.Filter{Dialect: tencentchat.Name, States: states}) {
		if err != nil {
			return err
		}
		want, ok := wanted[have.Tenant]
		if !ok || want.ID != "" {
			gone = append(gone, have.ID)
			continue
		}
		want.ID, want.State, want.Reason = have.ID, have.State, have.Reason
		wanted[have.Tenant] = want
	}
	for _, id := range gone {
		if err := g.engine.Unsubscribe(ctx, id, "no longer configured"); err != nil {
			return err
		}
	}
	for _, sub := range wanted {
		if _, err := g.engine.Subscribe(ctx, sub); err != nil {
			return err
		}
	}
	return nil
}

// shutdownTimeout bounds the wait for callers once the engine has drained.
const shutdownTimeout = 5 * time.Second

// serve listens and sends until ctx ends, and then drains.
func (g *gateway) serve(ctx context.Context, ready func(addr string)) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", g.cfg.listen)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           g.handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(g.log.Handler(), slog.LevelDebug),
	}
	asked := ctx // done when the end was asked for
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	served, sent := make(chan error, 1), make(chan error, 1)
	wg.Go(func() {
		defer cancel() // one half does not go on without the other
		served <- server.Serve(ln)
	})
	wg.Go(func() {
		defer cancel()
		sent <- g.engine.Run(ctx)
	})
	ready(ln.Addr().String())
	<-ctx.Done()
	g.draining.Store(true)
	sendErr := <-sent
	if sendErr != nil && asked.Err() != nil { // what a store that is away was not told ends by expiry
		g.log.LogAttrs(ctx, slog.LevelWarn, "gateway: the store was not told everything", slog.Any("error", sendErr))
		sendErr = nil
	}
	stop, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer done()
	if err := server.Shutdown(stop); err != nil {
		server.Close()
	}
	wg.Wait()
	serveErr := <-served
	if errors.Is(serveErr, http.ErrServerClosed) {
		serveErr = nil
	}
	return errors.Join(sendErr, serveErr)
}

func (g *gateway) close() error {
	var errs []error
	for _, c := range slices.Backward(g.closers) {
		errs = append(errs, c())
	}
	g.closers = nil
	if g.client != nil {
		g.client.CloseIdleConnections()
	}
	return errors.Join(errs...)
}
