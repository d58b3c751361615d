package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/standardwebhooks"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

// fanOut makes the messages of an event, one for each subscription that wants
// it. The event has an ID; a delivery's own is the message's unique key.
func fanOut(ctx context.Context, reg registry.Registry, dialect delivery.Dialect, ev delivery.Event) ([]delivery.Delivery, error) {
	subs, err := reg.Match(ctx, registry.Topic{Dialect: ev.Dialect, Tenant: ev.Tenant, Scope: ev.Scope, Type: ev.Type})
	if err != nil {
		return nil, err
	}
	messages := make([]delivery.Delivery, 0, len(subs))
	for _, sub := range subs {
		p, err := dialect.Encode(ev, sub) // once: every attempt sends these bytes
		if err != nil {
			return nil, err
		}
		messages = append(messages, delivery.Delivery{
			ID: delivery.DeliveryID(ev.ID, sub.ID), EventID: ev.ID, SubscriptionID: sub.ID,
			Dialect: ev.Dialect, Type: ev.Type, Tenant: sub.Tenant,
			ContentType: p.ContentType, Body: p.Body, Meta: p.Meta,
		})
	}
	return messages, nil
}

// outcome is what a queue is to do with a message: forget it (done, or giveUp
// with the reason), or hand it out again after a while.
type outcome struct {
	done    bool
	giveUp  string
	again   time.Duration
	attempt *delivery.Attempt // for the log; nil if none was made, or none that counts
}

// handle does one message. d.Attempts is how many attempts it has had.
func handle(ctx context.Context, sender *delivery.Sender, reg registry.Registry, d delivery.Delivery) outcome {
	sub, err := reg.Get(ctx, d.SubscriptionID) // each time: URL, secrets and state are the moment's
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return outcome{giveUp: delivery.ReasonRemoved}
	case err != nil: // the registry is away
		return outcome{again: time.Second}
	case sub.State == registry.Paused:
		return outcome{again: time.Minute}
	case sub.State != registry.Active:
		return outcome{giveUp: string(sub.State)}
	case !sub.ExpiresAt.IsZero() && !time.Now().Before(sub.ExpiresAt):
		return outcome{giveUp: delivery.ReasonExpired}
	}
	a := sender.Attempt(ctx, d, sub)
	o := outcome{attempt: &a}
	switch {
	case a.Status == 0 && ctx.Err() != nil: // cut off by a shutdown: nobody knows
		return outcome{}
	case a.Verdict == delivery.VerdictAccepted:
		o.done = true
	case a.Verdict == delivery.VerdictDead:
		o.giveUp = a.Error
	case a.Verdict == delivery.VerdictDisable:
		o.giveUp = delivery.ReasonGone
		sub.State, sub.Reason = registry.Disabled, delivery.ReasonGone
		if _, err := reg.Set(ctx, sub); err != nil { // away, or it was changed meanwhile
			return outcome{again: time.Second}
		}
	default:
		pause, again := sender.Dialects[d.Dialect].Schedule(sub).Delay(a.Number)
		if o.again = max(pause, a.RetryAfter); !again {
			o.giveUp = a.Error
		}
	}
	return o
}

// A queue of one's own, here a loop, keeps the messages; ringback makes the
// attempts and judges the answers.
func ExampleSender_Attempt_queue() {
	ctx := context.Background()
	answers := []int{http.StatusServiceUnavailable, http.StatusOK, http.StatusGone}
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "120")
		w.WriteHeader(answers[0])
		answers = answers[1:]
	}))
	defer endpoint.Close()
	client, err := egress.New(egress.Config{Policy: egress.Policy{ // for a test on this machine; the zero value guards
		AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	dialect := &standardwebhooks.Dialect{}
	sender := &delivery.Sender{Client: client, Dialects: map[string]delivery.Dialect{standardwebhooks.Name: dialect}}
	reg := &registry.Memory{}
	sub, _ := standardwebhooks.NewSubscription("acme", endpoint.URL+"/hooks", "order.paid")
	if _, err := reg.Set(ctx, sub); err != nil {
		fmt.Println(err)
		return
	}

	for _, id := range []string{"order-1", "order-2", "order-3"} {
		queue, err := fanOut(ctx, reg, dialect, delivery.Event{
			ID: id, Dialect: standardwebhooks.Name, Tenant: "acme", Type: "order.paid", Data: []byte(`{}`), At: time.Now(),
		})
		fmt.Println(id, "is for", len(queue), err)
		for len(queue) > 0 {
			d := queue[0]
			switch o := handle(ctx, sender, reg, d); {
			case o.done:
				fmt.Println("  delivered by attempt", o.attempt.Number)
				queue = queue[1:]
			case o.giveUp != "":
				fmt.Println("  given up:", o.giveUp)
				queue = queue[1:]
			default:
				fmt.Println("  again in", o.again)
				queue[0].Attempts++ // and a real queue would wait
			}
		}
	}
	// Output:
	// order-1 is for 1 <nil>
	//   again in 2m0s
	//   delivered by attempt 2
	// order-2 is for 1 <nil>
	//   given up: gone
	// order-3 is for 0 <nil>
}
