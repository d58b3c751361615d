//go:build unix

package sqlite_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery/sqlitestore"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

// moment is what the caller had been told when the disk had done so much.
type moment struct {
	op             int
	acked, settled int // of the two lists
}

// power runs commits over a disk that remembers, and looks at what a power
// failure at every sync, and at random moments, would have left. It returns how
// many of the images lacked something acknowledged.
func power(t *testing.T, commits int, pragma string) (images, lossy int) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 31))
	d, path := newDisk(t), file(t)
	s := open(t, sqlitestore.Config{Path: path, Driver: d.driver, Lanes: roomy})
	exec(t, s, pragma)
	exec(t, s, "PRAGMA wal_checkpoint(TRUNCATE)")
	d.remember(t, path, path+"-wal")

	var acked, settled []string
	moments := []moment{{}}
	full := newBook()
	for i := range commits {
		ds := deliveries(fmt.Sprint("e", i), 1+random.IntN(4), random.IntN(5000))
		if err := full.enqueue(t.Context(), s, ds...); err != nil {
			t.Fatal(err)
		}
		for _, dl := range ds {
			acked = append(acked, dl.ID)
		}
		moments = append(moments, moment{d.now(), len(acked), len(settled)})
		leases := lease(t, s, random.IntN(6))
		if err := full.settle(t.Context(), s, leases...); err != nil {
			t.Fatal(err)
		}
		for _, l := range leases {
			settled = append(settled, l.ID)
		}
		moments = append(moments, moment{d.now(), len(acked), len(settled)})
		if i%4 == 3 {
			exec(t, s, "PRAGMA wal_checkpoint(RESTART)")
		}
	}
	d.mu.Lock()
	var at []int
	for i, o := range d.ops {
		if o.kind == opSync {
			at = append(at, i, i+1)
		}
	}
	for range commits / 2 {
		at = append(at, random.IntN(len(d.ops)))
	}
	for i := range min(commits, len(moments)) { // the worst: just when it was promised
		at = append(at, moments[i*len(moments)/commits].op)
	}
	d.mu.Unlock()

	for _, op := range at {
		told := moments[0]
		for _, m := range moments {
			if m.op <= op {
				told = m
			}
		}
		b := newBook()
		b.tried, b.settling = full.tried, full.settling
		for _, id := range acked[:told.acked] {
			b.acked[id] = true
		}
		for _, id := range settled[:told.settled] {
			b.settled[id] = true
		}
		for variant, pick := range map[string]func() (bool, bool){
			"nothing unsynced":  func() (bool, bool) { return false, false },
			"some of it, torn ": func() (bool, bool) { return random.IntN(2) == 0, random.IntN(4) == 0 },
		} {
			dir := t.TempDir()
			d.crash(t, dir, op, pick)
			images++
			l := rig.ReadLedger(t, filepath.Join(dir, "store.db"))
			b.asked(t, variant, l)
			lost := b.lost(l)
			if len(lost) > 0 {
				lossy++
				if pragma == "PRAGMA synchronous" { // as the store sets it
					t.Errorf("power failure at %d, %s: %s and %d more", op, variant, lost[0], len(lost)-1)
				}
			}
		}
	}
	return images, lossy
}

// A power failure at each sync of each commit loses nothing acknowledged.
func TestB31(t *testing.T) {
	t.Parallel()
	images, _ := power(t, rig.Size(1000, 12, 5), "PRAGMA synchronous")
	t.Logf("%d images of what was left", images)
}

// The same with synchronous=NORMAL, which the store refuses: the tail may be
// lost, never the file. It also shows that the simulation can lose something.
func TestB32(t *testing.T) {
	t.Parallel()
	images, lossy := power(t, rig.Size(30, 10, 6), "PRAGMA synchronous = NORMAL")
	if lossy == 0 {
		t.Errorf("none of %d images lacks anything: the disk is not honest", images)
	}
	t.Logf("%d of %d images lack something acknowledged", lossy, images)
}
