package pgstore

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

//go:embed migrations/*.sql
var migrations embed.FS

// DefaultSchema is where the tables are if nothing else is said.
const DefaultSchema = "ringback"

// Migrations returns the files that make the tables, for those who run them by a
// tool of their own: in the order of their names, each in a transaction in which
// the schema's name is first in search_path, and the table version (version
// integer), with one row, then set to the file's number. A column least integer
// beside it says from which version on programs can work with these tables; it is
// set to what a file says in a line "-- least: N", else to the file's number, and
// where it is missing only programs of this very version can.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return sub
}

// Migrate makes the schema and brings its tables up to date. Any number of
// processes may call it at once, and others may be at work. Tables that somebody
// holds are tried for a minute. Empty is [DefaultSchema].
func Migrate(ctx context.Context, pool *pgxpool.Pool, name string) error {
	if name != "" && !schemaName.MatchString(name) {
		return errSchema(name)
	}
	if err := migrate(ctx, pool, named(name)); err != nil {
		return fmt.Errorf("pgstore: migrate: %w", err)
	}
	return nil
}

func migrate(ctx context.Context, pool *pgxpool.Pool, s schema) error {
	files := migrationFiles()
	if v, err := s.version(ctx, pool); err == nil && v.number >= len(files) {
		return v.usable(len(files)) // whoever finds everything made needs no right to make it
	}
	// A change of a table waits for all who use it, and all who come wait behind
	// it: so it does not wait for long, and tries again.
	const pauseMin, pauseMax = 100 * time.Millisecond, 2 * time.Second
	begin := time.Now()
	for pause := pauseMin; ; pause = min(2*pause, pauseMax) {
		err := migrateOnce(ctx, pool, s, files)
		if !violates(err, "40P01", "") && !violates(err, "55P03", "") || time.Since(begin) > migratePatience {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// migratePatience is how long tables are tried to be changed that are in use.
const migratePatience = time.Minute

func migrateOnce(ctx context.Context, pool *pgxpool.Pool, s schema, files []fs.DirEntry) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		for _, q := range []string{
			`SELECT pg_advisory_xact_lock(hashtextextended('ringback migrations', 0))`,
			`SET LOCAL lock_timeout = '1s'`,
			`DO $$ BEGIN IF to_regnamespace('` + string(s) + `') IS NULL THEN CREATE SCHEMA ` + string(s) + `; END IF; END $$`,
			`SET LOCAL search_path = ` + string(s),
			`CREATE TABLE IF NOT EXISTS version (version integer NOT NULL)`,
			`ALTER TABLE version ADD COLUMN IF NOT EXISTS least integer NOT NULL DEFAULT 0`,
			`INSERT INTO version SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM version)`,
		} {
			if _, err := tx.Exec(ctx, q); err != nil {
				return err
			}
		}
		v, err := s.version(ctx, tx)
		if err != nil {
			return err
		}
		if v.number >= len(files) { // another process was first
			return v.usable(len(files))
		}
		for _, f := range files[v.number:] {
			text, err := fs.ReadFile(migrations, "migrations/"+f.Name())
			if err != nil {
				return err
			}
			// Many statements at once: only the simple protocol takes them.
			if _, err := tx.Exec(ctx, string(text), pgx.QueryExecModeSimpleProtocol); err != nil {
				return fmt.Errorf("%s: %w", f.Name(), err)
			}
			v.number++
			if v.least, err = leastOf(text, v.number); err != nil {
				return fmt.Errorf("%s: %w", f.Name(), err)
			}
		}
		_, err = tx.Exec(ctx, `UPDATE version SET version = $1, least = $2`, v.number, v.least)
		return err
	})
}

// tablesVersion is what the tables say of themselves: their version, and from
// which one on programs can work with them.
type tablesVersion struct{ number, least int }

// version reads it, whether or not there is a column for least.
func (s schema) version(ctx context.Context, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
},
) (v tablesVersion, err error) {
	err = q.QueryRow(ctx, s.sql(`SELECT version, coalesce((to_jsonb(v) ->> 'least')::integer, version) FROM @.version v`)).Scan(&v.number, &v.least)
	return v, err
}

// usable refuses tables that a program cannot work with. Those of a newer one it
// can, if that says so: while programs are replaced one after the other the older
// ones start again, too, and a newer one may be taken back.
func (v tablesVersion) usable(known int) error {
	if v.number > known && v.least > known {
		return fmt.Errorf("the schema has version %d, this program knows %d: use a newer one", v.number, known)
	}
	return nil
}

var leastLine = regexp.MustCompile(`(?m)^-- least: (\d+)$`)

// leastOf is the least version of programs that can work with what a file makes.
func leastOf(file []byte, number int) (int, error) {
	found := leastLine.FindSubmatch(file)
	if found == nil {
		return number, nil
	}
	return strconv.Atoi(string(found[1]))
}

func migrationFiles() []fs.DirEntry {
	files, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return files
}

var schemaName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

func errSchema(name string) error {
	return fmt.Errorf("pgstore: %q is no name for a schema: letters, digits and _, 63 at most", name)
}

// schema is a quoted name.
type schema string

func named(name string) schema {
	if name == "" {
		name = DefaultSchema
	}
	return schema(pgx.Identifier{name}.Sanitize())
}

// sql puts the schema's name for each "@" before a table's.
func (s schema) sql(text string) string { return strings.ReplaceAll(text, "@.", string(s)+".") }
