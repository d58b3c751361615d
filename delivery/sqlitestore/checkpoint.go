package sqlitestore

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/ringback-go/ringback/delivery/lanes"
)

// checkpointEvery is after how many bytes the log of writes is copied into the
// file. SQLite would have the commit do that which fills the log, and all who
// wait for it; here a reader's connection does it beside them, and what the
// writer's own limit finds left is little.
const checkpointEvery = 6 << 20

type checkpoints struct {
	bytes int // about, since the last one began; known to who commits
	busy  atomic.Bool
	wg    sync.WaitGroup
}

// committed counts what a batch has put into the log, and begins a checkpoint
// when it is time.
func (r *rows) committed(b *lanes.Batch) {
	const settle = 400 // an outcome, its page's share, what it takes out of an index
	c := &r.checkpoints
	c.bytes += settle * (len(b.Settle) + len(b.Spill) + len(b.Edit))
	for _, a := range b.Append {
		c.bytes += 2*settle + len(a.Delivery.Body)
	}
	for _, k := range b.Kill {
		c.bytes += settle * k.Killed
	}
	if c.bytes < checkpointEvery || !c.busy.CompareAndSwap(false, true) {
		return
	}
	c.bytes = 0
	c.wg.Go(func() {
		defer c.busy.Store(false)
		// Whether it comes to an end or not, the writer's own limit stands.
		_, _ = r.read.ExecContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)")
	})
}
