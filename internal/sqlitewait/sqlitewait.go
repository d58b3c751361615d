// Package sqlitewait connects to a SQLite file that others are opening, too.
package sqlitewait

import (
	"context"
	"database/sql"
	"strings"
	"time"
)

// How long a connection is tried for, and how often.
const (
	patience = 5 * time.Second
	pause    = 5 * time.Millisecond
)

// Connect makes sure that db has a connection. The first one changes a new file
// to write-ahead logging; who does so at the same moment is told at once that
// the file is locked, whatever its busy_timeout. The error is the driver's.
func Connect(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		err := db.PingContext(ctx)
		if err == nil || !locked(err) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// locked goes by the text of SQLite itself, which all drivers have.
func locked(err error) bool { return strings.Contains(err.Error(), "database is locked") }
