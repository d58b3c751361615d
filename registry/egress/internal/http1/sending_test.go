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
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/registry/egress/internal/http1"
)

// broken fails to write once it is told to.
type broken struct {
	net.Conn
	fail  *atomic.Bool
	after int // that many bytes
}

func (b broken) Write(p []byte) (int, error) {
	if b.fail.Load() {
		b.Close()
		return b.after, io.ErrClosedPipe
	}
	return b.Conn.Write(p)
}

// TestUnsent: a request is sent again only where no byte of it was taken, and on a
// connection that was used before.
func TestUnsent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		used  bool
		after int
		again bool
	}{
		"used, nothing taken": {true, 0, true},
		"used, a byte taken":  {true, 1, false},
		"new, nothing taken":  {false, 0, false},
	} {
		var fail atomic.Bool
		dials := 0
		x := &http1.Transport{MaxHeaderBytes: headerBytes, MaxIdle: 1, MaxIdlePerHost: 1, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := pipes(func(c net.Conn) { answerAll(c, 0) })(ctx, network, address)
			if dials++; dials == 1 {
				conn = broken{conn, &fail, c.after}
			}
			return conn, err
		}}
		if c.used {
			look(x.RoundTrip(request(t, "{}"), time.Now().Add(time.Minute)))
		}
		fail.Store(true)
		got := look(x.RoundTrip(request(t, "{}"), time.Now().Add(time.Minute)))
		x.CloseIdleConnections()
		if want := map[bool]int{false: 1, true: 2}[c.again]; got.Failed == c.again || dials != want {
			t.Errorf("%s: %+v, %d connections, want %d", name, got, dials, want)
		}
	}
}

// TestChangedToHTTP2: ErrHTTP2 says that the request is as it was, so it is another
// error when the body is read.
func TestChangedToHTTP2(t *testing.T) {
	t.Parallel()
	ofServer, ofClient := secured(t, "h2")
	old := ofServer.Clone()
	old.NextProtos = nil
	var fail atomic.Bool
	dials := 0
	x := &http1.Transport{TLS: ofClient, MaxHeaderBytes: headerBytes, MaxIdle: 1, MaxIdlePerHost: 1}
	x.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials++; dials > 1 {
			return pipes(func(c net.Conn) { answerAll(tls.Server(c, ofServer), 0) })(ctx, network, address)
		}
		conn, err := pipes(func(c net.Conn) { answerAll(tls.Server(c, old), 0) })(ctx, network, address)
		return broken{conn, &fail, 0}, err
	}
	if got := look(x.RoundTrip(overTLS(request(t, "{}")), time.Now().Add(time.Minute))); got.Body != "ok" {
		t.Fatalf("%+v", got)
	}
	fail.Store(true)
	_, err := x.RoundTrip(overTLS(request(t, "{}")), time.Now().Add(time.Minute)) //nolint:bodyclose // there is none
	if err == nil || errors.Is(err, http1.ErrHTTP2) || dials != 2 {
		t.Errorf("%v, %d connections", err, dials)
	}
	if x.Takes(overTLS(request(t, "{}"))) {
		t.Error("taken again")
	}
}

// TestSlowDial: the time that a dial runs out of is the request's, whatever the
// dialer says.
func TestSlowDial(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		x := &http1.Transport{Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
			<-ctx.Done()
			return nil, errors.New("no such host")
		}}
		begin := time.Now()
		_, err := x.RoundTrip(request(t, "{}"), begin.Add(time.Second)) //nolint:bodyclose // there is none
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
	})
}

// TestReadAfterClose: nothing is read from a connection that is given away.
func TestReadAfterClose(t *testing.T) {
	t.Parallel()
	x := &http1.Transport{MaxHeaderBytes: headerBytes, Dial: pipes(say("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"))}
	response, err := x.RoundTrip(request(t, "{}"), time.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		t.Error(err)
	}
	if n, err := response.Body.Read(make([]byte, 1)); n != 0 || !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Errorf("%d, %v", n, err)
	}
}

