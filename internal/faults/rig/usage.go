package rig

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Usage is what a process takes.
type Usage struct {
	// CPU is the time of all threads so far.
	CPU time.Duration
	// Resident is the memory now, Peak the most there was, in bytes.
	Resident, Peak int64
	// Goroutines and Files are numbers of what is open.
	Goroutines, Files int
}

func (u Usage) String() string {
	return fmt.Sprint(int64(u.CPU), u.Resident, u.Peak, u.Goroutines, u.Files)
}

// ParseUsage reads what [Usage.String] wrote.
func ParseUsage(tb testing.TB, text string) (u Usage) {
	tb.Helper()
	if _, err := fmt.Sscan(text, (*int64)(&u.CPU), &u.Resident, &u.Peak, &u.Goroutines, &u.Files); err != nil {
		tb.Fatalf("usage %q: %v", text, err)
	}
	return u
}

// OwnUsage is that of this process.
func OwnUsage() (Usage, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return Usage{}, err
	}
	u := Usage{CPU: time.Duration(r.Utime.Nano() + r.Stime.Nano()), Goroutines: runtime.NumGoroutine()}
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch {
		case err != nil:
		case name == "VmRSS":
			u.Resident = n << 10
		case name == "VmHWM":
			u.Peak = n << 10
		}
	}
	open, err := os.ReadDir("/proc/self/fd")
	u.Files = len(open) - 1 // the folder itself
	return u, err
}
