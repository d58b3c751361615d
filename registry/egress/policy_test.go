package egress_test

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/registry/egress"
)

func prefixes(texts ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, text := range texts {
		out = append(out, netip.MustParsePrefix(text))
	}
	return out
}

func TestPolicyCheck(t *testing.T) {
	t.Parallel()
	loopback := egress.Policy{AllowNetworks: prefixes("127.0.0.0/8")}
	tests := []struct {
		name   string
		policy egress.Policy
		raw    string
		want   string        // canonical form
		reason egress.Reason // or the refusal
	}{
		{"canonical", egress.Policy{}, "HTTPS://Hooks.Example.COM:443?A=%2f", "https://hooks.example.com:443/?A=%2f", ""},
		{"ipv6 lower case", egress.Policy{}, "https://[2606:4700:4700::ABCD]/", "https://[2606:4700:4700::abcd]/", ""},
		{"port 8443", egress.Policy{}, "https://hooks.example.com:8443/", "https://hooks.example.com:8443/", ""},
		{"bare example.com", egress.Policy{}, "https://example.com/", "https://example.com/", ""},
		{"a-label with numbers", egress.Policy{}, "https://xn--fiqs8s.example.com/", "https://xn--fiqs8s.example.com/", ""},
		{"a-label in upper case", egress.Policy{}, "https://XN--BCHER-KVA.example.com/", "https://xn--bcher-kva.example.com/", ""},
		{"a-label of an upper-case letter", egress.Policy{}, "https://xn--Bcher-loa.example.com/", "", egress.ReasonHost},
		{"a-label of a symbol", egress.Policy{}, "https://xn--i-7iq.example.com/", "", egress.ReasonHost},
		{"a-label of full-width letters", egress.Policy{}, "https://xn--mi7cva.example.com/", "", egress.ReasonHost},
		{"a-label of mathematical letters", egress.Policy{}, "https://xn--b-mp9q.example.com/", "", egress.ReasonHost},
		{"a-label that starts with a mark", egress.Policy{}, "https://xn--a-wbb.example.com/", "", egress.ReasonHost},
		{"a-label that starts with a hyphen", egress.Policy{}, "https://xn----bga.example.com/", "", egress.ReasonHost},
		{"a-label with a middle dot", egress.Policy{}, "https://xn--ll-0ea.example.com/", "https://xn--ll-0ea.example.com/", ""},
		{"a-label, empty", egress.Policy{}, "https://xn--.example.com/", "", egress.ReasonHost},
		{"metadata under a public name", egress.Policy{}, "https://a.metadata.tencentyun.com/", "", egress.ReasonHost},
		{"kelvin sign", egress.Policy{}, "https://hoo\u212as.example.com/", "", egress.ReasonHost},
		{"over the absolute length", egress.Policy{}, "http://" + strings.Repeat("a", 8192), "", egress.ReasonLength},
		{"length before scheme, scheme before the rest", egress.Policy{}, "http://u@10.0.0.1:1/#", "", egress.ReasonScheme},
		{"userinfo before host", egress.Policy{}, "https://u@localhost:1/#", "", egress.ReasonUserinfo},
		{"host before port", egress.Policy{}, "https://localhost:1/#", "", egress.ReasonHost},
		{"port before address", egress.Policy{}, "https://10.0.0.1:1/#", "", egress.ReasonPort},
		{"address before syntax", egress.Policy{}, "https://10.0.0.1/#", "", egress.ReasonAddress},
		{"syntax last", egress.Policy{}, "https://8.8.8.8/#", "", egress.ReasonSyntax},
		{"escaped DEL", egress.Policy{}, "https://8.8.8.8/%7F", "", egress.ReasonSyntax},
		{"escaped high byte is data", egress.Policy{}, "https://8.8.8.8/%ff%7e", "https://8.8.8.8/%ff%7e", ""},

		{"http closed", egress.Policy{}, "http://8.8.8.8/", "", egress.ReasonScheme},
		{"http open", egress.Policy{AllowHTTP: true}, "HTTP://8.8.8.8/", "http://8.8.8.8/", ""},
		{"http adds port 80", egress.Policy{AllowHTTP: true}, "https://8.8.8.8:80/", "https://8.8.8.8:80/", ""},
		{"added port", egress.Policy{AllowPorts: []uint16{9443}}, "https://hooks.example.com:9443/", "https://hooks.example.com:9443/", ""},
		{"port not added", egress.Policy{AllowPorts: []uint16{9443}}, "https://hooks.example.com:9444/", "", egress.ReasonPort},

		{"named loopback, any port", loopback, "https://127.0.0.1:9999/", "https://127.0.0.1:9999/", ""},
		{"named loopback opens no other port elsewhere", loopback, "https://8.8.8.8:9999/", "", egress.ReasonPort},
		{"named loopback opens no port 0", loopback, "https://127.0.0.1:0/", "", egress.ReasonPort},
		{"named loopback, mapped spelling", loopback, "https://[::ffff:127.0.0.1]/", "", egress.ReasonAddress},
		{"named loopback, the name localhost", loopback, "https://localhost:9999/", "", egress.ReasonHost},
		{"a name on another port is judged after resolution", loopback, "https://hooks.example.com:9999/", "https://hooks.example.com:9999/", ""},
		{"operator's own address", egress.Policy{DenyNetworks: prefixes("8.8.8.0/24")}, "https://8.8.8.8/", "", egress.ReasonAddress},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			u, err := test.policy.Check(test.raw)
			if test.reason == "" {
				if err != nil || u.String() != test.want {
					t.Fatalf("Check = %q, %v; want %q", u, err, test.want)
				}
				return
			}
			refusal, ok := errors.AsType[*egress.Error](err)
			if !ok || refusal.Reason != test.reason {
				t.Fatalf("Check = %q, %v; want reason %q", u, err, test.reason)
			}
			if strings.Contains(err.Error(), "example") || strings.Contains(err.Error(), "10.0") {
				t.Errorf("%q repeats the URL", err)
			}
		})
	}
}

