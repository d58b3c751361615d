// Package postgres holds the scenarios of PostgreSQL shared by engines: kills
// and freezes of one of them, restarts and failovers of the server, connections
// that are cut in the middle of a commit, foreign transactions and locks, and
// mixtures of all that. RINGBACK_LONG=1 runs them at full size.
package postgres
