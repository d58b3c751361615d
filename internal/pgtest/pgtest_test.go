package pgtest_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/internal/pgtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(victim) == "" {
		pgtest.Main(m)
		return
	}
	url, _, err := pgtest.Run(pgtest.Options{}) // and it is never stopped: the process is killed
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(url)
	time.Sleep(time.Hour)
}

// ask returns what a query of one value says.
func ask[T any](t testing.TB, name, query string, args ...any) (value T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), query, args...).Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

func TestDatabasesAreApart(t *testing.T) {
	t.Parallel()
	server := pgtest.New(t)
	if again := pgtest.New(t); again != server {
		t.Error("another server")
	}
	var names []string
	t.Run("in use", func(t *testing.T) {
		for range 2 {
			name := server.Database(t)
			names = append(names, databaseOf(t, name))
			if n := ask[int](t, name, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"); n != 0 {
				t.Errorf("%d tables in a new database", n)
			}
			// A connection that is left does not keep the database.
			if conn, err := pgx.Connect(t.Context(), name); err != nil {
				t.Fatal(err)
			} else if _, err := conn.Exec(t.Context(), "CREATE TABLE t ()"); err != nil {
				t.Fatal(err)
			}
		}
	})
	if len(names) != 2 || names[0] == names[1] {
		t.Fatalf("databases %q", names)
	}
	if n := ask[int](t, server.URL(), "SELECT count(*) FROM pg_database WHERE datname = ANY ($1)", names); n != 0 {
		t.Errorf("%d databases are left", n)
	}
}

func databaseOf(t testing.TB, name string) string {
	t.Helper()
	u, err := url.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(u.Path, "/")
}

func TestClusterComesBack(t *testing.T) {
	t.Parallel()
	c := pgtest.Start(t, pgtest.Options{Settings: map[string]string{"work_mem": "5MB"}})
	if got := ask[string](t, c.URL(), "SELECT current_setting('fsync') || current_setting('work_mem')"); got != "on5MB" {
		t.Errorf("settings %q", got)
	}
	db := c.Database(t)
	ask[string](t, db, "SELECT set_config('application_name', 'x', false)")
	for i, step := range []func(testing.TB){c.Restart, c.RestartImmediate, func(t testing.TB) { c.Stop(t); c.Restart(t) }, func(t testing.TB) { c.Kill(t); c.Restart(t) }} {
		before := ask[time.Time](t, db, "SELECT pg_postmaster_start_time()")
		step(t)
		if after := ask[time.Time](t, db, "SELECT pg_postmaster_start_time()"); !after.After(before) {
			t.Errorf("step %d: the server did not start anew", i)
		}
	}
	c.Kill(t)
	if conn, err := pgx.Connect(t.Context(), db); err == nil {
		conn.Close(t.Context())
		t.Error("a killed server answers")
	}
}

func TestStandby(t *testing.T) {
	t.Parallel()
	primary := pgtest.Start(t, pgtest.Options{})
	standby := primary.Standby(t)
	if !ask[bool](t, standby.URL(), "SELECT pg_is_in_recovery()") {
		t.Error("the standby is none")
	}
	if n := ask[int](t, primary.URL(), "SELECT 1"); n != 1 {
		t.Error(n)
	}
	db := primary.Database(t)
	primary.Stop(t) // sends what is left
	standby.Promote(t)
	there, err := url.Parse(standby.URL())
	if err != nil {
		t.Fatal(err)
	}
	there.Path = "/" + databaseOf(t, db)
	if ask[bool](t, there.String(), "SELECT pg_is_in_recovery()") {
		t.Error("the standby was not promoted")
	}
}

const victim = "PGTEST_VICTIM"

// A server dies with its test process, even if that is killed.
func TestNoServerIsLeft(t *testing.T) {
	t.Parallel()
	pgtest.Start(t, pgtest.Options{}).Stop(t) // skips where there is no server
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), victim+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var name, dir string
	for name == "" {
		var word string
		if _, err := fmt.Fscan(out, &word); err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(word, "postgres://") {
			name = word
		}
	}
	dir = ask[string](t, name, "SELECT current_setting('unix_socket_directories')")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the victim ended well")
	}
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		conn, err := pgx.Connect(t.Context(), name)
		if err != nil {
			break
		}
		conn.Close(t.Context())
	}
	for tick := time.NewTicker(10 * time.Millisecond); ; <-tick.C {
		if _, err := os.Stat(dir + "/data/postmaster.pid"); os.IsNotExist(err) {
			break // the server is gone in good order
		}
	}
	pgtest.Start(t, pgtest.Options{})
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the folder is left: %v", err)
	}
}
