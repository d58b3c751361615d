//go:build unix

package sqlite_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	sqlite3 "modernc.org/sqlite/lib"

	"github.com/ringback-go/ringback/delivery/sqlitestore"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

// failing has the n-th chance of a fault taken, and those after it as well if
// the fault stays.
type failing struct {
	name  string
	kinds []opKind
	rc    int32
	stays bool
}

func (f failing) at(n int) func(int, op) int32 {
	seen := 0
	return func(_ int, o op) int32 {
		for _, k := range f.kinds {
			if o.kind == k {
				seen++
				if seen == n || f.stays && seen > n {
					return f.rc
				}
			}
		}
		return 0
	}
}

// try runs the same few commits over a disk that fails from, or at, its n-th
// chance, and reports whether the fault was met and how many calls failed.
// Whatever fails is told by a typed error, and once the disk is well everything
// goes on with the leases that are held.
func try(t *testing.T, d *disk, f failing, n int) (met bool, failed int) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: path, Driver: d.driver, Lanes: roomy})
	if err != nil {
		t.Fatal(err)
	}
	exec(t, s, "PRAGMA wal_autocheckpoint = 20") // so that checkpoints are met, too
	b := newBook()
	if err := b.enqueue(t.Context(), s, deliveries("first", 20, 3000)...); err != nil {
		t.Fatal(err)
	}
	leases := lease(t, s, 20)
	d.remember(t, path, path+"-wal")
	what := fmt.Sprintf("%s, %d", f.name, n)
	check := func(err error) {
		if err == nil {
			return
		}
		failed++
		if c := code(err); c != int(f.rc&0xff) {
			t.Errorf("%s: code %d of %v", what, c, err)
		}
	}
	asked := f.at(n)
	d.fail(func(k int, o op) int32 {
		rc := asked(k, o)
		met = met || rc != 0
		return rc
	})
	more := [][2]int{{0, 5}, {1, 9}, {2, 20}}
	for _, m := range more {
		check(b.enqueue(t.Context(), s, deliveries(fmt.Sprint("more", m[0]), m[1], 2000)...))
		check(b.settle(t.Context(), s, leases[5*m[0]:5*m[0]+5]...))
	}
	d.fail(nil)

	// The worst: the power fails, too, before anything is repaired.
	dir := t.TempDir()
	d.crash(t, dir, d.now(), func() (bool, bool) { return false, false })
	b.wants(t, what+", then a power failure", rig.ReadLedger(t, filepath.Join(dir, "store.db")))

	for _, m := range more {
		if err := b.enqueue(t.Context(), s, deliveries(fmt.Sprint("more", m[0]), m[1], 2000)...); err != nil {
			t.Errorf("%s: Enqueue on a disk that is well: %v", what, err)
		}
	}
	for i, l := range leases {
		if b.settled[l.ID] {
			continue
		}
		if err := b.settle(t.Context(), s, leases[i]); err != nil {
			t.Errorf("%s: Settle on a disk that is well: %v", what, err)
		}
	}
	rest := lease(t, s, 100)
	if err := b.settle(t.Context(), s, rest...); err != nil || len(rest) != 34 {
		t.Errorf("%s: %d leased at the end, %v", what, len(rest), err)
	}
	dir = t.TempDir()
	d.crash(t, dir, d.now(), func() (bool, bool) { return false, false })
	b.wants(t, what+", then all repeated, then a power failure", rig.ReadLedger(t, filepath.Join(dir, "store.db")))
	if err := s.Close(); err != nil {
		t.Errorf("%s: Close: %v", what, err)
	}
	l := rig.ReadLedger(t, path)
	b.wants(t, what, l)
	if len(l) != 54 {
		t.Errorf("%s: %d stored, want 54", what, len(l))
	}
	return met, failed
}

func everywhere(t *testing.T, f failing) {
	t.Helper()
	d := newDisk(t)
	step := rig.Size(1, 13, 17)
	if f.kinds[0] == opSync { // there are few
		step = rig.Size(1, 1, 2)
	}
	total := 0
	for n := 1; ; n += step {
		met, failed := try(t, d, f, n)
		total += failed
		if !met || t.Failed() && n > 50 { // enough is known
			t.Logf("%d chances to fail, %d calls failed", n, total)
			break
		}
	}
	if total < 4 {
		t.Errorf("%d calls failed", total)
	}
}

// The disk is full from each write on.
func TestB33(t *testing.T) {
	t.Parallel()
	everywhere(t, failing{"disk full", []opKind{opWrite}, sqlite3.SQLITE_FULL, true})
}

// The file may not grow beyond so many pages: SQLite's own limit.
func TestB33Pages(t *testing.T) {
	t.Parallel()
	refused := 0
	for more := range rig.Size(40, 12, 5) {
		path := file(t)
		s := open(t, sqlitestore.Config{Path: path, Lanes: roomy})
		b := newBook()
		if err := b.enqueue(t.Context(), s, deliveries("first", 20, 100)...); err != nil {
			t.Fatal(err)
		}
		leases := lease(t, s, 20)
		var pages int
		if err := s.Writer().QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
			t.Fatal(err)
		}
		exec(t, s, fmt.Sprintf("PRAGMA max_page_count = %d", pages+more))
		for i := range 4 {
			for _, err := range []error{
				b.enqueue(t.Context(), s, deliveries(fmt.Sprint("more", i), 5, 4000)...),
				b.settle(t.Context(), s, leases[5*i:5*i+5]...),
			} {
				if err != nil {
					refused++
					if code(err) != sqlite3.SQLITE_FULL {
						t.Errorf("%d pages more: %v", more, err)
					}
				}
			}
		}
		if err := errors.Join(rig.Intact(t.Context(), s), s.Close()); err != nil {
			t.Error(err)
		}
		b.wants(t, fmt.Sprint(more, " pages more"), rig.ReadLedger(t, path))
	}
	if refused == 0 {
		t.Error("the limit was never met")
	}
}

// Writes and syncs that fail, once or for good, then all is well again.
func TestB34(t *testing.T) {
	t.Parallel()
	for _, f := range []failing{
		{"write fails once", []opKind{opWrite}, sqlite3.SQLITE_IOERR_WRITE, false},
		{"writes fail", []opKind{opWrite}, sqlite3.SQLITE_IOERR_WRITE, true},
		{"sync fails once", []opKind{opSync}, sqlite3.SQLITE_IOERR_FSYNC, false},
		{"syncs fail", []opKind{opSync}, sqlite3.SQLITE_IOERR_FSYNC, true},
	} {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			everywhere(t, f)
		})
	}
}
