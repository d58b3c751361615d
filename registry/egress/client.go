package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ringback-go/ringback/internal/version"
	"github.com/ringback-go/ringback/registry/egress/internal/http1"
)

// Bounds of every client that no configuration moves.
const (
	dialTimeout      = 10 * time.Second // look-up and all tries of one connection
	lookupTimeout    = 5 * time.Second
	handshakeTimeout = 5 * time.Second
	idleTimeout      = 90 * time.Second // also how long an address judged once may be used
	maxHeaderBytes   = 16 << 10
	idlePerIdentity  = 16
	cachedURLs       = 10_000
	cachedURLBytes   = 1 << 10 // longer URLs are judged each time, so that the cache stays small
)

// Resolver looks names up. *net.Resolver is one.
type Resolver interface {
	// LookupNetIP gets network "ip" and the name in absolute form, with a trailing dot, so that no
	// search list applies.
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Config is what [New] makes a [Client] of. The zero value is the safe default.
type Config struct {
	// Policy says what may be called. New copies it.
	Policy Policy

	// RootCAs are the roots that servers are verified with; nil: the system's. To add a root to the
	// system's, start from [x509.SystemCertPool]. New copies the pool.
	RootCAs *x509.CertPool

	// Timeout bounds a whole attempt, the reading of the body included. Zero: 15 s.
	// A shorter deadline of the request's context wins.
	Timeout time.Duration

	// HeaderTimeout bounds the wait for the head of an answer, from when the request is written. Zero: Timeout
	// is the bound.
	HeaderTimeout time.Duration

	// UserAgent is sent by Probe; requests given to Do bring their own. Empty: "ringback/" and the version.
	UserAgent string

	// Resolver is asked for every name; nil: [net.DefaultResolver].
	Resolver Resolver

	// DialContext, for tests, opens the connection in place of a [net.Dialer]. It is called with network
	// "tcp" and an ip:port that was judged already, and must obey ctx. It replaces the second
	// check, on the socket itself.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)

	// MaxIdleConns bounds the idle connections kept in all; zero: 1,024.
	MaxIdleConns int
	// MaxIdleConnsPerHost bounds those of one host and port; zero: 64.
	MaxIdleConnsPerHost int
	// MaxConnsPerHost bounds the connections of one host and port, busy ones included, requests
	// beyond wait for one; zero: no bound, the caller's cap on what is in flight is the bound.
	MaxConnsPerHost int

	// MaxIdentities bounds the identities of [WithIdentity] that are kept ready, each with connections of
	// its own and at most 16 of them idle, or MaxIdleConnsPerHost if that is set. Of one that was not used
	// for long the idle connections are closed when another one comes. Zero: 256.
	MaxIdentities int

	// Proxy, when not nil, is the egress proxy (http://host:port) that everything goes through; the
	// environment's is never used. URLs are judged as ever, literal addresses and ports included. But names are
	// not looked up here, and the guard sees the proxy's address alone: the proxy itself must refuse, for
	// each connection and after it resolved the name, every address that [Policy.CheckAddr] refuses, and must
	// not follow redirects or retry. [Client.Resolve] then judges the URL alone.
	Proxy *url.URL

	// HTTP1Only offers no HTTP/2.
	HTTP1Only bool
}

// Client is the guarded HTTP client. Make one with [New] and share it: probes, test sends and
// deliveries use the same. Safe for concurrent use.
type Client struct {
	policy     Policy
	timeout    time.Duration
	deadlines  deadlines
	userAgent  string
	dialer     *dialer
	transport  *http.Transport  // of requests without an identity
	direct     *http1.Transport // of most of them; may be nil
	identities identities
	unresolved bool // names are the proxy's to look up
	urls       recent[string, URL]
	hosts      recent[endpoint, struct{}]
}

// endpoint is what of a parsed URL decides about its host and port.
type endpoint struct{ scheme, host string }

// New makes a client. An unusable configuration is an error wrapped in [ErrConfig].
func New(config Config) (*Client, error) {
	if err := config.Policy.Validate(); err != nil {
		return nil, err
	}
	if config.Timeout < 0 || config.HeaderTimeout < 0 || config.MaxIdleConns < 0 || config.MaxIdleConnsPerHost < 0 ||
		config.MaxConnsPerHost < 0 || config.MaxIdentities < 0 {
		return nil, fmt.Errorf("%w: negative bound", ErrConfig)
	}
	if err := checkProxy(config.Proxy); err != nil {
		return nil, err
	}
	roots := config.RootCAs
	if roots != nil {
		roots = roots.Clone()
	}
	c := &Client{
		policy: Policy{
			AllowNetworks: slices.Clone(config.Policy.AllowNetworks),
			AllowPorts:    slices.Clone(config.Policy.AllowPorts),
			AllowHTTP:     config.Policy.AllowHTTP,
			DenyNetworks:  slices.Clone(config.Policy.DenyNetworks),
		},
		timeout:   orDefault(config.Timeout, 15*time.Second),
		deadlines: deadlines{after: orDefault(config.Timeout, 15*time.Second)},
		userAgent: orDefault(config.UserAgent, version.UserAgent),
		urls:      recent[string, URL]{half: cachedURLs / 2},
		hosts:     recent[endpoint, struct{}]{half: cachedURLs / 2},
	}
	c.dialer = newDialer(&c.policy, config.Resolver, config.DialContext)
	c.dialer.proxied, c.unresolved = config.DialContext, config.Proxy != nil
	c.transport = c.newTransport(&config, &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(256),
		GetClientCertificate: certificate(nil),
	})
	c.direct = c.newDirect(&config, c.transport.TLSClientConfig.Clone()) // net/http adds to its own
	own := config                                                        // of one endpoint's
	own.MaxIdleConns = orDefault(config.MaxIdleConnsPerHost, idlePerIdentity)
	own.MaxIdleConnsPerHost = own.MaxIdleConns
	c.identities.max = orDefault(config.MaxIdentities, 256)
	c.identities.open = func(t *tls.Config) *http.Transport {
		if t.RootCAs == nil {
			t.RootCAs = roots
		}
		t.ClientSessionCache = tls.NewLRUClientSessionCache(1) // a session is resumed as who it was made by
		return c.newTransport(&own, t)
	}
	return c, nil
}

