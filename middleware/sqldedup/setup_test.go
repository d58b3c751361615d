package sqldedup_test

import (
	"database/sql"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/ringback-go/ringback/internal/pgtest"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/middleware/sqldedup"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// A base is a database of a flavor.
type base struct {
	flavor sqldedup.Flavor
	driver string
	name   string
}

var bases = []struct {
	name string
	make func(t testing.TB) base
}{
	{"sqlite", func(t testing.TB) base {
		const pragmas = "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(10000)"
		return base{sqldedup.SQLite, "sqlite", "file:" + filepath.Join(t.TempDir(), "dedup.db") + pragmas}
	}},
	{"postgres", func(t testing.TB) base {
		return base{sqldedup.PostgreSQL, "pgx", pgtest.New(t).Database(t)}
	}},
}

func (b base) open(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open(b.driver, b.name)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(4)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

// store opens and migrates b, as a process would.
func (b base) store(t testing.TB, c sqldedup.Config) *sqldedup.Store {
	t.Helper()
	c.Flavor, c.DB = b.flavor, b.open(t)
	s, err := sqldedup.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s
}

// A clock is what several stores go by.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(1669872112e9)
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }
func idOf(i int) (c middleware.DedupClaim) {
	copy(c.Key[:], strconv.Itoa(i))
	c.Lease = time.Minute
	return c
}
