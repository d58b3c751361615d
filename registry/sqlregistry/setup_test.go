package sqlregistry_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"

	"github.com/ringback-go/ringback/internal/pgtest"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// A base is a database of a flavor.
type base struct {
	flavor sqlregistry.Flavor
	name   string // of a file, or a URL
	schema string
	stands string // the schema that the tables are in, quoted
}

// flavors are the ways to make an empty database.
var flavors = []struct {
	name string
	make func(t testing.TB) base
}{
	{"sqlite", newFile},
	{"postgres", searchPath},
	{"postgres schema", newSchema},
}

func newFile(t testing.TB) base {
	return base{name: filepath.Join(t.TempDir(), "registry.db")}
}

// newSchema returns a schema that is not there yet, in a database that others
// share, under a name that has to be quoted.
func newSchema(t testing.TB) base {
	b := base{
		flavor: sqlregistry.PostgreSQL, name: pgtest.New(t).URL(),
		schema: `Ring "back".?@ BINARY $1 ` + registry.NewID(),
	}
	b.stands = strings.TrimSuffix(b.quoted(), ".")
	db := b.open(t, "", 1)
	t.Cleanup(func() {
		if _, err := db.ExecContext(context.Background(), "DROP SCHEMA IF EXISTS "+b.stands+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
	return b
}

// searchPath returns a database whose connections find an empty schema by
// themselves.
func searchPath(t testing.TB) base {
	b := newSchema(t)
	if _, err := b.open(t, "", 1).ExecContext(t.Context(), "CREATE SCHEMA "+b.stands); err != nil {
		t.Fatal(err)
	}
	b.schema = ""
	b.name = withQuery(t, b.name, "search_path", b.stands)
	return b
}

func withQuery(t testing.TB, name, key, value string) string {
	t.Helper()
	u, err := url.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set(key, value)
	u.RawQuery = strings.ReplaceAll(q.Encode(), "+", "%20") // a plus is a plus to PostgreSQL's clients
	return u.String()
}

// each runs a test on every flavor.
func each(t *testing.T, f func(t *testing.T, b base)) {
	t.Helper()
	for _, fl := range flavors {
		t.Run(fl.name, func(t *testing.T) {
			t.Parallel()
			f(t, fl.make(t))
		})
	}
}

const pragmas = "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)"

// open opens a pool; more is for SQLite.
func (b base) open(t testing.TB, more string, conns int) *sql.DB {
	t.Helper()
	driver, name := "sqlite", "file:"+b.name+pragmas+more
	if b.flavor == sqlregistry.PostgreSQL {
		driver, name = "pgx", b.name
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(conns)
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return db
}

func (b base) config(t testing.TB, writer, reader *sql.DB) sqlregistry.Config {
	t.Helper()
	return sqlregistry.Config{Flavor: b.flavor, Schema: b.schema, Writer: writer, Reader: reader, Sealer: sealer(t, 1)}
}

// sql returns a query for b, in which ? is a parameter and @ the schema.
func (b base) sql(query string) string {
	if b.flavor == sqlregistry.SQLite {
		return strings.ReplaceAll(query, "@", "")
	}
	for n := byte('1'); strings.Contains(query, "?"); n++ {
		query = strings.Replace(query, "?", "$"+string(n), 1)
	}
	return strings.ReplaceAll(query, "@", b.quoted())
}

// quoted returns the schema with a dot, or nothing.
func (b base) quoted() string {
	if b.schema == "" {
		return ""
	}
	return `"` + strings.ReplaceAll(b.schema, `"`, `""`) + `".`
}

// A handle is a registry on a database, that can be closed.
type handle struct {
	*sqlregistry.Registry
	base
	writer, reader *sql.DB
}

// registry opens and migrates b, as a process would.
func (b base) registry(t testing.TB) *handle {
	t.Helper()
	h := &handle{base: b, writer: b.open(t, "&_txlock=immediate", 1), reader: b.open(t, "&_pragma=query_only(1)", 4)}
	if b.flavor == sqlregistry.PostgreSQL {
		h.writer.SetMaxOpenConns(4)
	}
	h.Registry = migrated(t, b.config(t, h.writer, h.reader))
	return h
}

func migrated(t testing.TB, c sqlregistry.Config) *sqlregistry.Registry {
	t.Helper()
	reg, err := sqlregistry.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return reg
}

func (h *handle) close(t testing.TB) {
	t.Helper()
	if err := errors.Join(h.reader.Close(), h.writer.Close()); err != nil {
		t.Fatal(err)
	}
}

// exec runs a statement past the registry.
func (h *handle) exec(t testing.TB, statement string, args ...any) {
	t.Helper()
	if _, err := h.writer.ExecContext(t.Context(), h.sql(statement), args...); err != nil {
		t.Fatal(err)
	}
}

// number returns what a query says.
func (h *handle) number(t testing.TB, query string, args ...any) (n int) {
	t.Helper()
	if err := h.reader.QueryRowContext(t.Context(), h.sql(query), args...).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func sealer(t testing.TB, first byte) registry.Sealer {
	t.Helper()
	s, err := registry.NewAESGCM(bytes.Repeat([]byte{first}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func subscription(edit func(*registry.Subscription)) registry.Subscription {
	s := registry.Subscription{
		Dialect: "edna", Tenant: "tenant", URL: "https://example.com/", Types: []string{"status"},
		Secrets: []registry.Secret{registry.NewSecret("correct horse battery staple")},
	}
	if edit != nil {
		edit(&s)
	}
	return s
}

func set(t testing.TB, r registry.Registry, subs ...registry.Subscription) []registry.Subscription {
	t.Helper()
	stored, err := r.Set(t.Context(), subs...)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}
