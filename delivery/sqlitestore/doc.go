// Package sqlitestore is a durable delivery store in one SQLite file.
//
//	import _ "modernc.org/sqlite"
//
//	store, err := sqlitestore.Open(ctx, sqlitestore.Config{Path: "callbacks.db"})
//	defer store.Close()
//	engine, err := delivery.New(delivery.Config{Store: store, ...})
//
// What Enqueue and Settle return for is on the disk: the journal is a WAL that
// is synced at every commit, and what several callers want stored at the same
// time shares one commit. A file belongs to one process at a time; a second one
// is refused with delivery.ErrOwned, by a lock on a second file, callbacks.db.owner
// here, which is empty and stays; it is the same by whatever symbolic link the file is
// named, but not by a hard link. After a kill, what the dead process held is
// due at once.
//
// A delivery is written twice: its row when it is published, its outcome when
// it is settled. Only what memory cannot hold, what has an ordering key and what
// must be tried again is written to the table of waiting rows as well, which
// alone is indexed by lane and due time. So the cost of a delivery does not
// depend on how many wait.
//
// A Store is safe for concurrent use. The package imports no driver: modernc's
// is measured, and any other that takes its place can be handed in as open
// pools.
//
// Not here, because it belongs to the operating system: a file on a network
// file system. SQLite's locks do not hold there.
//
// # Processors
//
// A commit waits for the disk in a system call, and one of Go's processors waits
// with it until the scheduler notices. Where there are few, a program does more
// with one besides:
//
//	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
//
// On two that was 4 to 15 % more deliveries a second. It is the program's to say,
// not a library's.
package sqlitestore
