package egress_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/registry/egress"
)

// tlsServer serves on loopback with HTTP/2 and gives the configuration that opens it by name.
func tlsServer(t testing.TB, handler http.HandlerFunc) (*httptest.Server, egress.Config) {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.EnableHTTP2 = true
	server.Config.ErrorLog = quiet
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	return server, egress.Config{RootCAs: roots, Policy: egress.Policy{AllowNetworks: prefixes("127.0.0.0/8")}}
}

func TestDoOverTLS(t *testing.T) {
	t.Parallel()
	for name, http1 := range map[string]bool{"HTTP/2": false, "HTTP/1.1": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var connections atomic.Int32
			server, config := tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				if r.Header.Get("Accept-Encoding") != "" || r.URL.RawQuery != "a=%2F&b" || r.URL.EscapedPath() != "//x%2Fy;z" || string(body) != "{}" {
					t.Errorf("got %q, %q, %q", r.Header, r.RequestURI, body)
				}
				w.Header().Set("Proto", r.Proto)
				io.WriteString(w, "thanks")
			})
			config.HTTP1Only = http1
			config.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
				connections.Add(1)
				return (&net.Dialer{}).DialContext(ctx, network, address)
			}
			client := newClient(t, config)
			for range 3 {
				got, err := post(t, client, server.URL+"//x%2Fy;z?a=%2F&b")
				if err != nil {
					t.Fatal(err)
				}
				if got.status != http.StatusOK || string(got.kept) != "thanks" || got.truncated || !strings.HasPrefix(got.header.Get("Proto"), name[:6]) {
					t.Errorf("%d %q %v over %s", got.status, got.kept, got.truncated, got.header.Get("Proto"))
				}
			}
			want := int32(2) // one that shows what the server speaks, and one that is used again
			if http1 {
				want = 1
			}
			if n := connections.Load(); n != want {
				t.Errorf("%d connections, want %d", n, want)
			}
		})
	}
}

func TestSecondLockOnTheSocket(t *testing.T) {
	t.Parallel()
	server, config := tlsServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	client := newClient(t, config)
	if got, err := post(t, client, server.URL); err != nil || got.status != http.StatusOK {
		t.Errorf("the dialer of its own: %v", err)
	}
	for _, target := range []struct {
		network, address string
		pass             bool
	}{
		{"tcp4", "8.8.8.8:443", true},
		{"tcp4", "127.0.0.1:9", true},
		{"tcp6", "[2606:4700:4700::1111]:443", true},
		{"tcp4", "10.0.0.1:443", false},
		{"tcp6", "[::1]:443", false},
		{"tcp6", "[::ffff:10.0.0.1]:443", false},
		{"tcp6", "[2606:4700:4700::1111%eth0]:443", false},
		{"tcp4", "8.8.8.8:22", false},
		{"udp4", "8.8.8.8:443", false},
		{"unix", "/run/docker.sock", false},
		{"tcp4", "", false},
		{"tcp4", "what is this", false},
	} {
		if err := client.Control(t.Context(), target.network, target.address); (err == nil) != target.pass || err != nil && !errors.Is(err, egress.ErrAddress) {
			t.Errorf("control(%s, %q) = %v", target.network, target.address, err)
		}
	}
	for _, target := range []struct{ network, address string }{
		{"udp", "8.8.8.8:443"}, {"unix", "/run/docker.sock"}, {"tcp", "8.8.8.8"}, {"tcp", "8.8.8.8:https"}, {"tcp", "10.0.0.1:443"},
	} {
		if _, err := client.Dial(t.Context(), target.network, target.address); !errors.Is(err, egress.ErrAddress) && !errors.Is(err, egress.ErrURL) {
			t.Errorf("dial(%s, %q) = %v", target.network, target.address, err)
		}
	}
}

func TestRebindingIsRefusedWithoutASocket(t *testing.T) {
	t.Parallel()
	reached := false
	server, config := tlsServer(t, func(http.ResponseWriter, *http.Request) { reached = true })
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	s := &script{answers: []answer{
		{addrs: []netip.Addr{netip.MustParseAddr("8.8.8.8")}},
		{addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}},
	}}
	config.Resolver, config.Policy = s, egress.Policy{}
	for _, p := range []string{port, "443"} { // an added port must not matter
		config.Policy.AllowPorts = append(config.Policy.AllowPorts, server.Listener.Addr().(*net.TCPAddr).AddrPort().Port())
		s.names = nil
		client := newClient(t, config)
		if err := client.Resolve(t.Context(), "https://example.com:"+p+"/"); err != nil {
			t.Fatal(err)
		}
		_, err := post(t, client, "https://example.com:"+p+"/?secret=1")
		if !errors.Is(err, egress.ErrResolvedAddress) || errors.Is(err, egress.ErrURL) || egress.Classify(err) != "addr_denied" || reached {
			t.Errorf("Do = %v (%s), reached %v", err, egress.Classify(err), reached)
		}
		if strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "127.0.0.1") {
			t.Errorf("%q says too much", err)
		}
	}
}

