package pglimit_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/ringback-go/ringback/internal/pgtest"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/middleware/pglimit"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func open(t testing.TB, url string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", url)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(8)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

// limiter opens and migrates, as a process would.
func limiter(t testing.TB, db *sql.DB, c pglimit.Config) *pglimit.Limiter {
	t.Helper()
	c.DB = db
	if c.Timeout == 0 {
		c.Timeout = 30 * time.Second // the machine may be slow
	}
	l, err := pglimit.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

func allow(t testing.TB, l *pglimit.Limiter, key string) middleware.Decision {
	t.Helper()
	d, err := l.Allow(t.Context(), key, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// shift lets time pass: all buckets were emptied that much earlier.
func shift(t testing.TB, db *sql.DB, d time.Duration) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), "UPDATE ringback_limit SET full_at = full_at - $1", d.Nanoseconds()); err != nil {
		t.Fatal(err)
	}
}

func rows(t testing.TB, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM ringback_limit").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// near compares durations of a clock that runs.
func near(got, want time.Duration) bool { return got <= want && got > want-30*time.Second }

func TestAllow(t *testing.T) {
	t.Parallel()
	db := open(t, pgtest.New(t).Database(t))
	l := limiter(t, db, pglimit.Config{Requests: 3, Per: time.Hour, Burst: 2})
	for i, left := range []int{1, 0} {
		d := allow(t, l, "key")
		want := middleware.Decision{Allowed: true, Limit: 3, Window: time.Hour, Remaining: left, ResetAfter: d.ResetAfter}
		if d != want || !near(d.ResetAfter, time.Duration(i+1)*20*time.Minute) {
			t.Fatalf("request %d: %+v", i, d)
		}
	}
	for range 3 { // what is refused does not count
		if d := allow(t, l, "key"); d.Allowed || !near(d.RetryAfter, 20*time.Minute) || !near(d.ResetAfter, 40*time.Minute) || d.Remaining != 0 {
			t.Fatalf("%+v", d)
		}
	}
	if d := allow(t, l, "another\x00\xff"); !d.Allowed {
		t.Errorf("another key: %+v", d)
	}
	if d := allow(t, limiter(t, db, pglimit.Config{Name: "b", Requests: 3, Per: time.Hour}), "key"); !d.Allowed {
		t.Errorf("another name: %+v", d)
	}
	shift(t, db, 20*time.Minute)
	if d := allow(t, l, "key"); !d.Allowed || d.Remaining != 0 {
		t.Errorf("after the interval: %+v", d)
	}
	if d := allow(t, l, "key"); d.Allowed {
		t.Errorf("twice after the interval: %+v", d)
	}
	shift(t, db, 100*time.Hour)
	if d := allow(t, l, "key"); !d.Allowed || d.Remaining != 1 {
		t.Errorf("a bucket over full: %+v", d)
	}
	allow(t, l, "key")
	shift(t, db, -10*time.Second) // as if by one who waited longer for the row
	if d := allow(t, l, "key"); d.Allowed {
		t.Errorf("an empty bucket, seen a little early: %+v", d)
	}
	shift(t, db, -100*time.Hour) // the clock was set back
	if d := allow(t, l, "key"); !d.Allowed || d.Remaining != 0 || !near(d.ResetAfter, 40*time.Minute) {
		t.Errorf("after the clock was set back: %+v", d)
	}
	if d := allow(t, l, "key"); d.Allowed || !near(d.RetryAfter, 20*time.Minute) {
		t.Errorf("twice after the clock was set back: %+v", d)
	}
}

// TestSameAsLocal: one sequence, two limiters, the same decisions.
func TestSameAsLocal(t *testing.T) {
	t.Parallel()
	db := open(t, pgtest.New(t).Database(t))
	shared := limiter(t, db, pglimit.Config{Requests: 7, Per: 100 * time.Hour, Burst: 4})
	local, err := middleware.NewLocalLimiter(middleware.LocalLimiterConfig{Requests: 7, Per: 100 * time.Hour, Burst: 4})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i, hours := range []int{0, 0, 0, 0, 0, 10, 10, 0, 5, 40, 0, 0, 0, 0, 15, 1000, 0, 0, 0, 0, 0} {
		wait := time.Duration(hours) * time.Hour
		now = now.Add(wait)
		shift(t, db, wait)
		want, err := local.Allow(t.Context(), "key", now)
		if err != nil {
			t.Fatal(err)
		}
		got := allow(t, shared, "key")
		if got.Allowed != want.Allowed || got.Remaining != want.Remaining || (got.RetryAfter-want.RetryAfter).Abs() > time.Minute {
			t.Errorf("request %d: %+v, local %+v", i, got, want)
		}
	}
}

// TestTwoMachines: two pools at once let no more pass than one limit.
func TestTwoMachines(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).Database(t)
	var machines []*pglimit.Limiter
	for range 2 {
		machines = append(machines, limiter(t, open(t, url), pglimit.Config{Requests: 50, Per: 100 * time.Hour}))
	}
	var passed atomic.Int32
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for range 10 {
				d, err := machines[i%2].Allow(t.Context(), "key", time.Time{})
				if err != nil {
					t.Error(err)
				}
				if d.Allowed {
					passed.Add(1)
				} else if d.RetryAfter <= 0 || d.RetryAfter > 2*time.Hour {
					t.Errorf("%+v", d)
				}
			}
		})
	}
	all.Wait()
	if passed.Load() != 50 {
		t.Errorf("%d of 160 passed, want 50", passed.Load())
	}
}

