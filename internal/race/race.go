//go:build race

// Package race tells tests whether the race detector watches them: it makes a
// sync.Pool drop what it takes back at random, and everything ten times slower.
package race

// Enabled says whether the program was built with -race.
const Enabled = true
