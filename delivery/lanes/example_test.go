package lanes_test

import (
	"context"
	"fmt"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// table is about the smallest Backend: rows in a slice, no keys, no operators.
type table struct {
	rows    []lanes.Row
	settled map[int64]delivery.Result
}

func (*table) HoldsAll() bool { return true } // so Refill is never called

func (*table) Load(context.Context) (lanes.Loaded, error) { return lanes.Loaded{NextSeq: 1}, nil }

func (*table) Refill(context.Context, int64, []lanes.Want) ([]lanes.Found, error) { return nil, nil }

func (t *table) Commit(_ context.Context, b *lanes.Batch) error {
	for _, a := range b.Append {
		a.Seq = int64(len(t.rows)) + 1
		t.rows = append(t.rows, a.Row)
	}
	for _, st := range b.Settle {
		t.settled[st.Seq] = st.Result
	}
	return nil
}

func ExampleOpen() {
	ctx := context.Background()
	store, err := lanes.Open(ctx, &table{settled: map[int64]delivery.Result{}}, lanes.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	for _, id := range []string{"a1", "a2", "a3", "b1"} {
		d := delivery.Delivery{ID: id, EventID: id, SubscriptionID: "sub_" + id[:1]}
		if err := store.Enqueue(ctx, time.Time{}, d); err != nil {
			fmt.Println(err)
		}
	}
	leases, err := store.Lease(ctx, time.Time{}, delivery.LeaseRequest{Max: 3})
	if err != nil {
		fmt.Println(err)
	}
	for _, l := range leases {
		fmt.Println(l.ID) // a lane a turn
		done := delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: delivery.Done}
		if err := store.Settle(ctx, time.Time{}, done); err != nil {
			fmt.Println(err)
		}
	}
	// Output:
	// a1
	// b1
	// a2
}