// TestBounded: new keys share one bucket while the table is full of keys that
// are in use, those keep theirs, and idle ones are deleted.
func TestBounded(t *testing.T) {
	t.Parallel()
	db := open(t, pgtest.New(t).Database(t))
	l := limiter(t, db, pglimit.Config{Requests: 2, Per: time.Hour, MaxKeys: 50})
	if d := allow(t, l, "first"); !d.Allowed {
		t.Fatalf("%+v", d)
	}
	passed := 0
	for i := range 300 {
		if allow(t, l, "key "+strconv.Itoa(i)).Allowed {
			passed++
		}
	}
	if n := rows(t, db); n > 51 || passed != 49+2 {
		t.Errorf("%d rows, %d passed, want 50 and the shared one, 51 passed", n, passed)
	}
	if d := allow(t, l, "first"); !d.Allowed || d.Remaining != 0 {
		t.Errorf("a known key in a full table: %+v", d)
	}
	if d := allow(t, l, "first"); d.Allowed {
		t.Errorf("a known key got a new bucket: %+v", d)
	}
	shift(t, db, 2*time.Hour)
	allow(t, l, "after") // shares still, and tidies up
	for i := range 20 {
		if d := allow(t, l, "later "+strconv.Itoa(i)); !d.Allowed || d.Remaining != 1 {
			t.Fatalf("request %d after all became idle: %+v", i, d)
		}
	}
	if n := rows(t, db); n > 22 {
		t.Errorf("%d rows, idle ones among them", n)
	}
}

func TestMigrate(t *testing.T) {
	t.Parallel()
	db := open(t, pgtest.New(t).Database(t))
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() { limiter(t, db, pglimit.Config{Requests: 1, Per: time.Hour}) })
	}
	all.Wait()
	if _, err := db.ExecContext(t.Context(), "UPDATE ringback_limit_version SET version = 99"); err != nil {
		t.Fatal(err)
	}
	l, err := pglimit.New(pglimit.Config{DB: db, Requests: 1, Per: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Migrate(t.Context()); !errors.Is(err, pglimit.ErrSchema) {
		t.Errorf("%v, want ErrSchema", err)
	}
}

// TestSchema: the tables are where they are wanted, and two schemas are two
// tables.
func TestSchema(t *testing.T) {
	t.Parallel()
	db := open(t, pgtest.New(t).Database(t))
	var all sync.WaitGroup
	limiters := make([]*pglimit.Limiter, 3)
	for i, name := range []string{"select", "Order", "select"} { // words of the language
		all.Go(func() {
			limiters[i] = limiter(t, db, pglimit.Config{Schema: name, Requests: 1, Per: time.Hour, MaxKeys: 1})
		})
	}
	all.Wait()
	for i, want := range []bool{true, true, false} {
		if d := allow(t, limiters[i], "key"); d.Allowed != want {
			t.Errorf("limiter %d: %+v", i, d)
		}
	}
	for i := range 40 { // pages are looked at, and rows counted
		if d := allow(t, limiters[0], strconv.Itoa(i)); i > 2 && d.Allowed {
			t.Errorf("key %d passes: %+v", i, d)
		}
	}
	var n, elsewhere int
	err := db.QueryRowContext(t.Context(), `SELECT count(*), count(*) FILTER (WHERE schemaname NOT IN ('select', 'Order'))
		FROM pg_tables WHERE tablename LIKE 'ringback%'`).Scan(&n, &elsewhere)
	if err != nil || n != 4 || elsewhere != 0 {
		t.Errorf("%d tables, %d of them elsewhere, %v", n, elsewhere, err)
	}
}

// TestFailure: a database that does not answer, or has no table, closes the
// gate.
func TestFailure(t *testing.T) {
	t.Parallel()
	db := open(t, pgtest.New(t).Database(t))
	l, err := pglimit.New(pglimit.Config{DB: db, Requests: 1, Per: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	late, cancel := context.WithCancel(t.Context())
	cancel()
	for _, ctx := range []context.Context{t.Context(), late} {
		w := httptest.NewRecorder()
		middleware.RateLimit{Key: middleware.ByPeer, Limiter: l, Logger: slog.New(slog.DiscardHandler)}.Handler(http.NotFoundHandler()).
			ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/", nil))
		if w.Code != http.StatusServiceUnavailable {
			t.Errorf("status %d", w.Code)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	db := &sql.DB{}
	for _, c := range []pglimit.Config{
		{Requests: 1, Per: time.Second},
		{DB: db, Per: time.Second},
		{DB: db, Requests: 1},
		{DB: db, Requests: 2, Per: time.Microsecond},
		{DB: db, Requests: 1, Per: time.Second, Burst: -1},
		{DB: db, Requests: 1, Per: time.Second, MaxKeys: -1},
		{DB: db, Requests: 1, Per: time.Second, Timeout: -1},
		{DB: db, Requests: 1, Per: time.Second, Timeout: time.Minute},
		{DB: db, Requests: 1, Per: time.Hour, Burst: 1 << 40},
		{DB: db, Requests: 1, Per: time.Second, Schema: `a"b`},
		{DB: db, Requests: 1, Per: time.Second, Schema: strings.Repeat("a", 64)},
	} {
		if _, err := pglimit.New(c); !errors.Is(err, middleware.ErrConfig) {
			t.Errorf("%+v: %v, want ErrConfig", c, err)
		}
	}
}

func BenchmarkAllow(b *testing.B) {
	l := limiter(b, open(b, pgtest.New(b).Database(b)), pglimit.Config{Requests: 1_000_000, Per: time.Second})
	for name, keys := range map[string]int{"one key": 1, "1000 keys": 1000} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				allow(b, l, strconv.Itoa(i%keys))
			}
		})
	}
}
