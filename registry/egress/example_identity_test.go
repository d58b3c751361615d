package egress_test

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"

	"github.com/ringback-go/ringback/registry/egress"
)

// A server that only its own roots vouch for is reached by the endpoint that
// brought them, and by no other.
func ExampleWithIdentity() {
	receiver := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	receiver.Config.ErrorLog = quiet
	receiver.StartTLS()
	defer receiver.Close()
	roots := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: receiver.Certificate().Raw})

	client, err := egress.New(egress.Config{
		Policy: egress.Policy{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.CloseIdleConnections()
	// The second and third are a client certificate and its key, in PEM.
	ctx := egress.WithIdentity(context.Background(), egress.NewIdentity("sub_1", "", "", string(roots)))
	fmt.Println(client.Probe(ctx, receiver.URL))
	fmt.Println(egress.Classify(client.Probe(context.Background(), receiver.URL)))
	// Output:
	// <nil>
	// tls
}
