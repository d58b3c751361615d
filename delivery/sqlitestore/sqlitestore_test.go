package sqlitestore_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
	"github.com/ringback-go/ringback/delivery/storetest"
)

// files opens stores and knows where they are, so that one can be abandoned and
// its file opened again.
type files struct {
	lanes lanes.Config
	paths sync.Map // delivery.Store → path
}

func (f *files) open(t *testing.T) delivery.Store {
	t.Helper()
	return f.at(t, filepath.Join(t.TempDir(), "store.db"))
}

func (f *files) at(t *testing.T, path string) delivery.Store {
	t.Helper()
	s, err := sqlitestore.Open(context.Background(), sqlitestore.Config{Path: path, Lanes: f.lanes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	f.paths.Store(s, path)
	return s
}

// reopen abandons a store, as a kill would, as far as one process can: the
// store gives up its file without a word about what it leased.
func (f *files) reopen(t *testing.T, s delivery.Store) delivery.Store {
	t.Helper()
	path, _ := f.paths.Load(s)
	if err := s.(*sqlitestore.Store).Close(); err != nil {
		t.Fatal(err)
	}
	return f.at(t, path.(string))
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]lanes.Config{
		"default":       {MaxInFlight: 64},
		"little memory": {MaxInFlight: 64, HoldBytes: 256 << 10, Straggle: 16, BatchRows: 64},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &files{lanes: cfg}
			storetest.Run(t, storetest.Config{Open: f.open, Reopen: f.reopen})
		})
	}
}

func TestSecondOwnerIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "store.db")
	links := map[string]string{"link.db": "store.db", "to a link.db": "link.db", "absolute.db": path, "folder": "."}
	for link, target := range links { // the first one opens a file that is not there yet, through two of them
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Skip("no symbolic links here: ", err)
		}
	}
	first, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: filepath.Join(dir, "to a link.db")})
	if err != nil {
		t.Fatal(err)
	}
	for _, other := range []string{path, filepath.Join(dir, "link.db"), filepath.Join(dir, "absolute.db"), filepath.Join(dir, "folder", "store.db")} {
		_, err = sqlitestore.Open(t.Context(), sqlitestore.Config{Path: other})
		if !errors.Is(err, delivery.ErrOwned) {
			t.Errorf("a second owner got %v by %s", err, other)
		}
	}
	if _, err := first.Counts(t.Context()); err != nil {
		t.Errorf("the first has lost it: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: path})
	if err != nil {
		t.Fatalf("after the first gave up: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
}