// TestAddressAndName: where a connection goes to and whom it must be.
func TestAddressAndName(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"http://example.com/":        "example.com:80",
		"http://example.com:8080/":   "example.com:8080",
		"https://example.com/":       "example.com:443 example.com",
		"https://example.com:8443/":  "example.com:8443 example.com",
		"https://[2001:db8::1]/":     "[2001:db8::1]:443 ",
		"http://[2001:db8::1]:8080/": "[2001:db8::1]:8080",
	} {
		got := make(chan string, 1)
		name := make(chan string, 1)
		x := &http1.Transport{MaxHeaderBytes: headerBytes, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			got <- address
			return pipes(func(c net.Conn) {
				defer c.Close()
				_ = tls.Server(c, &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
					name <- hello.ServerName
					return nil, io.EOF
				}}).HandshakeContext(ctx)
			})(ctx, network, address)
		}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = x.RoundTrip(r, time.Now().Add(time.Minute)) //nolint:bodyclose // there is none
		if err == nil {
			t.Error("no error")
		}
		to := <-got
		if r.URL.Scheme == "https" {
			to += " " + <-name
		}
		if to != want {
			t.Errorf("%s: %q, want %q", url, to, want)
		}
	}
}

// TestNothingIsKept: requests hold keys.
func TestNothingIsKept(t *testing.T) {
	t.Parallel()
	b := append(make([]byte, 0, 1<<20), "POST / HTTP/1.1\r\nSecret: x"...) // too large for others to get it
	http1.Release(b)
	if !bytes.Equal(b, make([]byte, len(b))) {
		t.Errorf("%q", b)
	}
}

// TestNotUsedAgain: after these answers a connection is not used again, though the
// server would have it.
func TestNotUsedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer string
		again  bool
	}{
		"good":                {fine, true},
		"empty":               {"HTTP/1.1 204 No Content\r\n\r\n", true},
		"kept by HTTP/1.0":    {"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", true},
		"chunks and trailers": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n2\r\nok\r\n0\r\nT: v\r\n\r\n", true},
		"close, empty":        {"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", false},
		"close, a body":       {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", false},
		"close, oddly":        {"HTTP/1.1 200 OK\r\nConnection: x,\tCLOSE\r\nContent-Length: 2\r\n\r\nok", false},
		"HTTP/1.0":            {"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", false},
		"status 000":          {"HTTP/1.1 000 x\r\nContent-Length: 0\r\n\r\n", false},
		"status 099":          {"HTTP/1.1 099 x\r\nContent-Length: 2\r\n\r\nok", false},
		"101":                 {"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", false},
		"more than the body":  {fine + fine, false},
		"a body of 204":       {"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nok", false},
		"a body of 304":       {"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false},
	} {
		dials := 0
		x := &http1.Transport{MaxHeaderBytes: headerBytes, MaxIdle: 1, MaxIdlePerHost: 1, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			return pipes(func(conn net.Conn) {
				defer conn.Close()
				for b := bufio.NewReader(conn); ; {
					r, err := http.ReadRequest(b)
					if err != nil {
						return
					}
					_, _ = io.Copy(io.Discard, r.Body)
					_, _ = io.WriteString(conn, c.answer) // fails where the client has enough
				}
			})(ctx, network, address)
		}}
		for range 3 {
			if got := look(x.RoundTrip(request(t, "{}"), time.Now().Add(time.Minute))); got.Failed || got.BodyFailed {
				t.Errorf("%s: %+v", name, got)
			}
		}
		x.CloseIdleConnections()
		if want := map[bool]int{false: 3, true: 1}[c.again]; dials != want {
			t.Errorf("%s: %d connections, want %d", name, dials, want)
		}
	}
}

// TestNothingIsSent of a request that would be another one on the wire.
func TestNothingIsSent(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*http.Request){
		"blank in the query":  func(r *http.Request) { r.URL.RawQuery = "a b" },
		"lines in the query":  func(r *http.Request) { r.URL.RawQuery = "a\r\nX: y" },
		"delete in the query": func(r *http.Request) { r.URL.RawQuery = "a\x7f" },
		"delete in a value":   func(r *http.Request) { r.Header.Set("X", "a\x7f") },
		"longer than it says": func(r *http.Request) { r.ContentLength-- },
		"longer, at once": func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(iotest.DataErrReader(strings.NewReader("{}"))), 1
		},
		"shorter than it says": func(r *http.Request) { r.ContentLength++ },
	} {
		sent := make(chan int64, 1)
		x := &http1.Transport{MaxHeaderBytes: headerBytes, Dial: pipes(func(c net.Conn) {
			n, _ := io.Copy(io.Discard, c) // until the client closes it
			sent <- n
		})}
		r := request(t, "{}")
		change(r)
		if _, err := x.RoundTrip(r, time.Now().Add(100*time.Millisecond)); err == nil || errors.Is(err, context.DeadlineExceeded) { //nolint:bodyclose // there is none
			t.Errorf("%s: %v", name, err)
		}
		if n := <-sent; n != 0 {
			t.Errorf("%s: %d bytes", name, n)
		}
	}
}

