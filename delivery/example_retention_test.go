package delivery_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/registry"
)

func ExampleRetention() {
	now := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	r := delivery.Retention{Dead: -1, Bytes: 100 << 20} // the dead for ever, within 100 MiB
	delivered, dead := r.Before(now)
	fmt.Println("delivered before", delivered.Format(time.DateOnly), "are forgotten")
	fmt.Println("dead ones are kept:", dead.IsZero())
	fmt.Println("bytes at most:", r.Room())
	// Output:
	// delivered before 2026-01-24 are forgotten
	// dead ones are kept: true
	// bytes at most: 104857600
}

func ExampleEngine_Purge() {
	ctx := context.Background()
	store, err := memstore.Open(ctx, memstore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	engine, err := delivery.New(delivery.Config{
		Store:    store,
		Registry: &registry.Memory{},
		Dialects: map[string]delivery.Dialect{"text": text{}},
		Client: clientFunc(func(*http.Request) (*http.Response, error) { // in place of egress.New
			return answer(http.StatusOK), nil
		}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, tenant := range []string{"acme", "bolt"} {
		sub := registry.Subscription{Dialect: "text", Tenant: tenant, URL: "https://hooks.example/", Types: []string{"order.paid"}}
		if _, err := engine.Subscribe(ctx, sub); err != nil {
			fmt.Println(err)
		}
		if _, err := engine.Publish(ctx, delivery.Event{Dialect: "text", Tenant: tenant, Type: "order.paid"}); err != nil {
			fmt.Println(err)
		}
	}

	if err := engine.Purge(ctx, "acme"); err != nil {
		fmt.Println(err)
	}
	for st, err := range store.Deliveries(ctx, delivery.Filter{}) {
		fmt.Println(st.Tenant, st.State, err)
	}
	// Output:
	// bolt pending <nil>
}
