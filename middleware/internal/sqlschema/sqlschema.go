// Package sqlschema makes the tables of the stores under package middleware.
//
//	err := sqlschema.Schema{
//		Name: "sqldedup", Table: "ringback_dedup_version", Lock: 42, PostgreSQL: true,
//		Steps: [][]string{{"CREATE TABLE ringback_dedup (...)"}},
//	}.Migrate(ctx, db)
//
// All steps that are missing run in one transaction, that no other process
// gets past. Migrate may be repeated, and called concurrently.
//
// Not here, because two small stores need none of it: steps back, steps that
// are not SQL.
package sqlschema

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"

	"github.com/ringback-go/ringback/internal/sqlitewait"
)

// ErrVersion says that the tables are of a version that is not known.
var ErrVersion = errors.New("schema version is not known")

// A Schema is the way from nothing to the tables of today. It is a value, and
// safe for concurrent use.
type Schema struct {
	// Name stands in front of errors.
	Name string
	// In is PostgreSQL's schema, a name that is [Good], and made if it is not
	// there. Empty is the first of the search path.
	In string
	// Table is the one that has the version.
	Table string
	// Lock is PostgreSQL's advisory lock, which no other Schema has.
	Lock int64
	// PostgreSQL says which database it is; else SQLite.
	PostgreSQL bool
	// Steps lead from each version to the next.
	Steps [][]string
}

// Good reports whether name can be In: letters, digits and underscores, no more
// than PostgreSQL keeps of a name. Empty is good.
func Good(name string) bool { return name == "" || names.MatchString(name) }

var names = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

// Prefix is what stands before the names of tables in a schema that is Good.
func Prefix(name string) string {
	if name == "" {
		return ""
	}
	return `"` + name + `".` // a word of the language may be a name
}

// Migrate brings the tables up to date. When nothing is to be made, it needs
// no right to make anything. A version over the last is ErrVersion.
func (s Schema) Migrate(ctx context.Context, db *sql.DB) error {
	if err := s.migrate(ctx, db); err != nil {
		return fmt.Errorf("%s: migrate: %w", s.Name, err)
	}
	return nil
}

func (s Schema) migrate(ctx context.Context, db *sql.DB) (err error) {
	s.Table = Prefix(s.In) + s.Table
	// IF NOT EXISTS is not enough for PostgreSQL: two at once collide, and it
	// wants the right to create. SQLite needs the table for its lock.
	create := "CREATE TABLE IF NOT EXISTS " + s.Table + " (version INTEGER NOT NULL)" //nolint:gosec // the package's own constant
	lock := fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", s.Lock)
	if !s.PostgreSQL {
		lock = "UPDATE " + s.Table + " SET version = version WHERE 0 = 1"
		if err := sqlitewait.Connect(ctx, db); err != nil {
			return err
		}
		if _, err := db.ExecContext(ctx, create); err != nil {
			return err
		}
	}
	var options *sql.TxOptions
	if s.PostgreSQL { // what stood before the lock must not count
		options = &sql.TxOptions{Isolation: sql.LevelReadCommitted}
	}
	tx, err := db.BeginTx(ctx, options)
	if err != nil {
		return err
	}
	defer func() {
		if err == nil {
			return
		}
		if undo := tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) {
			err = errors.Join(err, undo)
		}
	}()
	if _, err = tx.ExecContext(ctx, lock); err != nil {
		return err
	}
	if s.PostgreSQL {
		if s.In != "" {
			if err = s.makeIn(ctx, tx); err != nil {
				return err
			}
		}
		if err = unless(ctx, tx, "SELECT to_regclass('"+s.Table+"') IS NOT NULL", create); err != nil {
			return err
		}
	}
	if err = s.steps(ctx, tx); err != nil {
		return err
	}
	return tx.Commit()
}

// lockIn is the lock under which all Schemas make theirs.
const lockIn = 7021798246541870

func (s Schema) makeIn(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", lockIn)); err != nil {
		return err
	}
	return unless(ctx, tx, `SELECT to_regnamespace('"`+s.In+`"') IS NOT NULL`, `CREATE SCHEMA "`+s.In+`"`)
}

// unless makes what is not there.
func unless(ctx context.Context, tx *sql.Tx, there, create string) error {
	var is bool
	if err := tx.QueryRowContext(ctx, there).Scan(&is); err != nil || is {
		return err
	}
	_, err := tx.ExecContext(ctx, create)
	return err
}

func (s Schema) steps(ctx context.Context, tx *sql.Tx) error {
	version, last := 0, len(s.Steps)
	err := tx.QueryRowContext(ctx, "SELECT version FROM "+s.Table).Scan(&version)
	fresh := errors.Is(err, sql.ErrNoRows)
	switch {
	case err != nil && !fresh:
		return err
	case version < 0 || version > last:
		return fmt.Errorf("%w: found %d, know up to %d", ErrVersion, version, last)
	case version == last:
		return nil
	}
	for _, step := range s.Steps[version:] {
		for _, statement := range step {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return err
			}
		}
	}
	//nolint:gosec // the package's own constants
	record := fmt.Sprintf("UPDATE %s SET version = %d", s.Table, last)
	if fresh {
		record = fmt.Sprintf("INSERT INTO %s (version) VALUES (%d)", s.Table, last)
	}
	_, err = tx.ExecContext(ctx, record)
	return err
}
