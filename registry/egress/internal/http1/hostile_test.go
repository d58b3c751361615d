package http1_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/registry/egress/internal/http1"
	"github.com/ringback-go/ringback/registry/internal/keypairtest"
)

// held keeps what is written until it is released, so that it leaves at once.
type held struct {
	net.Conn
	hold bool
	kept bytes.Buffer
}

func (h *held) Write(p []byte) (int, error) {
	if h.hold {
		return h.kept.Write(p)
	}
	return h.Conn.Write(p)
}

func (h *held) release() {
	h.hold = false
	_, _ = h.kept.WriteTo(h.Conn) // the client may be gone
}

// secured are the configurations of a server and of its client.
func secured(t *testing.T, protocols ...string) (server, client *tls.Config) {
	t.Helper()
	root := keypairtest.Authority(t)
	pair := root.Issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"example.com"} })
	return &tls.Config{Certificates: []tls.Certificate{pair.TLS()}, NextProtos: protocols, MinVersion: tls.VersionTLS12},
		&tls.Config{RootCAs: root.Pool(), MinVersion: tls.VersionTLS12}
}

// overTLS makes a request one over TLS.
func overTLS(r *http.Request) *http.Request {
	r.URL.Scheme = "https"
	return r
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

// TestForgedOverTLS: what follows an answer in a record of its own that came with
// it is the answer to no other request.
func TestForgedOverTLS(t *testing.T) {
	t.Parallel()
	for name, pipe := range map[string]bool{"a socket": false, "no socket": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ofServer, ofClient := secured(t)
			serve := func(plain net.Conn) {
				defer plain.Close()
				h := &held{Conn: plain}
				c := tls.Server(h, ofServer)
				if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
					return
				}
				h.hold = true
				_, _ = io.WriteString(c, fine)
				_, _ = io.WriteString(c, "HTTP/1.1 500 forged\r\nContent-Length: 0\r\n\r\n")
				h.release()
				_, _ = io.Copy(io.Discard, c)
			}
			dial := pipes(serve)
			if !pipe {
				listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				defer listener.Close()
				go func() {
					for {
						c, err := listener.Accept()
						if err != nil {
							return
						}
						go serve(c)
					}
				}()
				dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
					return (&net.Dialer{}).DialContext(ctx, network, listener.Addr().String())
				}
			}
			x := &http1.Transport{Dial: dial, TLS: ofClient, MaxHeaderBytes: headerBytes, MaxIdle: 1, MaxIdlePerHost: 1}
			defer x.CloseIdleConnections()
			for range 3 {
				if got := look(x.RoundTrip(overTLS(request(t, "{}")), time.Now().Add(time.Minute))); got.Body != "ok" {
					t.Fatalf("%+v", got)
				}
			}
		})
	}
}

// TestReuseOverTLS: nothing but a byte too many keeps a connection from being used
// again, tickets for instance do not.
func TestReuseOverTLS(t *testing.T) {
	t.Parallel()
	ofServer, ofClient := secured(t)
	var dials atomic.Int64
	dial := pipes(func(c net.Conn) { answerAll(tls.Server(c, ofServer), 0) })
	x := &http1.Transport{TLS: ofClient, MaxHeaderBytes: headerBytes, MaxIdle: 1, MaxIdlePerHost: 1}
	x.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return dial(ctx, network, address)
	}
	defer x.CloseIdleConnections()
	for range 3 {
		if got := look(x.RoundTrip(overTLS(request(t, "{}")), time.Now().Add(time.Minute))); got.Body != "ok" {
			t.Fatalf("%+v", got)
		}
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// answerAll answers every request, each after a while.
func answerAll(c net.Conn, after time.Duration) {
	defer c.Close()
	for b := bufio.NewReader(c); ; {
		r, err := http.ReadRequest(b)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		<-time.After(after)
		if _, err := io.WriteString(c, fine); err != nil {
			return
		}
	}
}

// TestDeafServer: a server that reads nothing cannot hold the request beyond its
// end, over TLS neither, whose farewell would wait for it.
func TestDeafServer(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"no answer":    "",
		"endless body": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ofServer, ofClient := secured(t) // as of the bubble's time
				over := make(chan struct{})
				defer close(over)
				x := &http1.Transport{TLS: ofClient, MaxHeaderBytes: headerBytes, Dial: pipes(func(plain net.Conn) {
					c := tls.Server(plain, ofServer)
					if answer == "" {
						_ = c.HandshakeContext(t.Context())
					} else if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
						_, _ = io.Copy(io.Discard, r.Body)
						_, _ = io.WriteString(c, answer)
					}
					<-over
					plain.Close()
				})}
				begin := time.Now()
				response, err := x.RoundTrip(overTLS(request(t, "{}")), begin.Add(5*time.Second))
				if err == nil {
					_, err = io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
				if took := time.Since(begin); took != 5*time.Second || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v after %s", err, took)
				}
			})
		})
	}
}

