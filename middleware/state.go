package middleware

import (
	"context"
	"io"
	"net/http"

	"github.com/ringback-go/ringback/verify"
)

// state is everything that the gates of one request remember. It is a context
// itself, so that it costs one allocation; the first gate that needs it makes
// it and the inner ones fill it in.
type state struct {
	context.Context
	body    body
	id      verify.Identity
	payload any // *T
	hasRaw  bool
	hasID   bool
}

type stateKey struct{}

func (s *state) Value(key any) any {
	if key == (stateKey{}) {
		return s
	}
	return s.Context.Value(key)
}

func stateOf(ctx context.Context) *state {
	s, ok := ctx.(*state) // nearly always, and quicker
	if !ok {
		s, _ = ctx.Value(stateKey{}).(*state)
	}
	return s
}

// withState returns the state of r, and r with it.
func withState(r *http.Request) (*http.Request, *state) {
	if s := stateOf(r.Context()); s != nil {
		return r, s
	}
	s := &state{Context: r.Context()}
	return r.WithContext(s), s //nolint:contextcheck // s embeds the request's context
}

// body is the second r.Body: the bytes that were read.
type body struct {
	raw []byte
	off int
}

// Read implements [io.Reader].
func (b *body) Read(p []byte) (int, error) {
	if b.off == len(b.raw) {
		return 0, io.EOF
	}
	n := copy(p, b.raw[b.off:])
	b.off += n
	return n, nil
}

// WriteTo spares [io.Copy] a buffer.
func (b *body) WriteTo(w io.Writer) (int64, error) {
	if b.off == len(b.raw) {
		return 0, nil
	}
	n, err := w.Write(b.raw[b.off:])
	b.off += n
	return int64(n), err
}

// Close does nothing: the body has been read.
func (*body) Close() error { return nil }

// RawBody returns the bytes of the body as the [Body] gate read them, and
// false when no such gate stands outside. The bytes must not be changed.
func RawBody(r *http.Request) ([]byte, bool) {
	s := stateOf(r.Context())
	if s == nil {
		return nil, false
	}
	return s.body.raw, s.hasRaw
}

// IdentityFrom returns who sent the request, as proved by [Signature] or
// [Secret], and merged with what [AppID] found; after AppID alone it is the
// SdkAppid, which is a claim: its Scheme is "appid" and nothing more. It is false
// when no such gate stands outside.
func IdentityFrom(ctx context.Context) (verify.Identity, bool) {
	s := stateOf(ctx)
	if s == nil {
		return verify.Identity{}, false
	}
	return s.id, s.hasID
}

// PayloadFrom returns the value that a [Payload] gate of the same T decoded,
// and false when there is none.
func PayloadFrom[T any](ctx context.Context) (T, bool) {
	if s := stateOf(ctx); s != nil {
		if p, ok := s.payload.(*T); ok {
			return *p, true
		}
	}
	var zero T
	return zero, false
}

// identify adds what a gate found. What was proved last counts first, and the
// scheme is the last one's: joining the names would cost an allocation for
// each request.
func (s *state) identify(id verify.Identity) {
	s.hasID = true
	s.id.Scheme = id.Scheme
	if id.Subject != "" {
		s.id.Subject = id.Subject
	}
	if id.Key != "" {
		s.id.Key = id.Key
	}
	if id.MessageID != "" {
		s.id.MessageID = id.MessageID
	}
}
