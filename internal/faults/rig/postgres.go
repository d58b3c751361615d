//go:build unix

package rig

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/ringback-go/ringback/delivery/pgstore"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

// A Pooled is a store on PostgreSQL with the pool that it uses, which Close
// closes.
type Pooled struct {
	*pgstore.Store

	Pool *pgxpool.Pool
}

// Close closes the pool.
func (p *Pooled) Close() error {
	p.Pool.Close()
	return nil
}

// OpenPostgres opens the store that a Spec names, and makes the tables if they
// are not there.
func OpenPostgres(ctx context.Context, spec Spec) (_ *Pooled, err error) {
	cfg, err := pgxpool.ParseConfig(spec.Postgres)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = 12
	if spec.Conns > 0 {
		cfg.MaxConns = spec.Conns
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			pool.Close()
		}
	}()
	if err := pgstore.Migrate(ctx, pool, ""); err != nil {
		return nil, err
	}
	s, err := pgstore.Open(ctx, pgstore.Config{
		Pool: pool, Expiry: spec.Expiry, Poll: spec.Poll, NoListen: spec.NoListen, Lanes: spec.Lanes, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	return &Pooled{Store: s, Pool: pool}, nil
}

// openPostgres opens the store and the registry on one pool.
func (e *Engine) openPostgres(ctx context.Context, spec Spec) error {
	s, err := OpenPostgres(ctx, spec)
	if err != nil {
		return err
	}
	sealer, err := registry.NewAESGCM([]byte(sealingKey))
	if err != nil {
		return errors.Join(err, s.Close())
	}
	reg, err := sqlregistry.New(sqlregistry.Config{
		Flavor: sqlregistry.PostgreSQL, Schema: pgstore.DefaultSchema, Writer: stdlib.OpenDBFromPool(s.Pool), Sealer: sealer,
	})
	if err == nil {
		err = reg.Migrate(ctx)
	}
	if err != nil {
		return errors.Join(err, s.Close())
	}
	e.Store, e.Registry = s, reg
	return nil
}
