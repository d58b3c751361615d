package egress_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/registry/internal/keypairtest"
)

// vault is a server that answers with the name in the client's certificate, and
// writes down which connection showed which.
type vault struct {
	*httptest.Server
	root keypairtest.Pair

	mu    sync.Mutex
	shown map[string][]string // names by the client's address
	open  int
}

// newVault starts one; edit may change its TLS.
func newVault(t *testing.T, edit func(*tls.Config)) *vault {
	t.Helper()
	v := &vault{root: keypairtest.Authority(t), shown: map[string][]string{}}
	v.Server = httptest.NewUnstartedServer(http.HandlerFunc(v.serve))
	v.EnableHTTP2 = true
	v.Config.ErrorLog = quiet
	v.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		v.mu.Lock()
		defer v.mu.Unlock()
		switch state {
		case http.StateNew:
			v.open++
		case http.StateClosed:
			v.open--
		}
	}
	v.TLS = &tls.Config{
		MinVersion: tls.VersionTLS10, Certificates: []tls.Certificate{v.root.Issue(t, nil).TLS()},
		ClientAuth: tls.RequestClientCert, ClientCAs: v.root.Pool(),
	}
	if edit != nil {
		edit(v.TLS)
	}
	v.StartTLS()
	t.Cleanup(v.Close)
	return v
}

func (v *vault) serve(w http.ResponseWriter, r *http.Request) {
	who := "nobody"
	if len(r.TLS.PeerCertificates) > 0 {
		who = r.TLS.PeerCertificates[0].Subject.CommonName
	}
	v.mu.Lock()
	v.shown[r.RemoteAddr] = append(v.shown[r.RemoteAddr], who)
	v.mu.Unlock()
	if r.URL.Path == "/slow" {
		w.WriteHeader(http.StatusOK)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
	io.WriteString(w, who)
}

// connections returns how many there were, and checks that each showed one name.
func (v *vault) connections(t *testing.T) int {
	t.Helper()
	v.mu.Lock()
	defer v.mu.Unlock()
	for addr, names := range v.shown {
		for _, name := range names {
			if name != names[0] {
				t.Errorf("connection %s served %q", addr, names)
			}
		}
	}
	return len(v.shown)
}

// named issues a client's certificate.
func named(t *testing.T, by keypairtest.Pair, name string) keypairtest.Pair {
	t.Helper()
	return by.Issue(t, func(c *x509.Certificate) { c.Subject.CommonName = name })
}

func as(ctx context.Context, t *testing.T, client *egress.Client, i egress.Identity, url string) (string, error) {
	t.Helper()
	request, err := http.NewRequestWithContext(egress.WithIdentity(ctx, i), http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request) //nolint:bodyclose // ReadBounded closes it
	if err != nil {
		return "", err
	}
	kept, _ := egress.ReadBounded(response.Body, egress.KeepBytes, egress.DrainBytes)
	return string(kept), nil
}

func loopback(config egress.Config) egress.Config {
	config.Policy.AllowNetworks = prefixes("127.0.0.0/8")
	return config
}

// Each endpoint shows its own certificate, on connections of its own, and one
// without shows none: on one host and port, one after another and all at once.
func TestCertificateGoesToItsEndpointOnly(t *testing.T) {
	t.Parallel()
	for _, http1 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP1Only=%v", http1), func(t *testing.T) {
			t.Parallel()
			v := newVault(t, nil)
			client := newClient(t, loopback(egress.Config{RootCAs: v.root.Pool(), HTTP1Only: http1}))
			ann, bob := named(t, v.root, "ann"), named(t, v.root, "bob")
			cases := []struct {
				identity egress.Identity
				want     string
			}{
				{egress.Identity{}, "nobody"},
				{egress.NewIdentity("sub_ann", ann.Certificate, ann.Key, ""), "ann"},
				{egress.NewIdentity("sub_bob", bob.Certificate, bob.Key, ""), "bob"},
				{egress.NewIdentity("sub_ann2", ann.Certificate, ann.Key, ""), "ann"}, // another endpoint
				{egress.NewIdentity("sub_ann", bob.Certificate, bob.Key, ""), "bob"},  // rotated
				{egress.NewIdentity("sub_bob", bob.Certificate, bob.Key, v.root.Certificate), "bob"},
			}
			for range 3 {
				for _, c := range cases {
					if got, err := as(t.Context(), t, client, c.identity, v.URL); got != c.want || err != nil {
						t.Errorf("shown is %q, want %q: %v", got, c.want, err)
					}
				}
			}
			if n := v.connections(t); n != len(cases) {
				t.Errorf("%d connections for %d endpoints", n, len(cases))
			}
			for range 3 { // on new connections, which may resume what the old ones agreed on
				client.CloseIdleConnections()
				for _, c := range cases {
					if got, err := as(t.Context(), t, client, c.identity, v.URL); got != c.want || err != nil {
						t.Errorf("resumed: shown is %q, want %q: %v", got, c.want, err)
					}
				}
			}
			var wg sync.WaitGroup
			for range 3 {
				for _, c := range cases {
					wg.Go(func() {
						if got, err := as(t.Context(), t, client, c.identity, v.URL); got != c.want || err != nil {
							t.Errorf("at once: shown is %q, want %q: %v", got, c.want, err)
						}
					})
				}
			}
			wg.Wait()
			v.connections(t)
		})
	}
}

