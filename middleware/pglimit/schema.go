package pglimit

import (
	"context"
	"strings"

	"github.com/ringback-go/ringback/middleware/internal/sqlschema"
)

// steps lead from each version of the table to the next. full is when the
// bucket will be full, in nanoseconds since 1970. It has no index, so that
// updates stay on their page.
var steps = [][]string{{
	`CREATE UNLOGGED TABLE IN.ringback_limit (
		name BYTEA NOT NULL,
		key BYTEA NOT NULL,
		full_at BIGINT NOT NULL,
		PRIMARY KEY (name, key)
	) WITH (fillfactor = 50)`,
}}

const (
	// clock is one time for a statement.
	clock = `clock AS MATERIALIZED (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000000 AS BIGINT) AS now)`

	// IN. is the schema.

	// takeSQL counts a request. $1 is the name, $2 the key, $3 the key of those
	// that share, $4 whether they do, $5 the interval, $6 the tolerance. What
	// is inserted is now + interval, so that now can be told from it. A bucket
	// that is further from full than an empty one, by more than a statement may
	// have waited for the row, is of before the clock was set back: it is empty
	// from now on.
	takeSQL = `WITH ` + clock + `,
	slot AS MATERIALIZED (
		SELECT CASE WHEN CAST($4 AS BOOLEAN) AND NOT EXISTS (SELECT 1 FROM IN.ringback_limit WHERE name = $1 AND key = $2)
			THEN CAST($3 AS BYTEA) ELSE CAST($2 AS BYTEA) END AS key
	),
	taken AS (
		INSERT INTO IN.ringback_limit AS l (name, key, full_at)
		SELECT CAST($1 AS BYTEA), slot.key, clock.now + CAST($5 AS BIGINT) FROM clock, slot
		ON CONFLICT (name, key) DO UPDATE
		SET full_at = least(greatest(l.full_at, excluded.full_at - $5) + $5, excluded.full_at - $5 + CAST($6 AS BIGINT))
		WHERE greatest(l.full_at + $5, excluded.full_at) <= excluded.full_at - $5 + $6
			OR l.full_at > excluded.full_at - $5 + $6 + 60000000000
		RETURNING full_at
	)
	SELECT clock.now, taken.full_at, true FROM clock, taken
	UNION ALL
	SELECT clock.now, l.full_at, false FROM clock, slot, IN.ringback_limit AS l
	WHERE l.name = $1 AND l.key = slot.key AND NOT EXISTS (SELECT 1 FROM taken)`

	// pruneSQL looks at a page of rows behind a key and deletes those that are
	// full, but for rows that are in use. $1 is the name, $2 the key, $3 the
	// number.
	pruneSQL = `WITH ` + clock + `,
	page AS MATERIALIZED (SELECT key, full_at FROM IN.ringback_limit WHERE name = $1 AND key > $2 ORDER BY key LIMIT $3),
	idle AS MATERIALIZED (
		SELECT l.key FROM IN.ringback_limit AS l, clock
		WHERE l.name = $1 AND l.key IN (SELECT page.key FROM page, clock WHERE page.full_at <= clock.now) AND l.full_at <= clock.now
		FOR UPDATE OF l SKIP LOCKED
	),
	gone AS (DELETE FROM IN.ringback_limit AS l USING idle WHERE l.name = $1 AND l.key = idle.key RETURNING 1)
	SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM page), (SELECT key FROM page ORDER BY key DESC LIMIT 1)`

	countSQL = `SELECT count(*) FROM (SELECT 1 FROM IN.ringback_limit WHERE name = $1 LIMIT $2) AS counted`
)

// ErrSchema says that the table is of a newer version of this package.
var ErrSchema = sqlschema.ErrVersion

type statements struct{ take, prune, count string }

// in returns a statement with the name of the schema.
func in(schema, statement string) string {
	return strings.ReplaceAll(statement, "IN.", sqlschema.Prefix(schema))
}

func statementsIn(schema string) statements {
	return statements{take: in(schema, takeSQL), prune: in(schema, pruneSQL), count: in(schema, countSQL)}
}

// Migrate makes the tables ringback_limit and ringback_limit_version, or
// brings them up to date, and makes [Config.Schema] if it is not there. It is
// harmless to repeat and may run in several processes at once. When nothing is
// to be made, it needs no right to make anything. A version newer than this
// package is ErrSchema.
func (l *Limiter) Migrate(ctx context.Context) error {
	all := make([][]string, len(steps))
	for i, step := range steps {
		for _, statement := range step {
			all[i] = append(all[i], in(l.cfg.Schema, statement))
		}
	}
	return sqlschema.Schema{
		Name: "pglimit", In: l.cfg.Schema, Table: "ringback_limit_version", Lock: 7021798246541872, PostgreSQL: true, Steps: all,
	}.Migrate(ctx, l.db)
}
