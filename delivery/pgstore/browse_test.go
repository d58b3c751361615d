package pgstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
	"github.com/ringback-go/ringback/delivery/pgstore"
)

// some fills the tables with one of each kind.
func some(t *testing.T) *tables {
	d := makeTables(t)
	due := epoch.Add(time.Minute)
	d.store(10, one("done"), 5)
	d.settle(10, delivered, due, 2, "", &delivery.Attempt{Number: 2, Status: 204})
	d.attempt(10, delivery.Attempt{Number: 1, Status: 500, Error: "status 500"})
	d.store(11, one("canceled"), 5)
	d.settle(11, dead, due, 1, "canceled", nil)
	d.attempt(11, delivery.Attempt{Number: 1, Status: 503, Error: "status 503"})
	d.store(12, delivery.Delivery{ID: "nobody", EventID: "nobody"}, 0)
	d.settle(12, marker, due, 0, "", nil)
	d.store(13, one("waits"), 5)
	d.wait(13, due.UnixMicro(), 1)
	d.attempt(13, delivery.Attempt{Number: 1, Class: "timeout", Error: "no answer"})
	d.store(14, one("young"), due.UnixMicro())
	d.store(15, one("young.indexed"), 0)
	d.wait(15, 0, 0)
	d.engine(14)
	d.engine(4096)
	d.post(one("posted"), 0)
	d.post(delivery.Delivery{ID: "posted nobody", EventID: "posted nobody"}, 0)
	d.exec(`INSERT INTO @.inbox (shard, kind, name, lane, key, data) VALUES (0, 2, 'posted', 's', '', '')`) // is no delivery
	d.post(one("posted.later"), due.UnixMicro())
	d.post(one("posted"), 0) // a repeat
	d.post(one("done"), 0)   // another one
	d.tally(5, 1, 0)
	d.tally(-2, 0, 1)
	return d
}

func TestList(t *testing.T) {
	t.Parallel()
	d := some(t)
	d.wantList(delivery.Filter{}, "posted", "posted.later", "young.indexed", "young", "waits", "canceled", "done")
	d.wantList(delivery.Filter{State: delivery.Pending}, "posted", "posted.later", "young.indexed", "young", "waits")
	d.wantList(delivery.Filter{State: delivery.Delivered}, "done")
	d.wantList(delivery.Filter{State: delivery.Dead}, "canceled")
	d.wantList(delivery.Filter{Limit: 3}, "posted", "posted.later", "young.indexed")
	d.wantList(delivery.Filter{Limit: 1, Type: "t", State: delivery.Dead}, "canceled")
	d.wantList(delivery.Filter{Type: "other"})
	d.wantList(delivery.Filter{ID: "posted"}, "posted")
	d.wantList(delivery.Filter{ID: "posted.later", State: delivery.Dead})
	d.wantList(delivery.Filter{ID: "done"}, "done")
	d.wantList(delivery.Filter{ID: "done", State: delivery.Pending})
	d.wantList(delivery.Filter{ID: "nobody"})
	d.wantList(delivery.Filter{ID: "posted nobody"})
	d.exec(`DELETE FROM @.engine`) // all that waits is indexed
	d.wantList(delivery.Filter{State: delivery.Pending}, "posted", "posted.later", "young.indexed", "waits")
}

func TestListStatus(t *testing.T) {
	t.Parallel()
	d := some(t)
	due := epoch.Add(time.Minute)
	for id, want := range map[string]struct {
		attempts int
		status   delivery.Status
	}{
		"posted":       {0, delivery.Status{State: delivery.Pending, NextAttemptAt: epoch}},
		"posted.later": {0, delivery.Status{State: delivery.Pending, NextAttemptAt: due}},
		"young":        {0, delivery.Status{State: delivery.Pending, NextAttemptAt: due}},
		"waits":        {1, delivery.Status{State: delivery.Pending, NextAttemptAt: due, LastError: "no answer"}},
		"canceled":     {1, delivery.Status{State: delivery.Dead, Reason: "canceled", SettledAt: due, LastStatus: 503, LastError: "status 503"}},
		"done":         {2, delivery.Status{State: delivery.Delivered, SettledAt: due, LastStatus: 204}},
	} {
		st := want.status
		st.Delivery = one(id)
		st.Attempts = want.attempts
		if diff := cmp.Diff([]delivery.Status{st}, d.list(delivery.Filter{ID: id})); diff != "" {
			t.Errorf("%s: %s", id, diff)
		}
	}
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	d := some(t)
	for id, want := range map[string][]int{"done": {500, 204}, "canceled": {503}, "waits": {0}, "young": {}, "posted": {}} {
		log, err := d.browser().Attempts(t.Context(), id)
		got := []int{}
		for _, a := range log {
			got = append(got, a.Status)
		}
		if err != nil || log == nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v", id, got, err, want)
		}
	}
	for _, id := range []string{"unknown", "nobody", "posted nobody"} {
		if log, err := d.browser().Attempts(t.Context(), id); !errors.Is(err, delivery.ErrNotFound) {
			t.Errorf("%s: %v, %v, want ErrNotFound", id, log, err)
		}
	}
}