// The certificate is shown to a server that names authorities it is not of: to
// show none, silently, would be to call as somebody else.
func TestCertificateIsShownWhateverIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		v := newVault(t, func(c *tls.Config) { c.ClientCAs, c.MaxVersion = keypairtest.Authority(t).Pool(), version })
		client := newClient(t, loopback(egress.Config{RootCAs: v.root.Pool()}))
		ann := named(t, v.root, "ann")
		if got, err := as(t.Context(), t, client, egress.NewIdentity("sub_ann", ann.Certificate, ann.Key, ""), v.URL); got != "ann" || err != nil {
			t.Errorf("%s: shown is %q, %v", tls.VersionName(version), got, err)
		}
	}
}

// A server that wants a certificate gets none of another endpoint: A-RESP-38.
func TestARESP38CertificateAskedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		version uint16
		http1   bool
		limit   time.Duration // of the caller's own
	}{
		{"TLS 1.2", tls.VersionTLS12, false, time.Minute},
		{"TLS 1.3", tls.VersionTLS13, false, time.Minute},
		{"TLS 1.3, HTTP/1.1", tls.VersionTLS13, true, time.Minute},
		{"TLS 1.3, the caller's deadline", tls.VersionTLS13, false, 10 * time.Second},
		{"TLS 1.3, HTTP/1.1, the caller's deadline", tls.VersionTLS13, true, 10 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), c.limit)
			defer cancel()
			v := newVault(t, func(config *tls.Config) {
				config.ClientAuth, config.MaxVersion = tls.RequireAndVerifyClientCert, c.version
			})
			client := newClient(t, loopback(egress.Config{RootCAs: v.root.Pool(), HTTP1Only: c.http1}))
			ann, stranger := named(t, v.root, "ann"), named(t, keypairtest.Authority(t), "stranger")
			late := v.root.Issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
			if got, err := as(ctx, t, client, egress.NewIdentity("sub_ann", ann.Certificate, ann.Key, ""), v.URL); got != "ann" || err != nil {
				t.Errorf("its own: %q, %v", got, err)
			}
			for name, identity := range map[string]egress.Identity{
				"none":          {},
				"only roots":    egress.NewIdentity("sub_roots", "", "", v.root.Certificate),
				"not trusted":   egress.NewIdentity("sub_stranger", stranger.Certificate, stranger.Key, ""),
				"its time over": egress.NewIdentity("sub_late", late.Certificate, late.Key, ""),
			} {
				if _, err := as(ctx, t, client, identity, v.URL); egress.Classify(err) != "tls" {
					t.Errorf("%s: %v (%s)", name, err, egress.Classify(err))
				}
			}
		})
	}
}

// Roots of an endpoint are accepted for it, in place of the client's, and for no
// other: A-RESP-36.
func TestARESP36RootsOfOneEndpoint(t *testing.T) {
	t.Parallel()
	own, public := newVault(t, nil), newVault(t, nil)
	client := newClient(t, loopback(egress.Config{RootCAs: public.root.Pool()}))
	rooted := egress.NewIdentity("sub_rooted", "", "", own.root.Certificate)
	both := egress.NewIdentity("sub_both", "", "", public.root.Certificate+own.root.Certificate)
	for range 2 { // the second time with what the first one left behind
		for _, c := range []struct {
			name     string
			identity egress.Identity
			url      string
			good     bool
		}{
			{"own roots", rooted, own.URL, true},
			{"the client's roots", egress.Identity{}, public.URL, true},
			{"both", both, own.URL, true},
			{"both", both, public.URL, true},
			{"another endpoint", egress.Identity{}, own.URL, false},
			{"another endpoint with roots", egress.NewIdentity("sub_other", "", "", public.root.Certificate), own.URL, false},
			{"the client's roots with own ones", rooted, public.URL, false},
		} {
			got, err := as(t.Context(), t, client, c.identity, c.url)
			if (err == nil) != c.good || err != nil && egress.Classify(err) != "tls" || err == nil && got != "nobody" {
				t.Errorf("%s: %q, %v (%s)", c.name, got, err, egress.Classify(err))
			}
		}
	}
}

