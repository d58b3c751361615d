package pgstore_test

import (
	"testing"

	"github.com/ringback-go/ringback/delivery"
)

// Two processes prune by turns; one must not take what the other has forgotten
// for room that is still to be made.
func TestPruneToSize(t *testing.T) {
	t.Parallel()
	d := makeTables(t)
	const n, size = 1000, 5000
	first, second := d.pruner(100), d.pruner(64)
	d.fill(1, n, delivered, epoch, "", size)
	d.store(n+1, one("pending"), 0)
	d.wait(n+1, 0, 0)
	d.tally(1, 0, 0)
	keep := delivery.Retention{Bytes: 2 * n * size}
	for _, p := range []delivery.Pruner{first, second} {
		d.prune(p, epoch, keep)
		d.wantCounts(1, n, 0)
	}
	keep.Bytes = n * size / 2
	var left int64
	for i, p := range []delivery.Pruner{first, second, first, second} {
		d.prune(p, epoch, keep)
		count := d.number(`SELECT count(*) FROM @.outcome`)
		if i == 0 {
			if left = count; left > n/2 || left < n/3 {
				t.Fatalf("%d of %d are left, want a little less than half", left, n)
			}
		} else if count < left-10 {
			t.Errorf("call %d left %d of %d, that fitted", i, count, left)
		}
		d.wantCounts(1, count, 0)
	}
	if oldest := d.number(`SELECT min(seq) FROM @.outcome`); oldest < n/2 {
		t.Errorf("the oldest one left is %d", oldest)
	}
	for i := range int64(5) { // it goes on like that
		d.fill(10_000*(i+1), n/2, delivered, epoch, "", size)
		for _, p := range []delivery.Pruner{second, first} {
			d.prune(p, epoch, keep)
			if count := d.number(`SELECT count(*) FROM @.outcome`); count > n/2+20 || count < n/3 {
				t.Errorf("round %d: %d are left, want a little less than %d", i, count, n/2)
			}
		}
	}
}

// What a purge has forgotten takes no room any more.
func TestPruneToSizeAfterPurge(t *testing.T) {
	t.Parallel()
	d := makeTables(t)
	p := d.pruner(100)
	d.fill(1, 400, delivered, epoch, "", 10)
	d.fill(401, 100, delivered, epoch, "acme", 50_000)
	d.fill(501, 500, delivered, epoch, "", 10)
	keep := delivery.Retention{Bytes: 5_500_000}
	d.prune(p, epoch, keep)
	d.wantCounts(0, 1000, 0)
	d.purge(p, "acme")
	d.fill(2001, 2000, delivered, epoch, "", 10)
	d.prune(p, epoch, keep)
	d.wantCounts(0, 2900, 0)
}

// The same, if another process has forgotten it.
func TestPruneToSizeAfterOthers(t *testing.T) {
	t.Parallel()
	t.Run("purge", func(t *testing.T) {
		t.Parallel()
		d := makeTables(t)
		p := d.pruner(100)
		d.fill(1, 250, delivered, epoch, "", 5000)
		d.fill(251, 500, delivered, epoch, "acme", 5000)
		d.fill(751, 250, delivered, epoch, "", 5000)
		keep := delivery.Retention{Bytes: 5_600_000}
		d.prune(p, epoch, keep)
		d.wantCounts(0, 1000, 0)
		d.purge(d.pruner(0), "acme")
		d.fill(2001, 300, delivered, epoch, "", 5000)
		d.prune(p, epoch, keep)
		d.wantCounts(0, 800, 0)
	})
	t.Run("size", func(t *testing.T) {
		t.Parallel()
		d := makeTables(t)
		first, second := d.pruner(20), d.pruner(20)
		d.fill(1, 200, delivered, epoch, "", 50_000)
		d.fill(201, 800, delivered, epoch, "", 10)
		keep := delivery.Retention{Bytes: 10_500_000}
		d.prune(first, epoch, keep)
		d.prune(second, epoch, keep)
		d.wantCounts(0, 1000, 0)
		d.fill(2001, 100, delivered, epoch, "", 50_000)
		d.prune(first, epoch, keep)
		left := d.number(`SELECT count(*) FROM @.outcome`)
		if left < 990 || left > 1010 {
			t.Errorf("%d are left, want about 1,000", left)
		}
		d.prune(second, epoch, keep)
		if now := d.number(`SELECT count(*) FROM @.outcome`); now < left-20 {
			t.Errorf("of %d that fitted %d are left", left, now)
		}
	})
}
