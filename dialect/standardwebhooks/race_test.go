//go:build race

package standardwebhooks_test

const raceEnabled = true // pools drop values at random then
