package pgstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// Config opens a [Store].
type Config struct {
	// Pool is the caller's, which closes it after the store's last use. Needed.
	// An engine uses up to 7 of its connections at a time and takes one more
	// out of it to listen.
	Pool *pgxpool.Pool
	// Schema is where the tables are. Empty is [DefaultSchema].
	Schema string
	// Name tells operators which process an engine is. Empty is the host's name
	// and the process's number.
	Name string
	// Expiry is how long after its last sign of life the work of a process goes
	// to others. 0 is 10 s; less than 500 ms is too little.
	Expiry time.Duration
	// Poll is how often, at least, it is looked what others left for this
	// process. 0 is 250 ms, less than 5 ms is 5 ms.
	Poll time.Duration
	// NoListen leaves out the connection that listens, for poolers in
	// transaction mode; then the store polls.
	NoListen bool
	// Lanes tunes how lanes are served.
	Lanes lanes.Config
	// Logger takes what operators should know. Nil is slog.Default().
	Logger *slog.Logger
}

// A Store keeps deliveries in PostgreSQL. It implements [delivery.Store],
// [delivery.Waiter], [delivery.Browser], [delivery.Operator], [delivery.Pruner]
// and [delivery.Runner], and is safe for concurrent use. Make one with [Open].
type Store struct {
	browser
	*pruner

	cfg     Config
	schema  schema
	sql     statements
	edit    editing
	letters letters
	log     *slog.Logger
	bell    bell
	opened  time.Time
	ahead   time.Duration // of the database's clock, when the store was opened
	lenient bool          // sessions do not sync what they commit

	running atomic.Bool
	mu      sync.Mutex
	member  *member
	changed chan struct{} // closed when member changes
}

const pollMin = 5 * time.Millisecond

// Open checks that the tables are there and as this program knows them; see
// [Migrate]. The store takes part in delivering while [Store.Run] runs.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	switch {
	case cfg.Pool == nil:
		return nil, errors.New("pgstore: Config.Pool is needed")
	case cfg.Schema != "" && !schemaName.MatchString(cfg.Schema):
		return nil, errSchema(cfg.Schema)
	case cfg.Expiry < 0 || cfg.Poll < 0 || cfg.Expiry > 0 && cfg.Expiry < 500*time.Millisecond:
		return nil, errors.New("pgstore: Config.Expiry under 500 ms, or a negative time")
	}
	cfg.Expiry, cfg.Poll = cmp.Or(cfg.Expiry, 10*time.Second), max(cmp.Or(cfg.Poll, 250*time.Millisecond), pollMin)
	if cfg.Name == "" {
		host, _ := os.Hostname() // nobody but operators needs it
		cfg.Name = fmt.Sprintf("%s:%d", host, os.Getpid())
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	sc := named(cfg.Schema)
	s := &Store{
		browser: newBrowser(cfg.Pool, sc), pruner: newPruner(cfg.Pool, sc),
		cfg: cfg, schema: sc, sql: sc.statements(), edit: sc.editing(), letters: sc.letters(), log: cfg.Logger,
		bell:    bell{pool: cfg.Pool, channel: channel(cmp.Or(cfg.Schema, DefaultSchema)), log: cfg.Logger, rung: make(chan struct{}, 1)},
		opened:  time.Now(),
		changed: make(chan struct{}),
	}
	if err := s.check(ctx); err != nil {
		return nil, fmt.Errorf("pgstore: %w", err)
	}
	return s, nil
}

// check refuses servers and schemas that this program cannot use.
func (s *Store) check(ctx context.Context) error {
	var server int
	var now time.Time
	err := s.cfg.Pool.QueryRow(ctx, `SELECT current_setting('server_version_num')::integer,
		current_setting('synchronous_commit') = 'off', clock_timestamp()`).Scan(&server, &s.lenient, &now)
	if err != nil {
		return err
	}
	s.ahead = now.Sub(s.opened) - time.Since(s.opened)
	if server < 140000 {
		return fmt.Errorf("PostgreSQL 14 or newer is needed, this is %d", server/10000)
	}
	v, err := s.schema.version(ctx, s.cfg.Pool)
	known := len(migrationFiles())
	switch {
	case violates(err, "42P01", ""), errors.Is(err, pgx.ErrNoRows), err == nil && v.number < known:
		return fmt.Errorf("the tables in schema %s are not up to date: call pgstore.Migrate", s.schema)
	case err != nil:
		return err
	}
	return v.usable(known)
}

// clock returns now, or the database's time where it is zero, as far as this
// process can tell.
func (s *Store) clock(now time.Time) time.Time {
	if now.IsZero() {
		now = s.opened.Add(time.Since(s.opened) + s.ahead)
	}
	return now
}

