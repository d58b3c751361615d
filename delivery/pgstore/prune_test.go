package pgstore_test

import (
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
	"github.com/ringback-go/ringback/delivery/pgstore"
)

func (d *tables) pruner(step int64) delivery.Pruner {
	return pgstore.NewPruner(d.another(), oddSchema, step)
}

// prune calls until there is no more to do and says how often.
func (d *tables) prune(p delivery.Pruner, now time.Time, keep delivery.Retention) (calls int) {
	d.Helper()
	for more := true; more; calls++ {
		var err error
		if more, err = p.Prune(d.Context(), now, keep); err != nil {
			d.Fatal(err)
		}
	}
	return calls
}

// fill stores n settled deliveries with an attempt before the last one, from a
// seq on.
func (d *tables) fill(first, n int64, state int, at time.Time, tenant string, size int) {
	d.Helper()
	data := rowcodec.AppendDelivery(nil, &delivery.Delivery{EventID: "e", SubscriptionID: "s", Tenant: tenant, PublishedAt: epoch, Body: []byte(strings.Repeat("x", size))}, rowcodec.Times{})
	d.exec(`INSERT INTO @.delivery (seq, id, shard, lane, due, expires, data) SELECT n, 'e' || n, 0, 's', 0, 0, $1 FROM generate_series($2::int, $3::int) n`, data, first, first+n-1)
	d.exec(`INSERT INTO @.outcome (seq, state, at, attempts, data) SELECT n, $1, $2, 2, $3 FROM generate_series($4::int, $5::int) n`,
		state, at.UnixMicro(), rowcodec.AppendOutcome(nil, "", nil), first, first+n-1)
	d.exec(`INSERT INTO @.attempt (seq, number, data) SELECT n, 1, $1 FROM generate_series($2::int, $3::int) n`,
		rowcodec.AppendAttempt(nil, &delivery.Attempt{Number: 1, Status: 500}), first, first+n-1)
	if state == delivered {
		d.tally(0, n, 0)
	} else {
		d.tally(0, 0, n)
	}
}

func (d *tables) wantRows(table string, want int64) {
	d.Helper()
	if n := d.number(`SELECT count(*) FROM @.` + table); n != want {
		d.Errorf("%d rows are in the table of %s, want %d", n, table, want)
	}
}

func TestPruneByAge(t *testing.T) {
	t.Parallel()
	d := makeTables(t)
	p := d.pruner(0)
	keep := delivery.Retention{Delivered: time.Hour, Dead: 3 * time.Hour}
	d.fill(1, 1200, delivered, epoch, "", 10)
	d.fill(2001, 50, dead, epoch, "", 10)
	d.store(3000, delivery.Delivery{ID: "nobody", EventID: "nobody"}, 0)
	d.settle(3000, marker, epoch, 0, "", nil)
	d.fill(4001, 7, delivered, epoch.Add(time.Minute), "", 10)
	d.store(5000, one("pending"), 0)
	d.attempt(5000, delivery.Attempt{Number: 1})
	d.wait(5000, 0, 1)
	d.post(one("untaken"), 0)
	d.tally(1, 0, 0)

	d.prune(p, epoch.Add(time.Hour), keep)
	d.wantCounts(2, 1207, 50)
	if calls := d.prune(p, epoch.Add(time.Hour+time.Second), keep); calls < 3 {
		t.Errorf("1,201 were forgotten in %d calls: that is no bound", calls)
	}
	d.wantCounts(2, 7, 50)
	if _, known, err := d.browser().Event(t.Context(), "nobody"); known || err != nil {
		t.Errorf("a marker is left, %v", err)
	}
	d.prune(p, epoch.Add(2*time.Hour), keep)
	d.wantCounts(2, 0, 50)
	d.prune(p, epoch.Add(3*time.Hour+time.Second), keep)
	d.wantCounts(2, 0, 0)
	d.wantList(delivery.Filter{}, "untaken", "pending")
	for _, table := range []string{"delivery", "attempt", "waiting", "inbox"} {
		d.wantRows(table, 1)
	}
	d.wantRows("outcome", 0)
}

