package egress

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/ringback-go/ringback/registry/internal/keypair"
)

// ErrIdentity says that the TLS material of an [Identity] cannot be used, or that
// the request is not one over TLS. Nothing was sent.
var ErrIdentity = errors.New("egress: identity cannot be used")

// An Identity is how the requests of one endpoint are made over TLS. The zero
// value is no identity. It is data: cheap to make at every attempt, comparable,
// and it shows nothing of itself where it is printed.
type Identity struct{ endpoint, certificate, key, roots string }

// NewIdentity returns the identity of an endpoint, that is of one subscription
// of one tenant: its ID. The certificate is a chain in PEM, the leaf first, with
// its private key, and is shown to a server that asks for one, whatever
// authorities that names. The roots, in PEM, are the only ones that the server
// is verified with, in place of [Config.RootCAs]. Each may be empty; with neither,
// it is no identity. What is wrong with them is an error of [Client.Do].
func NewIdentity(endpoint, certificate, key, roots string) Identity {
	if certificate == "" && key == "" && roots == "" {
		return Identity{}
	}
	return Identity{endpoint: endpoint, certificate: certificate, key: key, roots: roots}
}

// IsZero reports whether i is no identity.
func (i Identity) IsZero() bool { return i == Identity{} }

// String tells whether there is one.
func (i Identity) String() string {
	if i.IsZero() {
		return "no identity"
	}
	return "identity ***"
}

// GoString is String, so that %#v shows nothing either.
func (i Identity) GoString() string { return i.String() }

// Format is String for every verb.
func (i Identity) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(i.String())) }

// LogValue is String.
func (i Identity) LogValue() slog.Value { return slog.StringValue(i.String()) }

type identityKey struct{}

// WithIdentity returns a context whose requests [Client.Do] makes with an
// identity, those of [Client.Probe] included: over connections that no other
// endpoint uses. Other HTTP clients know nothing of it, which is what
// [Client.TakesIdentity] is for.
func WithIdentity(ctx context.Context, i Identity) context.Context {
	if i.IsZero() {
		return ctx
	}
	return context.WithValue(ctx, identityKey{}, i)
}

// TakesIdentity reports that Do obeys [WithIdentity]. A wrapper around a Client
// that passes the request's context on has such a method of its own, which asks
// what it wraps; one without is not given requests that need an identity.
func (c *Client) TakesIdentity() bool { return true }

// errAsked says that a server asked for a client certificate and ended the
// connection without an answer. In TLS 1.3 that is how it refuses one, or none:
// its alert comes when the request is under way already, and may be lost.
var errAsked = errors.New("egress: a client certificate was asked for, and the connection ended")

// askedFor is set when the connection that an attempt opened asked for a
// certificate.
type askedFor struct {
	atomic.Bool

	dials atomic.Int32 // begun for the attempt
}

type askedKey struct{}

// refusedAsked says so if the failure is that of a certificate that was asked for.
func refusedAsked(err error, asked *askedFor) error {
	if asked.Load() && Classify(err) == "conn" {
		return fmt.Errorf("%w: %w", errAsked, err)
	}
	return err
}

// certificate returns what is shown to a server that asks: c, or nothing if that
// is nil. Not by tls.Config.Certificates: crypto/tls shows one of those only to a
// server that names its authority, and shows none at all, without an error, to
// another.
func certificate(c *tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if c == nil {
		c = new(tls.Certificate)
	}
	return func(info *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		if asked, ok := info.Context().Value(askedKey{}).(*askedFor); ok {
			asked.Store(true)
		}
		return c, nil
	}
}

// identities keeps a transport for each identity used of late.
type identities struct {
	max  int
	open func(*tls.Config) *http.Transport

	mu    sync.Mutex
	used  list.List // of *identified, the latest first
	known map[Identity]*list.Element
}

// identified is a transport, or why there is none.
type identified struct {
	identity  Identity
	once      sync.Once
	transport atomic.Pointer[http.Transport]
	err       error
	evicted   atomic.Bool
}

// get returns what is kept of an identity, whose material is read the first
// time; without an error it has a transport.
func (s *identities) get(i Identity) (*identified, error) {
	s.mu.Lock()
	element, found := s.known[i]
	var evicted *identified
	if found {
		s.used.MoveToFront(element)
	} else {
		if s.known == nil {
			s.known = make(map[Identity]*list.Element)
		}
		if s.used.Len() >= s.max {
			evicted = s.remove(s.used.Back())
		}
		element = s.used.PushFront(&identified{identity: i})
		s.known[i] = element
	}
	e := entry(element)
	s.mu.Unlock()
	if evicted != nil {
		evicted.evicted.Store(true)
		evicted.close()
	}
	e.once.Do(func() { e.read(s.open) })
	if e.err != nil {
		return nil, e.err
	}
	return e, nil
}

func entry(element *list.Element) *identified {
	e, _ := element.Value.(*identified) // the list holds nothing else
	return e
}

func (s *identities) remove(element *list.Element) *identified {
	e := entry(element)
	s.used.Remove(element)
	delete(s.known, e.identity)
	return e
}

// closeIdle closes the idle connections of all.
func (s *identities) closeIdle() {
	s.mu.Lock()
	all := make([]*identified, 0, s.used.Len())
	for element := s.used.Front(); element != nil; element = element.Next() {
		all = append(all, entry(element))
	}
	s.mu.Unlock()
	for _, e := range all {
		e.close()
	}
}

func (e *identified) read(open func(*tls.Config) *http.Transport) {
	m, err := keypair.Parse(e.identity.certificate, e.identity.key, e.identity.roots)
	if err != nil {
		e.err = fmt.Errorf("%w: %w", ErrIdentity, err)
		return
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: m.Roots, GetClientCertificate: certificate(m.Certificate)}
	e.transport.Store(open(config))
}

// close ends what is idle. Requests under way finish; of one that was evicted
// their end calls it again. A connection of HTTP/2 whose request was given up may
// be left, until it has been idle for its time.
func (e *identified) close() {
	if transport := e.transport.Load(); transport != nil {
		transport.CloseIdleConnections()
	}
}
