package egress_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"

	"github.com/ringback-go/ringback/registry/egress"
)

func ExamplePolicy_Check() {
	policy := egress.Policy{}
	for _, raw := range []string{
		"HTTPS://Hooks.Example.com?tenant=42",
		"http://hooks.example.com/cb",
		"https://hooks.example.com:6379/",
		"https://metadata.google.internal/",
		"https://169.254.169.254/latest/",
		"https://hooks.example.com/cb#top",
	} {
		u, err := policy.Check(raw)
		if refusal, ok := errors.AsType[*egress.Error](err); ok {
			fmt.Println("BAD URL", refusal.Reason)
			continue
		}
		fmt.Println(u)
	}
	// Output:
	// https://hooks.example.com/?tenant=42
	// BAD URL scheme
	// BAD URL port
	// BAD URL host
	// BAD URL address
	// BAD URL syntax
}

func ExamplePolicy_CheckAddr() {
	policy := egress.Policy{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("10.20.0.0/16")}}
	for _, target := range []string{"8.8.8.8:443", "10.20.0.7:9000", "10.30.0.7:443", "[::ffff:127.0.0.1]:443"} {
		address := netip.MustParseAddrPort(target)
		fmt.Println(target, policy.CheckAddr(address.Addr(), address.Port()) == nil)
	}
	// Output:
	// 8.8.8.8:443 true
	// 10.20.0.7:9000 true
	// 10.30.0.7:443 false
	// [::ffff:127.0.0.1]:443 false
}

func ExampleNew() {
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "thanks")
	}))
	defer receiver.Close()
	roots := x509.NewCertPool()
	roots.AddCert(receiver.Certificate())

	client, err := egress.New(egress.Config{
		RootCAs: roots,
		// Loopback is refused unless it is opened by name, as here for a test.
		Policy: egress.Policy{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, receiver.URL+"/cb", strings.NewReader("{}"))
	if err != nil {
		fmt.Println(err)
		return
	}
	response, err := client.Do(request)
	if err != nil {
		fmt.Println(egress.Classify(err))
		return
	}
	defer response.Body.Close() // ReadBounded does it, too
	kept, truncated := egress.ReadBounded(response.Body, egress.KeepBytes, egress.DrainBytes)
	fmt.Println(response.StatusCode, string(kept), truncated)

	err = client.Probe(context.Background(), "https://10.0.0.1/cb")
	fmt.Println(egress.Classify(err), errors.Is(err, egress.ErrLiteral))
	// Output:
	// 200 thanks false
	// addr_denied true
}
