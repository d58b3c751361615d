package egress

import (
	"context"
	"net"
	"net/http"
)

// Transport shows the transport to tests.
func (c *Client) Transport() *http.Transport { return c.transport }

// Control runs the second check, on the socket's own address.
func (c *Client) Control(ctx context.Context, network, address string) error {
	return c.dialer.control(ctx, network, address, nil)
}

// Dial runs the transport's dial function.
func (c *Client) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	return c.dialer.DialContext(ctx, network, address)
}

// CheckRequest runs what Do checks before it sends.
func (c *Client) CheckRequest(request *http.Request) error { return c.checkRequest(request) }

// ALabel decodes and encodes what follows "xn--".
func ALabel(encoded string) (decoded, again string, ok bool) {
	runes, ok := punyDecode(encoded)
	if !ok {
		return "", "", false
	}
	again, ok = punyEncode(runes)
	return string(runes), again, ok
}

// CachedURLs counts the URLs that Check remembers.
func (c *Client) CachedURLs() int { return len(c.urls.young) + len(c.urls.old) }
