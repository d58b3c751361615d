package pgtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// Options are those of a private cluster. The zero value is a server that
// syncs every commit to disk, as one in earnest.
type Options struct {
	// Settings are added to the server's configuration, over those of this
	// package; the port, the folders and the addresses are not for changing.
	Settings map[string]string
	// BadDisk lets [Cluster.FillDisk] and [Cluster.FailSync] spoil the disk. It
	// needs a C compiler.
	BadDisk bool
}

// settings are the same for every server.
var settings = map[string]string{
	"max_connections":  "300",
	"shared_buffers":   "128MB",
	"listen_addresses": "127.0.0.1",
	// What a test sees must not depend on where it runs.
	"timezone":    "UTC",
	"lc_messages": "C",
}

// A Cluster is a PostgreSQL server of one test, made by [Start]. A method that
// fails ends the test.
type Cluster struct {
	c *cluster
}

// Start makes a cluster and starts it; when t ends it is stopped and removed.
// It skips or fails t like [New].
func Start(t testing.TB, o Options) *Cluster {
	t.Helper()
	c, err := create(o)
	if err != nil {
		unavailable(t, err)
	}
	return own(t, c)
}

func own(t testing.TB, c *cluster) *Cluster {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the server on port %d said:\n%s", c.port, c.log())
		}
		if err := c.remove(); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	return &Cluster{c}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
}

// URL returns the URL of the database postgres, at a port of 127.0.0.1. It
// stays the same when the cluster is started again.
func (c *Cluster) URL() string { return c.c.url("postgres") }

// Database makes an empty database and returns its URL. It goes with the cluster.
func (c *Cluster) Database(t testing.TB) string {
	t.Helper()
	id := "test_" + token()
	check(t, execute(t.Context(), c.URL(), `CREATE DATABASE `+id))
	return c.c.url(id)
}

// Stop ends the server in good order ("fast"): connections are cut,
// transactions rolled back, and a standby gets the last of the log. It does
// nothing if the server does not run.
func (c *Cluster) Stop(t testing.TB) {
	t.Helper()
	check(t, c.c.halt(os.Interrupt))
}

// Kill ends the server by SIGKILL, as a crash does. It does nothing if the
// server does not run.
func (c *Cluster) Kill(t testing.TB) {
	t.Helper()
	check(t, c.c.halt(os.Kill))
}

// Restart starts the server again on the same folder and port, after
// [Cluster.Stop] if it still runs, and waits until it takes connections.
func (c *Cluster) Restart(t testing.TB) {
	t.Helper()
	c.Stop(t)
	check(t, c.c.begin())
}

// RestartImmediate is what "pg_ctl restart -m immediate" does: the server ends
// without finishing anything, starts again and recovers from its log.
func (c *Cluster) RestartImmediate(t testing.TB) {
	t.Helper()
	check(t, c.c.halt(immediate))
	check(t, c.c.begin())
}

// Standby copies the running cluster and starts the copy, which follows it by
// streaming and takes read-only connections. It is a cluster like another:
// stopped and removed when t ends, which must be t of [Start] or a subtest.
func (c *Cluster) Standby(t testing.TB) *Cluster {
	t.Helper()
	copied, err := c.c.standby()
	check(t, err)
	return own(t, copied)
}

// Promote makes a standby a server that takes writes, and waits until it does.
// The cluster that it followed is not stopped by that.
func (c *Cluster) Promote(t testing.TB) {
	t.Helper()
	check(t, execute(t.Context(), c.URL(), `SELECT pg_promote(true, 60)`))
	check(t, execute(t.Context(), c.URL(), `CREATE TEMPORARY TABLE writable ()`))
}

// A cluster is a folder with a server's data, and the server while it runs.
type cluster struct {
	bin      string // where the programs are
	user     *user  // nil is this process's
	dir      string
	lock     *os.File // while the folder is in use
	port     int
	password string
	env      []string // more than the process's own
	process  *process // nil while it does not run
}

