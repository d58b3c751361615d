package sqlregistry_test

import (
	"bytes"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/registrytest"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

const pragmas = "?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)"

func openDB(t testing.TB, path, more string, conns int) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+pragmas+more)
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

func sealer(t testing.TB, first byte) registry.Sealer {
	t.Helper()
	s, err := registry.NewAESGCM(bytes.Repeat([]byte{first}, 32))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A file is a registry on a file, that can be closed.
type file struct {
	*sqlregistry.Registry
	path           string
	writer, reader *sql.DB
}

func openFile(t testing.TB, path string) *file {
	t.Helper()
	f := &file{
		path:   path,
		writer: openDB(t, path, "&_txlock=immediate", 1),
		reader: openDB(t, path, "&_pragma=query_only(1)", 4),
	}
	reg, err := sqlregistry.New(sqlregistry.Config{Writer: f.writer, Reader: f.reader, Sealer: sealer(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if err := reg.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.Registry = reg
	return f
}

func newFile(t testing.TB) *file {
	t.Helper()
	return openFile(t, filepath.Join(t.TempDir(), "registry.db"))
}

func (f *file) close(t testing.TB) {
	t.Helper()
	if err := errors.Join(f.reader.Close(), f.writer.Close()); err != nil {
		t.Fatal(err)
	}
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

func TestRules(t *testing.T) {
	t.Parallel()
	registrytest.Config{
		Open: func(t *testing.T) registry.Registry { return newFile(t) },
		Reopen: func(t *testing.T, r registry.Registry) registry.Registry {
			f := r.(*file)
			f.close(t)
			return openFile(t, f.path)
		},
	}.Run(t)
}

// One handle with one connection is enough: nothing is read while it is held.
func TestRulesOnOneConnection(t *testing.T) {
	t.Parallel()
	registrytest.Run(t, func(t *testing.T) registry.Registry {
		db := openDB(t, filepath.Join(t.TempDir(), "registry.db"), "", 1) // begins deferred
		reg, err := sqlregistry.New(sqlregistry.Config{Writer: db, Sealer: sealer(t, 1)})
		if err != nil {
			t.Fatal(err)
		}
		if err := reg.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		return reg
	})
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	db := openDB(t, filepath.Join(t.TempDir(), "registry.db"), "", 1)
	for name, c := range map[string]sqlregistry.Config{
		"nothing":   {},
		"no Sealer": {Writer: db},
		"no Writer": {Reader: db, Sealer: sealer(t, 1)},
	} {
		if r, err := sqlregistry.New(c); err == nil || r != nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSecretsAreNotInTheFile(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	stored := set(t, f, subscription(func(s *registry.Subscription) { s.Label = "label in the clear" }))
	search := func(text string) (found []string) {
		err := filepath.WalkDir(filepath.Dir(f.path), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			if bytes.Contains(raw, []byte(text)) {
				found = append(found, filepath.Base(path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for _, step := range []string{"in the WAL", "in the database"} {
		if got := search("label in the clear"); len(got) == 0 { // else the search proves nothing
			t.Errorf("%s: the label was not found", step)
		}
		for _, text := range []string{"correct horse", "battery staple"} {
			if got := search(text); len(got) > 0 {
				t.Errorf("%s: the secret is in %q", step, got)
			}
		}
		if _, err := f.writer.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
			t.Fatal(err)
		}
	}
	got, err := f.Get(t.Context(), stored[0].ID)
	if err != nil || !slices.Equal(got.Secrets, stored[0].Secrets) {
		t.Errorf("Get: %v, %v", got.Secrets, err)
	}
}

func TestWrongKey(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	id := set(t, f, subscription(nil))[0].ID
	stranger, err := sqlregistry.New(sqlregistry.Config{Writer: f.writer, Reader: f.reader, Sealer: sealer(t, 2)})
	if err != nil {
		t.Fatal(err)
	}
	topic := registry.Topic{Dialect: "edna", Type: "status"}
	if got, err := stranger.Get(t.Context(), id); !errors.Is(err, registry.ErrSealed) || got.ID != "" {
		t.Errorf("Get: %v, %v, want ErrSealed", got, err)
	}
	if got, err := stranger.Match(t.Context(), topic); !errors.Is(err, registry.ErrSealed) || got != nil {
		t.Errorf("Match: %v, %v, want ErrSealed", got, err)
	}
	for _, err = range stranger.List(t.Context(), registry.Filter{}) {
		if !errors.Is(err, registry.ErrSealed) {
			t.Errorf("List: %v, want ErrSealed", err)
		}
	}
	// A lost key is mended by setting anew.
	set(t, stranger, subscription(func(s *registry.Subscription) { s.ID = id }))
	if got, err := stranger.Get(t.Context(), id); err != nil || got.Revision != 2 {
		t.Errorf("set anew: %v, %v", got, err)
	}
}

// A sealed secret that somebody copies to another row does not open there.
func TestSecretsAreBoundToTheirRow(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	stored := set(t, f, subscription(nil), subscription(nil))
	if _, err := f.writer.ExecContext(t.Context(),
		"UPDATE subscription SET secrets = (SELECT secrets FROM subscription WHERE id = ?) WHERE id = ?",
		stored[0].ID, stored[1].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Get(t.Context(), stored[0].ID); err != nil {
		t.Error(err)
	}
	if _, err := f.Get(t.Context(), stored[1].ID); !errors.Is(err, registry.ErrSealed) {
		t.Errorf("Get: %v, want ErrSealed", err)
	}
}

// Two processes are two pairs of handles.
func TestTwoHandles(t *testing.T) {
	t.Parallel()
	a := newFile(t)
	b := openFile(t, a.path)
	const rounds = 20
	var wg sync.WaitGroup
	for _, r := range []*file{a, b} {
		for range 2 {
			wg.Go(func() {
				for range rounds {
					if _, err := r.Set(t.Context(), subscription(func(s *registry.Subscription) { s.Slot = "status" })); err != nil {
						t.Errorf("Set: %v", err)
					}
				}
			})
		}
	}
	wg.Wait()
	for name, r := range map[string]*file{"a": a, "b": b} {
		subs, err := r.Match(t.Context(), registry.Topic{Dialect: "edna", Type: "status"})
		if err != nil || len(subs) != 1 || subs[0].Revision != 4*rounds {
			t.Errorf("%s: %d match, %v", name, len(subs), err)
		}
	}
}

func TestUniqueSlotIsTheDatabases(t *testing.T) {
	t.Parallel()
	f := newFile(t)
	set(t, f, subscription(func(s *registry.Subscription) { s.Slot = "status" }))
	second := set(t, f, subscription(nil))[0]
	if _, err := f.writer.ExecContext(t.Context(), "UPDATE subscription SET slot = 'status' WHERE id = ?", second.ID); err == nil {
		t.Error("two subscriptions fill one slot")
	}
}
