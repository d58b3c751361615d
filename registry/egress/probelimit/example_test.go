package probelimit_test

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/registry/egress/probelimit"
)

type everyName struct{}

func (everyName) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, nil
}

func ExampleNew() {
	client, err := egress.New(egress.Config{Resolver: everyName{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	limiter, err := probelimit.New(probelimit.Config{PerTenant: 2, PerHost: 30, Concurrent: 64})
	if err != nil {
		fmt.Println(err)
		return
	}
	prober := probelimit.Client{Client: client, Limiter: limiter}
	ctx := egress.WithTenant(context.Background(), "acme")
	for range 3 {
		err := prober.Resolve(ctx, "https://hooks.example.com/")
		wait, limited := egress.TooMany(err)
		fmt.Println(err, limited, wait.Round(1e9))
	}
	// Output:
	// <nil> false 0s
	// <nil> false 0s
	// egress: too many probes or callback URLs: tenant true 30s
}