func create(o Options) (*cluster, error) {
	c, err := folder()
	if err != nil {
		return nil, err
	}
	if o.BadDisk {
		err = c.spoil()
	}
	if err == nil {
		err = c.initialize(o)
	}
	if err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return c, nil
}

// folder returns a cluster with a folder and nothing in it.
func folder() (*cluster, error) {
	bin, err := programs()
	if err != nil {
		return nil, err
	}
	u, err := unprivileged()
	if err != nil {
		return nil, err
	}
	if err := sweep(); err != nil {
		return nil, err
	}
	c := &cluster{bin: bin, user: u, password: token() + token()}
	if c.dir, err = os.MkdirTemp("/tmp", "pgtest"); err != nil {
		return nil, err
	}
	if err := errors.Join(c.claim(), os.Chmod(c.dir, 0o711), u.own(c.dir)); err != nil { //nolint:gosec // the server's user must get through
		return nil, errors.Join(err, c.remove())
	}
	return c, nil
}

func (c *cluster) data() string { return filepath.Join(c.dir, "data") }

func (c *cluster) initialize(o Options) error {
	secret := filepath.Join(c.dir, "password")
	if err := errors.Join(os.WriteFile(secret, []byte(c.password), 0o600), c.user.own(secret)); err != nil {
		return err
	}
	args := []string{
		"-D", c.data(), "-U", "postgres", "-E", "UTF8", "--no-locale",
		"-A", "scram-sha-256", "--pwfile", secret, "--no-sync",
	}
	// Not every version and build can sort by a language.
	err := c.run("initdb", append(slices.Clone(args), "--locale-provider=icu", "--icu-locale=en")...)
	if err != nil {
		if err := os.RemoveAll(c.data()); err != nil {
			return err
		}
		err = c.run("initdb", args...)
	}
	if err == nil {
		err = c.configure(o)
	}
	if err != nil {
		return err
	}
	return c.beginSomewhere()
}

// configure appends to the configuration, where the last setting of a name counts.
func (c *cluster) configure(o Options) error {
	f, err := os.OpenFile(filepath.Join(c.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	for _, more := range []map[string]string{settings, o.Settings} {
		for name, value := range more {
			if _, err := fmt.Fprintf(f, "%s = '%s'\n", name, value); err != nil {
				return errors.Join(err, f.Close())
			}
		}
	}
	return f.Close()
}

// beginSomewhere starts the server on a port that is free. Another process may
// take the port in between, so it tries a few.
func (c *cluster) beginSomewhere() (err error) {
	for range 5 {
		if c.port, err = freePort(); err != nil {
			return err
		}
		if err = c.begin(); err == nil {
			return nil
		}
	}
	return err
}

func freePort() (int, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return 0, errors.Join(err, l.Close())
	}
	n, err := strconv.Atoi(port)
	return n, errors.Join(err, l.Close())
}

func (c *cluster) url(database string) string {
	return (&url.URL{
		Scheme: "postgres", User: url.UserPassword("postgres", c.password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)), Path: "/" + database,
		RawQuery: "sslmode=disable",
	}).String()
}

func (c *cluster) standby() (*cluster, error) {
	copied, err := folder()
	if err != nil {
		return nil, err
	}
	copied.password = c.password // is in the data
	err = copied.run("pg_basebackup", "-d", c.url("postgres"), "-D", copied.data(),
		"-R", "-X", "stream", "--checkpoint=fast", "--no-sync")
	if err == nil {
		err = copied.beginSomewhere()
	}
	if err != nil {
		return nil, errors.Join(err, copied.remove())
	}
	return copied, nil
}

// remove stops the server and removes its folder. Children of a killed server
// may write there for a moment yet.
func (c *cluster) remove() error {
	if err := c.halt(immediate); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		err := os.RemoveAll(c.dir)
		if err == nil || pause(ctx) != nil {
			return errors.Join(err, c.lock.Close())
		}
	}
}

// pause lets a server get on.
func pause(ctx context.Context) error {
	select {
	case <-time.After(20 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
