package registry

import "strings"

// Bounds of the headers of a subscription.
const (
	MaxHeaders     = 20
	MaxHeaderName  = 256     // bytes
	MaxHeaderValue = 4 << 10 // bytes
)

// A Header is sent with every request of a subscription, for what its endpoint
// asks of each caller. The value is taken for a key: it shows nowhere and is
// sealed at rest.
type Header struct {
	// Name is a token of RFC 9110 and none that the requests need for
	// themselves, see [Header.Check]. It is sent as it is spelled.
	Name string
	// Value is 1 to 4,096 visible ASCII characters, with blanks between them.
	Value Secret
}

// reserved are the headers that are the request's own, or that change what a
// request is: framing, connection, credentials, identity, repetition.
var reserved = map[string]bool{
	"accept-encoding": true, "authorization": true, "connection": true, "content-encoding": true, "content-length": true,
	"content-type": true, "cookie": true, "expect": true, "host": true, "http2-settings": true, "idempotency-key": true, "keep-alive": true,
	"te": true, "trailer": true, "transfer-encoding": true, "upgrade": true, "user-agent": true, "x-idempotency-key": true,
}

// reservedPrefixes begin the names of whole families.
var reservedPrefixes = [...]string{"proxy-", "webhook-"}

// Check returns a fixed phrase that says why a subscription may not have the
// header, or "". It refuses a name that is no token, is longer than 256 bytes
// or, in any spelling, one of Accept-Encoding, Authorization, Connection,
// Content-Encoding, Content-Length, Content-Type, Cookie (which HTTP/2 takes
// apart), Expect, Host, HTTP2-Settings, Idempotency-Key, Keep-Alive, Proxy-…, TE,
// Trailer, Transfer-Encoding, Upgrade, User-Agent, Webhook-…, X-Idempotency-Key;
// and a value that is empty, longer than 4 KiB, holds anything but visible ASCII
// and blanks, or has a blank at an end.
func (h Header) Check() string {
	if h.Name == "" || len(h.Name) > MaxHeaderName {
		return "the name is empty or too long"
	}
	for i := range len(h.Name) {
		if !isToken(h.Name[i]) {
			return "the name is not a token"
		}
	}
	lower := strings.ToLower(h.Name)
	if reserved[lower] {
		return "the name is reserved"
	}
	for _, prefix := range reservedPrefixes {
		if strings.HasPrefix(lower, prefix) {
			return "the name is reserved"
		}
	}
	v := h.Value.value
	if v == "" || len(v) > MaxHeaderValue {
		return "the value is empty or too long"
	}
	for i := range len(v) {
		if v[i] < ' ' || v[i] > '~' {
			return "the value holds something else than visible ASCII"
		}
	}
	if v[0] == ' ' || v[len(v)-1] == ' ' {
		return "the value begins or ends with a blank"
	}
	return ""
}

// isToken reports whether c may stand in a token of RFC 9110.
func isToken(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0
}

// checkHeaders returns what is wrong with the headers together, or "".
func checkHeaders(headers []Header) string {
	if len(headers) > MaxHeaders {
		return "more than 20"
	}
	for i, h := range headers {
		if detail := h.Check(); detail != "" {
			return detail
		}
		for _, other := range headers[:i] {
			if strings.EqualFold(other.Name, h.Name) {
				return "a name stands twice"
			}
		}
	}
	return ""
}
