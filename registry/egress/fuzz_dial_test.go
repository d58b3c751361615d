package egress_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/registry/egress"
)

// reached is what one attempt asked for: names of the resolver, addresses of the
// network.
type reached struct{ names, dialed []string }

type reachedKey struct{}

var public = netip.MustParseAddr("93.184.216.34")

// recorder is a resolver and a network that write down what they are asked for,
// by the attempt. A name has an inside address and a public one.
type recorder struct{}

func (recorder) LookupNetIP(ctx context.Context, _, host string) ([]netip.Addr, error) {
	r := ctx.Value(reachedKey{}).(*reached)
	r.names = append(r.names, host)
	return []netip.Addr{netip.MustParseAddr("10.1.2.3"), netip.MustParseAddr("169.254.169.254"), public}, nil
}

func (recorder) dial(ctx context.Context, _, address string) (net.Conn, error) {
	r := ctx.Value(reachedKey{}).(*reached)
	r.dialed = append(r.dialed, address)
	return nil, errNotDialed
}

// FuzzDial: what Check says of a URL is what a request for it does. An accepted
// URL has its own host looked up, once, and its own port dialed, at the address
// that may be; nothing at all is looked up or dialed for a refused one, unless
// net/url reads it as another URL that is accepted: then it is that one's host.
func FuzzDial(f *testing.F) {
	for _, row := range rows(f, "testdata/urls.tsv", 4) {
		f.Add(unquote(f, row[1]), false, false)
	}
	for _, seed := range []string{
		"http://127.0.0.1:9000/%2f?[]", "https://[::ffff:10.0.0.1]/", "https://hooks.example.com:8443/", "https://hooks.example.com:443", "HTTPS://EXAMPLE.COM",
		"https://example.com./", "https://1.1.1.1:8443/?a#b", "https://[2606:4700:4700::1111]/", "https://[fd00::1]/", "https://a_b.example.com/", "https://example.com:/",
		"https://xn--bcher-kva.example.com/", "https://127.1/", "https://example.com\\@evil.example.com/", "https://example.com%2eevil.example.org/", "http://fd00::1/", "http://a.example.com:9/",
	} {
		f.Add(seed, true, true)
		f.Add(seed, false, true)
	}
	open := egress.Policy{AllowHTTP: true, AllowNetworks: prefixes("127.0.0.0/8", "fd00::/8")}
	type side struct {
		policy egress.Policy
		client [2]*egress.Client // with and without HTTP/2
	}
	sides := map[bool]side{}
	for opened, policy := range map[bool]egress.Policy{false: {}, true: open} {
		s := side{policy: policy}
		for i := range s.client {
			s.client[i] = newClient(f, egress.Config{Policy: policy, Resolver: recorder{}, DialContext: recorder{}.dial, HTTP1Only: i == 1})
		}
		sides[opened] = s
	}
	f.Fuzz(func(t *testing.T, raw string, opened, http1 bool) {
		s := sides[opened]
		client := s.client[map[bool]int{true: 1}[http1]]
		_, checkErr := s.policy.Check(raw)
		parsed, parseErr := url.Parse(raw)
		if parseErr != nil {
			if checkErr == nil {
				t.Fatalf("%q is accepted, and net/url says %v", raw, parseErr)
			}
			return
		}
		u, r, err := visit(t, s.policy, client, parsed)
		switch {
		case checkErr == nil && u.String() == "":
			t.Fatalf("%q is accepted, and not sent: %v", raw, err)
		case checkErr != nil && len(r.names)+len(r.dialed) == 0:
			return
		}
		if u, again, err := visit(t, s.policy, client, parse(t, u.String())); u.String() == "" || !slices.Equal(again.dialed, r.dialed) ||
			len(again.names) != len(r.names) || len(again.names) == 1 && (again.names[0] != u.Host()+"." || !strings.EqualFold(r.names[0], again.names[0])) {
			t.Fatalf("%q: %q, %q; in its canonical spelling: %q, %q, %v", raw, r.names, r.dialed, again.names, again.dialed, err)
		}
	})
}

// visit makes a request for what net/url read and holds what was looked up and
// dialed to what Check says of the same; u is zero if nothing was.
func visit(t *testing.T, policy egress.Policy, client *egress.Client, target *url.URL) (u egress.URL, r reached, err error) {
	t.Helper()
	request := (&http.Request{Method: http.MethodPost, URL: target, Header: http.Header{}}).WithContext(context.WithValue(t.Context(), reachedKey{}, &r))
	response, err := client.Do(request)
	if err == nil {
		response.Body.Close()
	}
	if len(r.names)+len(r.dialed) == 0 {
		return egress.URL{}, r, err
	}
	u, checkErr := policy.Check(target.String())
	want := errNotDialed
	if checkErr == nil && !u.Literal().IsValid() && policy.CheckAddr(public, u.Port()) != nil {
		want = egress.ErrResolvedAddress // a port that only addresses inside have
	}
	if checkErr != nil || !errors.Is(err, want) {
		t.Fatalf("%q: %v; looked up %q, dialed %q: %v", target, checkErr, r.names, r.dialed, err)
	}
	if errors.Is(want, egress.ErrResolvedAddress) && len(r.dialed) == 0 {
		return u, r, err
	}
	var names []string
	addr := u.Literal().Unmap()
	if !u.Literal().IsValid() {
		names, addr = []string{u.Host() + "."}, public
	}
	dialed := net.JoinHostPort(addr.String(), strconv.Itoa(int(u.Port())))
	if !slices.EqualFunc(r.names, names, strings.EqualFold) || len(r.dialed) != 1 || r.dialed[0] != dialed {
		t.Fatalf("%q: looked up %q, want %q; dialed %q, want %q", target, r.names, names, r.dialed, dialed)
	}
	if refused := policy.CheckAddr(addr, u.Port()); refused != nil {
		t.Fatalf("%q: %s was dialed: %v", target, dialed, refused)
	}
	return u, r, err
}

func parse(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
