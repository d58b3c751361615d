package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/delivery/pgstore"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

// store is what the gateway asks of a delivery store.
type store interface {
	delivery.Store
	delivery.Browser
	delivery.Operator
}

// openStore opens what the configuration names: deliveries, subscriptions and
// the groups' codes.
func (g *gateway) openStore(ctx context.Context, sealer registry.Sealer) (registry.Registry, codeStore, error) {
	perLane := lanes.Config{MaxInFlight: g.cfg.slotsPerLane}
	path, isFile := strings.CutPrefix(g.cfg.store, "sqlite:")
	switch {
	case isPostgres(g.cfg.store):
		return g.openPostgres(ctx, sealer, perLane)
	case isFile:
		return g.openSQLite(ctx, path, sealer, perLane)
	}
	s, err := memstore.Open(ctx, memstore.Config{Lanes: perLane})
	g.store = s
	return &registry.Memory{}, &memoryCodes{}, err
}

// oneProcessorMore is for the one that waits for the disk, as sqlitestore advises.
var oneProcessorMore = sync.OnceFunc(func() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
})

func (g *gateway) openSQLite(ctx context.Context, path string, sealer registry.Sealer, perLane lanes.Config) (registry.Registry, codeStore, error) {
	s, err := sqlitestore.Open(ctx, sqlitestore.Config{Path: path, Lanes: perLane})
	if err != nil {
		return nil, nil, err
	}
	g.store = s
	g.closers = append(g.closers, s.Close)
	oneProcessorMore()
	reg, err := sqlregistry.New(sqlregistry.Config{Writer: s.Writer(), Reader: s.Reader(), Sealer: sealer})
	if err != nil {
		return nil, nil, err
	}
	if err := reg.Migrate(ctx); err != nil {
		return nil, nil, err
	}
	codes := &sqlCodes{db: s.Writer(), texts: sqliteCodes}
	return reg, codes, codes.migrate(ctx)
}

// connections is how many a gateway may need at once: the engine's and those of
// the calls it answers.
const connections = 16

func isPostgres(store string) bool {
	return strings.HasPrefix(store, "postgres://") || strings.HasPrefix(store, "postgresql://")
}

// openPostgres shares a database with other gateways.
func (g *gateway) openPostgres(ctx context.Context, sealer registry.Sealer, perLane lanes.Config) (registry.Registry, codeStore, error) {
	cfg, err := pgxpool.ParseConfig(g.cfg.store)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: store: %w", errConfig, err) // it names no password
	}
	cfg.MaxConns = max(cfg.MaxConns, connections)
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, nil, err
	}
	db := stdlib.OpenDBFromPool(pool)
	g.closers = append(g.closers, func() error { pool.Close(); return nil }, db.Close)
	if err := pgstore.Migrate(ctx, pool, ""); err != nil {
		return nil, nil, err
	}
	s, err := pgstore.Open(ctx, pgstore.Config{Pool: pool, Lanes: perLane, Logger: g.log})
	if err != nil {
		return nil, nil, err
	}
	g.store = s
	reg, err := sqlregistry.New(sqlregistry.Config{Flavor: sqlregistry.PostgreSQL, Schema: pgstore.DefaultSchema, Writer: db, Sealer: sealer})
	if err != nil {
		return nil, nil, err
	}
	if err := reg.Migrate(ctx); err != nil {
		return nil, nil, err
	}
	g.alone = func(ctx context.Context, f func() error) error { return exclusively(ctx, pool, f) }
	codes := &sqlCodes{db: db, texts: postgresCodes}
	return reg, codes, codes.migrate(ctx)
}

// exclusively runs f while no other gateway on the database does.
func exclusively(ctx context.Context, pool *pgxpool.Pool, f func() error) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('gateway reconcile', 0))`); err != nil {
			return err
		}
		return f()
	})
}