// A-RESP-03, A-RESP-05 and A-RESP-06.
func TestProbe(t *testing.T) {
	t.Parallel()
	server, config := tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodHead || r.Header.Get("User-Agent") != "ringback/test" || r.Header.Get("Authorization") != "" {
			t.Errorf("%s with %q", r.Method, r.Header)
		}
		switch r.URL.Path {
		case "/201", "/204", "/404", "/405":
			status, _ := strconv.Atoi(r.URL.Path[1:])
			w.WriteHeader(status)
		case "/302":
			http.Redirect(w, r, "/200", http.StatusFound)
		case "/401":
			w.Header().Set("WWW-Authenticate", "Basic")
			w.WriteHeader(http.StatusUnauthorized)
		case "/500":
			w.WriteHeader(http.StatusInternalServerError)
		case "/length":
			w.Header().Set("Content-Length", "1000000000000000")
		}
	})
	_, port, _ := net.SplitHostPort(server.Listener.Addr().String())
	s := &script{answers: []answer{{addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}, {err: errors.New("a second look-up")}}}
	config.UserAgent = "ringback/test"
	config.Resolver = s
	client := newClient(t, config)
	if err := client.Probe(t.Context(), "https://example.com:"+port+"/200"); err != nil {
		t.Errorf("by name: %v", err)
	}
	for path, good := range map[string]bool{"/200": true, "/length": true, "/201": false, "/204": false, "/404": false, "/405": false, "/302": false, "/401": false, "/500": false} {
		if err := client.Probe(t.Context(), server.URL+path); (err == nil) != good || err != nil && !errors.Is(err, egress.ErrProbe) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if err := client.Probe(t.Context(), "https://10.0.0.1/"); !errors.Is(err, egress.ErrLiteral) {
		t.Errorf("literal: %v", err)
	}
	server.Close()
	if err := client.Probe(t.Context(), server.URL+"/200"); egress.Classify(err) != "conn" {
		t.Errorf("closed: %v (%s)", err, egress.Classify(err))
	}
}

// A-RESP-01, A-RESP-02, A-RESP-14.
func TestNothingIsFollowedOrInflated(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	zip := gzip.NewWriter(&bomb)
	zip.Write(make([]byte, 1<<20))
	zip.Close()
	var hits atomic.Int32
	server, config := tlsServer(t, func(w http.ResponseWriter, r *http.Request) {
		hits.Add(1)
		if r.URL.Path == "/gzip" {
			w.Header().Set("Content-Encoding", "gzip")
			w.Write(bomb.Bytes())
			return
		}
		w.Header().Set("Location", r.URL.Query().Get("to"))
		w.Header().Set("Set-Cookie", "a=b")
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	client := newClient(t, config)
	for i, to := range []string{
		"/", "//127.0.0.1/", "http://169.254.169.254/", "file:///etc/passwd", "", "https://hooks.example.com/", "/" + strings.Repeat("a", 5_000),
	} {
		got, err := post(t, client, server.URL+"/?to="+to)
		if err != nil || got.status != http.StatusTemporaryRedirect || int(hits.Load()) != i+1 {
			t.Fatalf("to %q: %v, %d hits", to, err, hits.Load())
		}
	}
	got, err := post(t, client, server.URL+"/gzip")
	if err != nil || got.truncated || !bytes.Equal(got.kept, bomb.Bytes()) {
		t.Errorf("%v, kept %d bytes, want the %d sent", err, len(got.kept), bomb.Len())
	}
}

func TestHeaderBombOverTLS(t *testing.T) {
	t.Parallel()
	server, config := tlsServer(t, func(w http.ResponseWriter, _ *http.Request) {
		for i := range 40 {
			w.Header().Set(fmt.Sprintf("X-%d", i), strings.Repeat("secret", 200))
		}
	})
	for _, way := range []struct {
		http1 bool
		conns int
	}{{false, 0}, {true, 0}, {true, 1000}} {
		config.HTTP1Only, config.MaxConnsPerHost = way.http1, way.conns
		_, err := post(t, newClient(t, config), server.URL)
		if !errors.Is(err, egress.ErrResponse) || strings.Contains(err.Error(), "secret") {
			t.Errorf("HTTP/1 only %v, %d connections: %v", way.http1, way.conns, err)
		}
	}
}

func TestProxyOfTheEnvironmentIsIgnored(t *testing.T) { // not parallel: it sets the environment
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "https_proxy"} {
		t.Setenv(name, "http://127.0.0.1:1")
	}
	s := &script{answers: []answer{{addrs: []netip.Addr{netip.MustParseAddr("8.8.8.8")}}}}
	client := newClient(t, egress.Config{Resolver: s, DialContext: s.dial})
	if client.Transport().Proxy != nil {
		t.Error("the transport has a proxy function")
	}
	if _, err := post(t, client, "https://hooks.example.com/"); !errors.Is(err, errNotDialed) || len(s.dialed) != 1 || s.dialed[0] != "8.8.8.8:443" {
		t.Errorf("Do = %v, dialed %q", err, s.dialed)
	}
}

func TestTransportIsBounded(t *testing.T) {
	t.Parallel()
	checkBounds(t, newClient(t, egress.Config{MaxConnsPerHost: 7}).Transport(), 7)
}

func checkBounds(t *testing.T, transport *http.Transport, perHost int) {
	t.Helper()
	if transport.Proxy != nil ||
		transport.DialTLSContext != nil || transport.TLSClientConfig.MinVersion != tls.VersionTLS12 || transport.TLSClientConfig.InsecureSkipVerify ||
		transport.TLSHandshakeTimeout == 0 || transport.IdleConnTimeout > 90*time.Second || transport.IdleConnTimeout == 0 ||
		transport.MaxResponseHeaderBytes != 16<<10 || !transport.DisableCompression || transport.MaxIdleConns == 0 || transport.MaxIdleConnsPerHost == 0 ||
		transport.MaxConnsPerHost != perHost || transport.HTTP2.SendPingTimeout == 0 || transport.HTTP2.PingTimeout == 0 {
		t.Errorf("a bound is missing: %+v", transport)
	}
}

// ways are those in which a POST goes out, by the MaxConnsPerHost that chooses it.
var ways = map[string]int{"direct": 0, "net/http": 1000}

// pipeClient talks plain HTTP/1.1 to serve over net.Pipe, in a synctest bubble.
func pipeClient(t *testing.T, way int, serve func(net.Conn)) *egress.Client {
	t.Helper()
	return newClient(t, egress.Config{
		Policy:          egress.Policy{AllowHTTP: true},
		MaxConnsPerHost: way,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			near, far := net.Pipe()
			go serve(far)
			return near, nil
		},
	})
}

