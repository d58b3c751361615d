package egress

import (
	"net/netip"
	"strings"
	"unicode/utf8"
)

// maxURLBytes bounds a URL before anything else looks at it; dialects have smaller limits of their own.
const maxURLBytes = 8 << 10

// URL is a callback URL that a [Policy] accepted, in its one canonical spelling. The zero value
// names nothing; only [Policy.Check] makes others. Values are comparable and safe to share.
type URL struct {
	text    string
	scheme  string
	host    string
	port    uint16
	literal netip.Addr
}

// String is the canonical spelling, to be stored and called: scheme and host in lower case, an
// empty path written as "/", everything else byte for byte as given. It may hold a secret in its
// query: for logs take [URL.Host].
func (u URL) String() string { return u.text }

// Scheme is "https", or "http" where the policy allows it.
func (u URL) Scheme() string { return u.scheme }

// Host is the name in lower case, or the literal address without brackets.
func (u URL) Host() string { return u.host }

// Port is the port that is dialed: the one written, else the scheme's own.
func (u URL) Port() uint16 { return u.port }

// Literal is the address when the URL holds one instead of a name, else the zero Addr.
func (u URL) Literal() netip.Addr { return u.literal }

// Characters counts the characters of a raw URL as the dialects' limits mean it: Unicode characters
// of the text as it was sent, nothing decoded; an invalid byte counts as one.
func Characters(raw string) int { return utf8.RuneCountInString(raw) }

// Check judges a URL as text, without any I/O, and returns it in canonical form or an *[Error]
// that matches [ErrURL]. The order of checks is length, scheme, userinfo, host, port, address,
// syntax; a URL that breaks several is refused for the first. Checking a canonical URL changes
// nothing.
//
// A literal address is judged with its port. The port of a name is judged here too, except that any
// port passes when AllowNetworks opens something: the name's addresses may lie there, and the dial
// guard judges the port again with the address.
func (p Policy) Check(raw string) (URL, error) {
	u, err := p.check(raw)
	if err != nil {
		return URL{}, err
	}
	return u, nil
}

func (p *Policy) check(raw string) (URL, *Error) {
	if len(raw) > maxURLBytes {
		return URL{}, refuse(ReasonLength, "over 8,192 bytes")
	}
	before, rest, found := strings.Cut(raw, "://")
	scheme := lowerASCII(before)
	if !found || !p.schemeAllowed(scheme) {
		return URL{}, refuse(ReasonScheme, "not https")
	}
	authority, tail := rest, ""
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority, tail = rest[:end], rest[end:]
	}
	if strings.IndexByte(authority, '@') >= 0 {
		return URL{}, refuse(ReasonUserinfo, "user or password in the URL")
	}
	lower := lowerASCII(authority)
	u, err := p.checkAuthority(scheme, lower)
	if err != nil {
		return URL{}, err
	}
	if err := checkTail(tail); err != nil {
		return URL{}, err
	}
	switch {
	case tail == "" || tail[0] == '?':
		u.text = scheme + "://" + lower + "/" + tail
	case scheme == before && lower == authority:
		u.text = raw
	default:
		u.text = scheme + "://" + lower + tail
	}
	return u, nil
}

func (p *Policy) schemeAllowed(scheme string) bool {
	return scheme == "https" || scheme == "http" && p.AllowHTTP
}

// checkAuthority judges host and port, in lower case and without userinfo. The text is left empty.
func (p *Policy) checkAuthority(scheme, authority string) (URL, *Error) {
	u := URL{scheme: scheme, port: 443}
	if scheme == "http" {
		u.port = 80
	}
	var port string
	var hasPort bool
	if strings.HasPrefix(authority, "[") {
		inner, after, closed := strings.Cut(authority[1:], "]")
		if !closed || after != "" && after[0] != ':' {
			return URL{}, refuse(ReasonHost, "brackets")
		}
		addr, err := netip.ParseAddr(inner)
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return URL{}, refuse(ReasonHost, "not an IPv6 address without zone")
		}
		u.host, u.literal = inner, addr
		if after != "" {
			hasPort, port = true, after[1:]
		}
	} else {
		u.host, port, hasPort = strings.Cut(authority, ":")
		if addr, ok := parse4(u.host); ok {
			u.literal = addr
		} else if detail := checkName(u.host); detail != "" {
			return URL{}, refuse(ReasonHost, detail)
		}
	}
	if hasPort {
		number, ok := parsePort(port)
		if !ok {
			return URL{}, refuse(ReasonPort, "not a port number")
		}
		u.port = number
	}
	if !u.literal.IsValid() {
		if len(p.AllowNetworks) == 0 && !p.portAllowed(u.port) {
			return URL{}, refuse(ReasonPort, "port not allowed")
		}
		return u, nil
	}
	if err := p.checkAddr(u.literal, u.port, ErrLiteral); err != nil {
		return URL{}, err
	}
	if u.literal.Is4In6() {
		return URL{}, &Error{Reason: ReasonAddress, Detail: "IPv4-mapped address", Addr: u.literal, kind: ErrLiteral}
	}
	return u, nil
}

// parse4 reads four plain decimals; it asks netip, whose errors allocate, only when the end looks so.
func parse4(host string) (netip.Addr, bool) {
	if host == "" || host[len(host)-1] > '9' {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(host)
	return addr, err == nil && addr.Is4()
}

// parsePort reads 1 to 65535 in plain decimals, one spelling each: url.Parse lets "", "0443" and
// "4294967739" pass.
func parsePort(text string) (uint16, bool) {
	if len(text) == 0 || len(text) > 5 || text[0] == '0' {
		return 0, false
	}
	number := 0
	for i := range len(text) {
		digit := text[i] - '0'
		if digit > 9 {
			return 0, false
		}
		number = number*10 + int(digit)
	}
	if number > 65535 {
		return 0, false
	}
	return uint16(number), true
}

// tailByte marks the characters of path and query in RFC 3986, sections 3.3 and 3.4, but '%'.
var tailByte = func() (table [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/?") {
		table[c] = true
	}
	return table
}()

// checkTail judges path and query: characters, escapes (none of a control character), no fragment.
func checkTail(tail string) *Error {
	for i := 0; i < len(tail); i++ {
		c := tail[i]
		switch {
		case tailByte[c]:
		case c == '#':
			return refuse(ReasonSyntax, "fragment")
		case c != '%':
			return refuse(ReasonSyntax, "character")
		default:
			if i+2 >= len(tail) || !isHex(tail[i+1]) || !isHex(tail[i+2]) {
				return refuse(ReasonSyntax, "escape")
			}
			if high := tail[i+1]; high <= '1' || high == '7' && (tail[i+2] == 'f' || tail[i+2] == 'F') {
				return refuse(ReasonSyntax, "escaped control character")
			}
			i += 2
		}
	}
	return nil
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// lowerASCII is ToLower for A to Z alone: Unicode's rules would turn a Kelvin sign into a k.
func lowerASCII(s string) string {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			lower := []byte(s)
			for j := i; j < len(lower); j++ {
				if 'A' <= lower[j] && lower[j] <= 'Z' {
					lower[j] += 'a' - 'A'
				}
			}
			return string(lower)
		}
	}
	return s
}
