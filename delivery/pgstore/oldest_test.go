package pgstore_test

import (
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

// wantOldest asserts when the oldest was published.
func (d *tables) wantOldest(when string, want time.Time) {
	d.Helper()
	if got, err := d.browser().(delivery.Elder).Oldest(d.Context()); err != nil || !got.Equal(want) {
		d.Errorf("%s the oldest is of %v, %v, want %v", when, got, err, want)
	}
}

// The oldest is found wherever it waits: held by an engine, indexed, or taken by
// nobody yet.
func TestOldest(t *testing.T) {
	t.Parallel()
	d := makeTables(t)
	minute := func(n int) time.Time { return epoch.Add(time.Duration(n) * time.Minute) }
	at := func(id string, n int) delivery.Delivery {
		v := one(id)
		v.PublishedAt = minute(n)
		return v
	}
	d.wantOldest("of none", time.Time{})
	d.post(delivery.Delivery{ID: "posted nobody", EventID: "posted nobody", PublishedAt: minute(1)}, 0)
	d.wantOldest("of a marker", time.Time{})
	d.post(at("posted", 90), 0)
	d.wantOldest("of a posted one", minute(90))

	// Two engines: one fills its first block slowly, the other is in its third.
	d.store(10, at("done", 5), 0)
	d.settle(10, delivered, epoch, 1, "", nil)
	d.store(11, at("slow", 80), 0)
	d.store(4096+7, at("early", 20), 0)
	d.store(4096+8, at("later", 30), 0)
	d.store(3*4096, at("last", 70), 0)
	d.engine(11)
	d.engine(4096)
	d.wantOldest("held by engines", minute(20))
	d.settle(4096+7, delivered, epoch, 1, "", nil)
	d.settle(4096+8, delivered, epoch, 1, "", nil)
	d.wantOldest("in the third block", minute(70))

	d.store(2*4096, at("indexed", 40), 0)
	d.wait(2*4096, 5, 1)
	d.wantOldest("behind those held", minute(40))
	d.store(5, at("low", 75), 0)
	d.wait(5, 5, 1)
	d.store(4096, at("indexed first", 10), 0)
	d.wait(4096, 5, 1)
	d.wantOldest("among those indexed", minute(10))
	d.exec(`DELETE FROM @.engine`) // all that waits is indexed
	d.wantOldest("without an engine", minute(10))
}
