//go:build !race

package httpsig_test

const raceEnabled = false
