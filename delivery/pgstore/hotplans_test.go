package pgstore_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/delivery/pgstore"
)

// node is a part of what EXPLAIN says.
type node struct {
	Type     string  `json:"Node Type"`
	Relation string  `json:"Relation Name"`
	Index    string  `json:"Index Name"`
	Cond     string  `json:"Index Cond"`
	Hits     int     `json:"Shared Hit Blocks"` // with those below, if it was run
	Reads    int     `json:"Shared Read Blocks"`
	Rows     float64 `json:"Actual Rows"`
	Plans    []node
}

func (n *node) walk(visit func(n *node, above []string), above ...string) {
	visit(n, above)
	for i := range n.Plans {
		n.Plans[i].walk(visit, append(slices.Clone(above), n.Type)...)
	}
}

var parameter = regexp.MustCompile(`\$(\d+)`)

// explain returns the plan that holds for any parameters.
func (d *tables) explain(settings, text string) node {
	d.Helper()
	params := 0
	for _, m := range parameter.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1]) // digits
		params = max(params, n)
	}
	return d.explained("FORMAT JSON", settings, text, strings.TrimSuffix(strings.Repeat("NULL, ", params), ", "))
}

// explained returns the plan that holds for any parameters, with some of them.
func (d *tables) explained(options, settings, text, args string) node {
	d.Helper()
	name := fmt.Sprintf("hot%d", time.Now().UnixNano())
	tx, err := d.pool.Begin(d.Context())
	if err != nil {
		d.Fatal(err)
	}
	defer tx.Rollback(d.Context())
	var raw string
	for _, q := range []string{settings, "PREPARE " + name + " AS " + text} {
		if _, err := tx.Exec(d.Context(), q, pgx.QueryExecModeSimpleProtocol); err != nil {
			d.Fatalf("%s: %v", q, err)
		}
	}
	if err := tx.QueryRow(d.Context(), "EXPLAIN ("+options+") EXECUTE "+name+"("+args+")", pgx.QueryExecModeSimpleProtocol).Scan(&raw); err != nil {
		d.Fatal(err)
	}
	var plans []struct{ Plan node }
	if err := json.Unmarshal([]byte(raw), &plans); err != nil || len(plans) != 1 {
		d.Fatalf("%v: %s", err, raw)
	}
	return plans[0].Plan
}

// waitIn stores n rows that wait, in so many lanes.
func (d *tables) waitIn(first, n, over int) {
	d.Helper()
	lanes, of := make([]string, over), make([]int16, over)
	for i := range lanes {
		lanes[i] = fmt.Sprintf("lane%d", i)
		of[i] = pgstore.ShardOf(lanes[i])
	}
	d.exec(`INSERT INTO @.delivery (seq, id, shard, lane, due, expires, data)
		SELECT n, 'e' || n, ($3::smallint[])[1 + n % $4::int], ($5::text[])[1 + n % $4::int], 1000 + n, 0, '\x00' FROM generate_series($1::int, $2::int) n`, first, first+n-1, of, over, lanes)
	d.exec(`INSERT INTO @.waiting (seq, shard, lane, key, retry, due, attempts, tries, expires, hidden)
		SELECT seq, shard, lane, CASE WHEN seq % 10 = 0 THEN convert_to('k' || seq, 'UTF8') ELSE '' END, seq % 7 = 0, due, 0, 0, 0, false FROM @.delivery WHERE seq BETWEEN $1 AND $2`, first, first+n-1)
	d.exec(`INSERT INTO @.inbox (shard, kind, name, lane, key, data) SELECT n % 64, 1, 'i' || n, 'lane1', CASE WHEN n % 3 = 0 THEN '\x6b'::bytea ELSE '' END, '' FROM generate_series($1::int, $2::int) n WHERE n % 10 = 0`, first, first+n-1)
}