// TestGivenUpBefore: what ended before it began opens no connection and uses none.
func TestGivenUpBefore(t *testing.T) {
	t.Parallel()
	errGone := errors.New("gone")
	var dials, requests atomic.Int64
	dial := pipes(func(c net.Conn) {
		defer c.Close()
		for b := bufio.NewReader(c); ; {
			r, err := http.ReadRequest(b)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, r.Body)
			requests.Add(1)
			_, _ = io.WriteString(c, fine)
		}
	})
	x := &http1.Transport{MaxHeaderBytes: headerBytes, MaxIdle: 1, MaxIdlePerHost: 1}
	x.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		dials.Add(1)
		return dial(ctx, network, address)
	}
	defer x.CloseIdleConnections()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errGone)
	ask := func(want error) {
		t.Helper()
		r := request(t, "{}")
		body := &closed{Reader: r.Body}
		r.Body = body
		if want != nil {
			r = r.WithContext(ctx)
		}
		response, err := x.RoundTrip(r, time.Now().Add(time.Minute))
		if err == nil {
			_, _ = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		if !errors.Is(err, want) || !body.closed {
			t.Errorf("%v, body closed %v", err, body.closed)
		}
	}
	ask(errGone)
	if dials.Load() != 0 {
		t.Error("dialed")
	}
	ask(nil)
	for range 20 {
		ask(errGone)
	}
	ask(nil)
	if dials.Load() != 1 || requests.Load() != 2 {
		t.Errorf("%d connections and %d requests, want 1 and 2", dials.Load(), requests.Load())
	}
}

type closed struct {
	io.Reader
	closed bool
}

func (c *closed) Close() error { c.closed = true; return nil }

// TestOneRequestAfterAnother: what ended a request, its time or its context,
// leaves the connection as it was.
func TestOneRequestAfterAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		dial := pipes(func(c net.Conn) { answerAll(c, time.Second) })
		x := &http1.Transport{MaxHeaderBytes: headerBytes, MaxIdle: 1, MaxIdlePerHost: 1}
		x.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			return dial(ctx, network, address)
		}
		for range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			if got := look(x.RoundTrip(request(t, "{}").WithContext(ctx), time.Now().Add(2*time.Second))); got.Body != "ok" || got.BodyFailed {
				t.Errorf("%+v", got)
			}
			cancel()
			time.Sleep(5 * time.Second)
		}
		x.CloseIdleConnections()
		if dials != 1 {
			t.Errorf("%d connections", dials)
		}
	})
}

// TestContextIsLeftAlone: nothing waits for the end of a context whose request is
// over.
func TestContextIsLeftAlone(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"a body": fine, "no body": "HTTP/1.1 204 No Content\r\n\r\n", "no answer": "", "half a body": "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok",
		"not HTTP": "no\r\n\r\n", "101": "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
	} {
		for _, read := range []bool{false, true} {
			ctx := &watched{Context: t.Context(), done: make(chan struct{})}
			x := &http1.Transport{MaxHeaderBytes: headerBytes, MaxIdle: 1, MaxIdlePerHost: 1, Dial: pipes(say(answer))}
			response, err := x.RoundTrip(request(t, "{}").WithContext(ctx), time.Now().Add(time.Minute))
			if err == nil {
				if read {
					_, _ = io.Copy(io.Discard, response.Body)
				}
				response.Body.Close()
			}
			x.CloseIdleConnections()
			if ctx.begun.Load() == 0 || ctx.begun.Load() != ctx.stopped.Load() {
				t.Errorf("%s, read %v: %d functions, %d stopped", name, read, ctx.begun.Load(), ctx.stopped.Load())
			}
		}
	}
}

// watched counts who waits for its end.
type watched struct {
	context.Context //nolint:containedctx // it is one

	done           chan struct{}
	begun, stopped atomic.Int64
}

func (w *watched) Done() <-chan struct{} { return w.done }

func (w *watched) AfterFunc(func()) func() bool {
	w.begun.Add(1)
	return func() bool { w.stopped.Add(1); return true }
}
