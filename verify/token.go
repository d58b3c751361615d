package verify

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/textproto"
)

const (
	schemeToken = "token"
	maxToken    = 256
)

// Token checks a fixed key in a header, such as Authorization: Token KEY. It
// is a password: it covers neither the body nor the time.
//
// The zero value refuses everything. A Token is safe for concurrent use.
type Token struct {
	header string
	scheme string
	bare   bool
	keys   []ownKey
	sums   func() [][sha256.Size]byte // of the keys, so that all comparisons have one length
}

// NewToken returns a verifier that wants one of the keys in the named header,
// behind the word scheme and exactly one space. The scheme is matched in any
// letter case, the key exactly. With bare, the key without the scheme is
// accepted too. An empty scheme means the bare key alone and needs bare.
//
// Keys are 1 to 256 printable ASCII characters without spaces.
func NewToken(header, scheme string, bare bool, keys ...Key) (Token, error) {
	if header == "" {
		return Token{}, configError(schemeToken, "header", "no name given")
	}
	if scheme == "" && !bare {
		return Token{}, configError(schemeToken, "scheme", "neither a scheme nor the bare key is allowed")
	}
	if scheme != "" && !printable(scheme) {
		return Token{}, configError(schemeToken, "scheme", "not printable ASCII without spaces")
	}
	own, err := copyKeys(schemeToken, keys)
	if err != nil {
		return Token{}, err
	}
	sums := make([][sha256.Size]byte, 0, len(own))
	for _, k := range own {
		if len(k.secret()) > maxToken || !printable(string(k.secret())) {
			return Token{}, configError(schemeToken, keyField(k.id), "not 1 to 256 printable ASCII characters without spaces")
		}
		sums = append(sums, sha256.Sum256(k.secret()))
	}
	return Token{header: textproto.CanonicalMIMEHeaderKey(header), scheme: scheme, bare: bare, keys: own, sums: hidden(sums)}, nil
}

// Verify looks at the one header. It does not allocate when it accepts.
func (t Token) Verify(_ context.Context, m Message) (Identity, error) {
	if len(t.keys) == 0 {
		return Identity{}, notMade(schemeToken)
	}
	value, err := singleHeader(m.Header, t.header)
	if err != nil {
		return Identity{}, t.refuse(err)
	}
	given, ok := t.credential(value)
	if !ok || len(given) == 0 {
		return Identity{}, t.refuse(ErrMalformed)
	}
	if len(given) > maxToken {
		return Identity{}, t.refuse(ErrMismatch)
	}
	var buf [maxToken]byte // a conversion to []byte would allocate
	sum := sha256.Sum256(buf[:copy(buf[:], given)])
	match, sums := -1, t.sums()
	for i, k := range t.keys {
		if subtle.ConstantTimeCompare(sum[:], sums[i][:]) == 1 && k.valid(m.At) && match < 0 {
			match = i
		}
	}
	if match < 0 {
		return Identity{}, t.refuse(ErrMismatch)
	}
	return Identity{Scheme: schemeToken, Key: t.keys[match].id}, nil
}

func (t Token) refuse(err error) error {
	return &Error{Scheme: schemeToken, Field: t.header, Err: err}
}

// credential cuts the scheme off. Keys hold no spaces, so that a bare key is
// never taken for a scheme with a key.
func (t Token) credential(value string) (string, bool) {
	n := len(t.scheme)
	if n > 0 && len(value) > n && value[n] == ' ' && equalFold(value[:n], t.scheme) {
		return value[n+1:], true
	}
	return value, t.bare
}

// singleHeader returns the one value of a header that must stand there
// exactly once and not be empty. name is in canonical form.
func singleHeader(h map[string][]string, name string) (string, error) {
	switch values := h[name]; {
	case len(values) == 0, len(values) == 1 && values[0] == "":
		return "", ErrMissing
	case len(values) > 1:
		return "", ErrRepeated
	default:
		return values[0], nil
	}
}

// printable reports whether s is ASCII from '!' to '~'.
func printable(s string) bool {
	for i := range len(s) {
		if s[i]-'!' > '~'-'!' { // one comparison: what is below wraps around
			return false
		}
	}
	return s != ""
}

// equalFold folds ASCII only: strings.EqualFold takes the Kelvin sign for a k.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
