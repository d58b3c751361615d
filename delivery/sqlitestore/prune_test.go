package sqlitestore_test

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
)

var crowded = lanes.Config{MaxInFlight: 50_000}

// prune calls until there is no more to do and says how often.
func prune(t *testing.T, s *sqlitestore.Store, now time.Time, keep delivery.Retention) (calls int) {
	t.Helper()
	for more := true; more; calls++ {
		var err error
		if more, err = s.Prune(t.Context(), now, keep); err != nil {
			t.Fatal(err)
		}
	}
	return calls
}

// fill stores and settles n deliveries, as of at.
func fill(t *testing.T, s *sqlitestore.Store, at time.Time, prefix string, n, size int) {
	t.Helper()
	for i := 0; i < n; i += 1000 {
		k := min(1000, n-i)
		if err := s.Enqueue(t.Context(), at, deliveries(fmt.Sprint(prefix, i), k, size)...); err != nil {
			t.Fatal(err)
		}
		leases, err := s.Lease(t.Context(), at, delivery.LeaseRequest{Max: k})
		if err != nil || len(leases) != k {
			t.Fatalf("%d leases, %v", len(leases), err)
		}
		if err := s.Settle(t.Context(), at, brief(leases)...); err != nil {
			t.Fatal(err)
		}
	}
}

// brief is done without the long answers.
func brief(leases []delivery.Lease) []delivery.Outcome {
	outs := done(leases)
	for i := range outs {
		outs[i].Attempt.Response = nil
	}
	return outs
}

// number asks for one.
func number(t *testing.T, db *sql.DB, query string) (n int64) {
	t.Helper()
	if err := db.QueryRowContext(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPruneGivesSpaceBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s := open(t, sqlitestore.Config{Path: path, Lanes: crowded})
	now := time.Now()
	fill(t, s, now.Add(-10*24*time.Hour), "old", 1000, 5000)
	fill(t, s, now, "young", 100, 10)
	full := number(t, s.Reader(), "PRAGMA page_count")
	prune(t, s, now, delivery.Retention{})
	if c := counts(t, s); c != (delivery.Counts{Delivered: 100}) {
		t.Errorf("left are %+v", c)
	}
	if pages := number(t, s.Reader(), "PRAGMA page_count"); pages > full/10 {
		t.Errorf("%d pages of %d are left", pages, full)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() > full/10*8192 {
		t.Errorf("the file has %d bytes, %v", info.Size(), err)
	}
}

func TestPruneLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	cfg := sqlitestore.Config{Path: filepath.Join(t.TempDir(), "store.db"), Lanes: crowded}
	s := open(t, cfg)
	now := time.Now()
	if err := s.Enqueue(t.Context(), now, append(deliveries("a", 50, 10), delivery.Delivery{ID: "marker", EventID: "marker"})...); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		leases, err := s.Lease(t.Context(), now, delivery.LeaseRequest{Max: 50})
		if err != nil || len(leases) != 50 {
			t.Fatalf("%d leases, %v", len(leases), err)
		}
		outs := done(leases)
		for k := range outs {
			outs[k].Attempt = &delivery.Attempt{Number: i + 1, Status: 500, Response: []byte("no")}
			if i < 3 {
				outs[k].Result = delivery.Retry
			}
		}
		if err := s.Settle(t.Context(), now, outs...); err != nil {
			t.Fatal(err)
		}
	}
	if n := number(t, s.Reader(), `SELECT count(*) FROM ringback_attempt`); n != 150 {
		t.Fatalf("%d attempts", n)
	}
	prune(t, s, now, delivery.Retention{Bytes: 1})
	empty := func() {
		t.Helper()
		for _, table := range []string{"delivery", "outcome", "attempt", "waiting"} {
			if n := number(t, s.Reader(), `SELECT count(*) FROM ringback_`+table); n != 0 {
				t.Errorf("%d rows are left in the table of %s", n, table)
			}
		}
		if c := counts(t, s); c != (delivery.Counts{}) {
			t.Errorf("counts are %+v", c)
		}
	}
	empty()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, cfg) // gives the same Seqs again
	fill(t, s, now, "a", 51, 10)
	if first := number(t, s.Reader(), `SELECT min(seq) FROM ringback_delivery`); first != 1 {
		t.Fatalf("the first row is %d: this no longer tests what it should", first)
	}
	if n := number(t, s.Reader(), `SELECT count(*) FROM ringback_attempt`); n != 0 {
		t.Errorf("new rows have %d attempts of old ones", n)
	}
	prune(t, s, now, delivery.Retention{Bytes: 1})
	empty()
}

