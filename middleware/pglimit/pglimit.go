package pglimit

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/middleware/internal/sqlschema"
)

// DefaultTimeout bounds each call where no other time is set.
const DefaultTimeout = time.Second

// maxTimeout is less than what a statement takes for a clock that was set back.
const maxTimeout = 30 * time.Second

// Config is what [New] needs. DB, Requests and Per are required.
type Config struct {
	// DB is the database: PostgreSQL 14 or later. It stays the caller's to
	// close.
	DB *sql.DB
	// Schema is where the tables are, spelled as it is stored: up to
	// 63 letters, digits and underscores. Empty is the first schema of the
	// connections' search path.
	Schema string
	// Name keeps limiters of different values apart in one table.
	Name string
	// Requests in Per are the rate of each key. Rates over one request in a
	// microsecond make no sense here, and are refused.
	Requests int
	Per      time.Duration
	// Burst is how many requests may come at once. 0 means Requests.
	Burst int
	// MaxKeys bounds the rows of this name. 0 means
	// [middleware.DefaultMaxKeys].
	MaxKeys int
	// Timeout bounds each call, to 30 seconds at most. 0 means DefaultTimeout.
	Timeout time.Duration
	// Logger gets failures to tidy up, which do not concern a request. Nil is
	// slog.Default().
	Logger *slog.Logger
}

// A Limiter is a [middleware.Limiter] that several machines share. Make it
// with [New], and call [Limiter.Migrate] before anything else. It is safe for
// concurrent use.
type Limiter struct {
	db                  *sql.DB
	cfg                 Config
	sql                 statements
	name                []byte
	interval, tolerance int64 // nanoseconds
	calls               atomic.Uint64
	full                atomic.Bool // when last counted
	tidying             sync.Mutex
	cursor              []byte // where the next page begins; tidying holds it
}

var _ middleware.Limiter = (*Limiter)(nil)

// longest keeps sums of times from overflowing.
const longest = math.MaxInt64 / 4

// New returns a Limiter, without touching the database. Its errors are
// [middleware.ErrConfig].
func New(c Config) (*Limiter, error) {
	bad := func(format string, args ...any) (*Limiter, error) {
		return nil, fmt.Errorf("pglimit: %w: "+format, append([]any{middleware.ErrConfig}, args...)...)
	}
	switch {
	case c.DB == nil:
		return bad("DB is nil, set it to the opened database")
	case !sqlschema.Good(c.Schema):
		return bad("the Schema %q is no name, use up to 63 letters, digits and underscores", c.Schema)
	case c.Requests <= 0 || c.Per <= 0:
		return bad("the rate is %d requests in %v, set Requests and Per to more than zero", c.Requests, c.Per)
	case int64(c.Requests) > int64(c.Per/time.Microsecond):
		return bad("the rate is over one request in a microsecond, use a middleware.LocalLimiter")
	case c.Burst < 0 || c.MaxKeys < 0 || c.Timeout < 0:
		return bad("Burst, MaxKeys or Timeout is negative, set them to zero or more")
	}
	if c.Timeout > maxTimeout {
		return bad("the Timeout is %v, set it to %v at most", c.Timeout, maxTimeout)
	}
	if c.Burst == 0 {
		c.Burst = c.Requests
	}
	if c.MaxKeys == 0 {
		c.MaxKeys = middleware.DefaultMaxKeys
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	interval := int64(c.Per-1)/int64(c.Requests) + 1 // rounded up: never more than was asked for
	if int64(c.Burst) > longest/interval/2 {
		return bad("a burst of %d needs more than 30 years to come back, set Burst to less", c.Burst)
	}
	return &Limiter{
		db: c.DB, cfg: c, sql: statementsIn(c.Schema), name: digest(c.Name), cursor: []byte{},
		interval: interval, tolerance: interval * int64(c.Burst),
	}, nil
}

// digest makes any text fit the table, and not be read there.
func digest(s string) []byte {
	sum := sha256.Sum256([]byte(s))
	return sum[:]
}

// shared is the key of those that find no room, which no digest is.
var shared = []byte("shared")

// Allow counts one request of key, at the time of the server: now is not
// looked at.
func (l *Limiter) Allow(ctx context.Context, key string, _ time.Time) (middleware.Decision, error) {
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	d := middleware.Decision{Limit: l.cfg.Requests, Window: l.cfg.Per}
	var now, full int64
	err := l.db.QueryRowContext(ctx, l.sql.take, l.name, digest(key), shared, l.full.Load(), l.interval, l.tolerance).
		Scan(&now, &full, &d.Allowed)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		// Refused, by a row that was not there when the statement began.
		full = now + l.tolerance
	case err != nil:
		return middleware.Decision{}, fmt.Errorf("pglimit: %w", err)
	}
	d.ResetAfter = time.Duration(max(full-now, 0))
	if d.Allowed {
		d.Remaining = int(max(l.tolerance-(full-now), 0) / l.interval)
	} else {
		// What was read may be older than what refused.
		d.RetryAfter = time.Duration(min(max(full+l.interval-l.tolerance-now, 1), l.interval))
	}
	if err := l.tidy(ctx); err != nil {
		l.cfg.Logger.LogAttrs(ctx, slog.LevelWarn, "pglimit: idle keys are not deleted", slog.Any("cause", err))
	}
	return d, nil
}

const (
	often = 16  // calls for each page that is looked at
	page  = 256 // rows of a page
)

// tidy deletes idle keys, a page by some of the calls, and counts by fewer of
// them how many there are.
func (l *Limiter) tidy(ctx context.Context) error {
	n, full := l.calls.Add(1), l.full.Load()
	recount := n%uint64(max(1, l.cfg.MaxKeys/64)) == 0
	if !recount && !full && n%often != 1 || !l.tidying.TryLock() {
		return nil
	}
	defer l.tidying.Unlock()
	if full || n%often == 1 {
		gone, err := l.prune(ctx)
		if err != nil {
			return err
		}
		recount = recount || full && gone > 0
	}
	if !recount {
		return nil
	}
	var count int
	if err := l.db.QueryRowContext(ctx, l.sql.count, l.name, l.cfg.MaxKeys).Scan(&count); err != nil {
		return err
	}
	l.full.Store(count >= l.cfg.MaxKeys)
	return nil
}

// prune looks at the next page.
func (l *Limiter) prune(ctx context.Context) (gone int, err error) {
	var seen int
	var last []byte
	if err := l.db.QueryRowContext(ctx, l.sql.prune, l.name, l.cursor, page).Scan(&gone, &seen, &last); err != nil {
		return 0, err
	}
	if l.cursor = last; seen < page {
		l.cursor = []byte{}
	}
	return gone, nil
}
