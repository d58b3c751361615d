package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/pgstore"
	"github.com/ringback-go/ringback/dialect/standardwebhooks"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

const tenant = "shop" // this shop has one; a platform would have one for each customer

const tables = `
SELECT pg_advisory_xact_lock(hashtextextended('outbox tables', 0)); -- processes may start at the same time
CREATE TABLE IF NOT EXISTS stock (
	item text PRIMARY KEY,
	pieces integer NOT NULL CHECK (pieces >= 0)
);
INSERT INTO stock VALUES ('tea', 1000000), ('cup', 3) ON CONFLICT DO NOTHING;
CREATE TABLE IF NOT EXISTS orders (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	reference text NOT NULL UNIQUE,
	item text NOT NULL REFERENCES stock,
	quantity integer NOT NULL,
	cancelled boolean NOT NULL DEFAULT false
)`

// shop is the service. Its one database is spoken to in two ways, to show both.
type shop struct {
	pool     *pgxpool.Pool
	db       *sql.DB
	store    *pgstore.Store
	registry *sqlregistry.Registry
	client   *egress.Client
	engine   *delivery.Engine
	log      *slog.Logger
}

// order is the row, what is posted here, and the data of both events.
type order struct {
	ID        int64  `json:"id"`
	Reference string `json:"reference" validate:"required,max=64"` // the customer's: placing an order again is harmless
	Item      string `json:"item" validate:"required,max=64"`
	Quantity  int    `json:"quantity" validate:"min=1,max=1000"`
}

type callback struct {
	URL string `json:"url" validate:"required,max=2048"`
}

func (s *shop) routes() http.Handler {
	mux := http.NewServeMux()
	body := middleware.Body{}.Handler
	mux.Handle("POST /callbacks", body(middleware.Payload[callback]{}.Handler(http.HandlerFunc(s.register))))
	mux.Handle("POST /orders", body(middleware.Payload[order]{}.Handler(http.HandlerFunc(s.create))))
	mux.HandleFunc("POST /orders/{id}/cancel", s.cancel)
	return mux
}

// register notes who wants to hear of orders. The answer has the secret that
// verifies the events, this once.
func (s *shop) register(w http.ResponseWriter, r *http.Request) {
	wanted, _ := middleware.PayloadFrom[callback](r.Context())
	u, err := s.client.Check(wanted.URL)
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	sub, secret := standardwebhooks.NewSubscription(tenant, u.String(), "order.created", "order.cancelled")
	if _, err := s.engine.Subscribe(r.Context(), sub); err != nil {
		s.fail(w, err)
		return
	}
	answer(w, http.StatusCreated, map[string]string{"secret": secret})
}

// create answers 201 when order and event are durable, both, and 200 when that
// reference was an order already.
func (s *shop) create(w http.ResponseWriter, r *http.Request) {
	o, _ := middleware.PayloadFrom[order](r.Context())
	status := http.StatusOK
	err := pgx.BeginFunc(r.Context(), s.pool, func(tx pgx.Tx) (err error) {
		status, err = s.place(r.Context(), tx, &o)
		return err
	})
	if err != nil {
		s.fail(w, err)
		return
	}
	// Saves the wait for the next poll. Should the process be killed before
	// this line the event is found all the same: it stands in the database.
	s.engine.Wake()
	answer(w, status, o)
}

// place is the transaction. Whatever fails in it, before the event or after it
// or in the commit, takes all of it back.
func (s *shop) place(ctx context.Context, tx pgx.Tx, o *order) (status int, err error) {
	err = tx.QueryRow(ctx, `INSERT INTO orders (reference, item, quantity) VALUES ($1, $2, $3)
		ON CONFLICT (reference) DO NOTHING RETURNING id`, o.Reference, o.Item, o.Quantity).Scan(&o.ID)
	if errors.Is(err, pgx.ErrNoRows) {
		return http.StatusOK, tx.QueryRow(ctx, `SELECT id, item, quantity FROM orders WHERE reference = $1`, o.Reference).
			Scan(&o.ID, &o.Item, &o.Quantity)
	}
	if err != nil {
		return 0, err
	}
	// Who wants the event is read in this transaction, too.
	if _, err := s.store.PublishTx(ctx, tx, s.engine, s.registry, o.event("order.created")); err != nil {
		return 0, err
	}
	// Last, since other orders for the item wait from here until the commit. If
	// there is not enough left a constraint says so, and nothing has happened.
	_, err = tx.Exec(ctx, `UPDATE stock SET pieces = pieces - $2 WHERE item = $1`, o.Item, o.Quantity)
	return http.StatusCreated, err
}

// cancel does the same over database/sql.
func (s *shop) cancel(w http.ResponseWriter, r *http.Request) {
	o := order{}
	o.ID, _ = strconv.ParseInt(r.PathValue("id"), 10, 64) // what is no number is no order's
	if err := s.takeBack(r.Context(), &o); err != nil {
		s.fail(w, err)
		return
	}
	s.engine.Wake()
	answer(w, http.StatusOK, o)
}

func (s *shop) takeBack(ctx context.Context, o *order) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after the commit there is nothing to roll back
	err = tx.QueryRowContext(ctx, `UPDATE orders SET cancelled = true WHERE id = $1 AND NOT cancelled
		RETURNING reference, item, quantity`, o.ID).Scan(&o.Reference, &o.Item, &o.Quantity)
	if err != nil {
		return err
	}
	if _, err := s.store.PublishSQLTx(ctx, tx, s.engine, s.registry, o.event("order.cancelled")); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE stock SET pieces = pieces + $2 WHERE item = $1`, o.Item, o.Quantity); err != nil {
		return err
	}
	return tx.Commit()
}

func (o *order) event(kind string) delivery.Event {
	data, _ := json.Marshal(o) // numbers and text cannot fail
	return delivery.Event{
		Dialect: standardwebhooks.Name, Tenant: tenant, Type: kind, Data: data,
		Key: "order " + strconv.FormatInt(o.ID, 10), // no receiver hears of the end before the beginning
	}
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	data, _ := json.Marshal(v) // numbers and text cannot fail
	w.Write(data)
}

// fail tells refusals of the database's from failures of ours. After a failure
// an order may be placed all the same, as when a commit's answer is lost: to ask
// again with the same reference is right.
func (s *shop) fail(w http.ResponseWriter, err error) {
	refusal, refused := errors.AsType[*pgconn.PgError](err)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		http.Error(w, "no such order, or cancelled before", http.StatusConflict)
	case refused && refusal.Code == "23514": // check_violation
		http.Error(w, "not so many left", http.StatusConflict)
	case refused && refusal.Code == "23503": // foreign_key_violation
		http.Error(w, "no such item", http.StatusUnprocessableEntity)
	default:
		s.log.Error("outbox: failed", slog.Any("error", err))
		http.Error(w, "try again", http.StatusServiceUnavailable)
	}
}
