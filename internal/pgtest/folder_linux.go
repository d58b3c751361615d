package pgtest

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// claim locks the folder for as long as this process lives, so that others
// can tell what is in use from what a killed process left.
func (c *cluster) claim() (err error) {
	path := filepath.Join(c.dir, "claim")
	if c.lock, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err := syscall.Flock(int(c.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return err
	}
	return os.Rename(path, filepath.Join(c.dir, "lock")) // under this name it is locked from the first
}

// sweep removes what killed test processes of this user left.
func sweep() error {
	locks, err := filepath.Glob("/tmp/pgtest*/lock")
	if err != nil {
		return err
	}
	for _, path := range locks {
		f, openErr := os.OpenFile(path, os.O_RDWR, 0)
		if openErr != nil {
			continue // another user's, or gone meanwhile
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			err = errors.Join(err, os.RemoveAll(filepath.Dir(path)))
		}
		err = errors.Join(err, f.Close())
	}
	return err
}