func TestPruneKeeps(t *testing.T) {
	t.Parallel()
	d := makeTables(t)
	p := d.pruner(0)
	d.fill(1, 2, delivered, epoch, "", 10)
	d.fill(3, 3, dead, epoch, "", 10)
	late := epoch.Add(10 * 365 * 24 * time.Hour)
	d.prune(p, late, delivery.Retention{Delivered: -1, Dead: -1, Bytes: -1})
	d.wantCounts(0, 2, 3)
	d.prune(p, late, delivery.Retention{Delivered: -1})
	d.wantCounts(0, 2, 0)
	d.prune(p, epoch.Add(7*24*time.Hour), delivery.Retention{})
	d.wantCounts(0, 2, 0)
	d.prune(p, time.Time{}, delivery.Retention{Delivered: -1}) // the database's clock
	d.wantCounts(0, 2, 0)
	d.fill(10, 1, delivered, time.Now().Add(-6*24*time.Hour), "", 10)
	d.prune(p, time.Time{}, delivery.Retention{Delivered: 5 * 24 * time.Hour})
	d.wantCounts(0, 0, 0)
}

// What is young is read once; from then on a call costs next to nothing until
// its time comes.
func TestPruneDoesNotReadAgain(t *testing.T) {
	t.Parallel()
	d := makeTables(t)
	p := d.pruner(100)
	now := epoch
	d.fill(1, 1000, delivered, now, "", 10)
	if calls := d.prune(p, now, delivery.Retention{}); calls < 10 {
		t.Errorf("1,000 rows were read in %d calls: that is no bound", calls)
	}
	for range 3 {
		now = now.Add(time.Minute)
		if calls := d.prune(p, now, delivery.Retention{}); calls != 1 {
			t.Errorf("%d calls for nothing", calls)
		}
	}
	d.fill(2000, 5, delivered, now, "", 10)
	if calls := d.prune(p, now, delivery.Retention{}); calls != 1 {
		t.Errorf("%d calls for five new ones", calls)
	}
	d.prune(p, now.Add(7*24*time.Hour-30*time.Second), delivery.Retention{})
	d.wantCounts(0, 5, 0)
}

// All processes prune at once, and every deletion is counted once.
func TestPruneByMany(t *testing.T) {
	t.Parallel()
	d := makeTables(t)
	d.fill(1, 5000, delivered, epoch, "acme", 10)
	d.fill(5001, 2500, dead, epoch, "other", 10)
	d.fill(9001, 30, delivered, epoch.Add(24*time.Hour), "other", 10)
	var all sync.WaitGroup
	for i := range 4 {
		p := d.pruner(int64(200 + i))
		all.Go(func() {
			if i == 0 {
				d.purge(p, "acme")
				return
			}
			for range 30 {
				d.prune(p, epoch.Add(2*time.Hour), delivery.Retention{Delivered: time.Hour, Dead: time.Hour})
			}
		})
	}
	all.Wait()
	d.prune(d.pruner(0), epoch.Add(2*time.Hour), delivery.Retention{Delivered: time.Hour, Dead: time.Hour})
	d.wantCounts(0, 30, 0)
	d.wantRows("delivery", 30)
	d.wantRows("attempt", 30)
}

// The numbers of what was pruned become one row again and again.
func TestPruneFoldsItsNumbers(t *testing.T) {
	t.Parallel()
	d := makeTables(t)
	d.tally(0, 1000, 0)
	d.exec(`INSERT INTO @.tally (engine, batch, pending, delivered, dead) SELECT -1, n, 0, -2, -3 FROM generate_series(1, 99) n`)
	p := d.pruner(0)
	d.tally(0, 0, 297)
	for i := range int64(4) {
		now := epoch.Add(time.Duration(i) * time.Hour)
		d.fill(10*i+1, 1, dead, now, "", 10)
		d.prune(p, now.Add(2*time.Minute), delivery.Retention{Dead: time.Minute})
		d.wantCounts(0, 1000-198, 0)
		if rows, want := d.number(`SELECT count(*) FROM @.tally WHERE engine = -1`), []int64{100, 1, 2, 3}[i]; rows != want {
			t.Errorf("prune %d: %d rows, want %d", i, rows, want)
		}
	}
}

// While another process prunes there is nothing to do, and it is not forgotten.
func TestPruneLeavesItToAnother(t *testing.T) {
	t.Parallel()
	d := makeTables(t)
	p := d.pruner(0)
	d.fill(1, 10, delivered, epoch, "", 10)
	late, keep := epoch.Add(2*time.Hour), delivery.Retention{Delivered: time.Hour}
	tx, err := d.pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, `ringback prune "`+oddSchema+`"`); err != nil {
		t.Fatal(err)
	}
	if calls := d.prune(p, late, keep); calls != 1 {
		t.Errorf("%d calls while another has the lock", calls)
	}
	d.wantCounts(0, 10, 0)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.prune(p, late, keep)
	d.wantCounts(0, 0, 0)
}