// TestByteForByte: what is sent is what net/http sends.
func TestByteForByte(t *testing.T) {
	t.Parallel()
	sent := make(chan string, 1)
	dial := pipes(func(c net.Conn) {
		defer c.Close()
		var raw strings.Builder
		if r, err := http.ReadRequest(bufio.NewReader(io.TeeReader(c, &raw))); err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		sent <- raw.String()
		_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
	})
	for _, agent := range []string{"", "ringback/1"} {
		r := func() *http.Request {
			r := request(t, "{}")
			r.Header["webhook-id"] = []string{"1"}
			for _, name := range []string{"X-C", "X-A", "X-B", "A", "Z"} {
				r.Header.Set(name, "of "+name)
			}
			if agent != "" {
				r.Header.Set("User-Agent", agent)
			}
			return r
		}
		look((&http.Transport{DialContext: dial, DisableCompression: true}).RoundTrip(r()))
		theirs := <-sent
		look((&http1.Transport{Dial: dial, MaxHeaderBytes: headerBytes}).RoundTrip(r(), time.Now().Add(time.Minute)))
		if ours := <-sent; ours != theirs {
			t.Errorf("%q, want %q", ours, theirs)
		}
	}
}

// TestEndedMeanwhile: a context that ends as the answer does may still interrupt
// the connection, so that one is not used again.
func TestEndedMeanwhile(t *testing.T) {
	t.Parallel()
	dials := 0
	x := &http1.Transport{MaxHeaderBytes: headerBytes, MaxIdle: 1, MaxIdlePerHost: 1, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		dials++
		return pipes(func(c net.Conn) { answerAll(c, 0) })(ctx, network, address)
	}}
	defer x.CloseIdleConnections()
	for range 2 {
		ctx, cancel := context.WithCancel(t.Context())
		response, err := x.RoundTrip(request(t, "{}").WithContext(ctx), time.Now().Add(time.Minute))
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		if body, err := io.ReadAll(response.Body); err != nil || string(body) != "ok" { // it came with the head
			t.Errorf("%q, %v", body, err)
		}
		response.Body.Close()
	}
	if dials != 2 {
		t.Errorf("%d connections", dials)
	}
}

// TestUselessConnections: those that end with the handshake are closed, whether or
// not the server listens.
func TestUselessConnections(t *testing.T) {
	t.Parallel()
	for name, trusted := range map[string]bool{"HTTP/2": true, "a stranger": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ofServer, ofClient := secured(t, "h2")
				if !trusted {
					ofClient.RootCAs = x509.NewCertPool()
				}
				closed := make(chan struct{})
				x := &http1.Transport{TLS: ofClient, Dial: pipes(func(plain net.Conn) {
					defer close(closed)
					_ = tls.Server(plain, ofServer).HandshakeContext(t.Context()) // fails for a stranger
					<-time.After(time.Second)                                     // deaf meanwhile
					_, _ = io.Copy(io.Discard, plain)
				})}
				begin := time.Now()
				_, err := x.RoundTrip(overTLS(request(t, "{}")), begin.Add(time.Minute)) //nolint:bodyclose // there is none
				if err == nil || errors.Is(err, http1.ErrHTTP2) != trusted || trusted && time.Since(begin) != 0 {
					t.Errorf("%v after %s", err, time.Since(begin))
				}
				<-closed
				if x.Takes(overTLS(request(t, "{}"))) == trusted {
					t.Errorf("taken: %v", !trusted)
				}
				time.Sleep(2 * time.Hour)
				if !x.Takes(overTLS(request(t, "{}"))) {
					t.Error("not taken after two hours")
				}
			})
		})
	}
}
