package sqlregistry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/ringback-go/ringback/registry"
)

// Config is what [New] needs. Writer and Sealer are required.
type Config struct {
	// Flavor is the database's kind; the zero value is SQLite.
	Flavor Flavor
	// Schema is where PostgreSQL's tables are, spelled as it is stored; empty
	// is the first schema of the connections' search path. SQLite has none.
	// Give the tables a schema that no others are in, as pgstore's: one of them
	// is named subscription.
	Schema string
	// Writer is where changes go. For SQLite it has one connection
	// (SetMaxOpenConns(1)) and begins transactions immediately.
	Writer *sql.DB
	// Reader is where Get, List and Match read; nil is Writer. It must see what
	// Writer committed at once: the same database, not a replica.
	Reader *sql.DB
	// Sealer protects secrets at rest.
	Sealer registry.Sealer
	// Now replaces the clock; nil is time.Now. It is called by Set and Match,
	// also concurrently.
	Now func() time.Time
}

// A Registry is a durable [registry.Registry] in an SQL database. Make it with
// [New] and call [Registry.Migrate] before anything else. It is safe for
// concurrent use, by any number of processes on one database. It owns neither
// database handle: closing them is the caller's.
type Registry struct {
	writer, reader *sql.DB
	sealer         registry.Sealer
	now            func() time.Time
	flavor         flavor
	schemaName     string
	schema         string  // quoted, with a dot, or empty
	often          Querier // outside of any transaction, for queries that run often
}

var (
	_ registry.Registry  = (*Registry)(nil)
	_ registry.Versioned = (*Registry)(nil)
	_ registry.Counter   = (*Registry)(nil)

	_ registry.BatchMatcher = (*Registry)(nil)
)

// maxSchema is the length at which PostgreSQL cuts names off, in bytes.
const maxSchema = 63

// New returns a Registry, without touching the database.
func New(c Config) (*Registry, error) {
	f, known := flavors[c.Flavor]
	switch {
	case !known:
		return nil, errors.New("sqlregistry: no such Flavor")
	case c.Schema != "" && c.Flavor == SQLite:
		return nil, errors.New("sqlregistry: SQLite has no Schema")
	case len(c.Schema) > maxSchema || !storable(c.Schema):
		return nil, errors.New("sqlregistry: Schema is not a name")
	case c.Writer == nil:
		return nil, errors.New("sqlregistry: no Writer")
	case c.Sealer == nil:
		return nil, errors.New("sqlregistry: no Sealer")
	}
	if c.Reader == nil {
		c.Reader = c.Writer
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	r := &Registry{writer: c.Writer, reader: c.Reader, sealer: c.Sealer, now: c.Now, flavor: f, schemaName: c.Schema}
	if c.Schema != "" {
		r.schema = quoted(c.Schema) + "."
	}
	r.often = sqlQuerier{r.reader}
	if f.prepares {
		r.often = &prepared{db: r.reader}
	}
	return r, nil
}

// transact runs f in a transaction.
func (r *Registry) transact(ctx context.Context, f func(*sql.Tx) error) (err error) {
	tx, err := r.writer.BeginTx(ctx, &sql.TxOptions{Isolation: r.flavor.isolation})
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			return
		}
		// A transaction that its context or a failed commit ended is no news.
		if rollback := tx.Rollback(); rollback != nil && !errors.Is(rollback, sql.ErrTxDone) {
			err = errors.Join(err, rollback)
		}
	}()
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// change runs f in a transaction that excludes other changes.
func (r *Registry) change(ctx context.Context, f func(*sql.Tx) error) error {
	return r.transact(ctx, func(tx *sql.Tx) error {
		var raised any
		switch err := tx.QueryRowContext(ctx, r.bind(r.flavor.raise)).Scan(&raised); {
		case errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("%w: no row to lock", ErrSchema)
		case err != nil:
			return err
		}
		return f(tx)
	})
}

// Set implements [registry.Registry], in one transaction. If its error is of
// none of that package's kinds, the subscriptions may be stored all the same:
// the commit may have been done and its answer lost.
func (r *Registry) Set(ctx context.Context, subs ...registry.Subscription) ([]registry.Subscription, error) {
	for _, s := range subs {
		if err := registry.Validate(s); err != nil {
			return nil, err
		}
	}
	if len(subs) == 0 {
		return nil, ctx.Err()
	}
	stored := make([]registry.Subscription, 0, len(subs))
	now := r.now()
	err := r.change(ctx, func(tx *sql.Tx) error {
		for _, s := range subs {
			next, err := r.set(ctx, tx, s, now)
			if err != nil {
				return err
			}
			stored = append(stored, next)
		}
		return nil
	})
	if err != nil {
		return nil, wrap("set", err)
	}
	return stored, nil
}

func (r *Registry) set(ctx context.Context, tx *sql.Tx, s registry.Subscription, now time.Time) (registry.Subscription, error) {
	var byID, bySlot *registry.Subscription
	var err error
	if s.ID != "" {
		if byID, err = r.standing(ctx, tx, selectByID, s.ID); err != nil {
			return s, err
		}
	}
	if s.Slot != "" {
		if bySlot, err = r.standing(ctx, tx, selectBySlot, s.Dialect, s.Tenant, s.Scope, s.Slot); err != nil {
			return s, err
		}
	}
	next, err := registry.Next(s, byID, bySlot, now)
	if err != nil {
		return s, err
	}
	args, err := encode(r.sealer, next)
	if err != nil {
		return s, err
	}
	if _, err := tx.ExecContext(ctx, r.bind(upsert), args...); err != nil {
		return s, err
	}
	old := byID
	if old == nil || old.ID != next.ID {
		old = bySlot
	}
	if old != nil && old.ID == next.ID && slices.Equal(matchRows(*old), matchRows(next)) {
		return next, nil
	}
	return next, r.setTypes(ctx, tx, next)
}

