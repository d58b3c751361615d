// Package rawquery reads single parameters from a raw URL query without
// parsing the rest into a map.
//
// [net/url.URL.Query] drops what it cannot parse without a word, and
// [net/url.ParseQuery] builds a map for every request. A gate that needs one
// value, and needs to know that it was given exactly once, needs neither:
//
//	value, n, err := rawquery.Values(r.URL.RawQuery, "Sign")
//	if err != nil || n != 1 {
//		// refuse
//	}
//
// The functions hold no state and are safe for concurrent use. They allocate
// only when the value that they return contains an escape or a plus sign.
package rawquery

import (
	"errors"
	"strings"
)

// The two ways in which a query can be broken. Neither text contains a part
// of the query.
var (
	// ErrSemicolon says that the query contains a semicolon, which some
	// servers take for a separator and others for data.
	ErrSemicolon = errors.New("rawquery: semicolon in the query")
	// ErrEscape says that a percent sign is not followed by two hex digits.
	ErrEscape = errors.New("rawquery: broken percent escape in the query")
)

// Values returns the first value of key in raw, decoded, and how many times
// key occurs. Keys are decoded before they are compared, and compared in
// their exact letter case; a plus sign is a space. A key without an equals
// sign has the empty value. The whole query is checked, also behind the first
// hit: a semicolon or a broken escape anywhere is an error, and then the
// value is empty and n is 0.
func Values(raw, key string) (value string, n int, err error) {
	one := [1]Param{{Key: key}}
	if err := Find(raw, one[:]); err != nil {
		return "", 0, err
	}
	return one[0].Value, one[0].N, nil
}

// Param is one parameter to look for.
type Param struct {
	Key   string
	Value string // the first one, decoded
	N     int    // how many times Key occurs
}

// Find is [Values] for several parameters in one pass over the query. It sets
// Value and N of each; after an error they are empty and 0.
func Find(raw string, params []Param) error {
	for i := range params {
		params[i].Value, params[i].N = "", 0
	}
	if err := Check(raw); err != nil {
		return err
	}
	for more := raw != ""; more; {
		pair := raw
		i := strings.IndexByte(raw, '&')
		if more = i >= 0; more {
			pair, raw = raw[:i], raw[i+1:]
		}
		if pair == "" { // as between two ampersands: not an empty key
			continue
		}
		c := pair[0]
		for j := range params {
			p := &params[j]
			if p.Key != "" && p.Key[0] != c && c != '%' && c != '+' { // nearly all of them
				continue
			}
			if v, hit := match(pair, p.Key); hit {
				if p.N++; p.N == 1 {
					p.Value = decode(v)
				}
			}
		}
	}
	return nil
}

// Check reports whether raw is a query that every reader understands in the
// same way: nil, [ErrSemicolon] or [ErrEscape].
func Check(raw string) error {
	if strings.IndexByte(raw, ';') >= 0 {
		return ErrSemicolon
	}
	for { // IndexByte is many times faster than a loop over the bytes
		i := strings.IndexByte(raw, '%')
		if i < 0 {
			return nil
		}
		if len(raw)-i < 3 || unhex(raw[i+1]) < 0 || unhex(raw[i+2]) < 0 {
			return ErrEscape
		}
		raw = raw[i+3:]
	}
}

// match reports whether the decoded key of pair, which [Check] has accepted,
// is key, and returns the value that stands behind it.
func match(pair, key string) (value string, ok bool) {
	i := 0
	for j := range len(key) {
		if i == len(pair) {
			return "", false
		}
		c := pair[i]
		switch c {
		case '=':
			return "", false
		case '+':
			c = ' '
		case '%':
			c = byte(unhex(pair[i+1])<<4 | unhex(pair[i+2]))
			i += 2
		}
		if key[j] != c {
			return "", false
		}
		i++
	}
	if i == len(pair) {
		return "", true
	}
	return pair[i+1:], pair[i] == '='
}

// decode decodes a value, which [Check] has accepted.
func decode(v string) string {
	if strings.IndexByte(v, '%') < 0 && strings.IndexByte(v, '+') < 0 {
		return v
	}
	out := make([]byte, 0, len(v))
	for i := 0; i < len(v); i++ {
		c := v[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			c = byte(unhex(v[i+1])<<4 | unhex(v[i+2]))
			i += 2
		}
		out = append(out, c)
	}
	return string(out)
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
