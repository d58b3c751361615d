package sqlregistry_test

import (
	"errors"
	"path/filepath"
	"sync"
	"testing"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

func TestMigrateIsIdempotent(t *testing.T) {
	t.Parallel()
	f := newFile(t) // migrates once
	id := set(t, f, subscription(nil))[0].ID
	for range 2 {
		if err := f.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Get(t.Context(), id); err != nil {
		t.Errorf("after migrating again: %v", err)
	}
	var rows int
	if err := f.reader.QueryRowContext(t.Context(), "SELECT count(*) FROM ringback_registry_version").Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d rows of version, %v", rows, err)
	}
}

func TestMigrateAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "registry.db")
	var wg sync.WaitGroup
	for range 4 {
		db := openDB(t, path, "", 1) // begins deferred: the lock must do
		wg.Go(func() {
			reg, err := sqlregistry.New(sqlregistry.Config{Writer: db, Sealer: sealer(t, 1)})
			if err != nil {
				t.Error(err)
				return
			}
			if err := reg.Migrate(t.Context()); err != nil {
				t.Errorf("Migrate: %v", err)
			}
		})
	}
	wg.Wait()
}

func TestMigrateRefusesAnotherSchema(t *testing.T) {
	t.Parallel()
	for _, version := range []int{2, 1000, 0, -1} {
		f := newFile(t)
		if _, err := f.writer.ExecContext(t.Context(), "UPDATE ringback_registry_version SET version = ?", version); err != nil {
			t.Fatal(err)
		}
		if err := f.Migrate(t.Context()); !errors.Is(err, sqlregistry.ErrSchema) {
			t.Errorf("version %d: %v, want ErrSchema", version, err)
		}
		var now int
		if err := f.reader.QueryRowContext(t.Context(), "SELECT version FROM ringback_registry_version").Scan(&now); err != nil || now != version {
			t.Errorf("version %d became %d, %v", version, now, err)
		}
	}
}

// Without Migrate every call fails, and none of them as if something were not there.
func TestNotMigrated(t *testing.T) {
	t.Parallel()
	db := openDB(t, filepath.Join(t.TempDir(), "registry.db"), "&_txlock=immediate", 1)
	reg, err := sqlregistry.New(sqlregistry.Config{Writer: db, Sealer: sealer(t, 1)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := reg.Get(t.Context(), "sub_1"); err == nil || errors.Is(err, registry.ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	if _, err := reg.Set(t.Context(), subscription(nil)); err == nil {
		t.Error("Set succeeds")
	}
	if err := reg.Delete(t.Context(), "sub_1"); err == nil {
		t.Error("Delete succeeds")
	}
	if err := reg.Migrate(t.Context()); err != nil { // the connection is not left in a transaction
		t.Errorf("Migrate: %v", err)
	}
}
