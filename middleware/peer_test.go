package middleware_test

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/middleware"
)

func proxies(t testing.TB, c middleware.ProxiesConfig) *middleware.Proxies {
	t.Helper()
	if c.Trusted == nil {
		c.Trusted = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	}
	return must(middleware.NewProxies(c))
}

func TestProxies(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("10.0.0.9,", 31)
	for _, tt := range []struct {
		name, peer string
		field      []string
		want       string // the key
	}{
		{"a stranger's field", "192.0.2.1:1", []string{"127.0.0.1"}, "192.0.2.1"},
		{"no field", "10.0.0.1:1", nil, "10.0.0.1"},
		{"one hop", "10.0.0.1:1", []string{"192.0.2.7"}, "192.0.2.7"},
		{"spoofed leftmost", "10.0.0.1:1", []string{"127.0.0.1, 192.0.2.7"}, "192.0.2.7"},
		{"spoofed as trusted", "10.0.0.1:1", []string{"10.0.0.7, 192.0.2.7"}, "192.0.2.7"},
		{"spoofed garbage", "10.0.0.1:1", []string{"<x>, 192.0.2.7"}, "192.0.2.7"},
		{"two hops", "10.0.0.1:1", []string{"198.51.100.1, 192.0.2.7, 10.0.0.2"}, "192.0.2.7"},
		{"two lines", "10.0.0.1:1", []string{"198.51.100.1", "192.0.2.7", "10.0.0.2"}, "192.0.2.7"},
		{"two lines, lists", "10.0.0.1:1", []string{"198.51.100.1, 192.0.2.7", "10.0.0.2 ,\t10.0.0.3"}, "192.0.2.7"},
		{"all trusted", "10.0.0.1:1", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"trusted hop reports garbage", "10.0.0.1:1", []string{"192.0.2.7, unknown, 10.0.0.2"}, "10.0.0.1"},
		{"garbage", "10.0.0.1:1", []string{"192.0.2.7, x"}, "10.0.0.1"},
		{"empty", "10.0.0.1:1", []string{""}, "10.0.0.1"},
		{"empty last", "10.0.0.1:1", []string{"192.0.2.7,"}, "10.0.0.1"},
		{"port", "10.0.0.1:1", []string{"192.0.2.7:80"}, "10.0.0.1"},
		{"leading zero", "10.0.0.1:1", []string{"192.0.2.07"}, "10.0.0.1"},
		{"zone", "10.0.0.1:1", []string{"fe80::1%eth0"}, "10.0.0.1"},
		{"brackets", "10.0.0.1:1", []string{"[2001:db8::1]"}, "10.0.0.1"},
		{"10 kB of commas", "10.0.0.1:1", []string{strings.Repeat(",", 10_000)}, "10.0.0.1"},
		{"32 hops", "10.0.0.1:1", []string{"192.0.2.7," + many[:len(many)-1]}, "192.0.2.7"},
		{"33 hops", "10.0.0.1:1", []string{"192.0.2.7,10.0.0.8," + many[:len(many)-1]}, "10.0.0.1"},
		{"IPv6 client", "10.0.0.1:1", []string{"2001:db8:1:2:3:4:5:6"}, "2001:db8:1:2::/64"},
		{"IPv4 in IPv6", "[::ffff:10.0.0.1]:1", []string{"::ffff:192.0.2.7"}, "192.0.2.7"},
		{"proxy's IPv4 in IPv6", "10.0.0.1:1", []string{"192.0.2.7, ::ffff:10.0.0.2"}, "192.0.2.7"},
		{"IPv6 proxy", "[fd00::1%eth0]:1", []string{"192.0.2.7"}, "192.0.2.7"},
		{"no address", "@", []string{"192.0.2.7"}, "@"},
	} {
		r := from(tt.peer)
		r.Header["X-Forwarded-For"] = tt.field
		for _, other := range []string{"Forwarded", "X-Real-Ip", "True-Client-Ip", "Cf-Connecting-Ip"} {
			r.Header.Set(other, "for=203.0.113.1")
		}
		p := proxies(t, middleware.ProxiesConfig{})
		if got := p.Key(r); got != tt.want {
			t.Errorf("%s: key %q, want %q", tt.name, got, tt.want)
		}
		if client := p.Client(r); client.Is4() && tt.want != client.String() || client.Is4In6() || client.IsValid() != (tt.peer != "@") {
			t.Errorf("%s: client %v", tt.name, client)
		}
		var none *middleware.Proxies
		for _, p := range []*middleware.Proxies{none, {}} {
			if got := p.Key(r); got != middleware.ByPeer(r) {
				t.Errorf("%s: nobody is trusted, but the key is %q", tt.name, got)
			}
		}
	}
}

