package egress

import (
	"context"
	"net"
	"net/http"
)

// Transport shows the transport to tests.
func (c *Client) Transport() *http.Transport { return c.transport }

// TransportOf shows that of an identity.
func (c *Client) TransportOf(i Identity) (*http.Transport, error) {
	e, err := c.identities.get(i)
	if err != nil {
		return nil, err
	}
	return e.transport.Load(), nil
}

// Identities counts those that are kept.
func (c *Client) Identities() int {
	c.identities.mu.Lock()
	defer c.identities.mu.Unlock()
	if len(c.identities.known) != c.identities.used.Len() {
		return -1
	}
	return len(c.identities.known)
}

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
