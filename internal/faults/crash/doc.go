//go:build unix

// Package crash holds no code: its tests kill an engine process at each step of
// a delivery's life, and at random, and look what is left. The memory store has no
// part in it: what it holds ends with the process, as its traits say.
package crash
