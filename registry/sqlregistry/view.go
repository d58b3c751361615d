package sqlregistry

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"unicode/utf8"

	"github.com/ringback-go/ringback/registry"
)

// A Querier runs one query in a transaction of the caller's. [SQLTx] makes one
// of a [*sql.Tx]. A transaction of pgx's needs a method and no more, because
// its rows are [Rows] already:
//
//	type querier struct{ pgx.Tx }
//
//	func (q querier) Query(ctx context.Context, query string, args ...any) (sqlregistry.Rows, error) {
//		return q.Tx.Query(ctx, query, args...)
//	}
type Querier interface {
	Query(ctx context.Context, query string, args ...any) (Rows, error)
}

// Rows are what a query returns, one after another. Scan fills *string,
// *[]byte, the integers and [sql.Scanner] as database/sql does, and Close may
// be called at any time.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	Err() error
	Close()
}

// SQLTx returns a Querier of tx, which must outlive it.
func SQLTx(tx *sql.Tx) Querier { return sqlQuerier{tx} }

type sqlQuerier struct {
	from interface {
		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	}
}

func (q sqlQuerier) Query(ctx context.Context, query string, args ...any) (Rows, error) {
	rows, err := q.from.QueryContext(ctx, query, args...) //nolint:rowserrcheck // the caller does
	if err != nil {
		return nil, err
	}
	return sqlRows{rows}, nil
}

type sqlRows struct{ *sql.Rows }

// Close has nothing to say that Err has not.
func (r sqlRows) Close() { _ = r.Rows.Close() }

// A View reads a registry inside a transaction of the caller's: what the
// transaction sees, so that an event may be published together with what it
// tells of. Make one with [Registry.In]; the zero value answers every call
// with an error. It is for one transaction and as safe for concurrent use as
// that is.
type View struct {
	reg *Registry
	q   Querier
}

var errNoView = errors.New("sqlregistry: View without a Registry")

// In returns a View of the registry in the transaction of q, which is one of
// the same database. It does no I/O. What fails in it leaves a transaction of
// PostgreSQL's fit for nothing but a rollback, as any failed query does.
func (r *Registry) In(q Querier) *View { return &View{r, q} }

// Get is [Registry.Get] in the transaction.
func (v *View) Get(ctx context.Context, id string) (registry.Subscription, error) {
	subs, err := v.query(ctx, selectByID, []any{id})
	if err != nil {
		return registry.Subscription{}, wrap("get", err)
	}
	if len(subs) == 0 {
		return registry.Subscription{}, registry.ErrNotFound
	}
	return subs[0], nil
}

// Match is [Registry.Match] in the transaction.
func (v *View) Match(ctx context.Context, t registry.Topic) ([]registry.Subscription, error) {
	asked := t
	if !storable(t.Scope) {
		asked.Scope = "" // no row has it, which leaves those without one
	}
	query, args := matchQuery(asked)
	subs, err := v.query(ctx, query, args)
	if err != nil {
		return nil, wrap("match", err)
	}
	return registry.Matching(t, v.reg.now(), subs), nil
}

// query returns the subscriptions that query finds, with their secrets.
func (v *View) query(ctx context.Context, query string, args []any) ([]registry.Subscription, error) {
	if v.reg == nil || v.q == nil {
		return nil, errNoView
	}
	for _, arg := range args {
		if text, ok := arg.(string); ok && !storable(text) {
			return nil, ctx.Err() // no row has it, and PostgreSQL would end the transaction
		}
	}
	rows, err := v.q.Query(ctx, v.reg.bind(query), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var subs []registry.Subscription
	for rows.Next() {
		s, sealed, err := decode(rows)
		if err != nil {
			return nil, err
		}
		if err := sealed.open(v.reg.sealer, &s); err != nil {
			return nil, err
		}
		subs = append(subs, s)
	}
	return subs, rows.Err()
}

// storable reports whether a column of text can hold it; see [registry.Validate].
func storable(text string) bool {
	return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0
}
