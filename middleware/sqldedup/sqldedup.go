package sqldedup

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/middleware/internal/sqlschema"
)

// A Flavor says which database a [Store] talks to.
type Flavor int

const (
	// SQLite is the zero value: SQLite 3.35 and later, through any driver.
	SQLite Flavor = iota
	// PostgreSQL is version 14 and later, through a driver that takes $1 as a
	// parameter, such as pgx's stdlib.
	PostgreSQL
)

const (
	// DefaultMaxEntries is the number of ids where no other is set.
	DefaultMaxEntries = 1_000_000
	// DefaultTimeout bounds each call where no other time is set.
	DefaultTimeout = 5 * time.Second
)

// Config is what [New] needs. DB is required.
type Config struct {
	// Flavor is the database's kind; the zero value is SQLite.
	Flavor Flavor
	// DB is the database. It stays the caller's to close.
	DB *sql.DB
	// Schema is where PostgreSQL's tables are, spelled as it is stored: up to
	// 63 letters, digits and underscores. Empty is the first schema of the
	// connections' search path.
	// SQLite has none.
	Schema string
	// MaxEntries bounds the ids in the table. 0 means DefaultMaxEntries.
	MaxEntries int
	// Timeout bounds each call. 0 means DefaultTimeout.
	Timeout time.Duration
	// Now replaces the clock. Nil is the server's for PostgreSQL, and time.Now
	// for SQLite.
	Now func() time.Time
}

// A Store is a [middleware.DedupStore] in an SQL database. Make it with [New]
// and call [Store.Migrate] before anything else. It is safe for concurrent
// use, by any number of processes on one database.
type Store struct {
	db      *sql.DB
	flavor  Flavor
	schema  string
	sql     statements
	limit   int
	timeout time.Duration
	now     func() time.Time
	claims  atomic.Uint64
	full    atomic.Bool // when last counted
}

var _ middleware.DedupStore = (*Store)(nil)

// New returns a Store, without touching the database. Its errors are
// [middleware.ErrConfig].
func New(c Config) (*Store, error) {
	switch {
	case c.Flavor != SQLite && c.Flavor != PostgreSQL:
		return nil, fmt.Errorf("sqldedup: %w: no such Flavor, set it to SQLite or PostgreSQL", middleware.ErrConfig)
	case c.DB == nil:
		return nil, fmt.Errorf("sqldedup: %w: DB is nil, set it to the opened database", middleware.ErrConfig)
	case c.Schema != "" && c.Flavor == SQLite:
		return nil, fmt.Errorf("sqldedup: %w: SQLite has no Schema, leave it out", middleware.ErrConfig)
	case !sqlschema.Good(c.Schema):
		return nil, fmt.Errorf("sqldedup: %w: the Schema %q is no name, use up to 63 letters, digits and underscores", middleware.ErrConfig, c.Schema)
	case c.MaxEntries < 0 || c.Timeout < 0:
		return nil, fmt.Errorf("sqldedup: %w: MaxEntries or Timeout is negative, set them to zero or more", middleware.ErrConfig)
	}
	if c.MaxEntries == 0 {
		c.MaxEntries = DefaultMaxEntries
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Now == nil && c.Flavor == SQLite {
		c.Now = time.Now
	}
	return &Store{db: c.DB, flavor: c.Flavor, schema: c.Schema, sql: c.Flavor.statements(c.Schema), limit: c.MaxEntries, timeout: c.Timeout, now: c.Now}, nil
}

// at is the parameter for the time; nil is the server's clock.
func (s *Store) at() any {
	if s.now == nil {
		return nil
	}
	return s.now().UnixMicro()
}

func failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sqldedup: %s: %w", what, err)
}

// Claim implements [middleware.DedupStore].
func (s *Store) Claim(ctx context.Context, c middleware.DedupClaim) (middleware.DedupResult, error) {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if err := s.tidy(ctx); err != nil {
		return middleware.DedupResult{}, failed("claim", err)
	}
	if s.full.Load() { // what is known is answered all the same
		if res, known, err := s.look(ctx, c); known || err != nil {
			return res, failed("claim", err)
		}
		if gone, err := s.free(ctx, few); gone == 0 || err != nil {
			if err == nil {
				err = middleware.ErrFull
			}
			return middleware.DedupResult{}, failed("claim", err)
		}
	}
	for range 3 {
		var one int
		err := s.db.QueryRowContext(ctx, s.sql.claim, s.at(), c.Key[:], c.Digest[:], c.Token[:], c.Lease.Microseconds()).Scan(&one)
		if err == nil {
			return middleware.DedupResult{State: middleware.DedupClaimed}, nil
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return middleware.DedupResult{}, failed("claim", err)
		}
		// Released or over since then: try again.
		if res, known, err := s.look(ctx, c); known || err != nil {
			return res, failed("claim", err)
		}
	}
	return middleware.DedupResult{State: middleware.DedupInProgress}, nil
}

// look says what is known about an id.
func (s *Store) look(ctx context.Context, c middleware.DedupClaim) (res middleware.DedupResult, known bool, err error) {
	var (
		digest, token, header, body []byte
		status, cut                 sql.NullInt64
	)
	err = s.db.QueryRowContext(ctx, s.sql.look, s.at(), c.Key[:]).Scan(&digest, &token, &status, &cut, &header, &body)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return res, false, nil
	case err != nil:
		return res, false, err
	case string(digest) != string(c.Digest[:]):
		return middleware.DedupResult{State: middleware.DedupConflict}, true, nil
	case !status.Valid && string(token) == string(c.Token[:]):
		return res, false, nil // our own, from a try whose outcome was not known
	case !status.Valid:
		return middleware.DedupResult{State: middleware.DedupInProgress}, true, nil
	}
	res.State = middleware.DedupDone
	res.Answer = middleware.DedupAnswer{Status: int(status.Int64), Cut: cut.Int64 != 0, Body: body}
	if header != nil {
		err = json.Unmarshal(header, &res.Answer.Header)
	}
	return res, true, err
}

// Commit implements [middleware.DedupStore].
func (s *Store) Commit(ctx context.Context, key middleware.DedupKey, token middleware.DedupToken, a middleware.DedupAnswer, r middleware.DedupRetention) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var header []byte
	if len(a.Header) > 0 {
		var err error
		if header, err = json.Marshal(a.Header); err != nil {
			return failed("commit", err)
		}
	}
	cut := 0
	if a.Cut {
		cut = 1
	}
	return failed("commit", s.mine(s.db.ExecContext(ctx, s.sql.commit, s.at(), key[:], token[:],
		r.Keep.Microseconds(), min(r.Least, r.Keep).Microseconds(), a.Status, cut, header, a.Body)))
}

// Release implements [middleware.DedupStore].
func (s *Store) Release(ctx context.Context, key middleware.DedupKey, token middleware.DedupToken) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return failed("release", s.mine(s.db.ExecContext(ctx, s.sql.release, key[:], token[:])))
}

// mine wants a row to have been there.
func (*Store) mine(res sql.Result, err error) error {
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 {
		err = middleware.ErrClaimLost
	}
	return err
}
