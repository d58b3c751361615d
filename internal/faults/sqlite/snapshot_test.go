//go:build unix

package sqlite_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

// A reader keeps a snapshot while deliveries pass: they go on, and once it is
// gone the log is used again from its beginning and gives the room back.
func TestB35(t *testing.T) {
	t.Parallel()
	events := rig.Size(2000, 100, 100)                   // of each five parts
	r := run(t, rig.Spec{Path: file(t), Pad: 160 << 10}) // 21 pages each
	wal := func() int64 {
		info, err := os.Stat(r.path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	n := 0
	pass := func(more int) {
		for range more / 25 {
			var batch []delivery.Event
			for range 25 {
				batch = append(batch, r.Event(sub, fmt.Sprint("e", n)))
				r.ev.Acked = append(r.ev.Acked, batch[len(batch)-1].ID)
				n++
			}
			if _, err := r.Publish(t.Context(), batch...); err != nil {
				t.Fatal(err)
			}
			r.settled(t)
		}
	}
	emptyLog(t, r.path)
	pass(events / 2) // less than a checkpoint needs: the reader will be in the middle
	usual := wal()

	db, err := sql.Open("sqlite", "file:"+r.path+"?_pragma=query_only(1)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var before, seen int
	const count = `SELECT count(*) FROM ringback_delivery`
	if err := tx.QueryRowContext(t.Context(), count).Scan(&before); err != nil {
		t.Fatal(err)
	}
	pass(2 * events)
	held := wal()
	if err := tx.QueryRowContext(t.Context(), count).Scan(&seen); err != nil || seen != before {
		t.Errorf("the snapshot saw %d and then %d, %v", before, seen, err)
	}
	const room = 27 << 20 // what 3,000 pages and a commit take
	if held < room {
		t.Errorf("the log has %d bytes with a reader, %d without: the reader holds nothing", held, usual)
	}
	if err := errors.Join(tx.Rollback(), db.Close()); err != nil {
		t.Fatal(err)
	}
	pass(2 * events)
	after := wal()
	t.Logf("the log: %d bytes, %d with the reader, %d after it", usual, held, after)
	if after > room {
		t.Errorf("the log keeps %d of %d bytes after the reader", after, held)
	}
	r.judge(t, rig.Allow{})
	if _, err := os.Stat(r.path + "-wal"); !os.IsNotExist(err) {
		t.Errorf("the log is left by Close: %v", err)
	}
}

// emptyLog has the log begin anew, through a connection of its own.
func emptyLog(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var busy, log, done int
	if err := db.QueryRowContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done); err != nil || busy != 0 {
		t.Fatalf("busy %d, %v", busy, err)
	}
}
