package pgstore

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringback-go/ringback/delivery"
)

// NewBrowser looks at the tables of a schema.
func NewBrowser(pool *pgxpool.Pool, schemaName string) delivery.Browser {
	return newBrowser(pool, named(schemaName))
}

// NewPruner forgets in the tables of a schema, reading so many rows in a step, 0
// for as many as outside of tests.
func NewPruner(pool *pgxpool.Pool, schemaName string, step int64) delivery.Pruner {
	p := newPruner(pool, named(schemaName))
	if step > 0 {
		p.step = step
	}
	return p
}

// SQL fills in the schema's name.
func SQL(schemaName, text string) string { return named(schemaName).sql(text) }

// Plan is a query by page with parameters to look at how it is executed.
type Plan struct {
	Name, Text string
	Args       string
	Bound      int64 // rows that any step of it may touch
}

// Plans returns those of browsing and pruning for tables of n rows.
func Plans(schemaName string) (settings string, plans []Plan) {
	seqs := make([]int64, 101)
	for i := range seqs {
		seqs[i] = 70_000 + int64(i)
	}
	array := "'{" + strings.Trim(strings.Join(strings.Fields(fmt.Sprint(seqs)), ","), "[]") + "}'"
	b, p := newBrowser(nil, named(schemaName)).sql, newPruner(nil, named(schemaName)).sql
	return b.settings, []Plan{
		{"inbox", b.inbox, "1, '18446744073709551615', 9223372036854775807, 500", 600},
		{"inbox by ID", b.inboxOne, "1, 'q77.s'", 5},
		{"all", b.all, "150000, 500", 600},
		{"by ID", b.one, "'e777.s'", 5},
		{"delivered", b.delivered, "150000, 500", 1000},
		{"dead", b.dead, "150000, 100", 110},
		{"pending", b.pending, "9223372036854775807, 500", 2500},
		{"attempts", b.attempts, "'e777.s', 1", 5},
		{"event", b.event, "'e777', 'e777.', 'e777/', 1", 5},
		{"event untaken", b.event, "'q777', 'q777.', 'q777/', 1", 5},
		{"oldest", b.oldest, "1", 20},
		{"history", p.history, "70000, 9223372036854775807, 500", 1100},
		{"tenant", p.tenant, "'acme', 70000, 500", 600},
		{"outcomes", p.outcomes, array + ", 0, 9223372036854775807", 210},
		{"attempts of", p.attempts, array, 210},
		{"waiting of", p.waiting, array, 210},
		{"deliveries of", p.deliveries, array, 210},
	}
}
