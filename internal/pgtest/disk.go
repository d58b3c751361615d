package pgtest

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// badDisk is a library in C that stands between the server and the system: calls
// fail while a file of the name of the fault lies in the cluster's folder.
//
//go:embed testdata/baddisk.c
var badDisk []byte

const (
	diskFull  = "disk-full"  // no table or index can grow
	syncFails = "sync-fails" // one sync of the log fails
)

// spoil has the server's processes load the library.
func (c *cluster) spoil() error {
	cc, err := exec.LookPath("cc")
	if err != nil {
		return fmt.Errorf("%w; a bad disk needs a C compiler", errNone)
	}
	source, library := filepath.Join(c.dir, "baddisk.c"), filepath.Join(c.dir, "baddisk.so")
	if err := os.WriteFile(source, badDisk, 0o600); err != nil {
		return err
	}
	out, err := exec.Command(cc, "-shared", "-fPIC", "-O1", "-o", library, source, "-ldl").CombinedOutput() //nolint:gosec,noctx // a test's own
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", cc, err, out)
	}
	c.env = append(c.env, "LD_PRELOAD="+library, "BAD_DISK="+c.dir)
	return os.Chmod(library, 0o755) //nolint:gosec // the server's user loads it
}

// FillDisk lets no table or index grow: the system says that no space is left.
// The cluster must have been started with [Options.BadDisk].
func (c *Cluster) FillDisk(t testing.TB) {
	t.Helper()
	c.fault(t, diskFull)
}

// ClearDisk ends [Cluster.FillDisk].
func (c *Cluster) ClearDisk(t testing.TB) {
	t.Helper()
	check(t, os.Remove(filepath.Join(c.c.dir, diskFull)))
}

// FailSync has the next sync of the server's log to disk fail, and waits until
// one did. The server panics at that, and recovers by itself. Something must be
// committed meanwhile. The cluster must have been started with [Options.BadDisk].
func (c *Cluster) FailSync(t testing.TB) {
	t.Helper()
	c.fault(t, syncFails)
	for {
		_, err := os.Stat(filepath.Join(c.c.dir, syncFails))
		if errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err == nil {
			err = pause(t.Context())
		}
		check(t, err)
	}
}

func (c *Cluster) fault(t testing.TB, name string) {
	t.Helper()
	if len(c.c.env) == 0 {
		t.Fatal("pgtest: the cluster's disk is a good one")
	}
	check(t, os.WriteFile(filepath.Join(c.c.dir, name), nil, 0o600)) // the server, whose folder it is, may have removed it already
}
