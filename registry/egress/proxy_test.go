package egress_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/ringback-go/ringback/registry/egress"
)

// forward is an egress proxy that leads everywhere to one server.
type forward struct {
	*httptest.Server

	mu    sync.Mutex
	asked []string
}

func newForward(t *testing.T, to string) *forward {
	t.Helper()
	f := &forward{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.asked = append(f.asked, r.Method+" "+r.RequestURI+" "+r.Header.Get("Proxy-Authorization"))
		f.mu.Unlock()
		if r.Method != http.MethodConnect {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if strings.HasPrefix(r.Host, "refused.") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		there, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", to)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.WriteHeader(http.StatusOK)
		here, read, err := http.NewResponseController(w).Hijack() // may have the client's first byte
		if err != nil {
			t.Error(err)
			return
		}
		go func() { io.Copy(there, read); there.Close() }()
		go func() { io.Copy(here, there); here.Close() }()
	}))
	t.Cleanup(f.Close)
	return f
}

func (f *forward) took() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	asked := f.asked
	f.asked = nil
	return asked
}

func (f *forward) url(t *testing.T) *url.URL {
	t.Helper()
	u, err := url.Parse(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestProxy: with a proxy everything goes through it, names are its to look up,
// and what the URL says is judged as ever.
func TestProxy(t *testing.T) {
	t.Parallel()
	server, config := tlsServer(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host) })
	f := newForward(t, server.Listener.Addr().String())
	s := &script{answers: []answer{{addrs: []netip.Addr{netip.MustParseAddr("127.0.0.1")}}}}
	config.Proxy, config.Resolver, config.Policy = f.url(t), s, egress.Policy{AllowHTTP: true}
	config.Proxy.User = url.UserPassword("me", "hush")
	client := newClient(t, config)
	config.Proxy.Host = "other.example:1" // the client has its own

	const credentials = " Basic bWU6aHVzaA=="
	for _, c := range []struct{ url, asked, class string }{
		{"https://example.com/x", "CONNECT example.com:443" + credentials, ""}, // whom the test's certificate names
		{"http://hooks.example.net/x?y", "POST http://hooks.example.net/x?y" + credentials, ""},
		{"https://refused.example.com/", "CONNECT refused.example.com:443" + credentials, "conn"},
		{"https://169.254.169.254/", "", "addr_denied"},
		{"https://127.0.0.1/", "", "addr_denied"},
		{"https://localhost/", "", "bad_url"},
		{"https://example.com:22/", "", "bad_url"},
	} {
		got, err := post(t, client, c.url)
		if class := egress.Classify(err); class != c.class {
			t.Errorf("%s: %v (%s), want %q", c.url, err, class, c.class)
		}
		if err == nil && got.status > 299 || err != nil && strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %d, %v", c.url, got.status, err)
		}
		if asked := strings.Join(f.took(), ", "); asked != c.asked {
			t.Errorf("%s: the proxy was asked %q, want %q", c.url, asked, c.asked)
		}
	}
	if err := client.Resolve(t.Context(), "https://hooks.example.com/"); err != nil {
		t.Errorf("Resolve: %v", err)
	}
	if err := client.Resolve(t.Context(), "https://10.0.0.1/"); !errors.Is(err, egress.ErrLiteral) {
		t.Errorf("Resolve of a literal address: %v", err)
	}
	if err := client.Probe(t.Context(), "https://example.com/"); err != nil {
		t.Errorf("Probe: %v", err)
	}
	if len(s.names) > 0 {
		t.Errorf("looked up %q", s.names)
	}
}

// TestProxyRefuses: a connection leads to the proxy or nowhere, and a proxy is
// what Config says.
func TestProxyRefuses(t *testing.T) {
	t.Parallel()
	proxy := &url.URL{Scheme: "http", Host: "192.0.2.1:3128"}
	client := newClient(t, egress.Config{Proxy: proxy, DialContext: func(_ context.Context, _, address string) (net.Conn, error) {
		if address != proxy.Host {
			t.Errorf("dialed %s", address)
		}
		return nil, errNotDialed
	}})
	if _, err := post(t, client, "https://hooks.example.com/"); !errors.Is(err, errNotDialed) {
		t.Error(err)
	}
	if _, err := client.Transport().DialContext(t.Context(), "tcp", "8.8.8.8:443"); !errors.Is(err, egress.ErrAddress) {
		t.Errorf("past the proxy: %v", err)
	}
	for _, bad := range []string{"https://proxy.example:3128", "socks5://proxy.example:1080", "http://proxy.example", "http://:3128", "http://proxy.example:3128/path", "http://proxy.example:3128?x", "proxy.example:3128", ""} {
		u, err := url.Parse(bad)
		if err != nil {
			u = &url.URL{Opaque: bad}
		}
		if _, err := egress.New(egress.Config{Proxy: u}); !errors.Is(err, egress.ErrConfig) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