// Other tables in the file are not the history's, and a file may be one that
// cannot be shortened.
func TestPruneOverOwnPools(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.db")
	pool := func(more string) *sql.DB {
		db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"+more)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return db
	}
	write := pool("")
	write.SetMaxOpenConns(1)
	for _, q := range []string{
		`CREATE TABLE orders (id INTEGER PRIMARY KEY, data BLOB)`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400) INSERT INTO orders SELECT i, zeroblob(10000) FROM n`,
	} {
		if _, err := write.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, sqlitestore.Config{Writer: write, Reader: pool("&_pragma=query_only(1)"), Lanes: crowded})
	now := time.Now()
	fill(t, s, now, "a", 1000, 1000)
	if calls := prune(t, s, now, delivery.Retention{Bytes: 1_500_000}); calls > 3 {
		t.Errorf("%d calls", calls)
	}
	if c := counts(t, s); c.Delivered != 1000 {
		t.Errorf("%d of 1000 are left, under the bound", c.Delivered)
	}
	prune(t, s, now, delivery.Retention{Bytes: 300_000})
	if c := counts(t, s); c.Delivered < 200 || c.Delivered > 300 {
		t.Errorf("%d of 1000 are left, want about a quarter", c.Delivered)
	}
	prune(t, s, now.Add(8*24*time.Hour), delivery.Retention{})
	if c := counts(t, s); c.Delivered != 0 {
		t.Errorf("%d are left", c.Delivered)
	}
	if n := number(t, s.Reader(), `SELECT count(*) FROM orders`); n != 400 {
		t.Errorf("%d orders are left", n)
	}
}

// What is young is read once; from then on a call costs next to nothing until
// its time comes.
func TestPruneDoesNotReadAgain(t *testing.T) {
	t.Parallel()
	s := open(t, sqlitestore.Config{Path: filepath.Join(t.TempDir(), "store.db"), Lanes: crowded})
	s.ReadBySteps(100)
	now := time.Now()
	fill(t, s, now, "a", 1000, 10)
	if calls := prune(t, s, now, delivery.Retention{}); calls < 10 {
		t.Errorf("1,000 rows were read in %d calls: that is no bound", calls)
	}
	for range 3 {
		now = now.Add(time.Minute)
		if calls := prune(t, s, now, delivery.Retention{}); calls != 1 {
			t.Errorf("%d calls for nothing", calls)
		}
	}
	fill(t, s, now, "b", 5, 10)
	if calls := prune(t, s, now, delivery.Retention{}); calls != 1 {
		t.Errorf("%d calls for five new ones", calls)
	}
	prune(t, s, now.Add(7*24*time.Hour-30*time.Second), delivery.Retention{})
	if c := counts(t, s); c != (delivery.Counts{Delivered: 5}) {
		t.Errorf("left are %+v, want the 5 new ones", c)
	}
}

// Rows are settled in any order, many spans long, and revived; after every
// minute just those are left that a simple count says.
func TestPruneAgainstModel(t *testing.T) {
	t.Parallel()
	s := open(t, sqlitestore.Config{Path: filepath.Join(t.TempDir(), "store.db"), Lanes: crowded})
	s.ReadBySteps(64)
	const n, minutes = 900, 15
	keep := delivery.Retention{Delivered: 5 * time.Minute, Dead: 9 * time.Minute, Bytes: -1}
	now := time.Now()
	for i := range n / 300 {
		if err := s.Enqueue(t.Context(), now, deliveries(fmt.Sprint(i), 300, 10)...); err != nil {
			t.Fatal(err)
		}
	}
	var leases []delivery.Lease
	for len(leases) < n {
		got, err := s.Lease(t.Context(), now, delivery.LeaseRequest{Max: 1000, TTL: 10 * time.Hour})
		if err != nil || len(got) == 0 {
			t.Fatalf("%d leases, %v", len(leases), err)
		}
		leases = append(leases, got...)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	rng.Shuffle(n, func(i, k int) { leases[i], leases[k] = leases[k], leases[i] })
	type ended struct{ delivered, dead int64 }
	var past [minutes + 11]ended
	for minute := range past {
		now = now.Add(time.Minute)
		if minute < minutes {
			part := leases[minute*n/minutes : (minute+1)*n/minutes]
			outs := brief(part)
			for i := range outs {
				if rng.IntN(3) == 0 {
					outs[i].Result = delivery.GiveUp
					past[minute].dead++
				} else {
					past[minute].delivered++
				}
			}
			if err := s.Settle(t.Context(), now, outs...); err != nil {
				t.Fatal(err)
			}
		}
		prune(t, s, now.Add(time.Second), keep)
		var want delivery.Counts
		want.Pending = max(0, n-int64(minute+1)*n/minutes)
		for m := range minute + 1 {
			if minute-m < 5 {
				want.Delivered += past[m].delivered
			}
			if minute-m < 9 {
				want.Dead += past[m].dead
			}
		}
		if c := counts(t, s); c != want {
			t.Fatalf("after minute %d counts are %+v, want %+v", minute, c, want)
		}
	}
}

func TestPruneOfLostFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s := open(t, sqlitestore.Config{Path: path, Lanes: crowded})
	now := time.Now()
	fill(t, s, now, "a", 10, 10)
	if _, err := s.Writer().ExecContext(t.Context(), `UPDATE ringback_meta SET value = value + 1 WHERE name = 'epoch'`); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Prune(t.Context(), now, delivery.Retention{Bytes: 1}); err != nil {
		t.Fatalf("reading alone: %v", err)
	}
	if _, err := s.Prune(t.Context(), now, delivery.Retention{Bytes: 1}); !errors.Is(err, delivery.ErrOwned) {
		t.Errorf("another owner's rows: %v, want ErrOwned", err)
	}
	var left int
	if err := s.Reader().QueryRowContext(t.Context(), `SELECT count(*) FROM ringback_outcome`).Scan(&left); err != nil || left != 10 {
		t.Errorf("%d of 10 are left, %v", left, err)
	}
}

// A straggler among rows that were read long ago is forgotten in its time, too.
func TestPruneFindsStragglers(t *testing.T) {
	t.Parallel()
	s := open(t, sqlitestore.Config{Path: filepath.Join(t.TempDir(), "store.db"), Lanes: crowded})
	s.ReadBySteps(50)
	now := time.Now()
	dead := func(prefix string) {
		t.Helper()
		if err := s.Enqueue(t.Context(), now, deliveries(prefix, 100, 10)...); err != nil {
			t.Fatal(err)
		}
		leases, err := s.Lease(t.Context(), now, delivery.LeaseRequest{Max: 100})
		if err != nil {
			t.Fatal(err)
		}
		outs := brief(leases)
		for i := range outs {
			outs[i].Result = delivery.GiveUp
		}
		if err := s.Settle(t.Context(), now, outs...); err != nil {
			t.Fatal(err)
		}
	}
	dead("a")
	if err := s.Enqueue(t.Context(), now, deliveries("straggler", 1, 10)...); err != nil {
		t.Fatal(err)
	}
	straggler, err := s.Lease(t.Context(), now, delivery.LeaseRequest{Max: 1, TTL: 100 * time.Hour})
	if err != nil || len(straggler) != 1 {
		t.Fatal(straggler, err)
	}
	dead("b")
	keep := delivery.Retention{Delivered: 24 * time.Hour}
	prune(t, s, now, keep)
	now = now.Add(time.Hour)
	if err := s.Settle(t.Context(), now, brief(straggler)...); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		after time.Duration
		want  int64
	}{{0, 1}, {24*time.Hour - time.Minute, 1}, {24*time.Hour + time.Minute, 0}} {
		prune(t, s, now.Add(tt.after), keep)
		if c := counts(t, s); c != (delivery.Counts{Delivered: tt.want, Dead: 200}) {
			t.Errorf("after %v counts are %+v, want %d", tt.after, c, tt.want)
		}
	}
}

// What came after the first look is measured, and shrinking takes many steps.
func TestPruneMeasuresWhatGrew(t *testing.T) {
	t.Parallel()
	s := open(t, sqlitestore.Config{Path: filepath.Join(t.TempDir(), "store.db"), Lanes: crowded})
	now, keep := time.Now(), delivery.Retention{Bytes: 50_000}
	prune(t, s, now, keep)
	fill(t, s, now, "a", 2300, 100)
	prune(t, s, now, keep)
	if c := counts(t, s); c.Delivered > 300 || c.Delivered < 100 {
		t.Errorf("%d of 2300 are left", c.Delivered)
	}
}
