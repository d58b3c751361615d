package delivery_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/registry"
)

// text is a dialect that posts an event's data as it is.
type text struct{}

func (text) Encode(ev delivery.Event, _ registry.Subscription) (delivery.Payload, error) {
	return delivery.Payload{ContentType: "text/plain", Body: ev.Data}, nil
}

func (text) Request(ctx context.Context, d delivery.Delivery, sub registry.Subscription, _ time.Time) (*http.Request, error) {
	return delivery.NewRequest(ctx, d, sub.URL)
}

func (text) Judge(status int, _ http.Header, _ []byte) delivery.Verdict {
	return delivery.Judge(status)
}

func (text) Schedule(registry.Subscription) delivery.Backoff { return delivery.Standard() }

func ExampleNew() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	store, err := memstore.Open(ctx, memstore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	arrived := make(chan string)
	engine, err := delivery.New(delivery.Config{
		Store:    store,
		Registry: &registry.Memory{},
		Dialects: map[string]delivery.Dialect{"text": text{}},
		Client: clientFunc(func(req *http.Request) (*http.Response, error) { // in place of egress.New
			arrived <- req.URL.String()
			return answer(http.StatusOK), nil
		}),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = engine.Subscribe(ctx, registry.Subscription{Dialect: "text", URL: "https://hooks.example/", Types: []string{"order.paid"}})
	if err != nil {
		fmt.Println(err)
	}
	published, err := engine.Publish(ctx, delivery.Event{ID: "order-42", Dialect: "text", Type: "order.paid", Data: []byte("42")})
	fmt.Println(published, err)

	ended := make(chan error)
	go func() { ended <- engine.Run(ctx) }()
	fmt.Println(<-arrived)
	stop()
	fmt.Println(<-ended)
	counts, err := store.Counts(context.Background())
	fmt.Printf("%+v %v\n", counts, err)
	// Output:
	// [{order-42 1}] <nil>
	// https://hooks.example/
	// <nil>
	// {Pending:0 Delivered:1 Dead:0} <nil>
}

func ExampleSender_Attempt() {
	sender := delivery.Sender{
		Dialects: map[string]delivery.Dialect{"text": text{}},
		Client: clientFunc(func(*http.Request) (*http.Response, error) { // in place of egress.New
			return answer(http.StatusServiceUnavailable, "Retry-After", "120"), nil
		}),
	}
	d := delivery.Delivery{EventID: "order-42", Dialect: "text", ContentType: "text/plain", Body: []byte("42")}
	a := sender.Attempt(context.Background(), d, registry.Subscription{URL: "https://hooks.example/"})
	fmt.Println(a.Number, a.Status, a.Class, a.Error, a.RetryAfter, a.Verdict == delivery.VerdictRetry)
	// Output:
	// 1 503 status answered 503 2m0s true
}

func ExampleSchedule() {
	s := delivery.Schedule{Pauses: []time.Duration{time.Second, time.Minute, time.Hour}}
	for attempt := 1; ; attempt++ {
		pause, again := s.Delay(attempt)
		if !again {
			fmt.Println("given up after attempt", attempt)
			return
		}
		fmt.Println("failed attempt", attempt, "is followed by another in", pause)
	}
	// Output:
	// failed attempt 1 is followed by another in 1s
	// failed attempt 2 is followed by another in 1m0s
	// failed attempt 3 is followed by another in 1h0m0s
	// given up after attempt 4
}

func ExampleExponential() {
	b := delivery.Exponential(4*time.Second, 2, 30*time.Second, 5, 0)
	for attempt := range 6 {
		fmt.Println(b.Delay(attempt + 1))
	}
	// Output:
	// 4s true
	// 8s true
	// 16s true
	// 30s true
	// 30s true
	// 0s false
}

func ExampleFromPolicy() {
	b := delivery.FromPolicy(0, func() backoff.BackOff {
		return backoff.WithMaxRetries(backoff.NewConstantBackOff(15*time.Minute), 2)
	})
	for attempt := range 3 {
		fmt.Println(b.Delay(attempt + 1))
	}
	// Output:
	// 15m0s true
	// 15m0s true
	// 0s false
}
