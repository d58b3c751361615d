package sqlitestore_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
)

func ExampleOpen() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "callbacks")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "callbacks.db")

	store, err := sqlitestore.Open(ctx, sqlitestore.Config{Path: path})
	if err != nil {
		fmt.Println(err)
		return
	}
	d := delivery.Delivery{
		ID: delivery.DeliveryID("order-42", "sub_7"), EventID: "order-42", SubscriptionID: "sub_7", Body: []byte("42"),
	}
	fmt.Println(store.Enqueue(ctx, time.Time{}, d), store.Close())

	// After a restart it is still there.
	store, err = sqlitestore.Open(ctx, sqlitestore.Config{Path: path})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	leases, err := store.Lease(ctx, time.Time{}, delivery.LeaseRequest{Max: 10})
	if err != nil {
		fmt.Println(err)
	}
	for _, l := range leases {
		fmt.Println("send", l.ID, string(l.Body))
		fmt.Println(store.Settle(ctx, time.Time{}, delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: delivery.Done}))
	}
	counts, err := store.Counts(ctx)
	fmt.Printf("%+v %v\n", counts, err)
	// Output:
	// <nil> <nil>
	// send order-42.7 42
	// <nil>
	// {Pending:0 Delivered:1 Dead:0} <nil>
}
