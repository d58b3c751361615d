//go:build !race

package standardwebhooks_test

const raceEnabled = false
