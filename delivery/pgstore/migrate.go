package pgstore

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

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
// integer), with one row, then set to the file's number.
func Migrations() fs.FS {
	sub, err := fs.Sub(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return sub
}

// Migrate makes the schema and brings its tables up to date. Any number of
// processes may call it at once. Empty is [DefaultSchema].
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
	var version int
	if err := pool.QueryRow(ctx, s.sql(`SELECT version FROM @.version`)).Scan(&version); err == nil && version == len(files) {
		return nil // whoever finds everything made needs no right to make it
	}
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		for _, q := range []string{
			`SELECT pg_advisory_xact_lock(hashtextextended('ringback migrations', 0))`,
			`DO $$ BEGIN IF to_regnamespace('` + string(s) + `') IS NULL THEN CREATE SCHEMA ` + string(s) + `; END IF; END $$`,
			`SET LOCAL search_path = ` + string(s),
			`CREATE TABLE IF NOT EXISTS version (version integer NOT NULL)`,
			`INSERT INTO version SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM version)`,
		} {
			if _, err := tx.Exec(ctx, q); err != nil {
				return err
			}
		}
		if err := tx.QueryRow(ctx, `SELECT version FROM version`).Scan(&version); err != nil {
			return err
		}
		if version > len(files) {
			return newer(version, len(files))
		}
		for _, f := range files[version:] {
			text, err := fs.ReadFile(migrations, "migrations/"+f.Name())
			if err != nil {
				return err
			}
			// Many statements at once: only the simple protocol takes them.
			if _, err := tx.Exec(ctx, string(text), pgx.QueryExecModeSimpleProtocol); err != nil {
				return fmt.Errorf("%s: %w", f.Name(), err)
			}
		}
		_, err := tx.Exec(ctx, `UPDATE version SET version = $1`, len(files))
		return err
	})
}

func migrationFiles() []fs.DirEntry {
	files, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return files
}

func newer(version, known int) error {
	return fmt.Errorf("the schema has version %d, this program knows %d: use a newer one", version, known)
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
