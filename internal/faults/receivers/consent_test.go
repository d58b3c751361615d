package receivers_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/registry/egress"
)

// The rate that an endpoint consents to is stored with its subscription, and the
// engine keeps to it.
func TestConsentedRateIsKept(t *testing.T) {
	t.Parallel()
	const events, perMinute = 8, 600 // one in 100 ms
	rc := rig.Listen(t)
	rc.Handle("/s1", func(_ int, r rig.Request) rig.Answer {
		origin := r.Header["Webhook-Request-Origin"]
		if origin == nil {
			return rig.Answer{}
		}
		return rig.Answer{Header: http.Header{"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": {fmt.Sprint(perMinute)}}}
	})
	e, _ := engineInside(t, rig.Spec{})
	proof, err := egress.Handshake{Client: e.Client, Origin: "events.example.com", Rate: 6000}.Prove(t.Context(), rc.URL("/s1"))
	if err != nil {
		t.Fatal(err)
	}
	sub := rc.Endpoint("s1").Subscription()
	sub.URL, sub.Limits.PerSecond = proof.URL.String(), proof.PerSecond()
	if _, err := e.Subscribe(t.Context(), sub); err != nil {
		t.Fatal(err)
	}
	publishAll(t, e, "s1", events)
	if n := ledgerWhenSettled(t, e).Count(delivery.Delivered); n != events {
		t.Errorf("%d delivered", n)
	}
	rs := rc.Requests()[1:] // behind the handshake
	const least = (events - 1) * time.Minute / perMinute
	if len(rs) != events {
		t.Fatalf("%d requests", len(rs))
	}
	if took := rs[events-1].At.Sub(rs[0].At); took < least-20*time.Millisecond {
		t.Errorf("%d events in %s, want %s at least", events, took, least)
	}
}
