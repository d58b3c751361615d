package egress

import (
	"net/http"
	"strings"
)

// checkRequest judges what would be sent, part by part, so that nothing is put together or allocated
// for a host that was accepted before.
func (c *Client) checkRequest(request *http.Request) error {
	u := request.URL
	switch {
	case u == nil || u.Opaque != "" || !c.policy.schemeAllowed(u.Scheme):
		return refuse(ReasonScheme, "not https")
	case u.User != nil:
		return refuse(ReasonUserinfo, "user or password in the URL")
	case len(u.Host)+len(u.Path)+len(u.RawPath)+len(u.RawQuery) > maxURLBytes:
		return refuse(ReasonLength, "over 8,192 bytes")
	case request.Host != "" && !strings.EqualFold(request.Host, u.Host):
		return refuse(ReasonHost, "Host differs from the URL")
	}
	key := endpoint{u.Scheme, u.Host}
	if _, found := c.hosts.get(key); !found {
		if _, err := c.policy.checkAuthority(u.Scheme, lowerASCII(u.Host)); err != nil {
			return err
		}
		c.hosts.put(endpoint{u.Scheme, strings.Clone(u.Host)}, struct{}{})
	}
	path := u.EscapedPath()
	if path != "" && path[0] != '/' {
		return refuse(ReasonSyntax, "path")
	}
	if err := checkTail(path); err != nil {
		return err
	}
	if err := checkTail(u.RawQuery); err != nil {
		return err
	}
	if u.Fragment != "" {
		return refuse(ReasonSyntax, "fragment")
	}
	for name := range request.Header {
		if err := checkHeader(name); err != nil {
			return err
		}
	}
	return nil
}

// checkHeader refuses headers that have a request repeated, and those that frame it in a spelling with which
// net/http does not know them for that, and sends them.
func checkHeader(name string) error {
	is := func(guarded string) bool { return strings.EqualFold(name, guarded) }
	switch len(name) { // nearly all others are seen to be others by that
	case len("Host"), len("Trailer"), len("Content-Length"), len("Idempotency-Key"), len("Transfer-Encoding"):
	default:
		return nil
	}
	switch {
	case is("Idempotency-Key"), is("X-Idempotency-Key"):
		return ErrIdempotencyKey
	case (is("Host") || is("Trailer") || is("Content-Length") || is("Transfer-Encoding")) && name != http.CanonicalHeaderKey(name):
		return ErrFraming
	}
	return nil
}
