package egress_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/registry/internal/keypairtest"
)

// Finding out that a server speaks HTTP/2 takes of the attempt's time.
func TestHTTP2TakesNoSecondTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		root := keypairtest.Authority(t)
		config := &tls.Config{
			Certificates: []tls.Certificate{root.Issue(t, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(8, 8, 8, 8)} }).TLS()},
			NextProtos:   []string{"h2"}, MinVersion: tls.VersionTLS12,
		}
		over := make(chan struct{})
		defer close(over)
		client := newClient(t, egress.Config{RootCAs: root.Pool(), DialContext: func(context.Context, string, string) (net.Conn, error) {
			<-time.After(4 * time.Second)
			near, far := net.Pipe()
			go hostile(tls.Server(far, config), nil, nil, nil)
			go func() {
				<-over
				far.Close()
			}()
			return near, nil
		}})
		begin := time.Now()
		_, err := post(t, client, "https://8.8.8.8/")
		if took := time.Since(begin); took != 15*time.Second || egress.Classify(err) != "timeout" {
			t.Errorf("%v (%s) after %s", err, egress.Classify(err), took)
		}
	})
}

// A response tells the request that was given to Do.
func TestResponseHasItsRequest(t *testing.T) {
	t.Parallel()
	server, config := tlsServer(t, func(http.ResponseWriter, *http.Request) {})
	config.HTTP1Only = true
	client := newClient(t, config)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.Request != request || response.TLS == nil {
		t.Error("another request, or no TLS")
	}
}

// A certificate that was asked for is the reason in both ways.
func TestAskedForACertificate(t *testing.T) {
	t.Parallel()
	for word, way := range ways {
		server, config := tlsServer(t, func(http.ResponseWriter, *http.Request) {})
		server.TLS.ClientAuth = tls.RequireAnyClientCert
		config.HTTP1Only, config.MaxConnsPerHost = true, way
		if _, err := post(t, newClient(t, config), server.URL); egress.Classify(err) != "tls" {
			t.Errorf("%s: %v (%s)", word, err, egress.Classify(err))
		}
	}
}
