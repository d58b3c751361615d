package egress_test

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/registry/egress"
)

// FuzzCheck: never a panic; what is accepted stays as it is when checked again, and net/url, which
// builds the request, reads the same host and port and would send the same bytes.
func FuzzCheck(f *testing.F) {
	for _, row := range rows(f, "testdata/urls.tsv", 4) {
		f.Add(unquote(f, row[1]), false)
	}
	f.Add("http://127.0.0.1:9000/%2f?[]", true)
	open := egress.Policy{AllowHTTP: true, AllowNetworks: prefixes("127.0.0.0/8", "fd00::/8")}
	strictClient, openClient := newClient(f, egress.Config{}), newClient(f, egress.Config{Policy: open})
	f.Fuzz(func(t *testing.T, raw string, opened bool) {
		policy, client := egress.Policy{}, strictClient
		if opened {
			policy, client = open, openClient
		}
		u, err := policy.Check(raw)
		cached, cachedErr := client.Check(raw)
		if cached != u || (err == nil) != (cachedErr == nil) {
			t.Fatalf("Policy and Client differ: %v, %v; %v, %v", u, err, cached, cachedErr)
		}
		if err != nil {
			if _, ok := errors.AsType[*egress.Error](err); !ok || !errors.Is(err, egress.ErrURL) || u != (egress.URL{}) {
				t.Fatalf("Check(%q) = %v, %v", raw, u, err)
			}
			parsed, parseErr := url.Parse(raw)
			if parseErr != nil || parsed.Host == "" || strings.Contains(raw, "#") || strings.HasSuffix(parsed.Host, ":") {
				return
			}
			// What net/url repairs is judged as it would be sent.
			if again, err := policy.Check(parsed.String()); err != nil && client.CheckRequest(&http.Request{URL: parsed}) == nil {
				t.Fatalf("a request for %q passes, Check says %v, %v", raw, again, err)
			}
			return
		}
		if again, err := policy.Check(u.String()); err != nil || again != u {
			t.Fatalf("Check twice: %+v, then %+v, %v", u, again, err)
		}
		parsed, err := url.Parse(u.String())
		if err != nil {
			t.Fatalf("url.Parse(%q) = %v", u, err)
		}
		port := parsed.Port()
		if port == "" {
			port = map[string]string{"https": "443", "http": "80"}[parsed.Scheme]
		}
		if parsed.Scheme != u.Scheme() || parsed.Hostname() != u.Host() || port != strconv.Itoa(int(u.Port())) || parsed.String() != u.String() {
			t.Fatalf("%q: net/url reads %q %q %q", u, parsed.Scheme, parsed.Hostname(), port)
		}
		if addr, err := netip.ParseAddr(u.Host()); err == nil != u.Literal().IsValid() || err == nil && (addr != u.Literal() || policy.CheckAddr(addr, u.Port()) != nil) {
			t.Fatalf("%q: literal %v", u, u.Literal())
		}
		if err := client.CheckRequest(&http.Request{URL: parsed}); err != nil {
			t.Fatalf("%q passes Check, its request does not: %v", u, err)
		}
	})
}

// FuzzCheckAddr: never a panic; mapping changes nothing; what is allowed is global unicast, and the
// second lock agrees on the address as text.
func FuzzCheckAddr(f *testing.F) {
	for _, row := range rows(f, "testdata/addrs.tsv", 4) {
		f.Add(row[1], uint16(443))
	}
	f.Add("", uint16(0))
	client := newClient(f, egress.Config{})
	wide := egress.Policy{AllowNetworks: prefixes("0.0.0.0/0", "::/0")}
	f.Fuzz(func(t *testing.T, text string, port uint16) {
		addr, err := netip.ParseAddr(text)
		refused := egress.Policy{}.CheckAddr(addr, port)
		address := text + ":" + strconv.Itoa(int(port))
		if strings.Contains(text, ":") {
			address = "[" + text + "]:" + strconv.Itoa(int(port))
		}
		locked := client.Control(t.Context(), "tcp6", address)
		if err != nil {
			if refused == nil || locked == nil {
				t.Fatalf("%q is no address, and passes: %v, %v", text, refused, locked)
			}
			return
		}
		if (refused == nil) != (locked == nil) {
			t.Fatalf("%q: %v, %v", text, refused, locked)
		}
		if addr.Is4() {
			if mapped := (egress.Policy{}).CheckAddr(netip.AddrFrom16(addr.As16()), port); (mapped == nil) != (refused == nil) {
				t.Fatalf("%q: %v, mapped %v", text, refused, mapped)
			}
		}
		plain := addr.Unmap()
		if refused == nil && (addr.Zone() != "" || plain.IsPrivate() || !plain.IsGlobalUnicast() || port != 443 && port != 8443) {
			t.Fatalf("%q port %d passes", text, port)
		}
		if wide.CheckAddr(addr, port) == nil && (plain.IsLoopback() || plain.IsLinkLocalUnicast() || plain.IsUnspecified()) {
			t.Fatalf("%q passes a wide prefix", text)
		}
	})
}

// FuzzALabel: never a panic, and what decodes and encodes to itself is stable.
func FuzzALabel(f *testing.F) {
	for _, seed := range []string{"bcher-kva", "fiqs8s", "99999999999", "abc-", "", "-", "a", "egbpdaj6bu4bxfgehfvwxn"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, encoded string) {
		if len(encoded) > 59 {
			return
		}
		decoded, again, ok := egress.ALabel(encoded)
		if !ok || again != encoded {
			return
		}
		if twice, _, ok := egress.ALabel(again); !ok || twice != decoded {
			t.Fatalf("%q gives %q, then %q", encoded, decoded, twice)
		}
	})
}
