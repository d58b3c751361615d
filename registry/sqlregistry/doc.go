// Package sqlregistry keeps subscriptions in an SQL database: today a SQLite
// file, which the delivery store may share.
//
//	writer, err := sql.Open("sqlite", "file:ringback.db?_txlock=immediate"+
//		"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)")
//	if err != nil {
//		return err
//	}
//	defer writer.Close()
//	writer.SetMaxOpenConns(1)
//	sealer, err := registry.NewAESGCM(key)
//	if err != nil {
//		return err
//	}
//	reg, err := sqlregistry.New(sqlregistry.Config{Writer: writer, Sealer: sealer})
//	if err != nil {
//		return err
//	}
//	return reg.Migrate(ctx)
//
// The driver is the caller's choice, by a blank import. A second handle with a
// pool of connections and the pragma query_only(1) makes a good Reader.
//
// # Guarantees
//
// [Registry.Set] is one transaction; when it returns, its changes are as
// durable as the database makes a commit: with synchronous(FULL), on disk.
// A partial unique index keeps two subscriptions from filling one slot even if
// somebody else writes to the table. Secrets are sealed by the
// [registry.Sealer] and bound to the subscription's ID and their place in the
// list; everything else is in the clear, URLs included. What is deleted or
// replaced may stay, sealed, in free pages of the file. A reading that meets a
// secret that cannot be opened fails as a whole, with [registry.ErrSealed].
//
// Get costs one look-up by primary key, Match one range of an index for each
// of the topic's scope and none. Senders put a [registry.Cache] before it.
//
// # Concurrency
//
// A Registry may be used by many goroutines, and a database by many processes.
// Changes run one after another. Reads do not wait for them if the database
// is in WAL mode and Reader is another handle than Writer.
//
// Not here, because the caller knows better: opening databases, choosing
// pragmas, backups, a copy of one tenant's data.
package sqlregistry
