// Package pgstore keeps deliveries in PostgreSQL, so that any number of
// processes share the work and an event can be published in the transaction that
// makes it true.
//
//	pool, err := pgxpool.New(ctx, url)
//	…
//	err = pgstore.Migrate(ctx, pool, "")
//	…
//	store, err := pgstore.Open(ctx, pgstore.Config{Pool: pool})
//	…
//	engine, err := delivery.New(delivery.Config{Store: store, …})
//	…
//	err = engine.Run(ctx)
//
// Subscriptions may stand beside it, over the same connections: a sqlregistry whose
// Writer is stdlib.OpenDBFromPool(pool) of pgx and whose Schema is [DefaultSchema].
//
// # Who sends what
//
// Lanes are divided into 64 shards, and each shard belongs to one engine: a
// process in which [Store.Run] runs, as it does under [delivery.Engine.Run]. So
// an endpoint's limits, its order and its health are matters of one memory, and
// nothing is written to claim work. An engine renews its right every fifth of
// [Config.Expiry]; when it falls silent for that long the others take over what
// it held, and when it stops in order, at once. Shards are shared out evenly as
// engines come and go. A process that does not run only stores deliveries.
//
// What is published for another engine's lane crosses over through an inbox. Where
// that is much, the publishing engine becomes a guest of the lane: the lane's own
// engine leaves half of the attempts at a time that it has left to it, and first
// tries without a key are attempted where they were published. The lane's limits
// hold over all of them. Whatever else there is to know of a lane is known to its
// own engine alone: a guest leaves what failed to that one, and goes before the
// lane's state is changed, before anything goes ahead, when it is idle or too
// busy, and when the endpoint fails or has a rate.
//
// A store commits what several callers want at the same time in one transaction,
// in one round trip. Every commit is fenced by the engine's row: an engine that
// was taken for dead cannot settle anything any more. Attempts that it had begun
// may then overlap with those of its successor, and stand on top of an
// endpoint's limits, until they end.
//
// # In a transaction of yours
//
// [Store.EnqueueTx] and [Store.PublishTx] append rows to an inbox in the
// caller's transaction. They wait for nobody and nobody waits for them; engines
// take the rows over once they are committed. Order by key is, there, that in
// which the transactions first wrote.
//
// # Connections
//
// The pool is the caller's. Nothing depends on a session: under a pooler in
// transaction mode set [Config.NoListen] and, if the pooler knows no prepared
// statements, the pool's default mode to exec. The store sets
// what it needs for each transaction: plans by index, and synchronous_commit on
// where the session's default is off. A server with fsync off loses what it
// acknowledged, and nothing here can mend that.
//
// # Updates
//
// [Migrate] may run while programs of the version before work: they go on, and
// start again, with newer tables as long as those say that they can be worked
// with, and refuse them otherwise. So processes are replaced one after the
// other, and may be put back.
//
// # Not here
//
// A store over database/sql, because one round trip for a transaction needs
// pipelining; [Store.EnqueueSQLTx] takes transactions of it. Partitions by time,
// because retention deletes in steps that nobody notices.
package pgstore
