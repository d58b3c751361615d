package pgstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

// PublishTx is [delivery.Engine.Publish] in the caller's transaction: the events
// are delivered if it commits, and never otherwise. Who wants them is read from
// reg in the same transaction; it must be on the same database. Nil is the
// engine's own registry, as it stands outside. Call [delivery.Engine.Wake] after
// the commit.
func (s *Store) PublishTx(ctx context.Context, tx pgx.Tx, e *delivery.Engine, reg *sqlregistry.Registry, events ...delivery.Event) ([]delivery.Published, error) {
	return s.publish(ctx, e, reg, events, outbox{
		querier: pgxQuerier{tx},
		enqueue: func(ctx context.Context, ds ...delivery.Delivery) error { return s.EnqueueTx(ctx, tx, ds...) },
	})
}

// PublishSQLTx is [Store.PublishTx] for a transaction of database/sql, whatever
// its driver.
func (s *Store) PublishSQLTx(ctx context.Context, tx *sql.Tx, e *delivery.Engine, reg *sqlregistry.Registry, events ...delivery.Event) ([]delivery.Published, error) {
	return s.publish(ctx, e, reg, events, outbox{
		querier: sqlregistry.SQLTx(tx),
		enqueue: func(ctx context.Context, ds ...delivery.Delivery) error { return s.EnqueueSQLTx(ctx, tx, ds...) },
	})
}

func (s *Store) publish(ctx context.Context, e *delivery.Engine, reg *sqlregistry.Registry, events []delivery.Event, o outbox) ([]delivery.Published, error) {
	if e == nil {
		return nil, errors.New("pgstore: an engine is needed to publish")
	}
	o.event, o.subscriptions = s.browser.sql.event, e.Registry()
	if reg != nil {
		o.subscriptions = reg.In(o.querier)
	}
	return e.PublishIn(ctx, o, events...)
}

// outbox is a transaction as an engine publishes into it.
type outbox struct {
	subscriptions

	querier sqlregistry.Querier
	event   string
	enqueue func(context.Context, ...delivery.Delivery) error
}

// Enqueue implements [delivery.Outbox].
func (o outbox) Enqueue(ctx context.Context, ds ...delivery.Delivery) error {
	return o.enqueue(ctx, ds...)
}

// Event implements [delivery.Outbox].
func (o outbox) Event(ctx context.Context, eventID string) (int, bool, error) {
	rs, err := o.querier.Query(ctx, o.event, eventID, eventID+".", eventID+"/", inboxDelivery)
	if err != nil {
		return 0, false, fmt.Errorf("pgstore: event: %w", err)
	}
	defer rs.Close()
	all, markers := 0, 0
	for rs.Next() {
		if err := rs.Scan(&all, &markers); err != nil {
			return 0, false, fmt.Errorf("pgstore: event: %w", err)
		}
	}
	return all - markers, all > 0, rs.Err()
}

// subscriptions is what publishing asks of a registry.
type subscriptions interface {
	Match(ctx context.Context, t registry.Topic) ([]registry.Subscription, error)
	Get(ctx context.Context, id string) (registry.Subscription, error)
}

// pgxQuerier reads subscriptions in a transaction of pgx's.
type pgxQuerier struct{ tx pgx.Tx }

func (q pgxQuerier) Query(ctx context.Context, query string, args ...any) (sqlregistry.Rows, error) {
	return q.tx.Query(ctx, query, args...) //nolint:sqlclosecheck // the caller does
}
