package pgstore_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/pgstore"
	"github.com/ringback-go/ringback/dialect/standardwebhooks"
	"github.com/ringback-go/ringback/internal/pgtest"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

// shop is what a program keeps.
type shop struct {
	store  *pgstore.Store
	reg    *sqlregistry.Registry
	engine *delivery.Engine
}

// wire makes the tables where they are missing, and an engine on them.
func wire(ctx context.Context, pool *pgxpool.Pool) (*shop, error) {
	if err := pgstore.Migrate(ctx, pool, ""); err != nil {
		return nil, err
	}
	store, err := pgstore.Open(ctx, pgstore.Config{Pool: pool})
	if err != nil {
		return nil, err
	}
	sealer, err := registry.NewAESGCM(bytes.Repeat([]byte{1}, 32)) // from a vault, in earnest
	if err != nil {
		return nil, err
	}
	reg, err := sqlregistry.New(sqlregistry.Config{
		Flavor: sqlregistry.PostgreSQL, Schema: pgstore.DefaultSchema, Writer: stdlib.OpenDBFromPool(pool), Sealer: sealer,
	})
	if err != nil {
		return nil, err
	}
	if err := reg.Migrate(ctx); err != nil {
		return nil, err
	}
	client, err := egress.New(egress.Config{Policy: egress.Policy{ // for receivers on this machine; the zero value guards
		AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}})
	if err != nil {
		return nil, err
	}
	engine, err := delivery.New(delivery.Config{
		Store: store, Registry: reg, Client: client,
		Dialects: map[string]delivery.Dialect{standardwebhooks.Name: &standardwebhooks.Dialect{}},
	})
	return &shop{store, reg, engine}, err
}

// Any number of processes do this on one database and share the work.
func Example() {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close() // after Run has ended
	s, err := wire(ctx, pool)
	if err != nil {
		fmt.Println(err)
		return
	}
	ended := make(chan error)
	go func() { ended <- s.engine.Run(ctx) }()

	arrived := make(chan string, 1)
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- r.Header.Get(delivery.HeaderID)
	}))
	defer receiver.Close()
	sub, _ := standardwebhooks.NewSubscription("acme", receiver.URL+"/", "order.paid")
	if _, err := s.engine.Subscribe(ctx, sub); err != nil {
		fmt.Println(err)
	}
	_, err = s.engine.Publish(ctx, delivery.Event{
		ID: "order-7-paid", Dialect: standardwebhooks.Name, Tenant: "acme", Type: "order.paid", Data: []byte(`{"id":7}`),
	})
	if err != nil {
		fmt.Println(err)
	}
	select {
	case id := <-arrived:
		fmt.Println(id, "arrived")
	case <-ctx.Done():
	}
	stop() // Run drains
	fmt.Println("ended:", <-ended)
}

// The invoice and its event are there together, or neither is.
func ExampleStore_PublishTx() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	s, err := wire(ctx, pool) // see the package's example
	if err != nil {
		fmt.Println(err)
		return
	}
	sub, _ := standardwebhooks.NewSubscription("acme", "https://hooks.example.com/", "invoice.sent")
	if _, err := s.engine.Subscribe(ctx, sub); err != nil {
		fmt.Println(err)
	}
	if _, err := pool.Exec(ctx, `CREATE TABLE invoice (id text PRIMARY KEY, cents integer CHECK (cents > 0))`); err != nil {
		fmt.Println(err)
	}

	send := func(id string, cents int) error {
		err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
			published, err := s.store.PublishTx(ctx, tx, s.engine, s.reg, delivery.Event{
				ID: id, Dialect: standardwebhooks.Name, Tenant: "acme", Type: "invoice.sent",
				Data: fmt.Appendf(nil, `{"cents":%d}`, cents),
			})
			if err != nil {
				return err
			}
			fmt.Println("in the transaction:", published)
			_, err = tx.Exec(ctx, `INSERT INTO invoice VALUES ($1, $2)`, id, cents)
			return err
		})
		if err == nil {
			s.engine.Wake() // otherwise it is found within Config.Poll
		}
		return err
	}
	for id, cents := range []int{1200, -5} {
		id := fmt.Sprintf("invoice-%d", id)
		failed := send(id, cents) != nil
		n, known, err := s.store.Event(ctx, id)
		fmt.Println("after it:", failed, n, known, err)
	}
}

// Deliveries of one's own making, in a transaction: to one endpoint, say, which
// is known.
func ExampleStore_EnqueueTx() {
	ctx := context.Background()
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer pool.Close()
	s, err := wire(ctx, pool) // see the package's example
	if err != nil {
		fmt.Println(err)
		return
	}
	sub, _ := standardwebhooks.NewSubscription("acme", "https://hooks.example.com/", "ping")
	subs, err := s.engine.Subscribe(ctx, sub)
	if err != nil {
		fmt.Println(err)
		return
	}
	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		return s.store.EnqueueTx(ctx, tx, delivery.Delivery{
			ID: delivery.DeliveryID("ping-1", subs[0].ID), EventID: "ping-1", SubscriptionID: subs[0].ID,
			Dialect: standardwebhooks.Name, Tenant: "acme", Type: "ping",
			ContentType: "application/json", Body: []byte(`{"type":"ping"}`),
			DelayIn: time.Hour,
		})
	})
	s.engine.Wake()
	fmt.Println(err)
	fmt.Println(s.store.Event(ctx, "ping-1"))
}

// For those who run migrations by a tool of their own.
func ExampleMigrations() {
	files, err := fs.Glob(pgstore.Migrations(), "*.sql")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(files[0])
	// Output:
	// 0001_deliveries.sql
}

// The examples that need a server have no output that go test would compare:
// this does. It is not parallel, because it takes standard output, as go test
// itself does for an example.
func TestExamples(t *testing.T) {
	for name, c := range map[string]struct {
		example func()
		want    string
	}{
		"Run":       {Example, "order-7-paid arrived\nended: <nil>\n"},
		"EnqueueTx": {ExampleStore_EnqueueTx, "<nil>\n1 true <nil>\n"},
		"PublishTx": {ExampleStore_PublishTx, "in the transaction: [{invoice-0 1}]\nafter it: false 1 true <nil>\n" +
			"in the transaction: [{invoice-1 1}]\nafter it: true 0 false <nil>\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("DATABASE_URL", pgtest.New(t).Database(t))
			if got := printed(t, c.example); got != c.want {
				t.Errorf("printed:\n%s\nwant:\n%s", got, c.want)
			}
		})
	}
}

func printed(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	all := make(chan []byte)
	go func() {
		defer close(all)
		text, _ := io.ReadAll(r) // what is missing shows
		all <- text
	}()
	stdout := os.Stdout
	os.Stdout = w
	defer func() { os.Stdout = stdout }()
	f()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return string(<-all)
}