// inBothWays runs a test in each of ways.
func inBothWays(t *testing.T, name string, run func(t *testing.T, way int)) {
	t.Helper()
	for word, way := range ways {
		t.Run(name+", "+word, func(t *testing.T) {
			t.Parallel()
			run(t, way)
		})
	}
}

// A-RESP-11, A-RESP-12, A-RESP-47.
func TestAttemptTimeout(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		answer   string // sent at once; then one byte a second
		deadline time.Duration
		want     time.Duration
	}{
		{"nothing comes", "", 0, 15 * time.Second},
		{"the header drips", "HTTP/1.1 200 OK\r\nX: ", 0, 15 * time.Second},
		{"the caller's deadline is shorter", "", 2 * time.Second, 2 * time.Second},
		{"the caller's deadline is longer", "", time.Hour, 15 * time.Second},
		{"the body drips", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", 0, 15 * time.Second},
	}
	for _, test := range tests {
		inBothWays(t, test.name, func(t *testing.T, way int) {
			synctest.Test(t, func(t *testing.T) {
				client := pipeClient(t, way, func(conn net.Conn) {
					conn.Read(make([]byte, 4<<10)) // an answer before the request would be refused as such
					closed := make(chan struct{})
					go func() {
						defer close(closed)
						io.Copy(io.Discard, conn)
					}()
					io.WriteString(conn, test.answer)
					tick := time.NewTicker(time.Second)
					defer tick.Stop()
					for {
						select {
						case <-closed:
							return
						case <-tick.C:
							if test.answer != "" {
								io.WriteString(conn, "x")
							}
						}
					}
				})
				ctx := t.Context()
				if test.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, test.deadline)
					defer cancel()
				}
				start := time.Now()
				request, _ := http.NewRequestWithContext(ctx, http.MethodPost, "http://8.8.8.8/", strings.NewReader("{}"))
				response, err := client.Do(request)
				if err == nil {
					defer response.Body.Close()
					if _, truncated := egress.ReadBounded(response.Body, 4<<10, 64<<10); !truncated {
						t.Error("the body was read to its end")
					}
				} else if egress.Classify(err) != "timeout" {
					t.Errorf("Do = %v (%s)", err, egress.Classify(err))
				}
				if took := time.Since(start); took != test.want {
					t.Errorf("took %s, want %s", took, test.want)
				}
			})
		})
	}
}
