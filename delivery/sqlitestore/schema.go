package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// migrations bring a file from version i to i+1. They are never edited, only
// added to.
var migrations = []string{`
-- A row for every delivery ever taken, in order of commit; data is rowcodec's.
CREATE TABLE ringback_delivery (seq INTEGER PRIMARY KEY, id TEXT NOT NULL, data BLOB NOT NULL);
CREATE UNIQUE INDEX ringback_delivery_id ON ringback_delivery(id);

-- How it ended; a delivery without an outcome is pending. data: reason and last attempt.
CREATE TABLE ringback_outcome (seq INTEGER PRIMARY KEY, state INTEGER NOT NULL, at INTEGER NOT NULL, attempts INTEGER NOT NULL, data BLOB NOT NULL);
CREATE INDEX ringback_outcome_dead ON ringback_outcome(seq) WHERE state = 2;

-- The attempts before the last one.
CREATE TABLE ringback_attempt (seq INTEGER NOT NULL, number INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (seq, number)) WITHOUT ROWID;

-- Pending deliveries that memory need not hold.
CREATE TABLE ringback_waiting (seq INTEGER PRIMARY KEY, lane TEXT NOT NULL, key TEXT NOT NULL, retry INTEGER NOT NULL, due INTEGER NOT NULL,
	attempts INTEGER NOT NULL, tries INTEGER NOT NULL, expires INTEGER NOT NULL, hidden INTEGER NOT NULL);
CREATE INDEX ringback_waiting_lane ON ringback_waiting(lane, retry, due, seq) WHERE hidden = 0;
CREATE INDEX ringback_waiting_key ON ringback_waiting(lane, key, seq) WHERE key <> '';
CREATE INDEX ringback_waiting_ahead ON ringback_waiting(lane) WHERE due = 0;

CREATE TABLE ringback_lane (name TEXT PRIMARY KEY, mode INTEGER NOT NULL, reason TEXT NOT NULL,
	max_in_flight INTEGER NOT NULL, per_second REAL NOT NULL, not_before INTEGER NOT NULL) WITHOUT ROWID;

-- epoch: raised by each owner; low: every older row is settled or waiting; the rest are counts.
CREATE TABLE ringback_meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO ringback_meta VALUES ('epoch', 0), ('low', 1), ('pending', 0), ('delivered', 0), ('dead', 0);
`, `
-- The health of the endpoint behind a lane.
ALTER TABLE ringback_lane ADD COLUMN failures INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ringback_lane ADD COLUMN throttle INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ringback_lane ADD COLUMN failing_since INTEGER NOT NULL DEFAULT 0;
ALTER TABLE ringback_lane ADD COLUMN warned INTEGER NOT NULL DEFAULT 0;
`, `
-- clock: the latest time of any commit.
INSERT INTO ringback_meta VALUES ('clock', 0);
`}

// migrate brings the file to this version's schema, in one transaction.
func migrate(ctx context.Context, db *sql.DB) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it says so
	if _, err := tx.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS ringback_version (version INTEGER NOT NULL)`); err != nil {
		return err
	}
	var version int
	err = tx.QueryRowContext(ctx, `SELECT version FROM ringback_version`).Scan(&version)
	if errors.Is(err, sql.ErrNoRows) {
		_, err = tx.ExecContext(ctx, `INSERT INTO ringback_version VALUES (0)`)
	}
	if err != nil {
		return err
	}
	if version > len(migrations) {
		return fmt.Errorf("the file's schema has version %d, this program knows %d: use a newer one", version, len(migrations))
	}
	for _, m := range migrations[version:] {
		if _, err := tx.ExecContext(ctx, m); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, `UPDATE ringback_version SET version = ?`, len(migrations)); err != nil {
		return err
	}
	return tx.Commit()
}
