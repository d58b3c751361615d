package sqlitestore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
)

// open opens a store that the test's end closes.
func open(t *testing.T, cfg sqlitestore.Config) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// pool opens a file with pragmas of the test's own.
func pool(t *testing.T, path string, conns int, pragmas ...string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma="+strings.Join(pragmas, "&_pragma="))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(conns)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// deliveries makes n deliveries to one subscription.
func deliveries(prefix string, n, size int) []delivery.Delivery {
	ds := make([]delivery.Delivery, n)
	for i := range ds {
		event := fmt.Sprintf("%s-%d", prefix, i)
		ds[i] = delivery.Delivery{
			ID: delivery.DeliveryID(event, "sub_1"), EventID: event, SubscriptionID: "sub_1",
			Dialect: "plain", Body: make([]byte, size), PublishedAt: time.Unix(1, 0),
		}
	}
	return ds
}

func counts(t *testing.T, s *sqlitestore.Store) delivery.Counts {
	t.Helper()
	c, err := s.Counts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func lease(t *testing.T, s *sqlitestore.Store, n int) []delivery.Lease {
	t.Helper()
	leases, err := s.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: n})
	if err != nil {
		t.Fatal(err)
	}
	return leases
}

func done(leases []delivery.Lease) []delivery.Outcome {
	outs := make([]delivery.Outcome, len(leases))
	for i, l := range leases {
		outs[i] = delivery.Outcome{
			ID: l.ID, Receipt: l.Receipt, Result: delivery.Done,
			Attempt: &delivery.Attempt{Number: 1, Status: 200, Response: make([]byte, delivery.MaxResponse)},
		}
	}
	return outs
}

var roomy = lanes.Config{MaxInFlight: 10_000}

func TestOpenRefusesUnsafeSettings(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		pragmas []string
		text    string
	}{
		"synchronous normal": {[]string{"journal_mode(WAL)", "synchronous(NORMAL)"}, "synchronous is below FULL"},
		"synchronous off":    {[]string{"journal_mode(WAL)", "synchronous(OFF)"}, "synchronous is below FULL"},
		"rollback journal":   {[]string{"journal_mode(DELETE)", "synchronous(FULL)"}, "journal_mode is delete, WAL is needed"},
		"journal in memory":  {[]string{"journal_mode(MEMORY)", "synchronous(FULL)"}, "journal_mode is memory, WAL is needed"},
		"full":               {[]string{"journal_mode(WAL)", "synchronous(FULL)"}, ""},
		"extra":              {[]string{"journal_mode(WAL)", "synchronous(EXTRA)"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "store.db")
			db := pool(t, path, 1, tt.pragmas...)
			s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Writer: db, Reader: pool(t, path, 2, "query_only(1)")})
			if tt.text == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if err := db.PingContext(t.Context()); err != nil {
					t.Errorf("Close closed the caller's pool: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.text) || !strings.HasPrefix(err.Error(), "sqlitestore: ") {
				t.Errorf("got %v", err)
			}
			var tables int
			if err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM sqlite_schema`).Scan(&tables); err != nil || tables != 0 {
				t.Errorf("a refused file has %d tables, %v", tables, err)
			}
		})
	}
}

func TestOpenRefusesConfig(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	db := pool(t, filepath.Join(dir, "pool.db"), 1, "journal_mode(WAL)", "synchronous(FULL)")
	for name, cfg := range map[string]sqlitestore.Config{
		"nothing":         {},
		"writer alone":    {Writer: db},
		"reader alone":    {Reader: db},
		"path and writer": {Path: filepath.Join(dir, "a.db"), Writer: db},
		"path and reader": {Path: filepath.Join(dir, "a.db"), Reader: db},
		"path and both":   {Path: filepath.Join(dir, "a.db"), Writer: db, Reader: db},
		"unknown driver":  {Path: filepath.Join(dir, "b.db"), Driver: "nosuch"},
		"no such folder":  {Path: filepath.Join(dir, "no", "such", "c.db")},
	} {
		s, err := sqlitestore.Open(t.Context(), cfg)
		if err == nil || s != nil {
			t.Errorf("%s: got %v, %v", name, s, err)
		}
	}
	if err := db.PingContext(t.Context()); err != nil {
		t.Errorf("a refused pool was closed: %v", err)
	}
}

func TestOpenRefusesANewerSchema(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s := open(t, sqlitestore.Config{Path: path})
	if _, err := s.Writer().ExecContext(t.Context(), `UPDATE ringback_version SET version = version + 1`); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 { // and gives the file up again
		_, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: path})
		if err == nil || !strings.Contains(err.Error(), "use a newer one") {
			t.Errorf("got %v", err)
		}
	}
}

func TestOpenStopsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := filepath.Join(t.TempDir(), "store.db")
	if _, err := sqlitestore.Open(ctx, sqlitestore.Config{Path: path}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	open(t, sqlitestore.Config{Path: path})
}

func TestFileIsMadeRight(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"store.db", "odd name?#%41é&.db"} {
		path := filepath.Join(dir, name)
		s := open(t, sqlitestore.Config{Path: path})
		for pragma, wanted := range map[string]string{
			"auto_vacuum": "2", "journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "query_only": "0",
		} {
			var got string
			if err := s.Writer().QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != wanted {
				t.Errorf("%s: got %s, %v, want %s", pragma, got, err, wanted)
			}
		}
		if _, err := s.Reader().ExecContext(t.Context(), `DELETE FROM ringback_delivery`); err == nil {
			t.Error("a reader writes")
		}
		if n := s.Writer().Stats().MaxOpenConnections; n != 1 {
			t.Errorf("%d connections write", n)
		}
		found, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		made := false
		for _, f := range found {
			made = made || f == path
		}
		if !made {
			t.Errorf("%s was not made, but %q", name, found)
		}
	}
}

func TestClosed(t *testing.T) {
	t.Parallel()
	s := open(t, sqlitestore.Config{Path: filepath.Join(t.TempDir(), "store.db")})
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Enqueue(t.Context(), time.Time{}, deliveries("a", 1, 1)...); !errors.Is(err, delivery.ErrClosed) {
		t.Errorf("Enqueue: %v", err)
	}
	if _, err := s.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: 1}); !errors.Is(err, delivery.ErrClosed) {
		t.Errorf("Lease: %v", err)
	}
}

// The pragmas that a file keeps count only if they come before its first page.
func TestNewFileHasItsSettings(t *testing.T) {
	t.Parallel()
	s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: filepath.Join(t.TempDir(), "new.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for pragma, want := range map[string]string{
		"page_size": "8192", "auto_vacuum": "2", "journal_mode": "wal", "synchronous": "2", "journal_size_limit": "25165824",
	} {
		var got string
		if err := s.Writer().QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", pragma, got, err, want)
		}
	}
}
