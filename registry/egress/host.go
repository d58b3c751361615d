package egress

import "strings"

// specialTLD are last labels that never lead to the public Internet: special-use names (RFC 6761,
// 6762, 7686, 9476), private and name-collision names, and the tree of reverse look-ups.
var specialTLD = map[string]bool{
	"alt": true, "arpa": true, "invalid": true, "local": true, "localhost": true, "onion": true, "test": true,
	"corp": true, "home": true, "internal": true, "intranet": true, "lan": true, "localdomain": true,
	"mail": true, "private": true, "workgroup": true,
	"consul": true, "svc": true,
}

// metadataName are names under public domains that mean the cloud machine's own metadata service
// when asked from inside. The dial guard judges their addresses anyway.
var metadataName = map[string]bool{
	"api.metadata.cloud.ibm.com":   true,
	"metadata.goog":                true,
	"metadata.packet.net":          true,
	"metadata.platformequinix.com": true,
	"metadata.tencentyun.com":      true,
}

// checkName judges a host in lower case that is no literal address: what is wrong with it, or "".
func checkName(host string) string {
	if host == "" {
		return "empty"
	}
	if len(host) > 253 {
		return "name over 253 bytes"
	}
	labels, last := 0, ""
	for label := range strings.SplitSeq(host, ".") {
		if detail := checkLabel(label); detail != "" {
			return detail
		}
		labels, last = labels+1, label
	}
	switch {
	case isNumber(last):
		return "number spelling of an address"
	case labels < 2:
		return "single label"
	case specialTLD[last]:
		return "special-use name"
	}
	for name := host; ; {
		if metadataName[name] {
			return "metadata name"
		}
		_, parent, found := strings.Cut(name, ".")
		if !found {
			return ""
		}
		name = parent
	}
}

// checkLabel wants letters, digits, hyphens and underscores in ASCII (RFC 1123; underscores occur).
func checkLabel(label string) string {
	switch {
	case label == "":
		return "empty label"
	case len(label) > 63:
		return "label over 63 bytes"
	case label[0] == '-' || label[len(label)-1] == '-':
		return "hyphen at the end of a label"
	}
	for i := range len(label) {
		c := label[i]
		if ('a' > c || c > 'z') && ('0' > c || c > '9') && c != '-' && c != '_' {
			return "character not allowed in a name"
		}
	}
	if len(label) >= 4 && label[2:4] == "--" {
		if !strings.HasPrefix(label, "xn--") || !validALabel(label[4:]) {
			return "not a valid A-label"
		}
	}
	return ""
}

// isNumber reports whether a resolver could read the last label as a part of an IPv4 address: all
// digits, or 0x and hexadecimal digits, or none.
func isNumber(label string) bool {
	digits, isDigit := label, func(c byte) bool { return '0' <= c && c <= '9' }
	if after, found := strings.CutPrefix(label, "0x"); found {
		digits, isDigit = after, isHex
	}
	for i := range len(digits) {
		if !isDigit(digits[i]) {
			return false
		}
	}
	return true
}
