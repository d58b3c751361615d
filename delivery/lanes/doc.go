// Package lanes makes a delivery.Store out of a few operations on rows.
//
//	store, err := lanes.Open(ctx, backend, lanes.Config{})
//	engine, err := delivery.New(delivery.Config{Store: store, ...})
//	...
//	store.Close() // then close the backend
//
// A lane is the queue of one endpoint. Which lane may send now, and which of
// its deliveries is next, is decided in memory: lanes that may send stand in a
// ring and give one delivery a turn, those that wait for a time stand in a
// heap, and those that are paused, closed or at their cap stand nowhere and
// cost nothing, whatever waits in them. A lease writes nothing. Enqueues,
// settles and changes of lanes that come at the same time share one commit.
// Memory holds the rows that are due soon, up to Config.HoldBytes and a few for
// each lane that sends. Of first tries beyond that it keeps numbers alone, if the
// backend is a [Fetcher], and reads their deliveries in time; of all others it
// knows only when the next one is due.
//
// # Writing your own store
//
// Implement [Backend], four methods on rows:
//
//  1. Keep rows by Seq, a number that rises with every commit, and find them by
//     delivery ID. Commit does a [Batch] in one transaction in the order of its
//     fields and fills in the results: Duplicate, Hidden, Next, Killed, Edit's.
//  2. Keep an index over (lane, retry, due, seq) for Refill. Most rows never
//     enter it: an [Append] that says Index false is held in memory and usually
//     settled from there. Batch.Low tells which rows a start must still look
//     at: those from Low on and those that are indexed.
//  3. Hide all but the oldest unsettled row of each lane and key. Whoever
//     settles a row that hid another returns that as Next.
//  4. Load fences the last owner, so that its commits fail from then on, and
//     returns the heads of all lanes.
//  5. Answer an uncertain commit with an error that wraps delivery.ErrUnknown,
//     and make the repetition of the same batch harmless.
//  6. Where rows are found by Seq at little cost, be a [Fetcher], too: what is
//     published faster than it is sent need not be indexed then.
//
// Then wrap the Store, add delivery.Browser from the same rows, and run
// storetest.Run and storetest.Benchmark.
//
// # Several stores
//
// A [Partial] backend is shared: each Store serves the lanes that it owns, takes
// over and gives up lanes with [Store.Gain] and [Store.Leave], and folds in what
// others left for it. A Store that publishes much for a lane of another may be a
// guest of it: who serves the lane, the host, lends it attempts at a time
// ([Store.Lend], [Store.Lent]), and it attempts first tries without a key itself
// from [Store.Visit] until [Store.Depart]. All else is the host's, who hears of it
// by a [Note].
//
// # Guarantees
//
// Whatever the backend answers within its contract, nothing that was accepted
// is skipped, nothing is leased twice at a time or after it was settled, the
// deliveries of a key go one by one, and no lane exceeds its cap. A read may be
// as old as its beginning: rows that left memory since are remembered until it
// ends. A commit of unknown outcome is repeated before any other; if it stays
// unknown, the Store refuses all further calls with that error and shows what
// is stored when it is opened anew.
//
// # Concurrency
//
// A [Store] is safe for concurrent use. It starts no lasting goroutine: a commit
// is done by one of its callers for all that wait, and a read by a Lease that
// found nothing, or in a goroutine that ends with it. Call Close before the
// backend is closed.
//
// Not here, because they are the backend's: history, the attempt log, retention
// and what durable means.
package lanes
