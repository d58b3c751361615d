package sqlregistry

import (
	"strings"

	"github.com/ringback-go/ringback/registry"
)

const (
	// schemaVersion is the version that migrate leads to.
	schemaVersion = 4
	// leastVersion is the one from which on programs can work with its tables:
	// a migration that takes nothing from the older ones leaves it as it is.
	leastVersion = 4
)

const (
	versionTable  = `ringback_registry_version`
	createVersion = `CREATE TABLE IF NOT EXISTS @ringback_registry_version (version INTEGER NOT NULL)`
	selectVersion = `SELECT version FROM @ringback_registry_version`
	selectLeast   = `SELECT least FROM @ringback_registry_version`
	insertVersion = `INSERT INTO @ringback_registry_version (version, least) VALUES (?, ?)`
	updateVersion = `UPDATE @ringback_registry_version SET version = ?, least = ?`
	schemaExists  = `SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = ?)`
	selectCounts  = `SELECT state, count(*) FROM @subscription GROUP BY state`
	selectChanges = `SELECT changes FROM @ringback_registry_state`
	count         = `UPDATE ringback_registry_state SET changes = changes + 1`
)

// migrations lead from each version to the next one. BINARY and BYTEWISE are
// the flavor's, @ is the schema. Times are microseconds since 1970 in UTC, durations are
// nanoseconds, types and meta are JSON, each secret is sealed on its own, TLS
// material and headers are sealed together.
//
// Only a subscription that can match has rows in subscription_type: Match
// reads those of one dialect, type and scope, whatever else there is.
//
// The row of ringback_registry_state counts changes and serializes them.
var migrations = [schemaVersion]func(flavor) []string{
	func(flavor) []string { return tables },
	func(f flavor) []string {
		return append([]string{
			`CREATE TABLE @ringback_registry_state (changes BIGINT NOT NULL)`,
			`INSERT INTO @ringback_registry_state (changes) VALUES (1)`,
		}, f.triggers...)
	},
	func(flavor) []string { // null: from before, or nothing to seal
		return []string{`ALTER TABLE @subscription ADD COLUMN connection BINARY NULL`}
	},
	func(flavor) []string {
		return []string{`ALTER TABLE @ringback_registry_version ADD COLUMN least INTEGER NOT NULL DEFAULT 0`}
	},
}

var tables = []string{
	`CREATE TABLE @subscription (
		id            TEXT BYTEWISE NOT NULL PRIMARY KEY,
		dialect       TEXT BYTEWISE NOT NULL,
		tenant        TEXT BYTEWISE NOT NULL,
		scope         TEXT BYTEWISE NOT NULL,
		slot          TEXT BYTEWISE NOT NULL,
		label         TEXT NOT NULL,
		url           TEXT NOT NULL,
		types         TEXT NOT NULL,
		secrets       BINARY NOT NULL,
		max_in_flight BIGINT NOT NULL,
		per_second    DOUBLE PRECISION NOT NULL,
		timeout       BIGINT NOT NULL,
		meta          TEXT NOT NULL,
		state         TEXT BYTEWISE NOT NULL,
		reason        TEXT NOT NULL,
		since         BIGINT NOT NULL,
		expires_at    BIGINT,
		created_at    BIGINT NOT NULL,
		revision      BIGINT NOT NULL
	)`,
	`CREATE UNIQUE INDEX subscription_slot ON @subscription (dialect, tenant, scope, slot)
		WHERE slot <> '' AND state <> 'removed'`,
	`CREATE INDEX subscription_newest ON @subscription (created_at, id)`,
	`CREATE INDEX subscription_tenant ON @subscription (dialect, tenant, created_at, id)`,
	`CREATE TABLE @subscription_type (
		dialect TEXT BYTEWISE NOT NULL,
		type    TEXT BYTEWISE NOT NULL,
		scope   TEXT BYTEWISE NOT NULL,
		tenant  TEXT BYTEWISE NOT NULL,
		id      TEXT BYTEWISE NOT NULL,
		PRIMARY KEY (dialect, type, scope, tenant, id)
	)`,
	`CREATE INDEX subscription_type_id ON @subscription_type (id)`,
}