func TestCounts(t *testing.T) {
	t.Parallel()
	d := makeTables(t)
	d.wantCounts(0, 0, 0)
	some(t).wantCounts(5, 1, 1)
}

func TestEvent(t *testing.T) {
	t.Parallel()
	d := some(t)
	for id, want := range map[string]struct {
		n     int
		known bool
	}{
		"young": {2, true}, "posted": {2, true}, "done": {1, true}, "nobody": {0, true}, "posted nobody": {0, true},
		"unknown": {0, false}, "you": {0, false}, "young.indexed": {1, true},
	} {
		if n, known, err := d.browser().Event(t.Context(), id); n != want.n || known != want.known || err != nil {
			t.Errorf("%s: %d, %t, %v, want %d, %t", id, n, known, err, want.n, want.known)
		}
	}
	d.post(delivery.Delivery{ID: "nobody", EventID: "nobody"}, 0)
	if n, known, err := d.browser().Event(t.Context(), "nobody"); n != 0 || !known || err != nil {
		t.Errorf("a marker and its repeat: %d, %t, %v", n, known, err)
	}
}

// Rows are stored under any seq and settled while they are listed: each is seen
// once.
func TestListWhileRowsMove(t *testing.T) {
	t.Parallel()
	for _, f := range []delivery.Filter{{}, {State: delivery.Pending}, {SubscriptionID: "s"}} {
		d := makeTables(t)
		d.engine(1)
		const untaken, stored = 1300, 700
		data := rowcodec.AppendDelivery(nil, &delivery.Delivery{EventID: "e", SubscriptionID: "s", PublishedAt: epoch}, rowcodec.Times{})
		d.exec(`INSERT INTO @.inbox (shard, kind, name, lane, key, data) SELECT 0, 1, 'i' || n, 's', '', $1 FROM generate_series(1, $2::int) n`, data, untaken)
		d.exec(`INSERT INTO @.delivery (seq, id, shard, lane, due, expires, data) SELECT 10 * n, 'd' || n, 0, 's', 0, 0, $1 FROM generate_series(1, $2::int) n`, data, stored)
		seen := map[string]int{}
		n := 0
		for st, err := range d.browser().Deliveries(t.Context(), f) {
			if err != nil {
				t.Fatal(err)
			}
			seen[st.ID]++
			switch n++; n {
			case 1, 501, 1001, untaken + 1, untaken + 501: // a page was read
				for i := range int64(untaken) {
					if i*7%13 == int64(n)%5 { // some of those that were listed, and some others
						d.take(fmt.Sprint("i", i+1), 10*(i*5%7000)+1+i%2*100_000)
					}
				}
			}
		}
		for id, times := range seen {
			if times != 1 {
				t.Errorf("%+v: %s was listed %d times", f, id, times)
			}
		}
		if len(seen) != untaken+stored {
			t.Errorf("%+v: %d were listed, want %d", f, len(seen), untaken+stored)
		}
		if left := d.number(`SELECT count(*) FROM @.inbox`); left == untaken {
			t.Errorf("%d rows are in the inbox: nothing moved", left)
		}
	}
}

