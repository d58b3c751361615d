// Package pgtest starts real PostgreSQL servers for tests.
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
//	func TestRows(t *testing.T) {
//		t.Parallel()
//		pool, err := pgxpool.New(t.Context(), pgtest.New(t).Database(t))
//		if err != nil {
//			t.Fatal(err)
//		}
//		defer pool.Close()
//		// ...
//	}
//
// [New] returns the server that all tests of the process share: the one that
// the environment variable POSTGRES_URL names, or else one that is started for
// the first test that asks and stopped by [Main], folder and all.
// [Server.Database] makes an empty database in it. [Start] returns a cluster of
// the test's own, which may be stopped, killed, started again and followed by
// a standby.
//
// # Servers
//
// The programs initdb and postgres are looked for where pg_config points, on
// the PATH and in /usr/lib/postgresql, the newest there. They refuse to run as
// root; a test process that is root runs them as the user postgres, or else as
// nobody. Folders are made in /tmp, because the path of a Unix socket must be
// short, and a user of another name must reach them. The password is random:
// other users of the machine stay out. Databases sort text by a language's
// rules if the server can (ICU), so that a column that should be compared by
// bytes and is not shows.
//
// Without a server to be had the test is skipped, or fails if the environment
// says CI=true. Servers are started on Linux only; elsewhere POSTGRES_URL is
// needed.
//
// # Guarantees
//
// No server outlives the test process, however that ends: the kernel stops
// the server with the thread that started it. What a killed test process
// leaves behind is a folder in /tmp, which the next one removes. A shared server syncs nothing to
// disk; a private one does, unless its [Options] say otherwise.
//
// # Concurrency
//
// A [Server] may be used by many tests at once. A [Cluster] belongs to its
// test: its methods are called by one goroutine at a time, but for
// [Cluster.URL] and [Cluster.Database]. Each running cluster keeps one
// goroutine, for as long as it runs.
//
// Not here, because tests know better: pools, migrations, settings that a URL
// can carry.
package pgtest
