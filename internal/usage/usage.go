// Package usage tells what processes take of a machine. Figures that a system
// does not have are 0.
package usage

import (
	"os"
	"strconv"
	"strings"
)

// PeakMiB is the most memory that this process had resident so far.
func PeakMiB() float64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0 // not Linux
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(v), " kB"), 64)
			if err != nil {
				return 0
			}
			return kib / 1024
		}
	}
	return 0
}

// process is what /proc tells of one.
type process struct {
	parent    int
	own, gone float64 // seconds it used, and its children that have ended
}

func stat(pid string) (p process, ok bool) {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return p, false // not Linux, or it has ended
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	f := strings.Fields(rest)
	if len(f) < 15 {
		return p, false
	}
	const tick = 100 // a second, on every Linux
	number := func(i int) float64 {
		v, _ := strconv.ParseFloat(f[i], 64) // the kernel wrote it
		return v / tick
	}
	p.parent, _ = strconv.Atoi(f[1]) // the kernel wrote it
	p.own, p.gone = number(11)+number(12), number(13)+number(14)
	return p, true
}

// ParentOf returns the process that started pid, or 0 if it is not of this
// machine.
func ParentOf(pid int) int {
	p, _ := stat(strconv.Itoa(pid))
	return p.parent
}

// TreeSeconds is the processor time that a process and its children have used
// so far; 0 for the process 0.
func TreeSeconds(pid int) float64 {
	root, ok := stat(strconv.Itoa(pid))
	if pid == 0 || !ok {
		return 0
	}
	sum := root.own + root.gone
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return sum
	}
	for _, e := range entries {
		if p, ok := stat(e.Name()); ok && p.parent == pid {
			sum += p.own + p.gone
		}
	}
	return sum
}
