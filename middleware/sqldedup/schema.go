package sqldedup

import (
	"context"
	"strings"

	"github.com/ringback-go/ringback/middleware/internal/sqlschema"
)

// steps lead from each version of the table to the next. Times are
// microseconds since 1970. until is the end of the lease, or, once there is a
// status, of the retention; spare is from when a row may go for want of room.
var steps = [][]string{{
	`CREATE TABLE IN.ringback_dedup (
		key BINARY NOT NULL PRIMARY KEY,
		digest BINARY NOT NULL,
		token BINARY NOT NULL,
		until BIGINT NOT NULL,
		spare BIGINT,
		status INTEGER,
		cut INTEGER,
		header BINARY,
		body BINARY
	)`,
	`CREATE INDEX ringback_dedup_until ON IN.ringback_dedup (until)`,
	`CREATE INDEX ringback_dedup_spare ON IN.ringback_dedup (spare)`,
}}

// The statements. NOW is the time, ?1 of all where it has no clock of its own.
// BINARY is a column of bytes, IN. the schema.
const (
	claimSQL = `INSERT INTO IN.ringback_dedup AS d (key, digest, token, until) VALUES (?2, ?3, ?4, NOW + ?5)
		ON CONFLICT (key) DO UPDATE SET digest = excluded.digest, token = excluded.token, until = excluded.until,
			spare = NULL, status = NULL, cut = NULL, header = NULL, body = NULL
		WHERE d.until <= NOW OR d.token = excluded.token AND d.status IS NULL
		RETURNING 1`
	lookSQL = `SELECT digest, token, status, cut, header, body FROM IN.ringback_dedup WHERE key = ?2 AND until > NOW`
	// A token is one request's: that it stands there is the fence.
	commitSQL = `UPDATE IN.ringback_dedup SET until = NOW + ?4, spare = NOW + ?5, status = ?6, cut = ?7, header = ?8, body = ?9
		WHERE key = ?2 AND token = ?3`
	releaseSQL = `DELETE FROM IN.ringback_dedup WHERE key = ?1 AND token = ?2 AND status IS NULL`
	pruneSQL   = `DELETE FROM IN.ringback_dedup WHERE key IN (
		SELECT key FROM IN.ringback_dedup WHERE until <= NOW ORDER BY until LIMIT ?2 LOCKED)`
	evictSQL = `DELETE FROM IN.ringback_dedup WHERE key IN (
		SELECT key FROM IN.ringback_dedup WHERE spare <= NOW ORDER BY spare LIMIT ?2 LOCKED)`
	countSQL = `SELECT count(*) FROM (SELECT 1 FROM IN.ringback_dedup LIMIT ?1) AS counted`
)

// serverNow is PostgreSQL's clock, unless there is another one.
const serverNow = `COALESCE(CAST(?1 AS BIGINT), CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT))`

type statements struct{ claim, look, commit, release, prune, evict, count string }

func (f Flavor) statements(schema string) statements {
	text := func(statement string) string { return f.text(statement, schema) }
	return statements{
		claim: text(claimSQL), look: text(lookSQL), commit: text(commitSQL), release: text(releaseSQL),
		prune: text(pruneSQL), evict: text(evictSQL), count: text(countSQL),
	}
}

// text is a statement as the database wants it.
func (f Flavor) text(statement, schema string) string {
	schema = sqlschema.Prefix(schema)
	if f == PostgreSQL {
		// Two that delete must not wait for each other's rows.
		statement = strings.NewReplacer("IN.", schema, "NOW", serverNow, "BINARY", "BYTEA", "LOCKED", "FOR UPDATE SKIP LOCKED").Replace(statement)
		return strings.ReplaceAll(statement, "?", "$")
	}
	return strings.NewReplacer("IN.", schema, "NOW", "?1", "BINARY", "BLOB", " LOCKED", "").Replace(statement)
}

// ErrSchema says that the table is of a newer version of this package.
var ErrSchema = sqlschema.ErrVersion

// Migrate makes the tables ringback_dedup and ringback_dedup_version, or
// brings them up to date, and makes [Config.Schema] if it is not there. It is
// harmless to repeat and may run in several processes at once. When nothing is
// to be made, it needs no right to make anything. A version newer than this
// package is ErrSchema.
func (s *Store) Migrate(ctx context.Context) error {
	schema := sqlschema.Schema{
		Name: "sqldedup", In: s.schema, Table: "ringback_dedup_version", Lock: 7021798246541871,
		PostgreSQL: s.flavor == PostgreSQL, Steps: make([][]string, len(steps)),
	}
	for i, step := range steps {
		for _, statement := range step {
			schema.Steps[i] = append(schema.Steps[i], s.flavor.text(statement, s.schema))
		}
	}
	return schema.Migrate(ctx, s.db)
}
