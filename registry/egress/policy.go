package egress

import (
	"fmt"
	"net/netip"
	"slices"

	"code.dny.dev/ssrf"
)

// Policy says which URLs and addresses may be called. The zero value allows https alone, on ports
// 443 and 8443, to public names and addresses. It is data: no method changes it, and it is safe
// for concurrent use as long as its slices are left alone.
type Policy struct {
	// AllowNetworks are opened by name, on any port and whatever the guard's list says of them.
	// Loopback and link-local addresses open only through a prefix that lies inside 127.0.0.0/8,
	// ::1/128 or 169.254.0.0/16, so 0.0.0.0/0 opens none of them; 0.0.0.0/8, :: and fe80::/10
	// never open, and Azure's 168.63.129.16 only as itself. An IPv6 address with an IPv4 address
	// in it (NAT64, 6to4) opens only if that one may be called too.
	AllowNetworks []netip.Prefix

	// AllowPorts are allowed beside 443 and 8443.
	AllowPorts []uint16

	// AllowHTTP accepts http:// as well and adds port 80. For tests.
	AllowHTTP bool

	// DenyNetworks are refused before everything else: the operator's own public addresses.
	DenyNetworks []netip.Prefix
}

var (
	loopback4  = netip.MustParsePrefix("127.0.0.0/8")
	loopback6  = netip.MustParsePrefix("::1/128")
	linkLocal4 = netip.MustParsePrefix("169.254.0.0/16")
	linkLocal6 = netip.MustParsePrefix("fe80::/10")
	thisHost4  = netip.MustParsePrefix("0.0.0.0/8") // connects to this host on Linux
	azure      = netip.MustParsePrefix("168.63.129.16/32")

	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")
	translated = netip.MustParsePrefix("::ffff:0:0:0/96")
	compatible = netip.MustParsePrefix("::/96")
	sixToFour  = netip.MustParsePrefix("2002::/16")

	// guardian holds IANA's special-purpose blocks, and Azure's platform address, which is a public
	// one by number. Ports and networks are ours to judge.
	guardian = ssrf.New(ssrf.WithAnyPort(), ssrf.WithAnyNetwork(), ssrf.WithDeniedV4Prefixes(azure))
)

// Validate reports the first prefix or port that can never match, wrapped in [ErrConfig].
func (p Policy) Validate() error {
	for _, prefix := range slices.Concat(p.AllowNetworks, p.DenyNetworks) {
		if !prefix.IsValid() {
			return fmt.Errorf("%w: invalid network prefix", ErrConfig)
		}
		if prefix.Addr().Is4In6() {
			return fmt.Errorf("%w: network %s: write an IPv4-mapped prefix as IPv4", ErrConfig, prefix)
		}
	}
	if slices.Contains(p.AllowPorts, 0) {
		return fmt.Errorf("%w: port 0 cannot be allowed", ErrConfig)
	}
	return nil
}

// CheckAddr is the guard of every dial: it judges addr, unmapped, together with port, and returns
// nil or an *[Error] with ReasonAddress or ReasonPort that matches [ErrAddress]. An address with a
// zone, the invalid address and port 0 are refused.
func (p Policy) CheckAddr(addr netip.Addr, port uint16) error {
	if err := p.checkAddr(addr, port, ErrAddress); err != nil {
		return err
	}
	return nil
}

// checkAddr is CheckAddr with the kind of the error given by where the address came from.
func (p *Policy) checkAddr(addr netip.Addr, port uint16, kind error) *Error {
	plain := addr.Unmap()
	denied := !plain.IsValid() || plain.Zone() != "" || p.denies(plain)
	switch {
	case port != 0 && !denied && p.opens(plain):
		return nil
	case !p.portAllowed(port):
		return &Error{Reason: ReasonPort, Detail: "port not allowed", Addr: plain, kind: kind}
	case denied || guardian.SafeAddr(plain) != nil:
		return &Error{Reason: ReasonAddress, Detail: "not a public address", Addr: plain, kind: kind}
	}
	return nil
}

func (p *Policy) portAllowed(port uint16) bool {
	switch port {
	case 443, 8443:
		return true
	case 0:
		return false
	case 80:
		return p.AllowHTTP || slices.Contains(p.AllowPorts, port)
	}
	return slices.Contains(p.AllowPorts, port)
}

func (p *Policy) denies(addr netip.Addr) bool {
	for _, prefix := range p.DenyNetworks {
		// A mapped prefix never passes Validate, but a policy used without New must not let it slip.
		if prefix.Contains(addr) || prefix.Contains(netip.AddrFrom16(addr.As16())) {
			return true
		}
	}
	return false
}

// opens reports whether a named prefix opens addr, which is unmapped and has no zone.
func (p *Policy) opens(addr netip.Addr) bool {
	if len(p.AllowNetworks) == 0 || addr.IsUnspecified() || thisHost4.Contains(addr) || linkLocal6.Contains(addr) {
		return false
	}
	if inner, ok := embedded(addr); ok {
		if p.denies(inner) || guardian.SafeAddr(inner) != nil && !p.opens(inner) {
			return false
		}
	}
	needs := mustBeNamed(addr)
	for _, prefix := range p.AllowNetworks {
		if !prefix.Contains(addr) {
			continue
		}
		if !needs.IsValid() || needs.Contains(prefix.Addr()) && prefix.Bits() >= needs.Bits() {
			return true
		}
	}
	return false
}

// mustBeNamed gives the block that a prefix has to lie inside to open addr; none for most addresses.
func mustBeNamed(addr netip.Addr) netip.Prefix {
	for _, block := range [...]netip.Prefix{loopback4, loopback6, linkLocal4, azure} {
		if block.Contains(addr) {
			return block
		}
	}
	return netip.Prefix{}
}

// embedded gives the IPv4 address that a translator or tunnel would take out of addr.
func embedded(addr netip.Addr) (netip.Addr, bool) {
	if !addr.Is6() || addr.IsLoopback() {
		return netip.Addr{}, false
	}
	b := addr.As16()
	switch {
	case sixToFour.Contains(addr):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	case nat64.Contains(addr), nat64Local.Contains(addr), translated.Contains(addr), compatible.Contains(addr):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	}
	return netip.Addr{}, false
}
