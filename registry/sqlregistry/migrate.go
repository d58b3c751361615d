package sqlregistry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/ringback-go/ringback/internal/sqlitewait"
)

// ErrSchema says that the tables are not there, or of a newer version of this
// package, which this one cannot work with, or not as this package leaves them.
var ErrSchema = errors.New("sqlregistry: schema version is not known")

// Migrate makes or brings up to date the tables subscription,
// subscription_type, ringback_registry_version and ringback_registry_state, in
// one transaction, and makes [Config.Schema] if it is not there. It is harmless
// to repeat and may run in several processes at once. When nothing is to be
// made, it needs no right to make anything. A schema newer than this package
// is left alone; it is ErrSchema unless it says that this version can work with
// it, which matters while processes are replaced one after the other.
func (r *Registry) Migrate(ctx context.Context) error {
	if r.flavor.exists == "" {
		if err := sqlitewait.Connect(ctx, r.writer); err != nil {
			return wrap("migrate", err)
		}
		if _, err := r.writer.ExecContext(ctx, r.bind(createVersion)); err != nil {
			return wrap("migrate", err)
		}
	}
	return wrap("migrate", r.transact(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, r.bind(r.flavor.alone)); err != nil {
			return err
		}
		if r.flavor.exists != "" {
			if err := r.found(ctx, tx); err != nil {
				return err
			}
		}
		var version int
		err := tx.QueryRowContext(ctx, r.bind(selectVersion)).Scan(&version)
		fresh := errors.Is(err, sql.ErrNoRows)
		switch {
		case err != nil && !fresh:
			return err
		case version > schemaVersion:
			return r.usable(ctx, tx, version)
		case !fresh && version < 1:
			return fmt.Errorf("%w: found %d, know up to %d", ErrSchema, version, schemaVersion)
		case version == schemaVersion:
			return nil
		}
		words := strings.NewReplacer(" BINARY ", " "+r.flavor.binary+" ", " BYTEWISE ", " "+r.flavor.bytewise+" ")
		for _, migrate := range migrations[version:] {
			for _, statement := range migrate(r.flavor) {
				if _, err := tx.ExecContext(ctx, r.bind(words.Replace(statement))); err != nil {
					return err
				}
			}
		}
		record := updateVersion
		if fresh {
			record = insertVersion
		}
		_, err = tx.ExecContext(ctx, r.bind(record), schemaVersion, leastVersion)
		return err
	}))
}

// usable refuses the tables of a newer version that needs programs newer than
// this one.
func (r *Registry) usable(ctx context.Context, tx *sql.Tx, version int) error {
	var least int
	if err := tx.QueryRowContext(ctx, r.bind(selectLeast)).Scan(&least); err != nil {
		return err
	}
	if least > schemaVersion {
		return fmt.Errorf("%w: found %d, for programs that know %d; this one knows %d", ErrSchema, version, least, schemaVersion)
	}
	return nil
}

// found makes the schema and the table of versions. IF NOT EXISTS alone would
// want the right to make them even if they are there.
func (r *Registry) found(ctx context.Context, tx *sql.Tx) error {
	var there bool
	if r.schema != "" {
		if err := tx.QueryRowContext(ctx, r.bind(schemaExists), r.schemaName).Scan(&there); err != nil {
			return err
		}
		if !there {
			if _, err := tx.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+quoted(r.schemaName)); err != nil {
				return err
			}
		}
	}
	if err := tx.QueryRowContext(ctx, r.bind(r.flavor.exists), r.schema+versionTable).Scan(&there); err != nil || there {
		return err
	}
	_, err := tx.ExecContext(ctx, r.bind(createVersion))
	return err
}
