package sqlregistry_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

func ExampleNew() {
	if err := run(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// https://example.com/hook [***]
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "registry")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	writer, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "ringback.db")+"?_txlock=immediate"+
		"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=busy_timeout(5000)")
	if err != nil {
		return err
	}
	defer writer.Close()
	writer.SetMaxOpenConns(1)
	sealer, err := registry.NewAESGCM(bytes.Repeat([]byte{1}, 32)) // from a vault, in earnest
	if err != nil {
		return err
	}
	reg, err := sqlregistry.New(sqlregistry.Config{Writer: writer, Sealer: sealer})
	if err != nil {
		return err
	}
	if err := reg.Migrate(ctx); err != nil {
		return err
	}
	if _, err := reg.Set(ctx, registry.Subscription{
		Dialect: "standard", Tenant: "acme",
		URL:     "https://example.com/hook",
		Types:   []string{"invoice.paid"},
		Secrets: []registry.Secret{registry.NewSecret("hunter2")},
	}); err != nil {
		return err
	}
	subs, err := reg.Match(ctx, registry.Topic{Dialect: "standard", Tenant: "acme", Type: "invoice.paid"})
	for _, s := range subs {
		fmt.Println(s.URL, s.Secrets)
	}
	return err
}
