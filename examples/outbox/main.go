// Command outbox is an order service that writes an order and the event that
// tells of it in one transaction: there is never one without the other, whatever
// is killed when.
//
//	head -c 32 /dev/urandom >key
//	go run ./examples/outbox -postgres postgres://localhost/shop -key key -local
//
//	curl localhost:8080/callbacks -H 'Content-Type: application/json' -d '{"url":"http://127.0.0.1:9000/"}'
//	curl localhost:8080/orders -H 'Content-Type: application/json' -d '{"reference":"a1","item":"tea","quantity":2}'
//	curl -X POST localhost:8080/orders/1/cancel
//
// The service sends what it publishes; any number of them share a database. What
// is to be copied is in orders.go, how it is wired in open.
package main

import (
	"context"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/pgstore"
	"github.com/ringback-go/ringback/dialect/standardwebhooks"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("outbox", flag.ContinueOnError)
	flags.SetOutput(stderr)
	url := flags.String("postgres", "", "the database's `URL`")
	listen := flags.String("listen", "127.0.0.1:8080", "serve at `ADDRESS`")
	keyFile := flags.String("key", "", "`FILE` of 32 random bytes, which seal the subscribers' secrets")
	local := flags.Bool("local", false, "let callbacks go to this machine, without TLS: to try it out")
	expiry := flags.Duration("expiry", 0, "how long after a kill others take the work over (0 is 10s)")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	key, err := os.ReadFile(*keyFile)
	if err != nil {
		return fmt.Errorf("-key: %w", err)
	}
	cfg, err := pgxpool.ParseConfig(*url)
	if err != nil {
		return fmt.Errorf("-postgres: %w", err) // it names no password
	}
	cfg.MaxConns = max(cfg.MaxConns, 16) // 7 may be the engine's, the others are for orders
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer pool.Close() // it is ours: the store uses it and leaves it open
	db := stdlib.OpenDBFromPool(pool)
	defer db.Close() //nolint:errcheck // nothing but the pool stands behind it

	policy := egress.Policy{} // public addresses by HTTPS
	if *local {
		policy = egress.Policy{AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	}
	log := slog.New(slog.NewTextHandler(stderr, nil))
	s, err := open(ctx, db, key, policy, pgstore.Config{Pool: pool, Expiry: *expiry, Logger: log})
	if err != nil {
		return err
	}
	defer s.client.CloseIdleConnections()
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", *listen)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "listening http://%s\n", ln.Addr())
	return s.serve(ctx, ln)
}

// open wires everything to one database: the shop's own tables, who wants
// events, and the deliveries.
func open(ctx context.Context, db *sql.DB, key []byte, policy egress.Policy, cfg pgstore.Config) (*shop, error) {
	s := &shop{pool: cfg.Pool, db: db, log: cfg.Logger}
	if _, err := s.pool.Exec(ctx, tables); err != nil {
		return nil, err
	}
	if err := pgstore.Migrate(ctx, s.pool, ""); err != nil {
		return nil, err
	}
	sealer, err := registry.NewAESGCM(key)
	if err != nil {
		return nil, err
	}
	s.registry, err = sqlregistry.New(sqlregistry.Config{
		Flavor: sqlregistry.PostgreSQL, Schema: pgstore.DefaultSchema, Writer: db, Sealer: sealer,
	})
	if err != nil {
		return nil, err
	}
	if err := s.registry.Migrate(ctx); err != nil {
		return nil, err
	}
	if s.store, err = pgstore.Open(ctx, cfg); err != nil {
		return nil, err
	}
	if s.client, err = egress.New(egress.Config{Policy: policy}); err != nil {
		return nil, err
	}
	s.engine, err = delivery.New(delivery.Config{
		Store: s.store, Registry: s.registry, Client: s.client, Logger: s.log,
		Dialects: map[string]delivery.Dialect{standardwebhooks.Name: &standardwebhooks.Dialect{}},
	})
	return s, err
}

// serve takes orders and sends events until ctx ends: then no more orders are
// taken, and the attempts under way are given time to end. What is left is sent
// by another process, or after the next start.
func (s *shop) serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx) // one half does not go on without the other
	defer cancel()
	sending, drain := context.WithCancel(context.WithoutCancel(ctx))
	defer drain()
	server := &http.Server{Handler: s.routes(), ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second}
	served, sent := make(chan error, 1), make(chan error, 1)
	go func() { defer cancel(); served <- server.Serve(ln) }()
	go func() { defer cancel(); sent <- s.engine.Run(sending) }()
	<-ctx.Done()
	patience, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer done()
	err := server.Shutdown(patience)
	drain()
	if serving := <-served; !errors.Is(serving, http.ErrServerClosed) {
		err = errors.Join(err, serving)
	}
	return errors.Join(err, <-sent)
}
