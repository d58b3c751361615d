package middleware

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
)

// DefaultBodyLimit is the size of a body in bytes up to which [Body] lets it
// pass when no other limit is set.
const DefaultBodyLimit = 64 << 10

// firstRead bounds the memory that a Content-Length alone can claim.
const firstRead = 64 << 10

// Body reads the body once, under a limit, and keeps the raw bytes for
// [RawBody] and for the gates inside; r.Body can be read again by the
// handler. A body over the limit is 413: by its Content-Length before a byte
// is read, else when the limit is passed. A Content-Encoding other than
// identity is 415; nothing is ever inflated.
//
// The zero value is ready for use, with [DefaultBodyLimit].
type Body struct {
	// Limit is the largest size in bytes. 0 means DefaultBodyLimit.
	Limit int64
	// Deny writes refusals. Nil is [Problem].
	Deny DenyFunc
	// Logger gets the causes. Nil is slog.Default().
	Logger *slog.Logger
}

// Check judges the head of r: nil, or an [*Error] of class [ErrBodySize] or
// [ErrEncoding]. It does not read the body.
func (g Body) Check(r *http.Request) error {
	if r.ContentLength > g.limit() {
		return &Error{Err: ErrBodySize}
	}
	for _, line := range r.Header["Content-Encoding"] {
		for coding := range strings.SplitSeq(line, ",") {
			if !strings.EqualFold(strings.TrimSpace(coding), "identity") {
				return &Error{Err: ErrEncoding}
			}
		}
	}
	return nil
}

func (g Body) limit() int64 {
	if g.Limit == 0 {
		return DefaultBodyLimit
	}
	return g.Limit
}

// Handler returns the gate in front of next. It panics when next is nil, when
// the limit is negative, and when the order is wrong.
func (g Body) Handler(next http.Handler) http.Handler {
	if g.Limit < 0 {
		panic("middleware: Body: the limit is " + strconv.FormatInt(g.Limit, 10) + ", set it to a number of bytes, or to 0 for 64 KiB")
	}
	return wire("Body", rankBody, next, func(w http.ResponseWriter, r *http.Request) {
		err := g.Check(r)
		if err == nil {
			r, err = g.read(w, r)
		}
		if err != nil {
			refuse(w, r, "Body", err, g.Deny, g.Logger)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// read returns r with the body read and a new reader of the same bytes. The
// request that came in is not changed, but for its body being read.
func (g Body) read(w http.ResponseWriter, r *http.Request) (*http.Request, error) {
	s := stateOf(r.Context())
	switch {
	case s == nil || s.hasRaw && r.Body != &s.body: // what was read is another request's, whose context this one has
		s = &state{Context: r.Context()}
		r = r.WithContext(s) //nolint:contextcheck // s embeds the request's context
	case s.hasRaw: // another Body gate stands outside
		if int64(len(s.body.raw)) > g.limit() {
			return r, &Error{Err: ErrBodySize}
		}
		return r, nil
	default:
		r = r.WithContext(r.Context()) // not ours to change
	}
	var raw []byte
	if r.Body != nil && r.Body != http.NoBody {
		var err error
		if raw, err = readAll(r.Body, r.ContentLength, g.limit()); err != nil {
			if errors.Is(err, ErrBodySize) {
				closeAfter(w)
			}
			return r, err
		}
	}
	s.body, s.hasRaw = body{raw: raw}, true
	r.Body = &s.body
	r.ContentLength = int64(len(raw))
	return r, nil
}

// closeAfter tells the server to close the connection after the answer,
// instead of reading on behind the limit. net/http lets a MaxBytesReader do
// that alone, which wants the server's own ResponseWriter and one byte too
// many; making one only here spares each good request an allocation.
func closeAfter(w http.ResponseWriter) {
	for outer, ok := w.(unwrapper); ok; outer, ok = w.(unwrapper) {
		w = outer.Unwrap()
	}
	_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0).Read(make([]byte, 1)) // fails, as it should
}

type unwrapper interface{ Unwrap() http.ResponseWriter }

// readAll is io.ReadAll up to a limit, into a buffer of the announced size, so
// that a body costs one allocation. It never holds more than a byte over the
// limit.
func readAll(src io.Reader, announced, limit int64) ([]byte, error) {
	size := int64(512)
	if announced >= 0 {
		size = min(announced, firstRead)
	}
	size = min(size, limit) + 1 // room to see the end
	buf := make([]byte, 0, size)
	for {
		room := buf[len(buf):cap(buf)]
		if left := limit - int64(len(buf)); int64(len(room))-1 > left { // one byte more than may be
			room = room[:left+1]
		}
		n, err := src.Read(room)
		buf = buf[:len(buf)+n]
		switch {
		case int64(len(buf)) > limit:
			return nil, &Error{Err: ErrBodySize}
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			if _, ok := errors.AsType[*http.MaxBytesError](err); ok { // of a reader around ours
				return nil, &Error{Err: ErrBodySize}
			}
			return nil, &Error{Err: wrap(ErrBodyRead, err)}
		case len(buf) == cap(buf):
			buf = append(buf, 0)[:len(buf)]
		}
	}
}

func wrap(class, cause error) error { return fmt.Errorf("%w: %w", class, cause) }