func TestListEndsWithItsContext(t *testing.T) {
	t.Parallel()
	d := some(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n := 0
	for _, err := range d.browser().Deliveries(ctx, delivery.Filter{}) {
		if n++; !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want context.Canceled", err)
		}
	}
	if n != 1 {
		t.Errorf("%d pairs", n)
	}
	closed := d.another()
	closed.Close()
	b := pgstore.NewBrowser(closed, oddSchema)
	if _, err := b.Counts(t.Context()); err == nil {
		t.Error("Counts over a closed pool succeeds")
	}
	if _, _, err := b.Event(t.Context(), "a"); err == nil {
		t.Error("Event over a closed pool succeeds")
	}
	if _, err := b.Attempts(t.Context(), "a"); err == nil || errors.Is(err, delivery.ErrNotFound) {
		t.Errorf("Attempts over a closed pool: %v", err)
	}
}

// However many rows there are, a query touches about as many as it returns: with
// the plan that was made when the tables were empty, and with a later one.
func TestPlans(t *testing.T) {
	t.Parallel()
	d := makeTables(t)
	conn, err := d.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	settings, plans := pgstore.Plans(oddSchema)
	touched := func(p pgstore.Plan) (most int64, plan string) {
		t.Helper()
		tx, err := conn.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback(t.Context())
		if _, err := tx.Exec(t.Context(), settings); err != nil {
			t.Fatal(err)
		}
		query := fmt.Sprintf(`EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE %s (%s)`, pgx.Identifier{p.Name}.Sanitize(), p.Args)
		if err := tx.QueryRow(t.Context(), query, pgx.QueryExecModeSimpleProtocol).Scan(&plan); err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		var nodes []struct{ Plan planNode }
		if err := json.Unmarshal([]byte(plan), &nodes); err != nil {
			t.Fatal(err)
		}
		return nodes[0].Plan.most(), plan
	}
	for _, p := range plans {
		if _, err := conn.Exec(t.Context(), fmt.Sprintf(`PREPARE %s AS %s`, pgx.Identifier{p.Name}.Sanitize(), p.Text), pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", p.Name, err)
		}
		touched(p) // now there is a plan
	}
	data := rowcodec.AppendDelivery(nil, &delivery.Delivery{EventID: "e", SubscriptionID: "s", PublishedAt: epoch}, rowcodec.Times{})
	const rows = 300_000
	d.exec(`INSERT INTO @.delivery (seq, id, shard, lane, due, expires, data) SELECT n, 'e' || n || '.s', 0, 's', 0, 0, $1 FROM generate_series(1, $2::int) n`, data, rows)
	d.exec(`INSERT INTO @.outcome (seq, state, at, attempts, data) SELECT n, CASE WHEN n % 1000 = 0 THEN 2 ELSE 1 END, n, 1, '' FROM generate_series(1, $1::int) n
		WHERE n % 100 <> 1 AND n < $1 - 1000`, rows)
	d.exec(`INSERT INTO @.waiting (seq, shard, lane, key, retry, due, attempts, tries, expires, hidden)
		SELECT n, 0, 's', '', true, n, 1, 1, 0, false FROM generate_series(1, $1::int, 100) n WHERE n < $1 - 1000`, rows)
	d.exec(`INSERT INTO @.attempt (seq, number, data) SELECT n / 2, n % 2, '' FROM generate_series(1, $1::int) n`, rows/2)
	d.exec(`INSERT INTO @.inbox (shard, kind, name, lane, key, data) SELECT 0, 1, 'q' || n || '.s', 's', '', $1 FROM generate_series(1, 50000) n`, data)
	d.engine(rows - 2000)
	for _, when := range []string{"planned for empty tables", "planned anew"} {
		for _, p := range plans {
			if most, plan := touched(p); most > p.Bound {
				t.Errorf("%s, %s: %d rows touched, want %d at most\n%s", p.Name, when, most, p.Bound, plan)
			} else if strings.Contains(plan, `"Seq Scan"`) && p.Name != "pending" { // of engines
				t.Errorf("%s, %s: a table is read as a whole\n%s", p.Name, when, plan)
			}
		}
		d.exec(`ANALYZE`)
	}
}

// planNode is a step of a plan.
type planNode struct {
	Rows    float64 `json:"Actual Rows"`
	Loops   float64 `json:"Actual Loops"`
	Removed float64 `json:"Rows Removed by Filter"`
	Checked float64 `json:"Rows Removed by Index Recheck"`
	Joined  float64 `json:"Rows Removed by Join Filter"`
	Plans   []planNode
}

func (p planNode) most() int64 {
	n := int64((p.Rows + p.Removed + p.Checked + p.Joined) * p.Loops)
	for _, below := range p.Plans {
		n = max(n, below.most())
	}
	return n
}
