//go:build unix

// Package sqlite holds no code: its tests let the disk, the lock and the file
// under a SQLite store fail, and look what is left.
package sqlite
