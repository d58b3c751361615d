//go:build unix

package rig

import (
	"os"

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
