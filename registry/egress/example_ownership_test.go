package egress_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

// loopbackClient may call server; a real one needs no policy at all.
func loopbackClient(server *httptest.Server) *egress.Client {
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client, err := egress.New(egress.Config{
		RootCAs: roots,
		Policy:  egress.Policy{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	})
	if err != nil {
		panic(err)
	}
	return client
}

// The endpoint consents, and names a rate, which goes into the subscription: the engine keeps to it. The
// consent ends with the day unless it is asked for again.
func ExampleHandshake() {
	endpoint := httptest.NewTLSServer(middleware.Handshake{Origins: []string{"events.example.com"}, Rate: 120}.Handler(http.NotFoundHandler()))
	defer endpoint.Close()
	prover := egress.Handshake{Client: loopbackClient(endpoint), Origin: "events.example.com", Rate: 600}

	ctx := context.Background()
	subscriptions := &registry.Memory{}
	register := func(id string) (registry.Subscription, error) {
		proof, err := prover.Prove(ctx, endpoint.URL+"/cb")
		if err != nil {
			return registry.Subscription{}, err
		}
		stored, err := subscriptions.Set(ctx, registry.Subscription{
			ID: id, Dialect: "standard", Tenant: "acme", URL: proof.URL.String(), Types: []string{"order.paid"},
			Limits:    registry.Limits{PerSecond: proof.PerSecond()},
			ExpiresAt: time.Now().Add(24 * time.Hour),
		})
		if err != nil {
			return registry.Subscription{}, err
		}
		return stored[0], nil
	}
	first, err := register("")
	fmt.Println(first.Limits.PerSecond, "a second", err)
	renewed, err := register(first.ID)
	fmt.Println(renewed.ID == first.ID, renewed.Revision, err)
	// Output:
	// 2 a second <nil>
	// true 2 <nil>
}

func ExampleChallenge() {
	owner := httptest.NewTLSServer(middleware.Probe{Challenge: "challenge"}.Handler(http.NotFoundHandler()))
	defer owner.Close()
	stranger := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})) // 200 to everybody
	defer stranger.Close()

	for _, server := range []*httptest.Server{owner, stranger} {
		client := loopbackClient(server)
		_, exists := egress.Existence{Client: client}.Prove(context.Background(), server.URL)
		_, err := egress.Challenge{Client: client}.Prove(context.Background(), server.URL)
		fmt.Println(exists == nil, err == nil, errors.Is(err, egress.ErrProbe))
	}
	// Output:
	// true true false
	// true false true
}
