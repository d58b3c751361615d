package egress

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// checkProxy wants the URL of a proxy that is spoken to in the clear, within the operator's own network:
// over TLS an endpoint's client certificate might be shown to it.
func checkProxy(u *url.URL) error {
	if u == nil {
		return nil
	}
	if u.Scheme != "http" || u.Hostname() == "" || u.Port() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return fmt.Errorf("%w: Config.Proxy takes http://host:port", ErrConfig)
	}
	return nil
}

// useProxy has a transport connect to the proxy and to nothing else. Its address is the operator's
// word and not judged.
func (c *Client) useProxy(transport *http.Transport, proxy *url.URL) {
	target := *proxy
	if proxy.User != nil {
		user := *proxy.User
		target.User = &user
	}
	transport.Proxy = http.ProxyURL(&target)
	connect := c.dialer.proxied
	if connect == nil {
		connect = (&net.Dialer{}).DialContext
	}
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != target.Host {
			return nil, &Error{Reason: ReasonAddress, Detail: "not the proxy", kind: ErrAddress}
		}
		if err := countDial(ctx); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		return connect(ctx, network, address)
	}
}
