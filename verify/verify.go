package verify

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Message is what a scheme may look at. It is made by [FromRequest], or by
// hand for messages that came over another transport. Verifiers do not change
// it and do not keep it.
type Message struct {
	Method string
	Host   string
	// Path is the escaped path, as it stood on the wire.
	Path string
	// RawQuery is the query as it stood on the wire, without '?'.
	RawQuery string
	// Header has canonical keys, as net/http makes them. Trailers are no
	// part of it.
	Header http.Header
	// Body is the raw body.
	Body []byte
	// At is the time of receipt by the receiver's wall clock. Every limit in
	// time is judged by it.
	At time.Time
}

// FromRequest returns the message of r, whose body has been read into body.
// It neither reads r.Body nor copies anything; the message is valid as long
// as r and body are.
func FromRequest(r *http.Request, body []byte, at time.Time) Message {
	return Message{
		Method:   r.Method,
		Host:     r.Host,
		Path:     escapedPath(r.URL),
		RawQuery: r.URL.RawQuery,
		Header:   r.Header,
		Body:     body,
		At:       at,
	}
}

// escapedPath is u.EscapedPath, quicker for paths of letters and digits.
func escapedPath(u *url.URL) string {
	if u.RawPath != "" {
		return u.EscapedPath()
	}
	for i := range len(u.Path) {
		if c := lower(u.Path[i]); (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '/' && c != '-' && c != '_' && c != '.' {
			return u.EscapedPath()
		}
	}
	return u.Path
}

// Identity says who sent a message, as far as a scheme can tell. Fields that
// a scheme does not know are empty. The zero Identity is nobody.
type Identity struct {
	// Scheme is the name of the scheme that matched: appid, tencent-sign,
	// secret, token, standard, httpsig, the Name of an [HMACFormat], or
	// several joined by '+'.
	Scheme string
	// Subject is the party: an SdkAppid, a group.
	Subject string
	// Key is the [Key.ID] of the key that matched, never key material.
	Key string
	// MessageID is the message's own id, the same over all its repeats. Each
	// scheme says where it comes from and whether it is covered.
	MessageID string
}

// Verifier is one scheme. Verify returns who sent m, or an [*Error] that
// wraps one of this package's sentinels; a verifier of another package may
// return any error, and should wrap [ErrLookup] where it could not decide.
// With an error the identity is zero. Verify must be safe for concurrent use,
// and must not keep m or its parts except strings.
type Verifier interface {
	Verify(ctx context.Context, m Message) (Identity, error)
}