// standing returns what query finds, without its secrets, so that a lost key
// does not keep anybody from setting a subscription anew; nil if that is nothing.
func (r *Registry) standing(ctx context.Context, tx *sql.Tx, query string, args ...any) (*registry.Subscription, error) {
	s, _, err := decode(tx.QueryRowContext(ctx, r.bind(query), args...))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil // nothing stands there
	}
	return &s, err
}

func (r *Registry) setTypes(ctx context.Context, tx *sql.Tx, s registry.Subscription) error {
	if _, err := tx.ExecContext(ctx, r.bind(deleteTypes), s.ID); err != nil {
		return err
	}
	for rows := range slices.Chunk(matchRows(s), typeRows) {
		args := make([]any, 0, len(rows)*5)
		for _, row := range rows {
			args = append(args, row.dialect, row.typ, row.scope, row.tenant, s.ID)
		}
		if _, err := tx.ExecContext(ctx, r.bind(insertTypes(len(rows))), args...); err != nil {
			return err
		}
	}
	return nil
}

// Get implements [registry.Registry]. Its error wraps [registry.ErrSealed] when
// the secrets cannot be opened.
func (r *Registry) Get(ctx context.Context, id string) (registry.Subscription, error) {
	return r.In(r.often).Get(ctx, id)
}

// Version implements [registry.Versioned]: a [registry.Cache] before this
// Registry reads what it keeps again only when something has changed. Changes
// made to the table by others count like those by Set and Delete.
func (r *Registry) Version(ctx context.Context) (int64, error) {
	var version int64
	err := r.reader.QueryRowContext(ctx, r.bind(selectChanges)).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("%w: no row to read", ErrSchema)
	}
	return version, wrap("version", err)
}

// Count implements [registry.Counter] with one query that reads no secrets.
func (r *Registry) Count(ctx context.Context) (map[registry.State]int, error) {
	rows, err := r.reader.QueryContext(ctx, r.bind(selectCounts))
	if err != nil {
		return nil, wrap("count", err)
	}
	defer rows.Close()
	counts := map[registry.State]int{}
	for rows.Next() {
		var state registry.State
		var n int
		if err := rows.Scan(&state, &n); err != nil {
			return nil, wrap("count", err)
		}
		counts[state] = n
	}
	return counts, wrap("count", rows.Err())
}

// Delete implements [registry.Registry].
func (r *Registry) Delete(ctx context.Context, id string) error {
	if !storable(id) {
		return ctx.Err() // nothing has it
	}
	return wrap("delete", r.change(ctx, func(tx *sql.Tx) error {
		for _, query := range []string{deleteTypes, deleteByID} {
			if _, err := tx.ExecContext(ctx, r.bind(query), id); err != nil {
				return err
			}
		}
		return nil
	}))
}

// page is how many subscriptions List reads at once.
const page = 200

// List implements [registry.Registry]. It reads pages and holds no connection
// while it yields; what is set or deleted meanwhile may or may not show.
func (r *Registry) List(ctx context.Context, f registry.Filter) iter.Seq2[registry.Subscription, error] {
	return func(yield func(registry.Subscription, error) bool) {
		var after *registry.Subscription
		for left := f.Limit; ; left -= page {
			n := page
			if f.Limit > 0 {
				n = min(n, left)
			}
			if n <= 0 {
				return
			}
			query, args := listQuery(f, after, n)
			subs, err := r.In(sqlQuerier{r.reader}).query(ctx, query, args)
			if err != nil {
				yield(registry.Subscription{}, wrap("list", err))
				return
			}
			if len(subs) > 0 {
				last := subs[len(subs)-1] // its fields as they are, whatever the loop does with it
				after = &last
			}
			for _, s := range subs {
				if !yield(s, nil) {
					return
				}
			}
			if len(subs) < n {
				return
			}
		}
	}
}

// Match implements [registry.Registry]. It reads the subscriptions of the
// topic's dialect, type, scope or none, and tenant if it has one, by an index.
func (r *Registry) Match(ctx context.Context, t registry.Topic) ([]registry.Subscription, error) {
	return r.In(r.often).Match(ctx, t)
}

// wrap says where an error comes from; the parent's own are complete.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*registry.Error](err); ok {
		return err
	}
	if tableless(err) && !errors.Is(err, ErrSchema) {
		return fmt.Errorf("%w: %s: the tables are not there, call Migrate first: %w", ErrSchema, doing, err)
	}
	return fmt.Errorf("sqlregistry: %s: %w", doing, err)
}

// tableless reports whether the database misses a table. SQLite has no code for
// that, and its drivers no type in common.
func tableless(err error) bool {
	const undefinedTable = "42P01"
	if pg, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		return pg.SQLState() == undefinedTable
	}
	return strings.Contains(err.Error(), "no such table: ")
}
