// Package pglimit limits rates over several machines, by a table in
// PostgreSQL, behind the same interface as middleware.LocalLimiter.
//
//	db, err := sql.Open("pgx", "postgres://app@db.internal/app")
//	if err != nil {
//		return err
//	}
//	limiter, err := pglimit.New(pglimit.Config{DB: db, Name: "app", Requests: 600, Per: time.Minute})
//	if err != nil {
//		return err
//	}
//	if err := limiter.Migrate(ctx); err != nil {
//		return err
//	}
//	gate := middleware.RateLimit{Key: middleware.ByIdentity, Limiter: limiter, Name: "app"}
//
// The driver is the caller's choice, by a blank import.
//
// # Guarantees
//
// Each request is one statement: the generic cell rate algorithm, which keeps
// one number for a key, in an INSERT with ON CONFLICT. Over all machines, no
// more requests of a key pass than the rate and the burst allow, whatever
// their clocks say: the time is the server's. A request that is refused writes
// nothing. Limiters of different names are apart; those of one name must have
// the same values. Keys stand in the table as digests.
//
// Rows of keys that are idle, whose buckets are full, are deleted by later
// requests, a page at a time; nothing runs in between. The table has no more
// than about Config.MaxKeys rows of a name: they are counted now and then, and
// while there are as many, keys that are not among them share one bucket.
//
// The table is UNLOGGED: it costs no write-ahead log and is not replicated;
// after a crash of the server, or a failover, it is empty, and every bucket is
// full. A limiter that does not answer within Config.Timeout is an error, for
// which the gate refuses, unless it was told otherwise.
//
// # Concurrency
//
// A Limiter may be used by many goroutines, a table by many processes. Nothing
// is kept in a session, so that a pooler may stand between. Requests of one
// key run one after another, each for the time of a commit.
//
// Not here, because middleware.LocalLimiter is better at it: limits of one
// machine, and such that must hold without a database.
package pglimit