func TestByNetwork(t *testing.T) {
	t.Parallel()
	key := middleware.ByNetwork(48)
	for addr, want := range map[string]string{
		"192.0.2.1:1": "192.0.2.1", "[2001:db8:1:2::3]:1": "2001:db8:1::/48", "[::ffff:192.0.2.1]:1": "192.0.2.1", "pipe": "pipe", "": "",
	} {
		r := from(addr)
		r.Header.Set("X-Forwarded-For", "198.51.100.1")
		if got := key(r); got != want {
			t.Errorf("%q: key %q, want %q", addr, got, want)
		}
	}
	mustPanic(t, "from 32 to 128", func() { middleware.ByNetwork(0) })
	mustPanic(t, "from 32 to 128", func() { middleware.ByNetwork(129) })
}

func TestProxiesForwarded(t *testing.T) {
	t.Parallel()
	p := proxies(t, middleware.ProxiesConfig{Forwarded: true, Bits6: 48})
	for field, want := range map[string]string{
		`for=192.0.2.7`: "192.0.2.7", `For=192.0.2.7;proto=https;by=10.0.0.1`: "192.0.2.7", `proto=https; for="192.0.2.7"`: "192.0.2.7",
		`for="192.0.2.7:4711"`: "192.0.2.7", `for="[2001:db8:1:2::1]"`: "2001:db8:1::/48", `for="[2001:db8:1:2::1]:80"`: "2001:db8:1::/48",
		`for=127.0.0.1, for=192.0.2.7`: "192.0.2.7", `for=127.0.0.1, for=192.0.2.7, for=10.0.0.2`: "192.0.2.7",
		// Whatever is not plain counts as the proxy's.
		`for=192.0.2.7:80`: "10.0.0.1", `for=[2001:db8::1]`: "10.0.0.1", `for=unknown`: "10.0.0.1", `for=_hidden`: "10.0.0.1", `proto=https`: "10.0.0.1",
		`for=192.0.2.7;for=192.0.2.8`: "10.0.0.1", `for="192.0.2.7`: "10.0.0.1", `for="192\.0.2.7"`: "10.0.0.1", `for`: "10.0.0.1", ``: "10.0.0.1",
		`for="[192.0.2.7]"`: "10.0.0.1", `for="2001:db8::1"`: "10.0.0.1", `for="[fe80::1%25e]"`: "10.0.0.1", `192.0.2.7`: "10.0.0.1",
		// A Host of the client's, quoted by the proxy.
		`for=192.0.2.7;host="x, for=203.0.113.1;y=z"`: "10.0.0.1", `for=192.0.2.7;host="a;for=203.0.113.1;b"`: "10.0.0.1",
		`for=192.0.2.7;host="x\", for=203.0.113.1;y=\""`: "10.0.0.1", `host="x, for=203.0.113.1;y=\"";for=192.0.2.7`: "10.0.0.1",
	} {
		r := from("10.0.0.1:1")
		r.Header["Forwarded"] = []string{field}
		r.Header.Set("X-Forwarded-For", "203.0.113.1")
		if got := p.Key(r); got != want {
			t.Errorf("%s: key %q, want %q", field, got, want)
		}
	}
}

func TestNewProxiesRefuses(t *testing.T) {
	t.Parallel()
	good := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	for _, c := range []middleware.ProxiesConfig{
		{},
		{Trusted: []netip.Prefix{{}}},
		{Trusted: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}},
		{Trusted: []netip.Prefix{netip.MustParsePrefix("::/0")}},
		{Trusted: []netip.Prefix{netip.MustParsePrefix("::ffff:10.0.0.0/104")}},
		{Trusted: good, Bits6: 129},
		{Trusted: good, Bits6: 31},
		{Trusted: good, Bits6: -1},
	} {
		if _, err := middleware.NewProxies(c); !errors.Is(err, middleware.ErrConfig) {
			t.Errorf("%+v: %v, want ErrConfig", c, err)
		}
	}
}

// FuzzProxies: whatever stands in the field, the client is none of the
// trusted unless the peer stands for it, and what the client sent in front of
// the proxy's own entry never counts.
func FuzzProxies(f *testing.F) {
	for _, seed := range []string{"", "127.0.0.1", "a, b", `for="[::1]:1"`, `x", for=1.2.3.4;y="`, ",,,", "10.0.0.1, 10.0.0.2"} {
		f.Add(seed)
	}
	list := proxies(f, middleware.ProxiesConfig{})
	elements := proxies(f, middleware.ProxiesConfig{Forwarded: true})
	f.Fuzz(func(t *testing.T, sent string) {
		r := from("10.0.0.1:1")
		r.Header = http.Header{"X-Forwarded-For": {sent}, "Forwarded": {sent}}
		for _, p := range []*middleware.Proxies{list, elements} {
			if client := p.Client(r); !client.IsValid() || client.Is4In6() || client.Zone() != "" {
				t.Errorf("client %v", client)
			}
			if p.Key(r) == "" {
				t.Error("empty key")
			}
		}
		r.Header = http.Header{"X-Forwarded-For": {sent + ", 192.0.2.7"}, "Forwarded": {sent + ", for=192.0.2.7"}}
		for _, p := range []*middleware.Proxies{list, elements} {
			if got := p.Key(r); got != "192.0.2.7" {
				t.Errorf("%q in front of the proxy's entry: %q", sent, got)
			}
		}
	})
}
