//go:build unix && !race

package rig

const race = false
