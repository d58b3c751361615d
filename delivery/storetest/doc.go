// Package storetest checks and measures implementations of delivery.Store.
//
//	func TestStore(t *testing.T) {
//		t.Parallel()
//		storetest.Run(t, storetest.Config{
//			Open: func(t *testing.T) delivery.Store { return open(t, filepath.Join(t.TempDir(), "q.db")) },
//			Reopen: func(t *testing.T, s delivery.Store) delivery.Store {
//				return open(t, abandon(s)) // what a crash leaves, opened again
//			},
//		})
//	}
//
//	func BenchmarkStore(b *testing.B) { storetest.Benchmark(b, openBench) }
//
// Run the suite under -race and the benchmark alone. Write a store in this
// order: Enqueue, Lease and Settle until the cases of those names pass, then
// SetLanes, ordering keys and Ahead, then what a crash must leave.
//
// Guarantees: a store that passes keeps every rule that the engine relies on,
// each of them a sentence that is printed when its case fails. All cases pass
// an explicit time except those that name the store's clock, so none of them
// sleeps. Cases of optional interfaces (delivery.Waiter, Browser, Operator) are
// skipped for stores that do not have them, and traits weaken the rules they
// name. A case that hangs ends the test binary with its rule.
//
// Concurrency: cases run as parallel subtests, each on a store of its own. The
// suite calls a store from several goroutines where the contract allows it.
//
// Not here, because only an operating system's death shows it: whether what
// was acknowledged has reached the disk.
package storetest
