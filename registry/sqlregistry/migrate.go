package sqlregistry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// ErrSchema says that the tables are of a newer version of this package, or
// not as this package leaves them.
var ErrSchema = errors.New("sqlregistry: schema version is not known")

// Migrate makes or brings up to date the tables subscription, subscription_type
// and ringback_registry_version, in one transaction. It is harmless to repeat
// and may run in several processes at once. A schema newer than this package
// is left alone: ErrSchema.
func (r *Registry) Migrate(ctx context.Context) error {
	// Apart from the rest, because the lock needs the table.
	if _, err := r.writer.ExecContext(ctx, createVersion); err != nil {
		return wrap("migrate", err)
	}
	return wrap("migrate", r.change(ctx, func(tx *sql.Tx) error {
		var version int
		err := tx.QueryRowContext(ctx, selectVersion).Scan(&version)
		fresh := errors.Is(err, sql.ErrNoRows)
		switch {
		case err != nil && !fresh:
			return err
		case !fresh && (version < 1 || version > schemaVersion):
			return fmt.Errorf("%w: found %d, know up to %d", ErrSchema, version, schemaVersion)
		case version == schemaVersion:
			return nil
		}
		words := strings.NewReplacer(" BINARY ", " "+r.flavor.binary+" ", " BYTEWISE ", " "+r.flavor.bytewise+" ")
		for _, statements := range migrations[version:] {
			for _, statement := range statements {
				if _, err := tx.ExecContext(ctx, words.Replace(statement)); err != nil {
					return err
				}
			}
		}
		record := updateVersion
		if fresh {
			record = insertVersion
		}
		_, err = tx.ExecContext(ctx, r.flavor.bind(record), schemaVersion)
		return err
	}))
}