// newTransport makes what all connections of a kind come from.
func (c *Client) newTransport(config *Config, t *tls.Config) *http.Transport {
	transport := &http.Transport{
		Proxy:                  nil, // never the environment's
		DialContext:            c.dialer.DialContext,
		TLSHandshakeTimeout:    handshakeTimeout, // headers and body are bounded by the deadline that Do sets
		ResponseHeaderTimeout:  config.HeaderTimeout,
		ExpectContinueTimeout:  time.Second,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		DisableCompression:     true, // sends no Accept-Encoding and inflates nothing
		MaxIdleConns:           orDefault(config.MaxIdleConns, 1024),
		MaxIdleConnsPerHost:    orDefault(config.MaxIdleConnsPerHost, 64),
		MaxConnsPerHost:        config.MaxConnsPerHost,
		WriteBufferSize:        4 << 10,
		ReadBufferSize:         4 << 10,
		ForceAttemptHTTP2:      !config.HTTP1Only, // a DialContext of our own turns it off otherwise
		TLSClientConfig:        t,
		HTTP2: &http.HTTP2Config{
			SendPingTimeout:           15 * time.Second, // a connection that reads nothing for so long is asked
			PingTimeout:               10 * time.Second,
			WriteByteTimeout:          10 * time.Second,
			MaxReceiveBufferPerStream: 64 << 10,
			MaxDecoderHeaderTableSize: 4 << 10,
			MaxReadFrameSize:          16 << 10,
		},
	}
	if config.Proxy != nil {
		c.useProxy(transport, config.Proxy)
	}
	if config.HTTP1Only {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetHTTP1(true)
	}
	return transport
}

