package pgstore_test

import (
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/delivery/pgstore"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// pool is a connection pool besides those of the site's processes.
func (s *site) pool(url string) *pgxpool.Pool {
	s.Helper()
	pool, err := pgxpool.New(s.Context(), url)
	s.must(err)
	s.Cleanup(pool.Close)
	return pool
}

func (s *site) exec(pool *pgxpool.Pool, text string, args ...any) {
	s.Helper()
	_, err := pool.Exec(s.Context(), pgstore.SQL(s.schema, text), args...)
	s.must(err)
}

// TestLongSchema: the longest name for a schema leaves no room for more in the
// name of a channel, and who listens is told all the same.
func TestLongSchema(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t).Database(t), lanes.Config{})
	s.schema = "r" + strings.Repeat("x", 62)
	s.must(pgstore.Migrate(t.Context(), s.pool(s.url), s.schema))
	s.cfg.Poll, s.cfg.Expiry = 30*time.Second, 4*time.Second
	a := s.launch()
	s.shared(20*time.Second, 64, a)
	s.idle = true
	out := s.launch()
	for i := range 5 {
		s.enqueue(out, of(fmt.Sprint("x", i), "l", ""))
		s.settle(a, s.collect(10*time.Second, 1, a)[a]...)
	}
	s.counted(out, delivery.Counts{Delivered: 5})
}

// TestSeqsGivenAgain: after a failover to a server that was behind, numbers are
// given that rows have already, and nobody who stores something notices.
func TestSeqsGivenAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t).Database(t), lanes.Config{})
	s.exec(s.pool(s.url), `WITH r AS (INSERT INTO @.delivery (seq, id, shard, lane, due, expires, data)
			SELECT n * 4096 + 3, 'old' || n, 0, 'old', 0, 0, '' FROM generate_series(1, 100) n RETURNING seq)
		INSERT INTO @.outcome (seq, state, at, attempts, data) SELECT seq, 1, 0, 1, '' FROM r`)
	a := s.launch()
	s.shared(20*time.Second, 64, a)
	for i := range 64 {
		s.enqueue(a, of(fmt.Sprint("x", i), fmt.Sprint("l", i), ""))
	}
	for e, leases := range s.collect(20*time.Second, 64, a) {
		s.settle(e, leases...)
	}
	if c, err := a.store.Counts(t.Context()); err != nil || c != (delivery.Counts{Delivered: 64}) {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestUnreadableLetter: what a newer program leaves for a shard holds up that
// shard, in its order, and no other; it is read once that is possible.
func TestUnreadableLetter(t *testing.T) {
	t.Parallel()
	for name, letter := range map[string]string{
		"of an unknown kind":    `99::smallint, 'x', 'lane', ''::bytea, ''::bytea`,
		"an unknown delivery":   `1::smallint, 'x', 'lane', ''::bytea, '\xff'::bytea`,
		"an unknown lane state": `2::smallint, 'lane', 'lane', ''::bytea, '\xff'::bytea`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, pgtest.New(t).Database(t), lanes.Config{})
			a := s.launch()
			s.shared(20*time.Second, 64, a)
			s.idle = true
			out, pool := s.launch(), s.pool(s.url)
			held := pgstore.ShardOf("lane")
			s.exec(pool, `INSERT INTO @.inbox (shard, kind, name, lane, key, data) SELECT $1::smallint, `+letter, held)
			want, others := 0, 0
			for i := range 40 {
				lane := fmt.Sprint("l", i)
				s.enqueue(out, of(fmt.Sprint("d", i), lane, ""), of(fmt.Sprint("h", i), "lane", ""))
				if pgstore.ShardOf(lane) != held {
					others++
				}
				want += 2
			}
			for _, l := range s.collect(20*time.Second, others, a)[a] {
				if pgstore.ShardOf(l.LaneName()) == held {
					t.Errorf("leased %s of the shard that is held up", l.ID)
				}
				s.settle(a, l)
			}
			s.none(a)
			b := func() *engine { s.idle = false; return s.launch() }() // who gains the shard is held up as well
			s.shared(20*time.Second, 32, a, b)
			s.none(a, b)
			s.exec(pool, `DELETE FROM @.inbox WHERE name IN ('x', 'lane')`)
			for left := want - others; left > 0; {
				for e, leases := range s.collect(20*time.Second, 1, a, b) {
					s.settle(e, leases...)
					left -= len(leases)
				}
			}
			s.counted(out, delivery.Counts{Delivered: int64(want)})
		})
	}
}

// TestMigrateWithoutRights: who finds the tables made needs no right to make
// them.
func TestMigrateWithoutRights(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t).Database(t), lanes.Config{})
	pool := s.pool(s.url)
	role := strings.ToLower(s.schema) + "_user"
	s.exec(pool, `CREATE ROLE `+role)
	defer s.exec(pool, `DROP ROLE `+role)
	defer s.exec(pool, `DROP OWNED BY `+role)
	s.exec(pool, `GRANT USAGE ON SCHEMA "`+s.schema+`" TO `+role)
	s.exec(pool, `GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "`+s.schema+`" TO `+role)
	s.exec(pool, `GRANT USAGE, UPDATE ON ALL SEQUENCES IN SCHEMA "`+s.schema+`" TO `+role)
	cfg, err := pgxpool.ParseConfig(s.url)
	s.must(err)
	cfg.ConnConfig.RuntimeParams["role"] = role
	limited, err := pgxpool.NewWithConfig(t.Context(), cfg)
	s.must(err)
	defer limited.Close()
	s.must(pgstore.Migrate(t.Context(), limited, s.schema))
	if err := pgstore.Migrate(t.Context(), limited, "elsewhere"); err == nil {
		t.Error("made a schema that it has no right to make")
	}
	store, err := pgstore.Open(t.Context(), pgstore.Config{Pool: limited, Schema: s.schema})
	s.must(err)
	s.must(store.Enqueue(t.Context(), time.Time{}, of("x", "l", "")))
}

// TestNewerTables: tables of a newer version are worked with if they say that
// this version can, and are left alone in any case.
func TestNewerTables(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(pgstore.Migrations(), "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	known := len(files)
	for name, tt := range map[string]struct {
		change  string
		refused bool
	}{
		"this version will do":   {fmt.Sprintf(`UPDATE @.version SET version = %d, least = %d`, known+1, known), false},
		"an older one will do":   {fmt.Sprintf(`UPDATE @.version SET version = %d, least = 1`, known+5), false},
		"a newer one is needed":  {fmt.Sprintf(`UPDATE @.version SET version = %d, least = %[1]d`, known+1), true},
		"made by a tool, as new": {`ALTER TABLE @.version DROP COLUMN least`, false},
		"made by a newer tool": {
			fmt.Sprintf(`DO $$ BEGIN ALTER TABLE @.version DROP COLUMN least; UPDATE @.version SET version = %d; END $$`, known+1), true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, pgtest.New(t).Database(t), lanes.Config{})
			pool := s.pool(s.url)
			s.exec(pool, tt.change)
			_, opened := pgstore.Open(t.Context(), pgstore.Config{Pool: pool, Schema: s.schema, NoListen: true, Logger: slog.New(slog.DiscardHandler)})
			for what, err := range map[string]error{"Migrate": pgstore.Migrate(t.Context(), pool, s.schema), "Open": opened} {
				if refused := err != nil && strings.Contains(err.Error(), "use a newer one"); refused != tt.refused || err != nil && !refused {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}
