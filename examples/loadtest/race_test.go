//go:build race

package main_test

// events are fewer where each costs ten times as much.
const events = "60"
