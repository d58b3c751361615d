package standardwebhooks_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/dialect/standardwebhooks"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/verify"
)

// A receiver out of the gates of package middleware takes what the dialect
// sends.
func Example() {
	ctx := context.Background()
	sub, secret := standardwebhooks.NewSubscription("acme", "https://hooks.example.com/in", "invoice.paid")

	// The receiver knows the secret.
	signed, err := verify.NewStandard(0, verify.Key{Secret: []byte(secret)})
	if err != nil {
		fmt.Println(err)
		return
	}
	gates := middleware.Chain(
		middleware.Method{}.Handler,
		middleware.Body{}.Handler,
		middleware.Signature{Verifier: signed}.Handler,
		middleware.Payload[standardwebhooks.Message]{}.Handler,
	)
	received := make(chan string, 1)
	receiver := gates(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		m, _ := middleware.PayloadFrom[standardwebhooks.Message](r.Context())
		received <- fmt.Sprintf("%s %s %s", m.Type, m.Timestamp.Format(time.DateOnly), m.Data)
	}))

	// The sender.
	store, err := memstore.Open(ctx, memstore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	engine, err := delivery.New(delivery.Config{
		Store: store, Registry: &registry.Memory{}, Client: direct{receiver}, // registry/egress makes one for real
		Dialects: map[string]delivery.Dialect{standardwebhooks.Name: &standardwebhooks.Dialect{}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := engine.Subscribe(ctx, sub); err != nil {
		fmt.Println(err)
		return
	}
	_, err = engine.Publish(ctx, delivery.Event{
		Dialect: standardwebhooks.Name, Tenant: "acme", Type: "invoice.paid", Data: []byte(`{ "id": 7 }`),
		At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- engine.Run(ctx) }()
	fmt.Println(<-received)
	cancel()
	fmt.Println(<-done)
	// Output:
	// invoice.paid 2026-01-02 {"id":7}
	// <nil>
}

func ExampleNewSubscription() {
	sub, secret := standardwebhooks.NewSubscription("acme", "https://hooks.example.com/in", "invoice.paid", "invoice.sent")
	fmt.Println(sub.Dialect, sub.Tenant, sub.URL, sub.Types, sub.Secrets)
	fmt.Println(secret[:6], len(secret), sub.Secrets[0].Reveal() == secret)
	// Output:
	// standard acme https://hooks.example.com/in [invoice.paid invoice.sent] [***]
	// whsec_ 50 true
}

// Rotating an endpoint's secret: for a while both sign.
func ExampleDialect_rotation() {
	ctx := context.Background()
	store, err := memstore.Open(ctx, memstore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	engine, err := delivery.New(delivery.Config{
		Store: store, Registry: &registry.Memory{}, Client: http.DefaultClient, // registry/egress makes one for real
		Dialects: map[string]delivery.Dialect{standardwebhooks.Name: &standardwebhooks.Dialect{}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	sub, _ := standardwebhooks.NewSubscription("acme", "https://hooks.example.com/in", "invoice.paid")
	stored, err := engine.Subscribe(ctx, sub)
	if err != nil {
		fmt.Println(err)
		return
	}

	change := func(secrets func([]registry.Secret) []registry.Secret) {
		now, err := engine.Registry().Get(ctx, stored[0].ID)
		if err != nil {
			fmt.Println(err)
			return
		}
		now = now.Clone() // with its Revision and State, so that nobody's change is lost
		now.Secrets = secrets(now.Secrets)
		again, err := engine.Subscribe(ctx, now)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(len(again[0].Secrets), "sign")
	}
	fresh := registry.NewSecret(verify.GenerateSecret())
	change(func(old []registry.Secret) []registry.Secret { return append([]registry.Secret{fresh}, old...) })
	// The customer takes the new one up, and then:
	change(func(both []registry.Secret) []registry.Secret { return both[:1] })
	// Output:
	// 2 sign
	// 1 sign
}

// direct is a delivery.Client that calls a handler without a network.
type direct struct{ handler http.Handler }

func (d direct) Do(r *http.Request) (*http.Response, error) {
	in := httptest.NewRequest(r.Method, r.URL.String(), r.Body)
	for name, values := range r.Header { // as a server reads them
		in.Header[http.CanonicalHeaderKey(name)] = values
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, in)
	return w.Result(), nil
}

// hasty is Standard Webhooks with a schedule of its own.
type hasty struct{ *standardwebhooks.Dialect }

func (hasty) Schedule(registry.Subscription) delivery.Backoff {
	return delivery.Schedule{Pauses: []time.Duration{time.Second, time.Minute}}
}

// A schedule of your own: embed the dialect and override Schedule.
func ExampleDialect_Schedule() {
	var d delivery.Dialect = hasty{&standardwebhooks.Dialect{}}
	for attempt := 1; attempt <= 3; attempt++ {
		fmt.Println(d.Schedule(registry.Subscription{}).Delay(attempt))
	}
	// Output:
	// 1s true
	// 1m0s true
	// 0s false
}
