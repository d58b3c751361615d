//go:build unix

package usage

import (
	"syscall"
	"time"
)

// OwnSeconds is the processor time that this process has used so far.
func OwnSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