const columns = `s.id, s.dialect, s.tenant, s.scope, s.slot, s.label, s.url, s.types, s.secrets,
	s.max_in_flight, s.per_second, s.timeout, s.meta, s.state, s.reason,
	s.since, s.expires_at, s.created_at, s.revision, s.connection`

const (
	selectByID = `SELECT ` + columns + ` FROM @subscription s WHERE s.id = ?`

	// The last two terms are those of the partial index.
	selectBySlot = `SELECT ` + columns + ` FROM @subscription s
		WHERE s.dialect = ? AND s.tenant = ? AND s.scope = ? AND s.slot = ?
		AND s.slot <> '' AND s.state <> 'removed'`

	upsert = `INSERT INTO @subscription (id, dialect, tenant, scope, slot, label, url, types, secrets,
		max_in_flight, per_second, timeout, meta, state, reason, since, expires_at, created_at, revision, connection)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET dialect = excluded.dialect, tenant = excluded.tenant,
		scope = excluded.scope, slot = excluded.slot, label = excluded.label, url = excluded.url,
		types = excluded.types, secrets = excluded.secrets, max_in_flight = excluded.max_in_flight,
		per_second = excluded.per_second, timeout = excluded.timeout, meta = excluded.meta,
		state = excluded.state, reason = excluded.reason, since = excluded.since,
		expires_at = excluded.expires_at, created_at = excluded.created_at, revision = excluded.revision,
		connection = excluded.connection`

	deleteByID  = `DELETE FROM @subscription WHERE id = ?`
	deleteTypes = `DELETE FROM @subscription_type WHERE id = ?`
	insertType  = `INSERT INTO @subscription_type (dialect, type, scope, tenant, id) VALUES `
)

// typeRows is how many rows of subscription_type one statement inserts at most.
const typeRows = 64

func insertTypes(rows int) string {
	return insertType + "(?, ?, ?, ?, ?)" + strings.Repeat(", (?, ?, ?, ?, ?)", rows-1)
}

// matchQuery finds the candidates of a topic: a range of the index for each
// scope. An IN would do in SQLite; PostgreSQL, while it has no statistics,
// reads the whole type for it.
func matchQuery(t registry.Topic) (string, []any) {
	query := `SELECT ` + columns + ` FROM @subscription_type t JOIN @subscription s ON s.id = t.id
		WHERE t.dialect = ? AND t.type = ? AND t.scope = ?`
	args := []any{t.Dialect, t.Type, ""}
	if t.Tenant != "" {
		query += ` AND t.tenant = ?`
		args = append(args, t.Tenant)
	}
	if t.Scope == "" {
		return query, args
	}
	args = append(args, args...)
	args[2] = t.Scope
	return query + ` UNION ALL ` + query, args
}

// listQuery finds a page of n, newest first, from behind after if that is not nil.
func listQuery(f registry.Filter, after *registry.Subscription, n int) (string, []any) {
	var terms []string
	var args []any
	for _, c := range []struct{ column, value string }{
		{"s.dialect", f.Dialect}, {"s.tenant", f.Tenant}, {"s.scope", f.Scope},
	} {
		if c.value != "" {
			terms = append(terms, c.column+" = ?")
			args = append(args, c.value)
		}
	}
	if len(f.States) > 0 {
		terms = append(terms, "s.state IN (?"+strings.Repeat(", ?", len(f.States)-1)+")")
		for _, state := range f.States {
			args = append(args, string(state))
		}
	}
	if after != nil {
		terms = append(terms, "(s.created_at, s.id) < (?, ?)")
		args = append(args, after.CreatedAt.UnixMicro(), after.ID)
	}
	query := `SELECT ` + columns + ` FROM @subscription s`
	if len(terms) > 0 {
		query += ` WHERE ` + strings.Join(terms, " AND ")
	}
	return query + ` ORDER BY s.created_at DESC, s.id DESC LIMIT ?`, append(args, n)
}
