package http1_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/registry/egress/internal/http1"
)

// server counts connections and requests, over TCP.
type server struct {
	*httptest.Server
	*http1.Transport
	dials, requests atomic.Int64
}

func serve(t *testing.T, secure bool, protocols []string, handle http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		handle(w, r)
	}))
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.Transport = &http1.Transport{
		MaxHeaderBytes: headerBytes, MaxIdle: 8, MaxIdlePerHost: 4,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			s.dials.Add(1)
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	if secure {
		s.Server.TLS = &tls.Config{NextProtos: protocols}
		s.Server.StartTLS()
		roots := x509.NewCertPool()
		roots.AddCert(s.Certificate())
		s.Transport.TLS = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	} else {
		s.Start()
	}
	t.Cleanup(func() { s.Transport.CloseIdleConnections(); s.Server.Close() })
	return s
}

func (s *server) post(t *testing.T, read bool) (status int, secured bool, err error) {
	t.Helper()
	r := request(t, `{"a":1}`)
	u := *r.URL
	r.URL, r.Host = &u, ""
	r.URL.Scheme, r.URL.Host = "http", s.Listener.Addr().String()
	if s.Transport.TLS != nil {
		r.URL.Scheme = "https"
	}
	if !s.Takes(r) {
		return 0, false, errNotTaken
	}
	response, err := s.RoundTrip(r, time.Now().Add(30*time.Second))
	if err != nil {
		return 0, false, err
	}
	if read {
		if _, err := io.Copy(io.Discard, response.Body); err != nil {
			return 0, false, err
		}
	}
	return response.StatusCode, response.TLS != nil, response.Body.Close()
}

var errNotTaken = errors.New("not taken")

func (s *server) want(t *testing.T, dials, requests int64) {
	t.Helper()
	if d, r := s.dials.Load(), s.requests.Load(); d != dials || r != requests {
		t.Errorf("%d connections and %d requests, want %d and %d", d, r, dials, requests)
	}
}

// TestReuse: a connection serves one request after another, unless there is a
// reason not to.
func TestReuse(t *testing.T) {
	t.Parallel()
	big := make([]byte, 1<<20)
	for name, c := range map[string]struct {
		handle http.HandlerFunc
		read   bool
		dials  int64 // of three
	}{
		"empty":              {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, true, 1},
		"a body":             {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }, true, 1},
		"chunks":             {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(big) }, true, 1},
		"an error":           {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, true, 1},
		"not read":           {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(big) }, false, 3},
		"to be closed":       {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }, true, 3},
		"closed in the body": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, true, 3},
	} {
		for _, secure := range []bool{false, true} {
			t.Run(name+map[bool]string{true: " over TLS"}[secure], func(t *testing.T) {
				t.Parallel()
				s := serve(t, secure, nil, c.handle)
				for range 3 {
					_, secured, err := s.post(t, c.read)
					if name == "closed in the body" {
						if err == nil {
							t.Fatal("no error")
						}
						continue
					}
					if err != nil {
						t.Fatal(err)
					}
					if secured != secure {
						t.Errorf("TLS is %v", secured)
					}
				}
				s.want(t, c.dials, 3)
			})
		}
	}
}

// TestDeadConnection: a connection that its server closed while it was idle, or
// that says something of its own, is not used again, and nobody notices.
func TestDeadConnection(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(net.Conn){
		"closed": func(c net.Conn) { c.Close() },
		"reset": func(c net.Conn) {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			c.Close()
		},
		"talks": func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") },
	} {
		testDead(t, name, spoil, func(c net.Conn) net.Conn { return c })
		testDead(t, name+", no socket", spoil, func(c net.Conn) net.Conn { return struct{ net.Conn }{c} })
	}
}

func testDead(t *testing.T, name string, spoil func(net.Conn), wrap func(net.Conn) net.Conn) {
	t.Helper()
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		var requests atomic.Int64
		spoiled := make(chan struct{}, 3)
		next := make(chan struct{})
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				r, err := http.ReadRequest(bufio.NewReader(c))
				if err != nil {
					continue
				}
				_, _ = io.Copy(io.Discard, r.Body)
				requests.Add(1)
				_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
				<-next
				spoil(c)
				spoiled <- struct{}{}
			}
		}()
		s := &server{Server: &httptest.Server{Listener: ln}, Transport: &http1.Transport{MaxHeaderBytes: headerBytes, MaxIdle: 8, MaxIdlePerHost: 4}}
		s.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			s.dials.Add(1)
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return wrap(c), nil
		}
		for i := range int64(3) {
			status, _, err := s.post(t, true)
			if err != nil || status != http.StatusNoContent {
				t.Fatalf("%d, %v", status, err)
			}
			if s.dials.Load() != i+1 || requests.Load() != i+1 {
				t.Errorf("%d connections and %d requests, want %d", s.dials.Load(), requests.Load(), i+1)
			}
			next <- struct{}{}
			<-spoiled
		}
	})
}