// identified returns what a request with an identity is made with, nil for one without.
func (c *Client) identified(request *http.Request) (*identified, error) {
	identity, found := request.Context().Value(identityKey{}).(Identity)
	switch {
	case !found:
		return nil, nil //nolint:nilnil // there is none, which is no error
	case request.URL.Scheme != "https":
		return nil, fmt.Errorf("%w: the request is not one over TLS", ErrIdentity)
	}
	return c.identities.get(identity)
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

// Check is [Policy.Check] under the client's policy, with a cache of accepted URLs in front.
func (c *Client) Check(raw string) (URL, error) {
	if u, found := c.urls.get(raw); found {
		return u, nil
	}
	u, err := c.policy.check(raw)
	if err != nil {
		return URL{}, err
	}
	if len(raw) <= cachedURLBytes {
		c.urls.put(strings.Clone(raw), u)
	}
	return u, nil
}

// Do sends one request and returns its answer, whatever the status: nothing is followed, no error is
// made of a status, and nothing is resent whose first byte was written, but what an HTTP/2 server says it
// did not process: that over three connections at most. The URL is judged before; so are Host, which may not differ from the URL's, and the absence of Idempotency-Key.
// The caller closes the body, best through [ReadBounded]. The body of a 101 answer is closed
// and empty: it would be the raw connection, on which no time-out works.
//
// A request whose context has an identity, see [WithIdentity], is sent with it or not at all.
//
// Errors match [ErrURL], [ErrIdempotencyKey], [ErrFraming], [ErrIdentity], [ErrResolvedAddress], [ErrResolve],
// [ErrResponse], or come from net/http without the URL in their text; [Classify] has a word for each.
func (c *Client) Do(request *http.Request) (*http.Response, error) {
	err := c.checkRequest(request)
	var own *identified
	if err == nil {
		own, err = c.identified(request)
	}
	if err != nil {
		if request.Body != nil {
			request.Body.Close()
		}
		return nil, err
	}
	transport := c.transport
	if own != nil {
		transport = own.transport.Load()
	} else {
		var response *http.Response
		if response, request, err = c.doDirect(request); request == nil {
			return response, err
		}
	}
	var limit *deadline
	ctx := request.Context()
	if end, ok := ctx.Deadline(); !ok || time.Until(end) > c.timeout {
		limit = c.deadlines.begin(ctx)
		ctx = limit
	} else {
		ctx = context.WithValue(ctx, askedKey{}, new(askedFor))
	}
	request = request.WithContext(ctx)
	ends := ending{limit, own}
	response, err := transport.RoundTrip(request)
	if err != nil {
		late := limit != nil && errors.Is(context.Cause(limit), context.DeadlineExceeded)
		ends.done()
		if late && errors.Is(err, context.Canceled) { // HTTP/2 does not tell the cause
			return nil, context.DeadlineExceeded
		}
		if asked, ok := ctx.Value(askedKey{}).(*askedFor); ok {
			err = refusedAsked(err, asked)
		}
		return nil, clean(err)
	}
	if response.StatusCode == http.StatusSwitchingProtocols {
		response.Body.Close()
		response.Body = http.NoBody
	}
	switch {
	case ends == ending{}:
	case response.Body == http.NoBody:
		ends.done()
	default:
		response.Body = &endingBody{ReadCloser: response.Body, ending: ends}
	}
	return response, nil
}

// ending is what is to be done when an attempt is over.
type ending struct {
	limit *deadline   // its timer; nil is none
	own   *identified // what it was made with; nil is the transport of all
}

func (e ending) done() {
	if e.limit != nil {
		e.limit.done()
	}
	if e.own != nil && e.own.evicted.Load() {
		e.own.close()
	}
}

// endingBody ends the attempt when the body is closed.
type endingBody struct {
	io.ReadCloser
	ending
}

func (b *endingBody) Close() error {
	err := b.ReadCloser.Close()
	b.done()
	return err
}

// CloseIdleConnections closes the connections that no request uses.
func (c *Client) CloseIdleConnections() {
	if c.direct != nil {
		c.direct.CloseIdleConnections()
	}
	c.transport.CloseIdleConnections()
	c.identities.closeIdle()
}
