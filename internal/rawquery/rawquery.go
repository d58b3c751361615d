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
	"net/url"
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
	if err := Check(raw); err != nil {
		return "", 0, err
	}
	first := ""
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		k, v, _ := strings.Cut(pair, "=")
		if !equal(k, key) {
			continue
		}
		if n == 0 {
			first = v
		}
		n++
	}
	value, err = decode(first)
	if err != nil {
		return "", 0, err
	}
	return value, n, nil
}

// Check reports whether raw is a query that every reader understands in the
// same way: nil, [ErrSemicolon] or [ErrEscape].
func Check(raw string) error {
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case ';':
			return ErrSemicolon
		case '%':
			if len(raw)-i < 3 || unhex(raw[i+1]) < 0 || unhex(raw[i+2]) < 0 {
				return ErrEscape
			}
			i += 2
		}
	}
	return nil
}

// equal compares the decoded form of raw, which [Check] has accepted, with
// key.
func equal(raw, key string) bool {
	j := 0
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		switch c {
		case '+':
			c = ' '
		case '%':
			c = byte(unhex(raw[i+1])<<4 | unhex(raw[i+2]))
			i += 2
		}
		if j == len(key) || key[j] != c {
			return false
		}
		j++
	}
	return j == len(key)
}

func decode(v string) (string, error) {
	if strings.IndexByte(v, '%') < 0 && strings.IndexByte(v, '+') < 0 {
		return v, nil
	}
	s, err := url.QueryUnescape(v)
	if err != nil { // unreachable after Check; url's own error would quote the query
		return "", ErrEscape
	}
	return s, nil
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
