//go:build unix

package postgres_test

import (
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/delivery/pgstore"
	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// nextMigration is what a later version may do to the tables: all that is there
// gets new columns, and there is a new table.
const nextMigration = `-- least: 1
ALTER TABLE shard ADD COLUMN next text NOT NULL DEFAULT 'x';
ALTER TABLE engine ADD COLUMN next text NOT NULL DEFAULT 'x';
ALTER TABLE delivery ADD COLUMN next text NOT NULL DEFAULT 'x';
ALTER TABLE outcome ADD COLUMN next text NOT NULL DEFAULT 'x';
ALTER TABLE attempt ADD COLUMN next text NOT NULL DEFAULT 'x';
ALTER TABLE waiting ADD COLUMN next text NOT NULL DEFAULT 'x';
ALTER TABLE lane ADD COLUMN next text NOT NULL DEFAULT 'x';
ALTER TABLE inbox ADD COLUMN next text NOT NULL DEFAULT 'x';
ALTER TABLE tally ADD COLUMN next text NOT NULL DEFAULT 'x';
ALTER TABLE guest ADD COLUMN next text NOT NULL DEFAULT 'x';
CREATE TABLE next (id bigint PRIMARY KEY);
`

// newer builds the test's binary as it is with a migration more.
func newer(t *testing.T, migration string) (program string) {
	t.Helper()
	dir := t.TempDir()
	file, overlay := filepath.Join(dir, "next.sql"), filepath.Join(dir, "overlay.json")
	place, err := filepath.Abs("../../../delivery/pgstore/migrations/0003_next.sql")
	if err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {place: file}})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{file: migration, overlay: string(replace)} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	program = filepath.Join(dir, "newer.test")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", overlay, "-o", program, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// TestB66RollingUpdate: engines are replaced by those of a newer version one after
// the other, an older one starts again meanwhile, and in the end the newer ones
// are taken back.
func TestB66RollingUpdate(t *testing.T) {
	t.Parallel()
	program := newer(t, nextMigration)
	s := newScene(t, pgtest.New(t).Database(t), 12)
	s.start(t, 2)
	s.shared(t)
	s.traffic(t, "e", rig.Size(500, 300, 120))
	tx := s.begin(t, pgx.TxOptions{}, `LOCK TABLE ringback.delivery IN ACCESS SHARE MODE`)  // as a dump does
	time.AfterFunc(2500*time.Millisecond, func() { _ = tx.Rollback(context.Background()) }) // longer than a change waits
	s.startProgram(t, 1, program)                                                           // changes the tables under the others
	s.kill(t, 0)
	s.start(t, 1)
	s.shared(t)
	s.halt(t)
	s.delivers(t, "mixed")
	s.kill(t, 0)
	s.kill(t, 0)
	s.start(t, 2)
	s.shared(t)
	s.delivers(t, "back")
	s.judge(t, cost{faults: 3})
	files, err := fs.Glob(pgstore.Migrations(), "*.sql")
	if err != nil {
		t.Fatal(err)
	}
	var version, least int
	err = s.pool.QueryRow(t.Context(), `SELECT version, least FROM ringback.version`).Scan(&version, &least)
	if err != nil || version != len(files)+1 || least != 1 {
		t.Errorf("version %d, least %d, %v", version, least, err)
	}
}
