package egress_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/registry/egress"
)

// TestHeaderTimeout: the head of an answer has a time of its own, and only the
// head.
func TestHeaderTimeout(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name       string
		head, body time.Duration // when they come
		class      string
		want       time.Duration
	}{
		{"in time", time.Second, 5 * time.Second, "", 5 * time.Second},
		{"late", 3 * time.Second, 3 * time.Second, "timeout", 2 * time.Second},
	} {
		inBothWays(t, test.name, func(t *testing.T, way int) {
			synctest.Test(t, func(t *testing.T) {
				served := make(chan struct{})
				client := newClient(t, egress.Config{
					Policy: egress.Policy{AllowHTTP: true}, MaxConnsPerHost: way, HeaderTimeout: 2 * time.Second,
					DialContext: func(context.Context, string, string) (net.Conn, error) {
						near, far := net.Pipe()
						go func() {
							defer close(served)
							defer far.Close()
							http.ReadRequest(bufio.NewReader(far))
							<-time.After(test.head)
							io.WriteString(far, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
							<-time.After(test.body - test.head)
							io.WriteString(far, "k")
						}()
						return near, nil
					},
				})
				start := time.Now()
				got, err := post(t, client, "http://8.8.8.8/")
				if egress.Classify(err) != test.class || err == nil && string(got.kept) != "ok" {
					t.Errorf("%q, %v", got.kept, err)
				}
				if took := time.Since(start); took != test.want {
					t.Errorf("took %s, want %s", took, test.want)
				}
				<-served
			})
		})
	}
}
