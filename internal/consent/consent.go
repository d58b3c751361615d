// Package consent reads what both sides of the CloudEvents web-hook handshake
// send (HTTP 1.1 Web Hooks for Event Delivery 1.0.2, section 4).
package consent

const (
	MaxOrigin = 253       // bytes of a DNS name
	MaxRate   = 9_999_999 // requests in a minute
)

// Origin reports whether s could be a DNS expression.
func Origin(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ',' {
			return false
		}
	}
	return s != "" && len(s) <= MaxOrigin
}

// Rate reads a number greater than zero, in digits alone; more than MaxRate
// counts as that.
func Rate(s string) (int, bool) {
	n := 0
	if s == "" || s[0] == '0' || len(s) > 20 {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = min(n*10+int(s[i]-'0'), MaxRate)
	}
	return n, true
}
