// Package memstore is a delivery store in memory: fast, fair and gone with the
// process.
//
//	store, err := memstore.Open(ctx, memstore.Config{})
//	engine, err := delivery.New(delivery.Config{Store: store, ...})
//
// It is meant for tests and for events that may be lost. It promises all that
// delivery.Store asks for except durability, and is safe for concurrent use.
//
// Not here, because memory has no room for it: an unbounded history. Settled
// deliveries beyond Config.History are forgotten, their IDs too.
package memstore
