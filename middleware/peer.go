package middleware

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

const (
	peerBits = 64 // the part of an IPv6 address that one customer has all of
	minBits  = 32 // less is a whole provider
)

// ByPeer is the address at the other end of the connection, from
// r.RemoteAddr alone: an IPv4 address, or the /64 of an IPv6 address, because
// one customer has all of it. Headers such as X-Forwarded-For are not looked
// at; behind a proxy all requests count as the proxy's: see [Proxies]. Text
// that is not an address, as for Unix sockets, is its own key.
func ByPeer(r *http.Request) string {
	if host, ok := ipv4(r.RemoteAddr); ok {
		return host
	}
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return network(at.Addr(), peerBits)
}

// ByNetwork is [ByPeer] with another part of an IPv6 address, from 32 to 128
// bits: a second [RateLimit] by 48 stops who has many /64. It panics at other
// numbers.
func ByNetwork(bits6 int) KeyFunc {
	if bits6 < minBits || bits6 > 128 {
		panic(fmt.Sprintf("middleware: ByNetwork: %d bits, set them from %d to 128", bits6, minBits))
	}
	return (&Proxies{bits6: bits6}).Key
}

// ipv4 cuts the port off an IPv4 address as the server writes it. It is for
// speed alone: [netip.ParseAddrPort] understands what it does not.
func ipv4(s string) (host string, ok bool) {
	dots, digits := 0, 0
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			digits++
		case c == '.' && 0 < digits && digits <= 3:
			dots, digits = dots+1, 0
		case c == ':':
			return s[:i], dots == 3 && 0 < digits && digits <= 3
		default:
			return "", false
		}
	}
	return "", false
}

// network is the key of an address.
func network(addr netip.Addr, bits6 int) string {
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		return addr.String()
	}
	prefix, err := addr.Prefix(bits6)
	if err != nil { // unreachable, an IPv6 address has 128 bits
		return addr.String()
	}
	return prefix.String()
}

// ProxiesConfig are the values of [Proxies].
type ProxiesConfig struct {
	// Trusted are the networks of our own proxies, of which each appends to
	// the field the address that it was called from. Required. A network that
	// strangers can send from makes the field worthless.
	Trusted []netip.Prefix
	// Forwarded reads the field Forwarded (RFC 7239) in place of
	// X-Forwarded-For. It must be what the proxies write: the other one is
	// then what the client sent, and is never looked at.
	Forwarded bool
	// Bits6 is how much of an IPv6 address [Proxies.Key] keeps, from 32 to
	// 128. 0 means 64. A second RateLimit by 48 stops who has many /64.
	Bits6 int
}

// Proxies finds the client behind proxies of ours: the last address, seen
// from us, that is none of the trusted. What stands to the left of it was
// sent by the client, and never counts.
//
// When the peer is not trusted, when the field is missing, and when an entry
// on the way is not an address, the client is the peer itself. No more than
// 32 hops are followed.
//
// The zero value, and nil, trust nobody: Key is [ByPeer]. Proxies is safe for
// concurrent use.
type Proxies struct {
	trusted   []netip.Prefix
	forwarded bool
	bits6     int
}

// maxHops bounds the entries that are looked at.
const maxHops = 32

// NewProxies returns Proxies. No networks, or such that trust everybody, and
// values out of range are [ErrConfig].
func NewProxies(cfg ProxiesConfig) (*Proxies, error) {
	if len(cfg.Trusted) == 0 {
		return nil, fmt.Errorf("%w: Trusted is empty, list the networks of your proxies, or use ByPeer", ErrConfig)
	}
	if cfg.Bits6 == 0 {
		cfg.Bits6 = peerBits
	}
	if cfg.Bits6 < minBits || cfg.Bits6 > 128 {
		return nil, fmt.Errorf("%w: Bits6 is %d, set it from 32 to 128, or to 0 for 64", ErrConfig, cfg.Bits6)
	}
	p := &Proxies{forwarded: cfg.Forwarded, bits6: cfg.Bits6, trusted: slices.Clone(cfg.Trusted)}
	for _, t := range p.trusted {
		switch {
		case !t.IsValid() || t.Bits() == 0:
			return nil, fmt.Errorf("%w: the network %v in Trusted is everybody or nobody, list the networks of your proxies", ErrConfig, t)
		case t.Addr().Is4In6():
			return nil, fmt.Errorf("%w: the network %v in Trusted never matches, write it as IPv4", ErrConfig, t)
		}
	}
	return p, nil
}

// Key is a [KeyFunc]: the client's IPv4 address, or the network of its IPv6
// address.
func (p *Proxies) Key(r *http.Request) string {
	peer, client := p.find(r)
	bits := peerBits
	if p != nil && p.bits6 != 0 {
		bits = p.bits6
	}
	if client == peer && (!client.Is6() || bits == peerBits) {
		return ByPeer(r) // may be no address, and may cost no allocation
	}
	return network(client, bits)
}

// Client returns the client's address, without zone and never an IPv4 address
// in IPv6. It is invalid when r.RemoteAddr is no address.
func (p *Proxies) Client(r *http.Request) netip.Addr {
	_, client := p.find(r)
	return client
}

func (p *Proxies) find(r *http.Request) (peer, client netip.Addr) {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, netip.Addr{}
	}
	peer = at.Addr().Unmap().WithZone("")
	client = peer
	name, parse := "X-Forwarded-For", netip.ParseAddr
	if p != nil && p.forwarded {
		name, parse = "Forwarded", forwardedFor
	}
	hops := 0
	lines := r.Header[name] // which continue one another
	for _, line := range slices.Backward(lines) {
		for rest, more := line, true; more; hops++ {
			if !p.trusts(client) {
				return peer, client
			}
			var entry string
			rest, entry, more = last(rest)
			addr, err := parse(strings.Trim(entry, " \t"))
			if err != nil || addr.Zone() != "" || hops == maxHops {
				return peer, peer
			}
			client = addr.Unmap()
		}
	}
	return peer, client
}

func (p *Proxies) trusts(addr netip.Addr) bool {
	if p == nil {
		return false
	}
	for _, t := range p.trusted {
		if t.Contains(addr) {
			return true
		}
	}
	return false
}

// last cuts the last entry off a list. A comma in quotes, as Forwarded may
// have, cuts too: what is left of it is no address.
func last(list string) (rest, entry string, more bool) {
	i := strings.LastIndexByte(list, ',')
	if i < 0 {
		return "", list, false
	}
	return list[:i], list[i+1:], true
}

// forwardedFor reads the parameter for of one element of Forwarded. It refuses
// whatever could be a part of a quoted string with the client's text in it,
// such as its Host.
func forwardedFor(element string) (netip.Addr, error) {
	node, found := "", false
	for pair := range strings.SplitSeq(element, ";") {
		name, value, ok := strings.Cut(strings.Trim(pair, " \t"), "=")
		quoted := len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"'
		if quoted {
			value = value[1 : len(value)-1]
		}
		isFor := strings.EqualFold(name, "for")
		if !ok || strings.ContainsAny(value, `"\`) || isFor && found {
			return netip.Addr{}, ErrSyntax
		}
		if isFor {
			if node, found = value, true; !quoted && strings.ContainsAny(node, "[:") { // not a token
				return netip.Addr{}, ErrSyntax
			}
		}
	}
	if !strings.Contains(node, ":") { // IPv6 stands in brackets, and has one
		return netip.ParseAddr(node)
	}
	if host, ok := strings.CutSuffix(node, "]"); ok {
		node = host + "]:0"
	}
	at, err := netip.ParseAddrPort(node)
	return at.Addr(), err
}
