package http1

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// conn is a connection, with one request at a time.
type conn struct {
	net.Conn // encrypted, or as it is

	plain  net.Conn // that one, or what is below it
	of     *Transport
	to     host
	state  *tls.ConnectionState
	reader *bufio.Reader
	limit  int64 // of what is read yet
	fault  error // of the last read: bufio keeps it from whoever reads a line that it cuts
	socket probe
	since  time.Time   // idle
	stop   func() bool // of watching the request's context; nil: it has no end
}

func newConn(t *Transport, to host, c, plain net.Conn) *conn {
	x := &conn{Conn: c, plain: plain, of: t, to: to}
	x.reader = bufio.NewReader((*limited)(x))
	x.socket.on(plain)
	return x
}

// limited reads within the limit.
type limited conn

func (l *limited) Read(p []byte) (int, error) {
	if l.limit <= 0 {
		return 0, ErrHeaders
	}
	n, err := l.Conn.Read(p[:min(int64(len(p)), l.limit)])
	if err != nil {
		l.fault = err
	}
	l.limit -= int64(n)
	return n, err
}

// past interrupts what waits for a connection.
var past = time.Unix(1, 0)

// glance is how long a connection that is no socket is listened to.
const glance = time.Millisecond

// ready has an idle connection end at end, and reports whether it is of use:
// open, and without a byte that belongs to no answer.
func (c *conn) ready(end time.Time) bool {
	if c.SetDeadline(end) != nil {
		return false
	}
	if !c.socket.known() {
		return c.listen(time.Now().Add(glance), end)
	}
	// crypto/tls may have read more than the answer and hold it: what is in the
	// past reads that and nothing else.
	return (c.state == nil || c.listen(past, end)) && c.socket.silent()
}

// listen reports whether nothing can be read until then.
func (c *conn) listen(until, end time.Time) bool {
	var b [1]byte
	if c.SetReadDeadline(until) != nil {
		return false
	}
	_, err := c.Conn.Read(b[:])
	return errors.Is(err, os.ErrDeadlineExceeded) && c.SetReadDeadline(end) == nil
}

// exchange sends a request and reads the head of its answer. sent is false if no
// byte of it was taken, and the fault is the connection's.
func (c *conn) exchange(r *http.Request, text []byte, end time.Time) (_ *http.Response, sent bool, err error) {
	ctx := r.Context()
	c.stop = nil
	if ctx.Done() != nil {
		c.stop = context.AfterFunc(ctx, c.interrupt)
	}
	n, err := c.Write(text)
	var response *http.Response
	if err == nil {
		response, err = c.head(r, end)
	}
	if err != nil {
		c.end(false)
		sent = n > 0 || ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded)
		return nil, sent, because(ctx, err)
	}
	response.TLS = c.state
	last := response.Close || response.StatusCode < 200
	switch {
	case response.StatusCode == http.StatusSwitchingProtocols: // the body would be the connection itself
		c.end(false)
		response.Body = http.NoBody
	case response.Body == http.NoBody:
		c.end(!last)
	default:
		response.Body = &body{ReadCloser: response.Body, of: c, ctx: ctx, last: last}
	}
	return response, true, nil
}

func (c *conn) interrupt() { _ = c.SetDeadline(past) } // fails for one that is closed

// head is answer, within its own time. An interruption meanwhile is not undone.
func (c *conn) head(r *http.Request, end time.Time) (*http.Response, error) {
	first := time.Now().Add(c.of.Head)
	if c.of.Head <= 0 || !first.Before(end) {
		return c.answer(r)
	}
	if err := c.SetReadDeadline(first); err != nil {
		return nil, err
	}
	if r.Context().Err() != nil {
		return nil, context.Cause(r.Context())
	}
	response, err := c.answer(r)
	if err != nil {
		return nil, err
	}
	if err := c.SetReadDeadline(end); err != nil {
		return nil, err
	}
	if r.Context().Err() != nil {
		return nil, context.Cause(r.Context())
	}
	return response, nil
}

// answer reads heads until one is final.
func (c *conn) answer(r *http.Request) (*http.Response, error) {
	c.limit = int64(c.of.MaxHeaderBytes)
	for {
		response, err := http.ReadResponse(c.reader, r)
		if err != nil {
			if errors.Is(c.fault, os.ErrDeadlineExceeded) {
				return nil, c.fault
			}
			return nil, err
		}
		if response.StatusCode < 100 || response.StatusCode > 199 || response.StatusCode == http.StatusSwitchingProtocols {
			c.limit = math.MaxInt64
			return response, nil
		}
	}
}

// end has the connection wait for another request, or drops it.
func (c *conn) end(again bool) {
	interrupted := c.stop != nil && !c.stop()
	if again && !interrupted && c.reader.Buffered() == 0 {
		c.of.put(c)
		return
	}
	c.drop()
}

// drop closes the connection without TLS's farewell, which would wait for a peer
// that reads nothing.
func (c *conn) drop() { _ = c.plain.Close() } // what was read stands

// body is an answer's body. Its end is the end of the exchange.
type body struct {
	io.ReadCloser

	of    *conn
	ctx   context.Context //nolint:containedctx // of the request, as net/http's
	last  bool            // the connection ends with it
	ended atomic.Bool
	err   error // what reading it came to
}

func (b *body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.ended.Load() {
		return 0, http.ErrBodyReadAfterClose
	}
	n, err := b.ReadCloser.Read(p)
	if err == nil {
		return n, nil
	}
	whole := err == io.EOF
	if b.err = err; !whole {
		b.err = because(b.ctx, err)
	}
	if b.ended.CompareAndSwap(false, true) {
		b.of.end(whole && !b.last)
	} else if whole {
		b.err = http.ErrBodyReadAfterClose
	}
	return n, b.err
}

// Close ends the connection if the body was not read to its end.
func (b *body) Close() error {
	if b.ended.CompareAndSwap(false, true) {
		b.of.end(false)
	}
	return nil
}
