//go:build unix

package sqlite_test

import (
	"fmt"
	"sync"
	"unsafe"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// The shim is a VFS of SQLite that passes everything on to the system's own and
// tells a disk of writes, truncations and syncs before. It replaces four
// methods of each file that is opened through it; the rest stays as it is.

var shim struct {
	sync.Mutex
	base    uintptr               // the system's VFS
	disks   map[uintptr]*disk     // by VFS
	files   map[uintptr]*shimFile // by sqlite3_file
	methods map[uintptr]uintptr   // ours, by the system's
}

type shimFile struct {
	disk *disk
	path string
	orig *sqlite3.Tsqlite3_io_methods
}

// at makes a pointer of an address outside Go's heap.
func at[T any](addr uintptr) *T {
	return (*T)(*(*unsafe.Pointer)(unsafe.Pointer(&addr)))
}

// address is the form in which SQLite keeps a function: f is not a closure.
func address(f any) uintptr { return (*[2]uintptr)(unsafe.Pointer(&f))[1] }

// function is its reverse.
func function[F any](addr uintptr) F { return *(*F)(unsafe.Pointer(&struct{ uintptr }{addr})) }

type (
	openFunc     = func(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32
	closeFunc    = func(tls *libc.TLS, file uintptr) int32
	writeFunc    = func(tls *libc.TLS, file, buf uintptr, n int32, off int64) int32
	truncateFunc = func(tls *libc.TLS, file uintptr, size int64) int32
	syncFunc     = func(tls *libc.TLS, file uintptr, flags int32) int32
)

// mount registers a VFS for the disk under its name, for good.
func mount(d *disk) error {
	tls := libc.NewTLS()
	defer tls.Close()
	shim.Lock()
	defer shim.Unlock()
	if shim.base == 0 {
		shim.base = sqlite3.Xsqlite3_vfs_find(tls, 0)
		shim.disks, shim.files, shim.methods = map[uintptr]*disk{}, map[uintptr]*shimFile{}, map[uintptr]uintptr{}
	}
	name, err := libc.CString(d.name)
	if err != nil {
		return err
	}
	addr := libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(sqlite3.Tsqlite3_vfs{})))
	if addr == 0 {
		return fmt.Errorf("no memory for a VFS")
	}
	vfs := at[sqlite3.Tsqlite3_vfs](addr)
	*vfs = *at[sqlite3.Tsqlite3_vfs](shim.base)
	vfs.FpNext, vfs.FzName, vfs.FxOpen = 0, name, address(shimOpen)
	shim.disks[addr] = d
	if rc := sqlite3.Xsqlite3_vfs_register(tls, addr, 0); rc != sqlite3.SQLITE_OK {
		return fmt.Errorf("VFS not registered: %d", rc)
	}
	return nil
}

func shimOpen(tls *libc.TLS, vfs, name, file uintptr, flags int32, out uintptr) int32 {
	shim.Lock()
	d, base := shim.disks[vfs], at[sqlite3.Tsqlite3_vfs](shim.base)
	shim.Unlock()
	rc := function[openFunc](base.FxOpen)(tls, vfs, name, file, flags, out)
	f := at[sqlite3.Tsqlite3_file](file)
	if rc != sqlite3.SQLITE_OK || f.FpMethods == 0 || name == 0 {
		return rc
	}
	shim.Lock()
	defer shim.Unlock()
	orig := at[sqlite3.Tsqlite3_io_methods](f.FpMethods)
	ours, ok := shim.methods[f.FpMethods]
	if !ok {
		ours = libc.Xmalloc(tls, libc.Tsize_t(unsafe.Sizeof(*orig)))
		if ours == 0 {
			return sqlite3.SQLITE_NOMEM
		}
		m := at[sqlite3.Tsqlite3_io_methods](ours)
		*m = *orig
		m.FxClose, m.FxWrite = address(shimClose), address(shimWrite)
		m.FxTruncate, m.FxSync = address(shimTruncate), address(shimSync)
		shim.methods[f.FpMethods] = ours
	}
	shim.files[file] = &shimFile{disk: d, path: libc.GoString(name), orig: orig}
	f.FpMethods = ours
	return rc
}

func fileOf(file uintptr) *shimFile {
	shim.Lock()
	defer shim.Unlock()
	return shim.files[file]
}

func shimClose(tls *libc.TLS, file uintptr) int32 {
	f := fileOf(file)
	shim.Lock()
	delete(shim.files, file)
	shim.Unlock()
	return function[closeFunc](f.orig.FxClose)(tls, file)
}

func shimWrite(tls *libc.TLS, file, buf uintptr, n int32, off int64) int32 {
	f := fileOf(file)
	data := unsafe.Slice(at[byte](buf), n)
	if rc := f.disk.before(op{kind: opWrite, path: f.path, off: off, data: data}); rc != 0 {
		return rc
	}
	return function[writeFunc](f.orig.FxWrite)(tls, file, buf, n, off)
}

func shimTruncate(tls *libc.TLS, file uintptr, size int64) int32 {
	f := fileOf(file)
	if rc := f.disk.before(op{kind: opTruncate, path: f.path, off: size}); rc != 0 {
		return rc
	}
	return function[truncateFunc](f.orig.FxTruncate)(tls, file, size)
}

func shimSync(tls *libc.TLS, file uintptr, flags int32) int32 {
	f := fileOf(file)
	if rc := f.disk.before(op{kind: opSync, path: f.path}); rc != 0 {
		return rc
	}
	return function[syncFunc](f.orig.FxSync)(tls, file, flags)
}
