package sqlregistry_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

func ExampleRegistry_In() {
	if err := inside(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// before the commit: https://example.com/hook
}

func inside(ctx context.Context) (err error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	sealer, err := registry.NewAESGCM(bytes.Repeat([]byte{1}, 32)) // from a vault, in earnest
	if err != nil {
		return err
	}
	reg, err := sqlregistry.New(sqlregistry.Config{Writer: db, Sealer: sealer})
	if err != nil {
		return err
	}
	if err := reg.Migrate(ctx); err != nil {
		return err
	}
	if _, err := reg.Set(ctx, registry.Subscription{
		Dialect: "standard", Tenant: "acme", URL: "https://example.com/hook", Types: []string{"invoice.paid"},
	}); err != nil {
		return err
	}

	tx, err := db.BeginTx(ctx, nil) // in which the invoice is paid
	if err != nil {
		return err
	}
	subs, err := reg.In(sqlregistry.SQLTx(tx)).Match(ctx, registry.Topic{Dialect: "standard", Tenant: "acme", Type: "invoice.paid"})
	for _, s := range subs {
		fmt.Println("before the commit:", s.URL)
	}
	return errors.Join(err, tx.Commit())
}

func ExampleNew_postgreSQL() {
	db, err := sql.Open("pgx", "postgres://app@db.internal/app?default_query_exec_mode=exec") // behind a pooler
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	sealer, err := registry.NewAESGCM(bytes.Repeat([]byte{1}, 32)) // from a vault, in earnest
	if err != nil {
		fmt.Println(err)
		return
	}
	config := sqlregistry.Config{Flavor: sqlregistry.PostgreSQL, Schema: "webhooks", Writer: db, Sealer: sealer}
	_, err = sqlregistry.New(config)
	fmt.Println(err)
	config.Flavor = sqlregistry.SQLite
	_, err = sqlregistry.New(config)
	fmt.Println(err)
	// Output:
	// <nil>
	// sqlregistry: SQLite has no Schema
}