// refillTime is how long it takes to read some rows of 200 lanes.
func (d *tables) refillTime(settings, text string) time.Duration {
	d.Helper()
	var shard []int16
	var lane []string
	for i := range 200 {
		lane = append(lane, fmt.Sprintf("lane%d", i*3))
		shard = append(shard, pgstore.ShardOf(lane[i]))
	}
	best := time.Hour
	for range 5 {
		b := &pgx.Batch{}
		b.Queue(settings)
		b.Queue(text, shard, lane, make([]bool, 200), slices.Repeat([]int32{33}, 200), make([]int32, 200), slices.Repeat([]int32{1 << 20}, 200))
		begin := time.Now()
		if err := d.pool.SendBatch(d.Context(), b).Close(); err != nil {
			d.Fatal(err)
		}
		best = min(best, time.Since(begin))
	}
	return best
}

// TestHotPlans: whatever is known of the tables, or not, rows are found by index.
func TestHotPlans(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("a million rows")
	}
	d := makeTables(t)
	settings, texts := pgstore.Hot(oddSchema)
	for _, table := range []string{"delivery", "waiting", "inbox", "outcome", "tally", "engine", "lane", "shard", "attempt"} {
		d.exec(`ALTER TABLE @.` + table + ` SET (autovacuum_enabled = off)`)
	}
	d.waitIn(1, 1000, 1000)
	few := d.refillTime(settings, texts["refill"])
	d.exec(`TRUNCATE @.waiting, @.delivery, @.inbox`)
	d.waitIn(1, 1_000_000, 10_000)
	check := func(when string) {
		for name, text := range texts {
			root := d.explain(settings, text)
			root.walk(func(n *node, above []string) {
				switch {
				case strings.HasPrefix(n.Type, "Index") && n.Cond != "":
				case strings.HasPrefix(n.Type, "Index"):
					t.Errorf("%s, %s: %s on %s by %s has no condition", when, name, n.Type, n.Relation, n.Index)
				case n.Type == "ModifyTable", n.Relation == "engine": // of a few rows
				case n.Relation != "":
					t.Errorf("%s, %s: %s on %s", when, name, n.Type, n.Relation)
				case strings.Contains(n.Type, "Sort"): // of what?
					n.walk(func(x *node, between []string) {
						if x.Relation != "" && name != "letters.where" && !slices.Contains(between, "Limit") && !slices.Contains(between, "Nested Loop") {
							t.Errorf("%s, %s: rows of %s are sorted", when, name, x.Relation)
						}
					})
				}
			})
		}
	}
	check("never analyzed")
	many := d.refillTime(settings, texts["refill"])
	d.exec(`ANALYZE`)
	check("analyzed")
	t.Logf("200 lanes are refilled in %v of 1,000 rows (1 a lane), in %v of 1,000,000 (33 a lane), in %v once analyzed", few, many, d.refillTime(settings, texts["refill"]))
}

// TestLettersTakenAreNotWalkedOver: a read of the inbox begins where the last one
// ended, though what was taken since the last vacuum is there still.
func TestLettersTakenAreNotWalkedOver(t *testing.T) {
	t.Parallel()
	d := makeTables(t)
	settings, texts := pgstore.Hot(oddSchema)
	d.exec(`ALTER TABLE @.inbox SET (autovacuum_enabled = off)`)
	leave := func(n int) {
		d.exec(`INSERT INTO @.inbox (shard, kind, name, lane, key, data) SELECT n % 64, 1, 'i' || n, 'lane', '', '' FROM generate_series(1, $1::int) n`, n)
	}
	leave(60_000)
	d.exec(`DELETE FROM @.inbox`)
	var xmax string
	if err := d.pool.QueryRow(t.Context(), `SELECT pg_snapshot_xmax(pg_current_snapshot())::text`).Scan(&xmax); err != nil {
		t.Fatal(err)
	}
	leave(10)
	all := make([]string, 64)
	for id := range all {
		all[id] = strconv.Itoa(id)
	}
	for name, after := range map[string]string{"the first page": "'0', 0", "a page of what was under way": "'" + xmax + "', 0"} {
		args := `'{` + strings.Join(all, ",") + `}', ` + after + `, 1000, '` + xmax + `', '{}'`
		plan := d.explained("ANALYZE, BUFFERS, FORMAT JSON", settings, texts["letters.diff"], args)
		if plan.Rows != 10 || plan.Hits+plan.Reads > 50 {
			t.Errorf("%s: %v letters of 10 were found in %d pages", name, plan.Rows, plan.Hits+plan.Reads)
		}
	}
}
