package registry

import (
	"crypto/x509"
	"errors"
	"log/slog"
	"time"

	"github.com/ringback-go/ringback/registry/internal/keypair"
)

// MaxTLS bounds the fields of a [TLS] together, in bytes.
const MaxTLS = keypair.MaxBytes

// TLS is how one subscription's endpoint is met over TLS, in PEM. The zero value
// is the client's roots and no certificate. It is sealed at rest as a whole, and
// nothing of it shows where it is printed, logged or marshaled.
//
// [Registry.Set] refuses what could never be used, but takes a certificate
// whose time is over: else nobody could pause or remove its subscription. Who
// registers asks [TLS.NotAfter].
type TLS struct {
	// Certificate is a chain, the leaf first, that is shown to a server that
	// asks for a client certificate, whatever authorities it names.
	Certificate string
	// Key is the private key of Certificate, not encrypted.
	Key Secret
	// Roots, when not empty, are the only ones that the server's certificate is
	// verified with, in place of the client's.
	Roots string
}

// IsZero reports whether nothing is set.
func (t TLS) IsZero() bool { return t == TLS{} }

// NotAfter returns when the client certificate ends: the earliest end in its
// chain. It is zero if there is none or it cannot be read.
func (t TLS) NotAfter() time.Time {
	m, err := keypair.Parse(t.Certificate, t.Key.Reveal(), "")
	if err != nil || m.Certificate == nil {
		return time.Time{}
	}
	var end time.Time
	for _, der := range m.Certificate.Certificate {
		if c, err := x509.ParseCertificate(der); err == nil && (end.IsZero() || c.NotAfter.Before(end)) {
			end = c.NotAfter
		}
	}
	return end
}

// String returns "***", or nothing for the zero value.
func (t TLS) String() string {
	if t.IsZero() {
		return ""
	}
	return redacted
}

// GoString is String, so that %#v shows nothing either.
func (t TLS) GoString() string { return t.String() }

// LogValue is String.
func (t TLS) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalText is String: stores seal it, they never marshal it.
func (t TLS) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// check returns the field that is wrong, and what is.
func (t TLS) check() (field, detail string) {
	if t.IsZero() {
		return "", ""
	}
	for _, part := range [...]struct{ name, text string }{
		{keypair.PartCertificate, t.Certificate}, {keypair.PartKey, t.Key.Reveal()}, {keypair.PartRoots, t.Roots},
	} {
		if !storable(part.text) {
			return "TLS." + part.name, "is not text"
		}
	}
	_, err := keypair.Parse(t.Certificate, t.Key.Reveal(), t.Roots)
	if err == nil {
		return "", ""
	}
	if e, ok := errors.AsType[*keypair.Error](err); ok {
		return "TLS." + e.Part, e.Detail
	}
	return "TLS", "unreadable"
}