// TestHTTP2: a server that would speak HTTP/2 is not spoken to, and not asked
// again.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	s := serve(t, true, []string{"h2", "http/1.1"}, func(http.ResponseWriter, *http.Request) {})
	if _, _, err := s.post(t, true); !errors.Is(err, http1.ErrHTTP2) {
		t.Error(err)
	}
	if _, _, err := s.post(t, true); !errors.Is(err, errNotTaken) {
		t.Error(err)
	}
	s.want(t, 1, 0)

	s = serve(t, true, []string{"h2", "http/1.1"}, func(http.ResponseWriter, *http.Request) {})
	s.NoHTTP2 = true
	if _, _, err := s.post(t, true); err != nil {
		t.Error(err)
	}
	s.want(t, 1, 1)
}

// counted counts those that are open.
type counted struct {
	net.Conn
	open *atomic.Int64
}

func (c counted) Close() error { c.open.Add(-1); return c.Conn.Close() }

// TestHandshake: what goes wrong there is told apart.
func TestHandshake(t *testing.T) {
	t.Parallel()
	s := serve(t, true, nil, func(http.ResponseWriter, *http.Request) {})
	s.Transport.TLS = &tls.Config{} // without the server's root
	var open atomic.Int64
	s.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		open.Add(1)
		return counted{c, &open}, err
	}
	if _, _, err := s.post(t, true); err == nil {
		t.Error("a certificate that nobody vouches for")
	} else if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		t.Error(err)
	}
	if open.Load() > 0 {
		t.Error("left open")
	}
	synctest.Test(t, func(t *testing.T) {
		x := &http1.Transport{Handshake: time.Second, Dial: pipes(func(c net.Conn) { _, _ = io.Copy(io.Discard, c); c.Close() })}
		r := request(t, "{}")
		r.URL.Scheme = "https"
		if _, err := x.RoundTrip(r, time.Now().Add(time.Minute)); !errors.Is(err, http1.ErrHandshake) { //nolint:bodyclose // there is none
			t.Error(err)
		}
		r = request(t, "{}")
		r.URL.Scheme = "https"
		if _, err := x.RoundTrip(r, time.Now().Add(time.Millisecond)); !errors.Is(err, context.DeadlineExceeded) { //nolint:bodyclose // as above
			t.Error(err)
		}
	})
}

// TestIdleIsBounded: in number, per host and in all, and in time.
func TestIdleIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var open, most atomic.Int64
		x := &http1.Transport{MaxHeaderBytes: headerBytes, MaxIdle: 5, MaxIdlePerHost: 2, Idle: time.Minute, Dial: pipes(func(c net.Conn) {
			most.Store(max(most.Load(), open.Add(1)))
			defer open.Add(-1)
			defer c.Close()
			for b := bufio.NewReader(c); ; {
				r, err := http.ReadRequest(b)
				if err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, r.Body)
				<-time.After(time.Second)
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			}
		})}
		burst := func(each int, hosts ...string) {
			t.Helper()
			var wg sync.WaitGroup
			for _, h := range hosts {
				for range each {
					wg.Go(func() {
						r := request(t, "{}")
						r.URL.Host, r.Host = h, h
						if got := look(x.RoundTrip(r, time.Now().Add(time.Minute))); got.Body != "ok" {
							t.Errorf("%+v", got)
						}
					})
				}
			}
			wg.Wait()
			synctest.Wait()
		}
		burst(10, "a.example")
		if n := open.Load(); n != 2 {
			t.Errorf("%d idle of one host, want 2", n)
		}
		burst(10, "a.example", "b.example", "c.example", "d.example")
		if n := open.Load(); n != 5 {
			t.Errorf("%d idle in all, want 5", n)
		}
		x.CloseIdleConnections()
		burst(1, "a.example", "b.example")
		most.Store(0)
		burst(1, "a.example")
		if most.Load() != 0 {
			t.Error("another connection though one was idle")
		}
		time.Sleep(30 * time.Second)
		burst(1, "a.example")
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if n := open.Load(); n != 1 {
			t.Errorf("%d open, want the one that was used since", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := open.Load(); n != 0 {
			t.Errorf("%d open after a minute", n)
		}
		for range 6 { // as many as may be idle, and one
			burst(1, "a.example")
			time.Sleep(2 * time.Minute)
		}
		burst(1, "a.example")
		if n := open.Load(); n != 1 {
			t.Errorf("%d idle, want 1 still", n)
		}
		burst(2, "a.example")
		x.CloseIdleConnections()
		synctest.Wait()
		if n := open.Load(); n != 0 {
			t.Errorf("%d open after CloseIdleConnections", n)
		}
	})
}

func BenchmarkRoundTrip(b *testing.B) {
	ours := &http1.Transport{
		MaxHeaderBytes: headerBytes, MaxIdle: 8, MaxIdlePerHost: 8,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}
	for name, send := range map[string]func(*http.Request) (*http.Response, error){
		"http1":   func(r *http.Request) (*http.Response, error) { return ours.RoundTrip(r, time.Now().Add(time.Minute)) },
		"nethttp": (&http.Transport{DisableCompression: true}).RoundTrip,
	} {
		b.Run(name, func(b *testing.B) {
			s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) }))
			defer s.Close()
			b.ReportAllocs()
			for b.Loop() {
				r := request(b, `{"a":1}`)
				r.URL.Host, r.Host = s.Listener.Addr().String(), ""
				response, err := send(r)
				if err != nil {
					b.Fatal(err)
				}
				response.Body.Close()
			}
		})
	}
}
