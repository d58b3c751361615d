package http1

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

var (
	// ErrHTTP2 says that the server chose HTTP/2. Nothing was sent.
	ErrHTTP2 = errors.New("http1: the server speaks HTTP/2")
	// ErrHeaders says that an answer's headers went over the bound.
	ErrHeaders = errors.New("http1: headers over the bound")
	// ErrHeader says that a header of the request may not be sent.
	ErrHeader = errors.New("http1: a header that may not be sent")
	// ErrHandshake says that the TLS handshake took too long.
	ErrHandshake = errors.New("tls: handshake timeout")

	errChanged = errors.New("http1: the server speaks HTTP/2 now")
	errTarget  = errors.New("http1: a URL that may not be sent")
	errLength  = errors.New("http1: the body is not as long as ContentLength says")
)

// MaxBody is how long a request's body may be, and its headers. A peer's window
// takes so much though nobody reads, so that writing it does not wait.
const MaxBody = 32 << 10

// Transport keeps connections and sends requests on them. Dial and
// MaxHeaderBytes are needed. It is safe for concurrent use and must not be
// copied; the fields are not changed once it is used.
type Transport struct {
	// Dial opens a connection to a host and port.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// TLS is for https; its server name and protocols are set for each
	// connection.
	TLS *tls.Config
	// NoHTTP2 does not offer it.
	NoHTTP2 bool
	// Handshake bounds TLS handshakes; 0 is no bound but the request's.
	Handshake time.Duration
	// Head bounds the wait for an answer's head, from when the request is written;
	// 0 is no bound but the request's.
	Head time.Duration
	// Idle is how long an idle connection is kept; 0 is 90 s.
	Idle time.Duration
	// MaxIdle bounds the idle connections, MaxIdlePerHost those of one host and
	// port; 0 keeps none.
	MaxIdle, MaxIdlePerHost int
	// MaxHeaderBytes bounds the headers of an answer.
	MaxHeaderBytes int

	mu    sync.Mutex
	hosts map[host][]*conn // idle ones, the latest last
	idle  int              // in all
	timer *time.Timer
	armed bool
	http2 map[host]time.Time // who chose it, and when
}

// host is where a connection leads.
type host struct{ scheme, host string }

// http2For is how long it is remembered that a server chose HTTP/2, and of how
// many at most.
const (
	http2For = time.Hour
	http2Max = 10_000
)

// Takes reports whether RoundTrip sends requests such as this one: a POST with a
// short body that is in memory, so that reading it does not wait, and nothing out
// of the ordinary.
func (t *Transport) Takes(r *http.Request) bool {
	if !supported || r.Method != http.MethodPost || r.Body == nil || r.GetBody == nil || r.ContentLength <= 0 || r.ContentLength > MaxBody ||
		r.Close || len(r.TransferEncoding) > 0 || r.Trailer != nil || r.URL.Scheme != "http" && r.URL.Scheme != "https" ||
		r.URL.Opaque != "" || r.URL.Hostname() == "" || !plainHost(r.URL.Host) || !plainHost(r.Host) ||
		r.Cancel != nil { //nolint:staticcheck // deprecated, and still heeded by net/http
		return false
	}
	if !plainHeader(r.Header) {
		return false
	}
	if httptrace.ContextClientTrace(r.Context()) != nil {
		return false
	}
	if t.NoHTTP2 || r.URL.Scheme != "https" {
		return true
	}
	h := host{r.URL.Scheme, r.URL.Host}
	t.mu.Lock()
	defer t.mu.Unlock()
	at, chose := t.http2[h]
	if chose && time.Since(at) > http2For {
		delete(t.http2, h)
		return true
	}
	return !chose
}

// RoundTrip sends a request that Takes accepts and returns its answer, whatever
// the status. It ends at end at the latest, the reading of the body included,
// with context.DeadlineExceeded; and with the request's context, with its cause.
// The caller closes the answer's body. The request's body is closed, but for
// [ErrHTTP2].
func (t *Transport) RoundTrip(r *http.Request, end time.Time) (*http.Response, error) {
	var text *[]byte
	for {
		c, used, err := t.connection(r, end)
		switch {
		case err == nil:
		case text != nil && errors.Is(err, ErrHTTP2): // the body is read: net/http has none to send
			return nil, errChanged
		default:
			if text == nil && !errors.Is(err, ErrHTTP2) {
				_ = r.Body.Close()
			}
			return nil, err
		}
		if text == nil {
			if text, err = encode(r); err != nil {
				t.put(c)
				return nil, err
			}
			defer release(text)
		}
		response, sent, err := c.exchange(r, *text, end)
		if used && !sent {
			continue // it is dead, and nobody saw a byte of the request
		}
		return response, err
	}
}

// connection is an idle one that is open still, or a new one.
func (t *Transport) connection(r *http.Request, end time.Time) (_ *conn, used bool, err error) {
	if r.Context().Err() != nil {
		return nil, false, context.Cause(r.Context())
	}
	h := host{r.URL.Scheme, r.URL.Host}
	for c := t.get(h); c != nil; c = t.get(h) {
		if c.ready(end) {
			return c, true, nil
		}
		c.drop()
	}
	ctx, cancel := context.WithDeadline(r.Context(), end)
	defer cancel()
	h.host = strings.Clone(h.host) // kept for longer than the URL
	c, err := t.dial(ctx, h, r.URL)
	if err == nil {
		if err = c.SetDeadline(end); err != nil {
			c.drop()
		}
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return c, false, err
}

func (t *Transport) dial(ctx context.Context, h host, u *url.URL) (*conn, error) {
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	plain, err := t.Dial(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return nil, err
	}
	if u.Scheme != "https" {
		return newConn(t, h, plain, plain), nil
	}
	cfg := &tls.Config{}
	if t.TLS != nil {
		cfg = t.TLS.Clone()
	}
	cfg.NextProtos = []string{"h2", "http/1.1"}
	if t.NoHTTP2 {
		cfg.NextProtos = cfg.NextProtos[1:]
	}
	if cfg.ServerName == "" {
		cfg.ServerName = u.Hostname()
	}
	secured := tls.Client(plain, cfg)
	if err := t.handshake(ctx, secured); err != nil {
		_ = plain.Close()
		return nil, err
	}
	state := secured.ConnectionState()
	if state.NegotiatedProtocol == "h2" {
		_ = plain.Close()
		t.choseHTTP2(h)
		return nil, ErrHTTP2
	}
	c := newConn(t, h, secured, plain)
	c.state = &state
	return c, nil
}

func (t *Transport) handshake(ctx context.Context, c *tls.Conn) error {
	limited := ctx
	if t.Handshake > 0 {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, t.Handshake)
		defer cancel()
	}
	err := c.HandshakeContext(limited)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		return ErrHandshake
	}
	return err
}

func (t *Transport) choseHTTP2(h host) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.http2 == nil || len(t.http2) >= http2Max {
		t.http2 = map[host]time.Time{}
	}
	t.http2[h] = time.Now()
}

// because is what ended an exchange that failed with err.
func because(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return context.DeadlineExceeded
	}
	return err
}