// One that is being retried is not waited for; it goes if nothing came of that.
func TestPruneAndRetries(t *testing.T) {
	t.Parallel()
	for _, retried := range []bool{true, false} {
		d := makeTables(t)
		p := d.pruner(0)
		d.fill(1, 10, delivered, epoch, "acme", 10)
		tx, err := d.pool.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), pgstore.SQL(oddSchema, `DELETE FROM @.outcome WHERE seq = 4`)); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Exec(t.Context(), pgstore.SQL(oddSchema, `INSERT INTO @.tally VALUES (1, 77, 1, -1, 0)`)); err != nil {
			t.Fatal(err)
		}
		late, keep := epoch.Add(2*time.Hour), delivery.Retention{Delivered: time.Hour}
		d.prune(p, late, keep)
		d.wantCounts(0, 1, 0)
		if other := d.pruner(0); retried {
			if more, err := other.Purge(t.Context(), "acme"); !more || err != nil { // it has to look again
				t.Errorf("Purge: %t, %v", more, err)
			}
		}
		end, pending := tx.Rollback, int64(0)
		if retried {
			end, pending = tx.Commit, 1
		}
		if err := end(t.Context()); err != nil {
			t.Fatal(err)
		}
		d.prune(p, late.Add(time.Second), keep)
		d.wantCounts(pending, 0, 0)
		d.wantRows("delivery", pending)
		d.wantRows("attempt", pending)
	}
}

func TestPruneLeavesOpenWhatFails(t *testing.T) {
	t.Parallel()
	d := makeTables(t)
	p := d.pruner(0)
	d.fill(1, 10, delivered, epoch, "acme", 10)
	late, keep := epoch.Add(2*time.Hour), delivery.Retention{Delivered: time.Hour}
	d.exec(`ALTER TABLE @.attempt RENAME TO away`)
	if more, err := p.Prune(t.Context(), late, keep); more || err == nil {
		t.Errorf("without a table: %t, %v", more, err)
	}
	if more, err := p.Purge(t.Context(), "acme"); more || err == nil {
		t.Errorf("without a table: %t, %v", more, err)
	}
	d.wantCounts(0, 10, 0)
	d.wantRows("delivery", 10)
	d.exec(`ALTER TABLE @.away RENAME TO attempt`)
	d.prune(p, late, keep)
	d.wantCounts(0, 0, 0)
}

// Rows are settled in any order, many spans long, and revived; after every
// minute just those are left that a simple count says.
func TestPruneAgainstModel(t *testing.T) {
	t.Parallel()
	d := makeTables(t)
	const n, minutes = 400, 15
	pruners := []delivery.Pruner{d.pruner(64), d.pruner(50)}
	keep := delivery.Retention{Delivered: 5 * time.Minute, Dead: 9 * time.Minute, Bytes: -1}
	type ended struct{ minute, state int }
	settled, gone := map[int64]ended{}, map[int64]bool{}
	rnd := rand.New(rand.NewPCG(1, 2))
	for seq := range int64(n) {
		d.store(seq+1, one("e"+time.Duration(seq+1).String()), 0)
	}
	d.tally(n, 0, 0)
	for minute := range minutes {
		now := epoch.Add(time.Duration(minute) * time.Minute)
		var done, died, back int64
		for range 60 {
			seq := rnd.Int64N(n) + 1
			if e, ok := settled[seq]; ok {
				if rnd.IntN(4) == 0 {
					d.exec(`DELETE FROM @.outcome WHERE seq = $1`, seq)
					delete(settled, seq)
					if back++; e.state == delivered {
						done--
					} else {
						died--
					}
				}
			} else if !gone[seq] {
				state := delivered + rnd.IntN(2)
				d.settle(seq, state, now, 1, "", nil)
				settled[seq] = ended{minute, state}
				if back--; state == delivered {
					done++
				} else {
					died++
				}
			}
		}
		d.tally(back, done, died)
		d.prune(pruners[minute%2], now.Add(time.Second), keep)
		want := delivery.Counts{Pending: n}
		for seq, e := range settled {
			if minute-e.minute >= 5 && (e.state == delivered || minute-e.minute >= 9) {
				delete(settled, seq)
				gone[seq] = true
			} else if e.state == delivered {
				want.Delivered++
			} else {
				want.Dead++
			}
		}
		want.Pending -= int64(len(settled) + len(gone))
		d.wantCounts(want.Pending, want.Delivered, want.Dead)
		d.wantRows("outcome", int64(len(settled)))
		d.wantRows("delivery", int64(n-len(gone)))
	}
	if len(gone) < n/4 {
		t.Errorf("%d of %d came of age: that tests little", len(gone), n)
	}
}
