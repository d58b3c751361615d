package httpsig

import (
	"errors"
	"strings"

	"github.com/ringback-go/ringback/verify"
)

// Base returns the signature base of m for an entry of Signature-Input.
func Base(m verify.Message, scheme, authority, entry string) (string, error) {
	t, why := newTarget(scheme, authority)
	if why != "" {
		return "", errors.New(why)
	}
	var d dictionary
	var in input
	if !parseDictionary(&d, entry) || d.n != 1 || !parseInput(&in, d.list[0]) {
		return "", verify.ErrMalformed
	}
	b, _, err := in.appendBase(nil, t, &m)
	return string(b), err
}

// Check judges the base64 of a signature of base.
func Check(k Key, base, signature string) bool {
	own, err := copyKeys([]Key{k})
	return err == nil && own[0].check([]byte(base), member{key: "x", value: ":" + signature + ":"})
}

// Canonical returns the canonical text of a dictionary, member by member.
func Canonical(text string) (string, bool) {
	var d dictionary
	if !parseDictionary(&d, text) {
		return "", false
	}
	var out []string
	for _, m := range d.list[:d.n] {
		b, ok := appendMember([]byte(m.key+"="), m)
		if !ok {
			return "", false
		}
		out = append(out, string(b))
	}
	return strings.Join(out, ", "), true
}

// CheckDigest judges a Content-Digest.
func CheckDigest(value string, body []byte) error { return checkDigest(value, body) }
