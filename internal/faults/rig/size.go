//go:build unix

package rig

import (
	"os"
	"time"

	"github.com/ringback-go/ringback/internal/race"
)

// Size chooses how much of a scenario runs: long with RINGBACK_LONG=1 in the
// environment, otherwise short, or raced under the race detector, which makes
// SQLite ten times slower.
func Size(long, short, raced int) int {
	switch {
	case os.Getenv("RINGBACK_LONG") == "1":
		return long
	case race.Enabled:
		return raced
	}
	return short
}

// Within is how long something may take that is promised to take d: no longer
// with RINGBACK_LONG=1, which is for a machine that does nothing else, and four
// times as long beside the tests of other packages.
func Within(d time.Duration) time.Duration {
	if os.Getenv("RINGBACK_LONG") == "1" {
		return d
	}
	return 4 * d
}
