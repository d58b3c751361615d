package sqlregistry

import (
	"database/sql"
	"strconv"
	"strings"
)

// A Flavor says which database a [Registry] talks to.
type Flavor int

const (
	// SQLite is the zero value: SQLite 3.35 and later, through any driver.
	SQLite Flavor = iota
	// PostgreSQL is version 14 and later, in an UTF-8 database, through a
	// driver that takes $1 as a parameter, such as pgx's stdlib.
	PostgreSQL
)

// A flavor is what differs between databases. All other SQL is in sql.go and
// runs on each of them.
type flavor struct {
	// isolation is that of transactions that change something.
	isolation sql.IsolationLevel
	// alone runs first in the transaction of Migrate: no other one gets past it.
	alone string
	// exists asks whether there is a table. Empty, the table of versions is
	// made before the transaction, because alone needs it.
	exists string
	// raise runs first in a transaction that changes something, so that no
	// other one is between reading and writing: it counts the change in the
	// one row there is, which stays locked, and returns a row if there was one.
	raise string
	// triggers count the changes that are made past this package.
	triggers []string
	// matchMany finds the candidates of a JSON list of ranges, with the topics'
	// numbers: one range of the index after another, whatever the statistics say.
	matchMany string
	// prepares says that statements which run often are prepared by us. The
	// drivers of PostgreSQL do it where what is between allows it.
	prepares bool
	// binary is the type of a column of bytes.
	binary string
	// bytewise makes a column of text compare by its bytes.
	bytewise string
	// placeholder appends the n-th parameter, from 1.
	placeholder func(b []byte, n int) []byte
}

var flavors = map[Flavor]flavor{
	// Under _txlock=immediate a transaction has the write lock already; else
	// it takes it by a write, which may be one that changes nothing.
	SQLite: {
		isolation: sql.LevelDefault,
		alone:     "UPDATE @ringback_registry_version SET version = version WHERE 0 = 1",
		raise:     "UPDATE @ringback_registry_state SET changes = changes + 1 RETURNING changes",
		triggers: []string{
			"CREATE TRIGGER subscription_inserted AFTER INSERT ON subscription BEGIN " + count + "; END",
			"CREATE TRIGGER subscription_updated AFTER UPDATE ON subscription BEGIN " + count + "; END",
			"CREATE TRIGGER subscription_deleted AFTER DELETE ON subscription BEGIN " + count + "; END",
		},
		matchMany: "SELECT json_extract(w.value, '$.n'), " + columns + " FROM json_each(?) w " +
			"CROSS JOIN @subscription_type t CROSS JOIN @subscription s " +
			"WHERE t.dialect = json_extract(w.value, '$.dialect') AND t.type = json_extract(w.value, '$.type') " +
			"AND t.scope = json_extract(w.value, '$.scope') AND t.tenant = json_extract(w.value, '$.tenant') AND s.id = t.id",
		prepares:    true,
		binary:      "BLOB",
		placeholder: func(b []byte, _ int) []byte { return append(b, '?') },
	},
	// Nothing here outlives a transaction, as a pooler between transactions
	// wants it. The setting keeps the trigger from counting again, statement
	// by statement, what raise has counted. Under any isolation but this one
	// a transaction that waited would go on with what it saw before.
	PostgreSQL: {
		isolation: sql.LevelReadCommitted,
		alone:     "SELECT pg_advisory_xact_lock(7021798246541870)",
		exists:    "SELECT to_regclass(?) IS NOT NULL",
		raise: "WITH raised AS (UPDATE @ringback_registry_state SET changes = changes + 1 RETURNING changes) " +
			"SELECT set_config('ringback.counted', 'yes', true) FROM raised",
		triggers: []string{
			"CREATE FUNCTION @ringback_registry_count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " +
				"EXECUTE format('UPDATE %I.ringback_registry_state SET changes = changes + 1', TG_TABLE_SCHEMA); " +
				"RETURN NULL; END $$",
			"CREATE TRIGGER subscription_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON @subscription " +
				"FOR EACH STATEMENT WHEN (current_setting('ringback.counted', true) IS DISTINCT FROM 'yes') " +
				"EXECUTE FUNCTION @ringback_registry_count()",
		},
		matchMany: "SELECT w.n, s.* FROM json_to_recordset(?::json) AS w (n integer, dialect text, type text, scope text, tenant text) " +
			"CROSS JOIN LATERAL (SELECT " + columns + " FROM @subscription_type t JOIN @subscription s ON s.id = t.id " +
			"WHERE t.dialect = w.dialect AND t.type = w.type AND t.scope = w.scope AND t.tenant = w.tenant OFFSET 0) s",
		binary:      "BYTEA",
		bytewise:    `COLLATE "C"`,
		placeholder: func(b []byte, n int) []byte { return strconv.AppendInt(append(b, '$'), int64(n), 10) },
	},
}

// bind replaces each question mark of query by the flavor's parameter, and
// each @ by the schema. The queries of this package have neither in a literal.
func (r *Registry) bind(query string) string {
	out := make([]byte, 0, len(query)+64)
	n := 0
	for i := range len(query) {
		switch query[i] {
		case '?':
			n++
			out = r.flavor.placeholder(out, n)
		case '@':
			out = append(out, r.schema...)
		default:
			out = append(out, query[i])
		}
	}
	return string(out)
}

// quoted returns a name of PostgreSQL's as it stands in a query.
func quoted(name string) string {
	return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
}
