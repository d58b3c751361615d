//go:build unix

package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

// The disk is full when the answer has come: the result is not guessed, the
// event stays as it was, and is settled as soon as there is room; after a kill
// it is sent once more.
func TestB75(t *testing.T) {
	t.Parallel()
	for _, kill := range []bool{false, true} {
		t.Run(fmt.Sprintf("kill %t", kill), func(t *testing.T) {
			t.Parallel()
			d := newDisk(t)
			r := run(t, rig.Spec{Path: file(t), Driver: d.driver})
			let := make(chan struct{})
			r.rc.Handle("/"+sub, rig.InTurn(rig.Answer{After: let}, rig.Answer{}))
			for _, id := range []string{"e1", "e2", "e3"} {
				if err := r.publish(t, id); err != nil {
					t.Fatal(err)
				}
			}
			r.rc.WaitAccepted(t, 3)
			rig.Eventually(t, "two outcomes stored", func() bool {
				c, err := r.Store.Counts(t.Context())
				return err == nil && c.Delivered == 2
			})
			failed := make(chan struct{}, 1000)
			d.remember(t, r.path, r.path+"-wal")
			d.fail(func(_ int, o op) int32 {
				if o.kind != opWrite {
					return 0
				}
				select {
				case failed <- struct{}{}:
				default:
				}
				return sqlite3.SQLITE_FULL
			})
			close(let)
			for range 3 { // the outcome is tried again and again
				<-failed
			}
			if err := r.publish(t, "e4"); code(err) != sqlite3.SQLITE_FULL {
				t.Errorf("Publish on a full disk: %v", err)
			}
			if c, err := r.Store.Counts(t.Context()); err != nil || c != (delivery.Counts{Pending: 1, Delivered: 2}) {
				t.Errorf("%+v, %v", c, err)
			}
			if kill { // what a kill would have left at this moment
				dir := t.TempDir()
				d.crash(t, dir, d.now(), func() (bool, bool) { return true, false })
				left := dir + "/store.db"
				if l := rig.ReadLedger(t, left); l.Count(delivery.Pending) != 1 || l.Count(delivery.Delivered) != 2 {
					t.Errorf("left are %d pending", l.Count(delivery.Pending))
				}
				e, err := rig.Assemble(t.Context(), rig.Spec{Path: left}, nil)
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				ran := make(chan error, 1)
				go func() { ran <- e.Run(ctx) }()
				r.rc.Wait(t, "the repeat", func(rs []rig.Request) bool { return len(rs) == 4 })
				cancel()
				if err := errors.Join(<-ran, e.Store.Close()); err != nil {
					t.Error(err)
				}
				ev := rig.Evidence{Acked: []string{"e1", "e2", "e3"}, Requests: r.rc.Requests(), Ledger: rig.ReadLedger(t, left)}
				ev.Check(t, rig.Allow{Repeats: 1, PerEvent: 1, Unlogged: 1})
				d.fail(nil)
				r.stop()
				return
			}
			d.fail(nil)
			r.settled(t)
			if err := r.publish(t, "e4"); err != nil {
				t.Error(err)
			}
			r.settled(t)
			r.judge(t, rig.Allow{})
		})
	}
}