// TLS 1.1 is refused with an identity, too: A-RESP-37.
func TestARESP37OldTLSWithIdentity(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		v := newVault(t, func(c *tls.Config) { c.MaxVersion = version })
		client := newClient(t, loopback(egress.Config{RootCAs: v.root.Pool()}))
		ann := named(t, v.root, "ann")
		for _, identity := range []egress.Identity{{}, egress.NewIdentity("sub_ann", ann.Certificate, ann.Key, "")} {
			if _, err := as(t.Context(), t, client, identity, v.URL); egress.Classify(err) != "tls" {
				t.Errorf("%s: %v (%s)", tls.VersionName(version), err, egress.Classify(err))
			}
		}
		if n := v.connections(t); n != 0 {
			t.Errorf("%s: %d connections served", tls.VersionName(version), n)
		}
	}
}

// What cannot be sent as asked is not sent at all.
func TestIdentityFailsClosed(t *testing.T) {
	t.Parallel()
	root := keypairtest.Authority(t)
	ann, bob := named(t, root, "ann"), named(t, root, "bob")
	for name, c := range map[string]struct {
		identity egress.Identity
		url      string
	}{
		"plain HTTP":     {egress.NewIdentity("sub", ann.Certificate, ann.Key, ""), "http://8.8.8.8/"},
		"another's key":  {egress.NewIdentity("sub", ann.Certificate, bob.Key, ""), "https://8.8.8.8/"},
		"no key":         {egress.NewIdentity("sub", ann.Certificate, "", ""), "https://8.8.8.8/"},
		"no certificate": {egress.NewIdentity("sub", "", "secret", ""), "https://8.8.8.8/"},
		"no roots":       {egress.NewIdentity("sub", "", "", "secret"), "https://8.8.8.8/"},
		"no endpoint":    {egress.NewIdentity("", "secret", ann.Key, ""), "https://8.8.8.8/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &script{answers: []answer{{}}}
			client := newClient(t, egress.Config{Policy: egress.Policy{AllowHTTP: true}, DialContext: s.dial})
			for range 2 {
				body := &closeRecorder{Reader: strings.NewReader("{}")}
				request, err := http.NewRequestWithContext(egress.WithIdentity(t.Context(), c.identity), http.MethodPost, c.url, body)
				if err != nil {
					t.Fatal(err)
				}
				response, err := client.Do(request)
				if err == nil {
					response.Body.Close()
				}
				if !errors.Is(err, egress.ErrIdentity) || egress.Classify(err) != "tls" || len(s.take()) != 0 || !body.closed {
					t.Errorf("Do = %v (%s), body closed %v", err, egress.Classify(err), body.closed)
				}
				if err != nil && (strings.Contains(err.Error(), "secret") || len(err.Error()) > 200) {
					t.Errorf("%q says too much", err)
				}
			}
		})
	}
}

// The policy judges what has an identity like everything else.
func TestIdentityPassesNoGuard(t *testing.T) {
	t.Parallel()
	root := keypairtest.Authority(t)
	s := &script{answers: []answer{{addrs: nil, err: errors.New("no name")}}}
	client := newClient(t, egress.Config{Resolver: s, DialContext: s.dial})
	identity := egress.NewIdentity("sub", "", "", root.Certificate)
	for url, want := range map[string]error{
		"https://10.0.0.1/": egress.ErrLiteral, "https://8.8.8.8:22/": egress.ErrURL, "https://hooks.example.com/": egress.ErrResolve,
	} {
		if _, err := as(t.Context(), t, client, identity, url); !errors.Is(err, want) || len(s.take()) != 0 {
			t.Errorf("%s: %v, want %v", url, err, want)
		}
	}
	transport, err := client.TransportOf(identity)
	if err != nil {
		t.Fatal(err)
	}
	checkBounds(t, transport, 0)
}

// A probe under an identity shows the certificate, as deliveries will.
func TestProbeWithIdentity(t *testing.T) {
	t.Parallel()
	v := newVault(t, func(c *tls.Config) { c.ClientAuth = tls.RequireAndVerifyClientCert })
	client := newClient(t, loopback(egress.Config{RootCAs: v.root.Pool()}))
	ann := named(t, v.root, "ann")
	if err := client.Probe(egress.WithIdentity(t.Context(), egress.NewIdentity("sub_ann", ann.Certificate, ann.Key, "")), v.URL); err != nil {
		t.Error(err)
	}
	if err := client.Probe(t.Context(), v.URL); egress.Classify(err) != "tls" {
		t.Errorf("without: %v (%s)", err, egress.Classify(err))
	}
}
