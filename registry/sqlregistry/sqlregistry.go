package sqlregistry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"github.com/ringback-go/ringback/registry"
)

// Config is what [New] needs. Writer and Sealer are required.
type Config struct {
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
}

var _ registry.Registry = (*Registry)(nil)

// New returns a Registry, without touching the database.
func New(c Config) (*Registry, error) {
	switch {
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
	return &Registry{writer: c.Writer, reader: c.Reader, sealer: c.Sealer, now: c.Now, flavor: sqlite}, nil
}

// change runs f in a transaction that excludes other changes.
func (r *Registry) change(ctx context.Context, f func(*sql.Tx) error) (err error) {
	tx, err := r.writer.BeginTx(ctx, nil)
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
	if _, err := tx.ExecContext(ctx, r.flavor.lock); err != nil {
		return err
	}
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
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
	if _, err := tx.ExecContext(ctx, r.flavor.bind(upsert), args...); err != nil {
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
	s, _, err := decode(tx.QueryRowContext(ctx, r.flavor.bind(query), args...))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil // nothing stands there
	}
	return &s, err
}

func (r *Registry) setTypes(ctx context.Context, tx *sql.Tx, s registry.Subscription) error {
	if _, err := tx.ExecContext(ctx, r.flavor.bind(deleteTypes), s.ID); err != nil {
		return err
	}
	for rows := range slices.Chunk(matchRows(s), typeRows) {
		args := make([]any, 0, len(rows)*5)
		for _, row := range rows {
			args = append(args, row.dialect, row.typ, row.scope, row.tenant, s.ID)
		}
		if _, err := tx.ExecContext(ctx, r.flavor.bind(insertTypes(len(rows))), args...); err != nil {
			return err
		}
	}
	return nil
}

// Get implements [registry.Registry]. Its error wraps [registry.ErrSealed] when
// the secrets cannot be opened.
func (r *Registry) Get(ctx context.Context, id string) (registry.Subscription, error) {
	s, sealed, err := decode(r.reader.QueryRowContext(ctx, r.flavor.bind(selectByID), id))
	if errors.Is(err, sql.ErrNoRows) {
		return registry.Subscription{}, registry.ErrNotFound
	}
	if err == nil {
		s.Secrets, err = registry.OpenSecrets(r.sealer, s.ID, sealed)
	}
	if err != nil {
		return registry.Subscription{}, wrap("get", err)
	}
	return s, nil
}

// Delete implements [registry.Registry].
func (r *Registry) Delete(ctx context.Context, id string) error {
	return wrap("delete", r.change(ctx, func(tx *sql.Tx) error {
		for _, query := range []string{deleteTypes, deleteByID} {
			if _, err := tx.ExecContext(ctx, r.flavor.bind(query), id); err != nil {
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
			subs, err := r.query(ctx, query, args)
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
	query, args := matchQuery(t)
	subs, err := r.query(ctx, query, args)
	if err != nil {
		return nil, wrap("match", err)
	}
	return registry.Matching(t, r.now(), subs), nil
}

func (r *Registry) query(ctx context.Context, query string, args []any) ([]registry.Subscription, error) {
	rows, err := r.reader.QueryContext(ctx, r.flavor.bind(query), args...)
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
		if s.Secrets, err = registry.OpenSecrets(r.sealer, s.ID, sealed); err != nil {
			return nil, err
		}
		subs = append(subs, s)
	}
	return subs, rows.Err()
}

// wrap says where an error comes from; the parent's own are complete.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*registry.Error](err); ok {
		return err
	}
	return fmt.Errorf("sqlregistry: %s: %w", doing, err)
}
