// Package sqlregistry keeps subscriptions in an SQL database: a SQLite file or
// PostgreSQL, which the delivery store may share.
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
// PostgreSQL takes one pool, and the tables may stand in a schema of their own:
//
//	db, err := sql.Open("pgx", "postgres://app@db.internal/app")
//	// ...
//	reg, err := sqlregistry.New(sqlregistry.Config{
//		Flavor: sqlregistry.PostgreSQL, Schema: "webhooks", Writer: db, Sealer: sealer,
//	})
//
// An event that is published in a transaction of the caller's is matched there:
// [Registry.In] reads the registry in a transaction of database/sql or, by an
// adapter of one method, of pgx.
//
// # Guarantees
//
// [Registry.Set] is one transaction; when it returns, its changes are as
// durable as the database makes a commit: with synchronous(FULL), on disk.
// A partial unique index keeps two subscriptions from filling one slot even if
// somebody else writes to the table. Secrets are sealed by the
// [registry.Sealer] and bound to the subscription's ID and their place in the
// list, TLS material and headers likewise; everything else is in the clear, URLs
// included. What is deleted or replaced may stay, sealed, in free pages of the
// file. A reading that meets a secret that cannot be opened fails as a whole,
// with [registry.ErrSealed]. [registry.Reseal] changes the key.
// Text is compared by its bytes, whatever the database's collation.
//
// Get costs one look-up by primary key, Match one range of an index for each
// of the topic's scope and none. Senders put a [registry.Cache] before it,
// which reads one row a second, [Registry.Version], while nothing changes:
// every change of a subscription raises it in its own transaction, by a trigger
// also one that is made by hand. Every process then sees a change within a
// second. A database that is put back to an earlier state, by a backup or a
// server that takes over without the last commits, may take a minute.
//
// # Concurrency
//
// A Registry may be used by many goroutines, and a database by many processes.
// Changes run one after another: each locks the one row of
// ringback_registry_state, for which no reader waits. In SQLite reads do not
// wait for changes if the database is in WAL mode and Reader is another handle
// than Writer. In PostgreSQL nothing is kept in a session, so that a pooler
// may stand between, by transactions, if the driver is told to prepare nothing
// (pgx: default_query_exec_mode=exec).
//
// Not here, because the caller knows better: opening databases, choosing
// pragmas, backups, a copy of one tenant's data.
package sqlregistry