func TestURLParts(t *testing.T) {
	t.Parallel()
	u, err := egress.Policy{}.Check("https://[2606:4700:4700::1111]:8443/cb?k=v")
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme() != "https" || u.Host() != "2606:4700:4700::1111" || u.Port() != 8443 || u.Literal() != netip.MustParseAddr("2606:4700:4700::1111") {
		t.Errorf("parts of %s: %s %s %d %s", u, u.Scheme(), u.Host(), u.Port(), u.Literal())
	}
	u, err = egress.Policy{AllowHTTP: true}.Check("http://hooks.example.com")
	if err != nil || u.Port() != 80 || u.Literal().IsValid() {
		t.Errorf("http: port %d, literal %v, %v", u.Port(), u.Literal(), err)
	}
	if n := egress.Characters("https://é\xff"); n != 10 {
		t.Errorf("Characters = %d, want 10", n)
	}
}

func TestPolicyCheckAddr(t *testing.T) {
	t.Parallel()
	everything := prefixes("0.0.0.0/0", "::/0")
	tests := []struct {
		name   string
		policy egress.Policy
		addr   string
		port   uint16
		reason egress.Reason
	}{
		{"wide prefix opens private", egress.Policy{AllowNetworks: everything}, "10.0.0.1", 1, ""},
		{"wide prefix opens unique local", egress.Policy{AllowNetworks: everything}, "fd00::1", 1, ""},
		{"wide prefix, loopback", egress.Policy{AllowNetworks: everything}, "127.0.0.1", 443, egress.ReasonAddress},
		{"wide prefix, mapped loopback", egress.Policy{AllowNetworks: everything}, "::ffff:127.0.0.1", 443, egress.ReasonAddress},
		{"wide prefix, loopback 6", egress.Policy{AllowNetworks: everything}, "::1", 443, egress.ReasonAddress},
		{"wide prefix, metadata", egress.Policy{AllowNetworks: everything}, "169.254.169.254", 443, egress.ReasonAddress},
		{"wide prefix, link-local 6", egress.Policy{AllowNetworks: everything}, "fe80::1", 443, egress.ReasonAddress},
		{"wide prefix, this host", egress.Policy{AllowNetworks: everything}, "0.0.0.0", 443, egress.ReasonAddress},
		{"wide prefix, unspecified 6", egress.Policy{AllowNetworks: everything}, "::", 443, egress.ReasonAddress},
		{"wide prefix, azure", egress.Policy{AllowNetworks: everything}, "168.63.129.16", 443, egress.ReasonAddress},
		{"wide prefix, NAT64 of loopback", egress.Policy{AllowNetworks: everything}, "64:ff9b::7f00:1", 443, egress.ReasonAddress},
		{"wide prefix, 6to4 of metadata", egress.Policy{AllowNetworks: everything}, "2002:a9fe:a9fe::", 443, egress.ReasonAddress},
		{"wide prefix, compatible loopback", egress.Policy{AllowNetworks: everything}, "::127.0.0.1", 443, egress.ReasonAddress},
		{"NAT64 named, public inside", egress.Policy{AllowNetworks: prefixes("64:ff9b::/96")}, "64:ff9b::808:808", 443, ""},
		{"NAT64 named, private inside", egress.Policy{AllowNetworks: prefixes("64:ff9b::/96")}, "64:ff9b::a00:1", 443, egress.ReasonAddress},
		{"NAT64 named, denied inside", egress.Policy{AllowNetworks: prefixes("64:ff9b::/96"), DenyNetworks: prefixes("8.8.8.8/32")}, "64:ff9b::808:808", 443, egress.ReasonAddress},
		{"named loopback", egress.Policy{AllowNetworks: prefixes("127.0.0.1/32")}, "127.0.0.1", 1, ""},
		{"named loopback, mapped record", egress.Policy{AllowNetworks: prefixes("127.0.0.1/32")}, "::ffff:127.0.0.1", 1, ""},
		{"named loopback, its neighbor", egress.Policy{AllowNetworks: prefixes("127.0.0.1/32")}, "127.0.0.2", 443, egress.ReasonAddress},
		{"named loopback 6", egress.Policy{AllowNetworks: prefixes("::1/128")}, "::1", 1, ""},
		{"named link-local", egress.Policy{AllowNetworks: prefixes("169.254.7.0/24")}, "169.254.7.1", 1, ""},
		{"link-local 6 never opens", egress.Policy{AllowNetworks: prefixes("fe80::/10")}, "fe80::1", 443, egress.ReasonAddress},
		{"azure by name", egress.Policy{AllowNetworks: prefixes("168.63.129.16/32")}, "168.63.129.16", 443, ""},
		{"a prefix just over the loopback block", egress.Policy{AllowNetworks: prefixes("126.0.0.0/7")}, "127.0.0.1", 443, egress.ReasonAddress},
		{"zone in an open prefix", egress.Policy{AllowNetworks: everything}, "fd00::1%eth0", 443, egress.ReasonAddress},
		{"deny wins", egress.Policy{AllowNetworks: prefixes("10.0.0.0/8"), DenyNetworks: prefixes("10.1.0.0/16")}, "10.1.0.1", 443, egress.ReasonAddress},
		{"deny, mapped prefix", egress.Policy{DenyNetworks: prefixes("::ffff:8.8.8.0/120")}, "8.8.8.8", 443, egress.ReasonAddress},
		{"port", egress.Policy{}, "8.8.8.8", 22, egress.ReasonPort},
		{"port 0", egress.Policy{AllowNetworks: prefixes("8.8.8.8/32")}, "8.8.8.8", 0, egress.ReasonPort},
		{"port 80 is not open by itself", egress.Policy{}, "8.8.8.8", 80, egress.ReasonPort},
		{"port 80 added", egress.Policy{AllowPorts: []uint16{80}}, "8.8.8.8", 80, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := test.policy.CheckAddr(netip.MustParseAddr(test.addr), test.port)
			refusal, refused := errors.AsType[*egress.Error](err)
			if refused != (test.reason != "") || refused && refusal.Reason != test.reason {
				t.Errorf("CheckAddr = %v, want reason %q", err, test.reason)
			}
		})
	}
	if err := (egress.Policy{}).CheckAddr(netip.Addr{}, 443); !errors.Is(err, egress.ErrAddress) {
		t.Errorf("the invalid address: %v", err)
	}
}

