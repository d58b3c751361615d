package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/delivery/pgstore"
	"github.com/ringback-go/ringback/internal/pgtest"
	"github.com/ringback-go/ringback/internal/usage"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

// postgresRound is the whole loop over a fresh schema, by so many engines.
func postgresRound(engines int) func(context.Context, *bench, row) (round, error) {
	return func(ctx context.Context, b *bench, _ row) (round, error) {
		r, err := b.inScratch(ctx, order{
			Part: "loop", Kind: "postgres", Engines: engines, Events: b.events, Endpoints: b.endpoints, Cold: b.cold, Profile: b.profileTo,
		})
		return roundOf(r), err
	}
}

// placed gives an order for a database a schema of its own.
func (b *bench) placed(o order) (order, error) {
	if o.Kind != "postgres" || o.Schema != "" {
		return o, nil
	}
	err := b.startPostgres()
	o.Server, o.Schema = b.server, "load_"+strings.ToLower(rand.Text())
	return o, err
}

// startPostgres has a server for all rows of the run.
func (b *bench) startPostgres() (err error) {
	switch {
	case b.server != "":
	case b.postgres != "":
		b.server = b.postgres
	default:
		b.server, b.stopServer, err = pgtest.Run(pgtest.Options{Settings: map[string]string{"shared_buffers": "1GB", "max_wal_size": "8GB"}})
	}
	return err
}

func dropSchema(ctx context.Context, o order) error {
	pool, err := pgxpool.New(ctx, o.Server)
	if err != nil {
		return err
	}
	defer pool.Close()
	_, err = pool.Exec(ctx, `DROP SCHEMA IF EXISTS `+o.Schema+` CASCADE`)
	return err
}

func (r *rig) openPostgres(ctx context.Context, o order, lane lanes.Config) error {
	cfg, err := pgxpool.ParseConfig(o.Server)
	if err != nil {
		return err
	}
	cfg.MaxConns = 16
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	db := stdlib.OpenDBFromPool(pool)
	r.closer = func() error { defer pool.Close(); return db.Close() }
	if err := pgstore.Migrate(ctx, pool, o.Schema); err != nil {
		return err
	}
	s, err := pgstore.Open(ctx, pgstore.Config{Pool: pool, Schema: o.Schema, Lanes: lane, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	r.store = s
	r.run = s.Run
	r.ready = func() bool {
		mine, all := s.Shards()
		return mine == all/max(o.Engines, 1)
	}
	server, err := serverOf(ctx, pool)
	if err != nil {
		return err
	}
	r.cpu = func() float64 { return usage.TreeSeconds(server) }
	sealer, err := registry.NewAESGCM(o.Key)
	if err != nil {
		return err
	}
	reg, err := sqlregistry.New(sqlregistry.Config{Flavor: sqlregistry.PostgreSQL, Schema: o.Schema, Writer: db, Sealer: sealer})
	if err != nil {
		return err
	}
	r.reg = reg
	return reg.Migrate(ctx)
}

// awaitReady waits until the engine serves its share.
func (r *rig) awaitReady(ctx context.Context) error {
	if r.ready == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, stuckAfter)
	defer cancel()
	for !r.ready() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the engine does not get its share of the work: %w", ctx.Err())
		case <-time.After(time.Millisecond):
		}
	}
	return nil
}

// serve has a store that is to be run serve its lanes, without an engine, until
// stop is called.
func (r *rig) serve(ctx context.Context) (stop func() error, err error) {
	if r.run == nil {
		return func() error { return nil }, nil
	}
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- r.run(running) }()
	stop = func() error {
		cancel()
		return <-ended
	}
	if err := r.awaitReady(ctx); err != nil {
		return nil, errors.Join(err, stop())
	}
	return stop, nil
}

// playEngines is the loop with several engines on one database. Each publishes
// the order's events, for all endpoints.
func playEngines(ctx context.Context, o order, lane lanes.Config) (_ report, err error) {
	rigs := make([]*rig, o.Engines)
	for i := range rigs {
		if rigs[i], err = openRig(ctx, o, lane); err != nil {
			return report{}, err
		}
		defer func() { err = errors.Join(err, rigs[i].close()) }()
	}
	to, err := rigs[0].subscribe(ctx, o.URL, o.Endpoints, 0)
	if err != nil {
		return report{}, err
	}
	for _, r := range rigs {
		r.start(ctx)
	}
	for _, r := range rigs {
		if err := r.awaitReady(ctx); err != nil {
			return report{}, err
		}
	}
	for _, r := range rigs {
		if err := r.warm(ctx, o, to, 0); err != nil {
			return report{}, err
		}
	}
	if _, err := ask(ctx, o.URL); err != nil { // which counts from here on
		return report{}, err
	}
	m := startMeter(rigs[0].cpu)
	published := make([]error, len(rigs))
	var wg sync.WaitGroup
	for i, r := range rigs {
		wg.Go(func() { published[i] = r.publishAll(ctx, publishers, o.Events, to, nil) })
	}
	wg.Wait()
	if err := errors.Join(published...); err != nil {
		return report{}, err
	}
	if err := rigs[0].settled(ctx, 0); err != nil {
		return report{}, err
	}
	out := m.report(o.Events * len(rigs))
	c, err := ask(ctx, o.URL)
	out.Lost, out.Twice = out.Events-c.IDs, c.Requests-c.IDs
	return out, err
}

// serverOf returns the server's first process if it runs on this machine, else 0.
func serverOf(ctx context.Context, pool *pgxpool.Pool) (int, error) {
	var backend int
	var addr *string
	if err := pool.QueryRow(ctx, `SELECT pg_backend_pid(), host(inet_server_addr())`).Scan(&backend, &addr); err != nil {
		return 0, err
	}
	if addr != nil && *addr != "127.0.0.1" && *addr != "::1" {
		return 0, nil
	}
	return usage.ParentOf(backend), nil
}
