package sqlregistry_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

func TestMigrateIsIdempotent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		h := b.registry(t) // migrates once
		id := set(t, h, subscription(nil))[0].ID
		for range 2 {
			if err := h.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := h.Get(t.Context(), id); err != nil {
			t.Errorf("after migrating again: %v", err)
		}
		for _, table := range []string{"ringback_registry_version", "ringback_registry_state"} {
			if n := h.number(t, "SELECT count(*) FROM @"+table); n != 1 {
				t.Errorf("%d rows in %s", n, table)
			}
		}
	})
}

func TestMigrateAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		var wg sync.WaitGroup
		for range 6 {
			db := b.open(t, "", 1) // SQLite begins deferred: the lock must do
			wg.Go(func() {
				reg, err := sqlregistry.New(b.config(t, db, nil))
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
	})
}

func TestMigrateRefusesAnotherSchema(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		h := b.registry(t)
		for _, version := range []int{sqlregistry.SchemaVersion + 1, 1000, 0, -1} {
			h.exec(t, "UPDATE @ringback_registry_version SET version = ?, least = ?", version, version)
			if err := h.Migrate(t.Context()); !errors.Is(err, sqlregistry.ErrSchema) {
				t.Errorf("version %d: %v, want ErrSchema", version, err)
			}
			if now := h.number(t, "SELECT version FROM @ringback_registry_version"); now != version {
				t.Errorf("version %d became %d", version, now)
			}
		}
	})
}

// TestMigrateLeavesNewer: the tables of a newer version that say that this one can
// work with them are left as they are, and worked with.
func TestMigrateLeavesNewer(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		h := b.registry(t)
		h.exec(t, "ALTER TABLE @subscription ADD COLUMN next TEXT NOT NULL DEFAULT 'x'")
		h.exec(t, "UPDATE @ringback_registry_version SET version = ?", sqlregistry.SchemaVersion+1)
		if err := h.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now := h.number(t, "SELECT version FROM @ringback_registry_version"); now != sqlregistry.SchemaVersion+1 {
			t.Errorf("the version became %d", now)
		}
		id := set(t, h, subscription(nil))[0].ID
		if _, err := h.Get(t.Context(), id); err != nil {
			t.Error(err)
		}
	})
}

// What the first version of the tables held is there in the newest one.
func TestMigrateFromTheFirst(t *testing.T) {
	t.Parallel()
	h := newFile(t).registry(t)
	id := set(t, h, subscription(nil))[0].ID
	for _, statement := range []string{
		"DROP TRIGGER subscription_inserted", "DROP TRIGGER subscription_updated", "DROP TRIGGER subscription_deleted",
		"DROP TABLE ringback_registry_state", "ALTER TABLE subscription DROP COLUMN connection",
		"ALTER TABLE ringback_registry_version DROP COLUMN least", "UPDATE ringback_registry_version SET version = 1",
	} {
		h.exec(t, statement)
	}
	if _, err := h.Set(t.Context(), subscription(nil)); err == nil {
		t.Error("Set on the first version succeeds: the test proves nothing")
	}
	if err := h.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Get(t.Context(), id); err != nil {
		t.Error(err)
	}
	before := version(t, h)
	set(t, h, subscription(nil))
	if version(t, h) == before {
		t.Error("changes are not counted")
	}
}

// Without Migrate every call fails and says so, and none of them as if something
// were not there.
func TestNotMigrated(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		reg, err := sqlregistry.New(b.config(t, b.open(t, "&_txlock=immediate", 1), nil))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := reg.Get(t.Context(), "sub_1"); !errors.Is(err, sqlregistry.ErrSchema) || !strings.Contains(err.Error(), "Migrate") || errors.Is(err, registry.ErrNotFound) {
			t.Errorf("Get: %v", err)
		}
		if _, err := reg.Set(t.Context(), subscription(nil)); !errors.Is(err, sqlregistry.ErrSchema) {
			t.Errorf("Set: %v", err)
		}
		if err := reg.Delete(t.Context(), "sub_1"); !errors.Is(err, sqlregistry.ErrSchema) {
			t.Errorf("Delete: %v", err)
		}
		if _, err := reg.Version(t.Context()); !errors.Is(err, sqlregistry.ErrSchema) {
			t.Errorf("Version: %v", err)
		}
		if err := reg.Migrate(t.Context()); err != nil { // the connection is not left in a transaction
			t.Errorf("Migrate: %v", err)
		}
	})
}

// Where the row that serializes changes is gone, nothing is changed without it.
func TestNoRowToLock(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		h := b.registry(t)
		h.exec(t, "DELETE FROM @ringback_registry_state")
		if _, err := h.Set(t.Context(), subscription(nil)); !errors.Is(err, sqlregistry.ErrSchema) {
			t.Errorf("Set: %v", err)
		}
		if err := h.Delete(t.Context(), "sub_1"); !errors.Is(err, sqlregistry.ErrSchema) {
			t.Errorf("Delete: %v", err)
		}
		if _, err := h.Version(t.Context()); !errors.Is(err, sqlregistry.ErrSchema) {
			t.Errorf("Version: %v", err)
		}
	})
}

// Once the tables are there, a role that may make none can migrate and work.
func TestMigrateWithoutRights(t *testing.T) {
	t.Parallel()
	for _, fl := range flavors[1:] {
		t.Run(fl.name, func(t *testing.T) {
			t.Parallel()
			h := fl.make(t).registry(t)
			role := "role_" + strings.ToLower(registry.NewID()) // roles belong to the whole server
			h.exec(t, "CREATE ROLE "+role)
			t.Cleanup(func() { dropRole(t, h, role) })
			h.writer.SetMaxOpenConns(1) // what follows is a session's
			for _, statement := range []string{
				"REVOKE CREATE ON SCHEMA " + h.stands + " FROM PUBLIC",
				"GRANT USAGE ON SCHEMA " + h.stands + " TO " + role,
				"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA " + h.stands + " TO " + role,
				"SET ROLE " + role,
			} {
				if _, err := h.writer.ExecContext(t.Context(), statement); err != nil {
					t.Fatal(err)
				}
			}
			if err := h.Migrate(t.Context()); err != nil {
				t.Errorf("Migrate: %v", err)
			}
			set(t, h, subscription(nil))
			h.exec(t, "RESET ROLE")
		})
	}
}

func dropRole(t *testing.T, h *handle, role string) {
	for _, statement := range []string{"RESET ROLE", "DROP OWNED BY " + role, "DROP ROLE " + role} {
		if _, err := h.writer.ExecContext(context.Background(), statement); err != nil {
			t.Error(err)
		}
	}
}
