package memstore_test

import (
	"context"
	"fmt"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
)

func ExampleOpen() {
	ctx := context.Background()
	store, err := memstore.Open(ctx, memstore.Config{History: 100})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	d := delivery.Delivery{
		ID: delivery.DeliveryID("msg_1", "sub_7"), EventID: "msg_1", SubscriptionID: "sub_7",
		Type: "order.paid", Body: []byte(`{"order":42}`),
	}
	if err := store.Enqueue(ctx, time.Time{}, d, d); err != nil { // the second is a repeat
		fmt.Println(err)
	}
	leases, err := store.Lease(ctx, time.Time{}, delivery.LeaseRequest{Max: 10})
	if err != nil {
		fmt.Println(err)
	}
	for _, l := range leases {
		fmt.Println("send", l.ID, string(l.Body))
		done := delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: delivery.Done}
		if err := store.Settle(ctx, time.Time{}, done); err != nil {
			fmt.Println(err)
		}
	}
	counts, err := store.Counts(ctx)
	fmt.Printf("%+v %v\n", counts, err)
	// Output:
	// send msg_1.7 {"order":42}
	// {Pending:0 Delivered:1 Dead:0} <nil>
}
