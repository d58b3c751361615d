//go:build unix

package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ringback-go/ringback/internal/faults/rig"
)

type opKind int

const (
	opWrite opKind = iota
	opTruncate
	opSync
)

// An op is what SQLite asks of a file.
type op struct {
	kind opKind
	path string
	off  int64 // of a write; the size of a truncation
	data []byte
	lost bool // by a sync that failed
}

// A disk stands under the files of one store. It can fail, and it can remember
// what was asked of it, for [disk.crash].
type disk struct {
	name, driver string

	mu    sync.Mutex
	fault func(n int, o op) int32 // n counts from 1 since the fault was set; a result code, 0 to go on
	count int
	keep  bool
	ops   []op
	base  map[string][]byte
}

var disks atomic.Int64

// newDisk makes a disk and registers a driver by whose connections it is used.
func newDisk(t *testing.T) *disk {
	t.Helper()
	d := &disk{name: fmt.Sprintf("disk%d", disks.Add(1))}
	d.driver = "sqlite-" + d.name
	if err := mount(d); err != nil {
		t.Fatal(err)
	}
	rig.RegisterDriver(d.driver, d.name, rig.Hooks{})
	return d
}

// fail sets what fails from now on; nil ends it. It returns how often the one
// before was asked.
func (d *disk) fail(f func(n int, o op) int32) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.count
	d.fault, d.count = f, 0
	return n
}

func (d *disk) before(o op) int32 {
	if filepath.Ext(o.path) == ".owner" {
		return 0
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	rc := int32(0)
	if d.fault != nil {
		d.count++
		rc = d.fault(d.count, o)
	}
	if !d.keep {
		return rc
	}
	if rc == 0 {
		o.data = slices.Clone(o.data)
		d.ops = append(d.ops, o)
		return 0
	}
	if o.kind == opSync { // the system forgets what it could not write
		for i := range slices.Backward(d.ops) {
			p := &d.ops[i]
			if p.path == o.path && p.kind == opSync {
				break
			}
			p.lost = p.lost || p.path == o.path
		}
	}
	return rc
}

// remember takes the files as they are for durable and keeps what follows.
func (d *disk) remember(t *testing.T, paths ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.keep, d.ops, d.base = true, nil, map[string][]byte{}
	for _, p := range paths {
		data, err := os.ReadFile(p)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		d.base[p] = data
	}
}

// now is the moment, for [disk.crash].
func (d *disk) now() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.ops)
}

// crash writes to dir what a power failure at a moment leaves: what was synced,
// and of the writes since then those that keep picks, torn at a sector where it
// says so.
func (d *disk) crash(t *testing.T, dir string, moment int, pick func() (kept, torn bool)) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for path, base := range d.base {
		image := slices.Clone(base)
		durable := 0
		for i, o := range d.ops[:moment] {
			if o.path == path && o.kind == opSync {
				durable = i + 1
			}
		}
		for i, o := range d.ops[:moment] {
			if o.path != path || o.lost {
				continue
			}
			kept, torn := true, false
			if i >= durable {
				kept, torn = pick()
			}
			if kept {
				image = o.apply(image, torn)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), image, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (o op) apply(image []byte, torn bool) []byte {
	switch o.kind {
	case opTruncate:
		return image[:min(int64(len(image)), o.off)]
	case opWrite:
		data := o.data
		if torn {
			data = data[:len(data)/2&^511]
		}
		if end := o.off + int64(len(data)); end > int64(len(image)) {
			image = append(image, make([]byte, end-int64(len(image)))...)
		}
		copy(image[o.off:], data)
	case opSync:
	}
	return image
}
