//go:build unix

package pgstore_test

import (
	"net/url"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// burn has a server give out n numbers of transactions that leave nothing, and
// returns the last one.
func (s *site) burn(url string, n int) (xid int64) {
	s.Helper()
	conn, err := pgx.Connect(s.Context(), url)
	s.must(err)
	defer conn.Close(s.Context())
	_, err = conn.Exec(s.Context(), strings.Repeat(`BEGIN; SELECT pg_current_xact_id(); ROLLBACK;`, n), pgx.QueryExecModeSimpleProtocol)
	s.must(err)
	s.must(conn.QueryRow(s.Context(), `SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1`).Scan(&xid))
	return xid
}

// arrives enqueues a delivery through a process that leaves it to another, as
// soon as the database lets it, and has it sent there.
func (s *site) arrives(id string, from, to *engine) {
	s.Helper()
	s.until(30*time.Second, "stored", func() bool {
		return from.store.Enqueue(s.Context(), time.Time{}, of(id, "lane", "")) == nil
	})
	var leases []delivery.Lease
	s.until(20*time.Second, id+" is leased", func() bool {
		got, err := to.store.Lease(s.Context(), time.Time{}, delivery.LeaseRequest{Max: 1, TTL: time.Minute})
		leases = append(leases, got...)
		return err == nil && len(leases) > 0
	})
	s.settle(to, leases...)
}

// TestLettersOfAnotherServer: who takes over may not know what transactions the
// server before it had, and numbers its own like those. What they leave is read.
func TestLettersOfAnotherServer(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t, pgtest.Options{})
	database := primary.Database(t)
	standby := primary.Standby(t)
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	v, err := url.Parse(standby.URL())
	if err != nil {
		t.Fatal(err)
	}
	u.Host += "," + v.Host
	u.RawQuery += "&target_session_attrs=read-write&connect_timeout=2"
	s := newSite(t, u.String(), lanes.Config{})
	s.cfg.Expiry = 20 * time.Second // the same member goes on
	s.cfg.Poll = 5 * time.Second    // the inbox is not looked at before there is something in it
	a := s.launch()
	s.shared(20*time.Second, 64, a)
	s.idle = true
	out := s.launch()
	s.arrives("before", out, a)
	before, after := s.pool(database), s.pool(standby.URL())
	is := func(query string) func() bool {
		return func() (yes bool) { return before.QueryRow(t.Context(), query).Scan(&yes) == nil && yes }
	}
	s.until(20*time.Second, "the standby has it all", is(`SELECT coalesce(bool_and(replay_lsn >= pg_current_wal_lsn()), false) FROM pg_stat_replication`))
	for _, text := range []string{`ALTER SYSTEM SET primary_conninfo = ''`, `SELECT pg_reload_conf()`} {
		if _, err := after.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	s.until(20*time.Second, "the standby is cut off", is(`SELECT count(*) = 0 FROM pg_stat_replication`))
	s.burn(database, 2000)
	s.arrives("lost", out, a)
	<-time.After(s.cfg.Poll / 5) // the inbox is looked at once more
	primary.Kill(t)
	standby.Promote(t)
	s.arrives("after", out, a)
}

// TestLettersAfterABackendCrashed: numbers of transactions that were on no disk
// are given once more. What they leave is read.
func TestLettersAfterABackendCrashed(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t, pgtest.Options{Settings: map[string]string{"wal_writer_delay": "10s"}})
	s := newSite(t, server.Database(t), lanes.Config{})
	s.cfg.Expiry = time.Minute   // nothing is committed by itself meanwhile
	s.cfg.Poll = 5 * time.Second // nor is the inbox looked at before there is something in it
	a := s.launch()
	s.shared(20*time.Second, 64, a)
	s.idle = true
	out := s.launch()
	for try := 1; ; try++ {
		s.arrives("before"+strings.Repeat("+", try), out, a)
		burned := s.burn(s.url, 1000)
		<-time.After(s.cfg.Poll / 5) // the inbox is looked at
		s.crash()
		var next int64
		s.until(30*time.Second, "the server is back", func() bool {
			conn, err := pgx.Connect(t.Context(), s.url)
			if err != nil {
				return false
			}
			defer conn.Close(t.Context())
			return conn.QueryRow(t.Context(), `SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint`).Scan(&next) == nil
		})
		s.arrives("after"+strings.Repeat("+", try), out, a)
		if next+100 < burned {
			return
		}
		if try == 10 {
			t.Fatalf("transactions up to %d are on disk again and again, the next one is %d", burned, next)
		}
	}
}

// TestLettersWithoutLastingConnections: where a pooler closes what was used once,
// whoever reads never meets a process of the server again, and takes letters all
// the same.
func TestLettersWithoutLastingConnections(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t).Database(t), lanes.Config{})
	s.cfg.Expiry = 10 * time.Second
	s.once = true
	a := s.launch()
	s.shared(20*time.Second, 64, a)
	s.idle = true
	out := s.launch()
	for _, id := range []string{"first", "second", "third"} {
		s.arrives(id, out, a)
	}
}

// crash ends a backend as the system does that runs out of memory: the server
// ends all others, and recovers.
func (s *site) crash() {
	s.Helper()
	conn, err := pgx.Connect(s.Context(), s.url)
	s.must(err)
	defer conn.Close(s.Context())
	s.must(syscall.Kill(int(conn.PgConn().PID()), syscall.SIGKILL))
	s.until(10*time.Second, "the backend is gone", func() bool { return conn.Ping(s.Context()) != nil })
}