func (s *Store) setMember(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.member = m
	close(s.changed)
	s.changed = make(chan struct{})
}

// current returns the member, nil if there is none, and what is closed when that
// changes.
func (s *Store) current() (*member, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.member, s.changed
}

// Shards returns how many of the shards this process serves at this moment, and
// how many there are in all.
func (s *Store) Shards() (mine, all int) {
	if m, _ := s.current(); m != nil {
		mine = len(m.rows.mine())
		if !m.leases() { // as those came, or as its time ran out
			mine = 0
		}
	}
	return mine, shards
}

// lost reports whether an error says that the member is none any more, or should
// not be: where it stays unknown what was stored its memory is of no use.
func lost(err error) bool {
	return errors.Is(err, delivery.ErrOwned) || errors.Is(err, delivery.ErrClosed) || errors.Is(err, delivery.ErrUnknown)
}

// Enqueue implements [delivery.Store]. What another process serves is left for
// it; without a Run everything is.
func (s *Store) Enqueue(ctx context.Context, now time.Time, ds ...delivery.Delivery) error {
	if m, _ := s.current(); m != nil {
		var ahead []string
		for i := range ds {
			if ds[i].Ahead {
				ahead = append(ahead, ds[i].LaneName())
			}
		}
		var err error
		if ahead == nil {
			err = m.lanes.Enqueue(ctx, now, ds...)
		} else {
			err = m.guests.alone(ctx, func() error { return m.lanes.Enqueue(ctx, now, ds...) }, ahead...)
		}
		if err == nil {
			return s.awaitAheadNames(ctx, m, ds)
		}
		if !lost(err) {
			return err
		}
		m.fail(err)
	}
	sources, err := s.leave(ctx, s.cfg.Pool, now, ds)
	if err != nil {
		return err
	}
	s.bell.ring(newsInbox)
	return s.awaitAhead(ctx, ds, sources)
}

// Lease implements [delivery.Store].
func (s *Store) Lease(ctx context.Context, now time.Time, req delivery.LeaseRequest) ([]delivery.Lease, error) {
	m, _ := s.current()
	if m == nil || !m.leases() {
		return nil, ctx.Err()
	}
	leases, err := m.lanes.Lease(ctx, now, req)
	if lost(err) {
		m.fail(err)
		return nil, nil
	}
	if len(leases) > 0 && !m.leases() { // reading took so long, or brought what must be looked at first
		return nil, m.giveBack(ctx, now, leases)
	}
	return leases, err
}

// giveBack takes leases back that were not handed out.
func (m *member) giveBack(ctx context.Context, now time.Time, leases []delivery.Lease) error {
	outs := make([]delivery.Outcome, len(leases))
	for i, l := range leases {
		outs[i] = delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: delivery.Release}
	}
	err := m.lanes.Settle(ctx, now, outs...)
	if _, gone := errors.AsType[*delivery.LostLeasesError](err); gone || lost(err) {
		err = nil
	}
	return err
}

// Wait implements [delivery.Waiter].
func (s *Store) Wait(ctx context.Context, req delivery.LeaseRequest) error {
	for {
		m, changed := s.current()
		if m == nil || m.living.Err() != nil {
			select {
			case <-changed:
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if m.leases() {
			waiting, cancel := context.WithCancel(ctx)
			stop := context.AfterFunc(m.living, cancel)
			err := m.lanes.Wait(waiting, req)
			stop()
			cancel()
			if m.living.Err() == nil || ctx.Err() != nil {
				return err
			}
			continue
		}
		select { // until it has given a sign of life or read what is new
		case <-time.After(s.cfg.Poll / 10):
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Extend implements [delivery.Store].
func (s *Store) Extend(ctx context.Context, now time.Time, ttl time.Duration, leases ...delivery.Lease) error {
	m, _ := s.current()
	if m == nil {
		return lostLeases(leases, func(l delivery.Lease) string { return l.ID })
	}
	return m.lanes.Extend(ctx, now, ttl, leases...)
}

// Settle implements [delivery.Store].
func (s *Store) Settle(ctx context.Context, now time.Time, outcomes ...delivery.Outcome) error {
	m, _ := s.current()
	var err error
	if m != nil {
		if err = m.lanes.Settle(ctx, now, outcomes...); !lost(err) {
			return err
		}
		m.fail(err)
	}
	return lostLeases(outcomes, func(o delivery.Outcome) string { return o.ID })
}

func lostLeases[T any](all []T, id func(T) string) error {
	if len(all) == 0 {
		return nil
	}
	e := &delivery.LostLeasesError{}
	for _, x := range all {
		e.IDs = append(e.IDs, id(x))
	}
	return e
}
