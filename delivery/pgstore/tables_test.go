package pgstore_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
	"github.com/ringback-go/ringback/delivery/pgstore"
	"github.com/ringback-go/ringback/internal/pgtest"
)

const oddSchema = "Ring_Back2"

// States in the table of outcomes.
const (
	delivered = 1
	dead      = 2
	marker    = 3
)

// epoch is when the tests' rows are published.
var epoch = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// tables are those of a store, filled by hand.
type tables struct {
	*testing.T
	pool *pgxpool.Pool
	url  string
}

func makeTables(t *testing.T) *tables {
	t.Helper()
	d := &tables{T: t, url: pgtest.New(t).Database(t)}
	d.pool = d.another()
	if err := pgstore.Migrate(t.Context(), d.pool, oddSchema); err != nil {
		t.Fatal(err)
	}
	return d
}

// another is a pool of another process.
func (d *tables) another() *pgxpool.Pool {
	d.Helper()
	pool, err := pgxpool.New(d.Context(), d.url)
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(pool.Close)
	return pool
}

func (d *tables) browser() delivery.Browser { return pgstore.NewBrowser(d.pool, oddSchema) }

func (d *tables) exec(text string, args ...any) {
	d.Helper()
	if _, err := d.pool.Exec(d.Context(), pgstore.SQL(oddSchema, text), args...); err != nil {
		d.Fatalf("%s: %v", text, err)
	}
}

func (d *tables) number(text string, args ...any) (n int64) {
	d.Helper()
	if err := d.pool.QueryRow(d.Context(), pgstore.SQL(oddSchema, text), args...).Scan(&n); err != nil {
		d.Fatalf("%s: %v", text, err)
	}
	return n
}

// one is a delivery of an event of its own.
func one(id string) delivery.Delivery {
	return delivery.Delivery{ID: id, EventID: id, SubscriptionID: "s", Type: "t", PublishedAt: epoch, Body: []byte("{}")}
}

// store appends a delivery.
func (d *tables) store(seq int64, v delivery.Delivery, due int64) {
	d.Helper()
	d.exec(`INSERT INTO @.delivery (seq, id, shard, lane, due, expires, data) VALUES ($1, $2, 0, $3, $4, 0, $5)`,
		seq, v.ID, v.LaneName(), due, rowcodec.AppendDelivery(nil, &v, rowcodec.Times{Due: due}))
}

// post leaves a delivery in the inbox.
func (d *tables) post(v delivery.Delivery, due int64) {
	d.Helper()
	d.exec(`INSERT INTO @.inbox (shard, kind, name, lane, key, data) VALUES (0, 1, $1, $2, $3, $4)`,
		v.ID, v.LaneName(), v.Key, rowcodec.AppendDelivery(nil, &v, rowcodec.Times{Due: due}))
}

// take stores what is in the inbox under a seq.
func (d *tables) take(id string, seq int64) {
	d.Helper()
	d.exec(`WITH i AS (DELETE FROM @.inbox WHERE name = $1 RETURNING name, lane, data)
		INSERT INTO @.delivery (seq, id, shard, lane, due, expires, data) SELECT $2, name, 0, lane, 0, 0, data FROM i ON CONFLICT DO NOTHING`, id, seq)
}

func (d *tables) settle(seq int64, state int, at time.Time, attempts int, reason string, a *delivery.Attempt) {
	d.Helper()
	d.exec(`INSERT INTO @.outcome (seq, state, at, attempts, data) VALUES ($1, $2, $3, $4, $5)`,
		seq, state, at.UnixMicro(), attempts, rowcodec.AppendOutcome(nil, reason, a))
}

func (d *tables) attempt(seq int64, a delivery.Attempt) {
	d.Helper()
	d.exec(`INSERT INTO @.attempt (seq, number, data) VALUES ($1, $2, $3)`, seq, a.Number, rowcodec.AppendAttempt(nil, &a))
}

func (d *tables) wait(seq, due int64, attempts int) {
	d.Helper()
	d.exec(`INSERT INTO @.waiting (seq, shard, lane, key, retry, due, attempts, tries, expires, hidden)
		VALUES ($1, 0, 's', '', $3 > 0, $2, $3, $3, 0, false)`, seq, due, attempts)
}

func (d *tables) engine(low int64) {
	d.Helper()
	d.exec(`INSERT INTO @.engine (name, expires, low) VALUES ('e', now(), $1)`, low)
}

// tally says how many there are.
func (d *tables) tally(pending, delivered, dead int64) {
	d.Helper()
	d.exec(`INSERT INTO @.tally (engine, batch, pending, delivered, dead)
		SELECT 1, coalesce(max(batch), 0) + 1, $1, $2, $3 FROM @.tally`, pending, delivered, dead)
}

func (d *tables) list(f delivery.Filter) []delivery.Status {
	d.Helper()
	var out []delivery.Status
	for st, err := range d.browser().Deliveries(d.Context(), f) {
		if err != nil {
			d.Fatal(err)
		}
		out = append(out, st)
	}
	return out
}

// wantList asserts which are listed, in this order.
func (d *tables) wantList(f delivery.Filter, want ...string) {
	d.Helper()
	var got []string
	for _, st := range d.list(f) {
		got = append(got, st.ID)
	}
	if !slices.Equal(got, want) {
		d.Errorf("%+v gives %q, want %q", f, got, want)
	}
}

func (d *tables) wantCounts(pending, delivered, dead int64) {
	d.Helper()
	want := delivery.Counts{Pending: pending, Delivered: delivered, Dead: dead}
	if c, err := d.browser().Counts(d.Context()); c != want || err != nil {
		d.Errorf("counts are %+v, %v, want %+v", c, err, want)
	}
}
