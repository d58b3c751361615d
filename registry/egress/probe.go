package egress

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"strconv"
	"time"
)

// probeTimeout bounds a probe as a whole, the look-up included.
const probeTimeout = 5 * time.Second

// Resolve judges a URL and all addresses that its name has now, as registration wants it: one refused
// address among good ones refuses the name. A literal address is judged by the URL alone. Errors
// match [ErrURL], [ErrResolve] or [ErrResolvedAddress]. The look-up ends after 5 s.
func (c *Client) Resolve(ctx context.Context, rawURL string) error {
	u, err := c.Check(rawURL)
	if err != nil {
		return err
	}
	_, err = c.resolveAll(ctx, u)
	return err
}

func (c *Client) resolveAll(ctx context.Context, u URL) ([]netip.Addr, error) {
	if u.literal.IsValid() || c.unresolved {
		return nil, nil
	}
	addrs, err := c.dialer.lookup(ctx, u.host)
	if err != nil {
		return nil, err
	}
	for _, addr := range addrs {
		if e := c.policy.checkAddr(addr, u.port, ErrResolvedAddress); e != nil {
			return nil, e
		}
	}
	return addrs, nil
}

// Probe asks whether an endpoint is there: [Client.Resolve], then HEAD, 5 s in all. Only the status
// 200 counts; a redirect, also to a good place, is not followed and not good. No credentials are
// sent and no body is read. Errors are those of Resolve and [Client.Do], and [ErrProbe] for
// another status. [Existence] is the same as a [Prover].
func (c *Client) Probe(ctx context.Context, rawURL string) error {
	u, err := c.Check(rawURL)
	if err != nil {
		return err
	}
	return c.visit(ctx, u, question{method: http.MethodHead, target: u.text}, onlyOK)
}

// question is what a probe asks.
type question struct {
	method string
	target string // the URL with what the probe adds to its query
	header http.Header
}

// visit sends a probe's one request to a URL that passed Check, once all addresses of its name are
// judged, and has the answer read by judge, which need not close it. All of it ends after 5 s.
func (c *Client) visit(ctx context.Context, u URL, q question, judge func(*http.Response) error) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	addrs, err := c.resolveAll(ctx, u)
	if err != nil {
		return err
	}
	if err := aim(ctx, u, addrs); err != nil {
		return err
	}
	if addrs != nil {
		ctx = context.WithValue(ctx, pinnedKey{}, &pinned{host: u.host, addrs: addrs})
	}
	request, err := http.NewRequestWithContext(ctx, q.method, q.target, http.NoBody)
	if err != nil {
		return refuse(ReasonSyntax, "not readable by net/url")
	}
	maps.Copy(request.Header, q.header)
	request.Header.Set("User-Agent", c.userAgent)
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return judge(response)
}

func onlyOK(response *http.Response) error {
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%w: status %s", ErrProbe, strconv.Itoa(response.StatusCode))
	}
	return nil
}
