package sqldedup_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringback-go/ringback/internal/pgtest"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/middleware/internal/deduptest"
	"github.com/ringback-go/ringback/middleware/sqldedup"
)

// TestConformance runs two stores, with a pool each, on one database.
func TestConformance(t *testing.T) {
	t.Parallel()
	for _, b := range bases {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			deduptest.Run(t, deduptest.Harness{Open: func(t *testing.T, limit int) (x, y middleware.DedupStore, advance func(time.Duration)) {
				db, c := b.make(t), newClock()
				cfg := sqldedup.Config{MaxEntries: limit, Now: c.now}
				return db.store(t, cfg), db.store(t, cfg), c.advance
			}})
		})
	}
}

// TestServerClock: PostgreSQL's own clock ends leases and retentions.
func TestServerClock(t *testing.T) {
	t.Parallel()
	s := bases[1].make(t).store(t, sqldedup.Config{})
	c, next := idOf(1), idOf(1)
	c.Lease, next.Token = 0, middleware.DedupToken{1}
	for _, claim := range []middleware.DedupClaim{c, next} { // the first is over at once
		if res, err := s.Claim(t.Context(), claim); err != nil || res.State != middleware.DedupClaimed {
			t.Fatalf("%+v, %v", res, err)
		}
	}
	if res, err := s.Claim(t.Context(), c); err != nil || res.State != middleware.DedupInProgress {
		t.Fatalf("%+v, %v", res, err)
	}
	if err := s.Commit(t.Context(), next.Key, next.Token, middleware.DedupAnswer{Status: 200}, middleware.DedupRetention{Keep: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if res, err := s.Claim(t.Context(), c); err != nil || res.State != middleware.DedupDone || res.Answer.Status != 200 {
		t.Fatalf("%+v, %v", res, err)
	}
}

// TestMigrate: at once, again, and in front of a newer version.
func TestMigrate(t *testing.T) {
	t.Parallel()
	for _, b := range bases {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			db := b.make(t)
			var all sync.WaitGroup
			for range 4 {
				s, err := sqldedup.New(sqldedup.Config{Flavor: db.flavor, DB: db.open(t)})
				if err != nil {
					t.Fatal(err)
				}
				all.Go(func() {
					if err := s.Migrate(t.Context()); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			pool := db.open(t)
			if _, err := pool.ExecContext(t.Context(), "UPDATE ringback_dedup_version SET version = 99"); err != nil {
				t.Fatal(err)
			}
			s, err := sqldedup.New(sqldedup.Config{Flavor: db.flavor, DB: pool})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Migrate(t.Context()); !errors.Is(err, sqldedup.ErrSchema) {
				t.Errorf("%v, want ErrSchema", err)
			}
		})
	}
}

// TestSchema: the tables are where they are wanted, whatever else is there,
// and two schemas are two tables. Who only uses them needs no right to make
// any.
func TestSchema(t *testing.T) {
	t.Parallel()
	db := base{sqldedup.PostgreSQL, "pgx", pgtest.New(t).Database(t)}
	c := newClock()
	var all sync.WaitGroup
	stores := make([]*sqldedup.Store, 3)
	for i, name := range []string{"select", "NOW", "select"} { // words of the language, and of ours
		all.Go(func() { stores[i] = db.store(t, sqldedup.Config{Schema: name, MaxEntries: 1, Now: c.now}) })
	}
	all.Wait()
	for i, want := range []middleware.DedupState{middleware.DedupClaimed, middleware.DedupClaimed, middleware.DedupInProgress} {
		claim := idOf(1)
		claim.Token[0] = byte(i)
		if res, err := stores[i].Claim(t.Context(), claim); err != nil || res.State != want {
			t.Errorf("store %d: %v, %v", i, res.State, err)
		}
	}
	first, answer := idOf(1), middleware.DedupAnswer{Status: 200}
	if err := stores[2].Commit(t.Context(), first.Key, first.Token, answer, middleware.DedupRetention{Keep: time.Hour}); err != nil {
		t.Error(err)
	}
	if res, err := stores[0].Claim(t.Context(), first); err != nil || res.State != middleware.DedupDone {
		t.Errorf("after Commit: %v, %v", res.State, err)
	}
	second := idOf(1)
	second.Token[0] = 1
	if err := stores[1].Release(t.Context(), second.Key, second.Token); err != nil {
		t.Error(err)
	}
	c.advance(2 * time.Hour)
	if _, err := stores[0].Claim(t.Context(), idOf(2)); err != nil { // makes room
		t.Error(err)
	}
	pool := db.open(t)
	var n, elsewhere int
	err := pool.QueryRowContext(t.Context(), `SELECT count(*), count(*) FILTER (WHERE schemaname NOT IN ('select', 'NOW'))
		FROM pg_tables WHERE tablename LIKE 'ringback%'`).Scan(&n, &elsewhere)
	if err != nil || n != 4 || elsewhere != 0 {
		t.Errorf("%d tables, %d of them elsewhere, %v", n, elsewhere, err)
	}
	role := fmt.Sprintf("sqldedup_reader_%d", os.Getpid())
	for _, statement := range []string{
		"CREATE ROLE " + role, `GRANT USAGE ON SCHEMA "select" TO ` + role, `GRANT SELECT ON ALL TABLES IN SCHEMA "select" TO ` + role,
	} {
		if _, err := pool.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { // roles are the server's
		if _, err := pool.ExecContext(context.Background(), "DROP OWNED BY "+role+"; DROP ROLE "+role); err != nil {
			t.Error(err)
		}
	})
	reader := db.open(t)
	reader.SetMaxOpenConns(1)
	if _, err := reader.ExecContext(t.Context(), "SET ROLE "+role); err != nil {
		t.Fatal(err)
	}
	s, err := sqldedup.New(sqldedup.Config{Flavor: sqldedup.PostgreSQL, DB: reader, Schema: "select"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Migrate(t.Context()); err != nil {
		t.Errorf("nothing is to be made: %v", err)
	}
}

func TestSchemaNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{`a"b`, "a.b", "a b", "1a", "é", "a?", strings.Repeat("a", 64)} {
		if _, err := sqldedup.New(sqldedup.Config{Flavor: sqldedup.PostgreSQL, DB: &sql.DB{}, Schema: name}); !errors.Is(err, middleware.ErrConfig) {
			t.Errorf("%q: %v, want ErrConfig", name, err)
		}
	}
	if _, err := sqldedup.New(sqldedup.Config{DB: &sql.DB{}, Schema: "a"}); !errors.Is(err, middleware.ErrConfig) {
		t.Errorf("SQLite: %v, want ErrConfig", err)
	}
}

// TestBounded: rows stay under the limit and what is over goes, while claims
// come and nothing else does.
func TestBounded(t *testing.T) {
	t.Parallel()
	for _, b := range bases {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			db, c := b.make(t), newClock()
			s, pool := db.store(t, sqldedup.Config{MaxEntries: 100, Now: c.now}), db.open(t)
			full := 0
			for i := range 400 {
				switch _, err := s.Claim(t.Context(), idOf(i)); {
				case errors.Is(err, middleware.ErrFull):
					full++
				case err != nil:
					t.Fatal(err)
				}
			}
			if n := rows(t, pool); n > 100 || n < 90 || full != 400-n {
				t.Errorf("%d rows, %d refused", n, full)
			}
			c.advance(time.Hour)
			for i := range 40 {
				if _, err := s.Claim(t.Context(), idOf(1000+i)); err != nil {
					t.Fatal(err)
				}
			}
			if n := rows(t, pool); n != 40 {
				t.Errorf("%d rows, want those of the last hour alone", n)
			}
		})
	}
}

func rows(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM ringback_dedup").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestTwoProcesses: many requests of one id at two gates over one database
// reach the handler one at a time, and successfully but once.
func TestTwoProcesses(t *testing.T) {
	t.Parallel()
	for _, b := range bases {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			db := b.make(t)
			var running, runs, done atomic.Int32
			handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if running.Add(1) != 1 {
					t.Error("two handlers run at once")
				}
				defer running.Add(-1)
				if runs.Add(1) < 3 {
					w.WriteHeader(http.StatusInternalServerError)
					return
				}
				done.Add(1)
				fmt.Fprint(w, "done")
			})
			var gates []http.Handler
			for range 2 {
				gate := middleware.Dedup{
					Store: db.store(t, sqldedup.Config{Timeout: time.Minute}), Logger: slog.New(slog.DiscardHandler),
					ID: func(*http.Request) string { return "id" },
				}
				gates = append(gates, middleware.Body{}.Handler(gate.Handler(handler)))
			}
			serve := func(i int) (int, string) {
				w := httptest.NewRecorder()
				gates[i%2].ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("body")))
				return w.Code, w.Body.String()
			}
			var all sync.WaitGroup
			for i := range 16 {
				all.Go(func() {
					for {
						if code, body := serve(i); code == http.StatusOK {
							if body != "done" {
								t.Errorf("answer %q", body)
							}
							return
						}
					}
				})
			}
			all.Wait()
			if runs.Load() != 3 || done.Load() != 1 {
				t.Errorf("%d runs, %d of them good", runs.Load(), done.Load())
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	db := &sql.DB{}
	for _, c := range []sqldedup.Config{{}, {Flavor: 7, DB: db}, {DB: db, MaxEntries: -1}, {DB: db, Timeout: -1}} {
		if _, err := sqldedup.New(c); !errors.Is(err, middleware.ErrConfig) {
			t.Errorf("%+v: %v, want ErrConfig", c, err)
		}
	}
}

// TestFailure: a database that is gone fails every method, and the gate
// closes.
func TestFailure(t *testing.T) {
	t.Parallel()
	db := bases[0].make(t)
	pool := db.open(t)
	s, err := sqldedup.New(sqldedup.Config{DB: pool})
	if err != nil {
		t.Fatal(err)
	}
	ctx, c := context.WithoutCancel(t.Context()), idOf(1) // and no table
	if _, err := s.Claim(ctx, c); err == nil {
		t.Error("a claim without a table")
	}
	for _, err := range []error{
		s.Commit(ctx, c.Key, c.Token, middleware.DedupAnswer{}, middleware.DedupRetention{}),
		s.Release(ctx, c.Key, c.Token),
	} {
		if err == nil || errors.Is(err, middleware.ErrClaimLost) {
			t.Errorf("%v", err)
		}
	}
	w := httptest.NewRecorder()
	gate := middleware.Dedup{Store: s, ID: func(*http.Request) string { return "id" }, Logger: slog.New(slog.DiscardHandler)}
	middleware.Body{}.Handler(gate.Handler(http.NotFoundHandler())).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d", w.Code)
	}
}

func BenchmarkClaimCommit(b *testing.B) {
	for _, base := range bases {
		b.Run(base.name, func(b *testing.B) {
			s, i := base.make(b).store(b, sqldedup.Config{}), 0
			b.ReportAllocs()
			for b.Loop() {
				i++
				c := idOf(i)
				if _, err := s.Claim(b.Context(), c); err != nil {
					b.Fatal(err)
				}
				if err := s.Commit(b.Context(), c.Key, c.Token, middleware.DedupAnswer{Status: 200}, middleware.DedupRetention{Keep: time.Hour}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