func TestNewRefusesConfig(t *testing.T) {
	t.Parallel()
	for name, config := range map[string]egress.Config{
		"invalid prefix":      {Policy: egress.Policy{AllowNetworks: []netip.Prefix{{}}}},
		"mapped prefix":       {Policy: egress.Policy{DenyNetworks: prefixes("::ffff:8.8.8.0/120")}},
		"port 0":              {Policy: egress.Policy{AllowPorts: []uint16{0}}},
		"negative time-out":   {Timeout: -1},
		"negative head":       {HeaderTimeout: -1},
		"negative connection": {MaxConnsPerHost: -1},
	} {
		if client, err := egress.New(config); client != nil || !errors.Is(err, egress.ErrConfig) {
			t.Errorf("%s: %v, %v", name, client, err)
		}
	}
}

func TestErrorKinds(t *testing.T) {
	t.Parallel()
	_, literal := egress.Policy{}.Check("https://10.0.0.1/")
	_, name := egress.Policy{}.Check("https://localhost/")
	guard := egress.Policy{}.CheckAddr(netip.MustParseAddr("10.0.0.1"), 443)
	for label, test := range map[string]struct {
		err  error
		want []error
	}{
		"literal":    {literal, []error{egress.ErrURL, egress.ErrAddress, egress.ErrLiteral}},
		"name":       {name, []error{egress.ErrURL}},
		"guard":      {guard, []error{egress.ErrAddress}},
		"zero value": {&egress.Error{}, []error{egress.ErrURL}},
	} {
		for _, kind := range []error{egress.ErrURL, egress.ErrAddress, egress.ErrLiteral, egress.ErrResolvedAddress, egress.ErrResolve} {
			if got, want := errors.Is(test.err, kind), slices.Contains(test.want, kind); got != want {
				t.Errorf("%s: errors.Is(%v, %v) = %v", label, test.err, kind, got)
			}
		}
	}
}

func TestCachesAreBounded(t *testing.T) {
	t.Parallel()
	client := newClient(t, egress.Config{})
	for i := range 25_000 {
		if _, err := client.Check(fmt.Sprintf("https://hooks.example.com/%d", i)); err != nil {
			t.Fatal(err)
		}
		// Used all along, so never forgotten; refusals and long URLs are not kept.
		client.Check("https://hooks.example.com/kept")
		client.Check(fmt.Sprintf("https://localhost/%d", i))
	}
	client.Check("https://hooks.example.com/" + strings.Repeat("x", 2000))
	if n := client.CachedURLs(); n > 10_000 || n < 5_000 {
		t.Errorf("%d URLs are held", n)
	}
}
