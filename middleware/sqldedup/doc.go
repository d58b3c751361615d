// Package sqldedup remembers the ids of a middleware.Dedup gate in an SQL
// database: a SQLite file, or a PostgreSQL that several machines share.
//
//	db, err := sql.Open("pgx", "postgres://app@db.internal/app")
//	if err != nil {
//		return err
//	}
//	store, err := sqldedup.New(sqldedup.Config{Flavor: sqldedup.PostgreSQL, DB: db})
//	if err != nil {
//		return err
//	}
//	if err := store.Migrate(ctx); err != nil {
//		return err
//	}
//	gate := middleware.Dedup{Store: store, ID: middleware.ByMessage}
//
// The driver is the caller's choice, by a blank import. For SQLite, the pool
// should have journal_mode(WAL), synchronous(FULL) and a busy_timeout.
//
// # Guarantees
//
// Each method is one statement of its own, two where an id is known already,
// and no transaction is open while a handler runs. A claim is as durable as
// the database makes a commit, before the handler starts. Claims are fenced by
// their tokens: what a holder does after a successor claimed the id changes
// nothing. In PostgreSQL all times are the server's, so that the clocks of
// machines never meet; in SQLite they are the machine's.
//
// The table has no more than Config.MaxEntries rows, and for each process one
// in 64 of that on top, because rows are counted now and then. Rows that are
// over are deleted by claims, a few at a time; nothing runs in between.
// What stands in the table of a request are digests; of an answer, its status,
// header fields and body in the clear.
//
// # Concurrency
//
// A Store may be used by many goroutines, a table by many processes. In
// PostgreSQL nothing is kept in a session, so that a pooler may stand between.
//
// Not here, because the caller knows better: opening databases, choosing
// pragmas.
package sqldedup
