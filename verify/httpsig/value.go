package httpsig

import (
	"bytes"
	"encoding/base64"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/ringback-go/ringback/internal/rawquery"
	"github.com/ringback-go/ringback/verify"
)

// target says what the message does not know about the URL it was sent to.
type target struct {
	scheme    string // http or https
	authority string // "" for the Host of the message
}

func newTarget(scheme, authority string) (target, string) {
	if scheme == "" {
		scheme = "https"
	}
	if scheme != "https" && scheme != "http" {
		return target{}, "Scheme is neither https nor http"
	}
	if _, err := appendClean(nil, authority); err != nil || strings.ContainsAny(authority, " /@?#") {
		return target{}, "Authority needs the form host or host:port"
	}
	return target{scheme: scheme, authority: authority}, ""
}

func (t target) appendAuthority(dst []byte, m *verify.Message) ([]byte, error) {
	host := t.authority
	if host == "" {
		host = m.Host
	}
	if t.scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	if host == "" {
		return dst, verify.ErrMissing
	}
	from := len(dst)
	dst, err := appendClean(dst, host)
	for i := from; i < len(dst); i++ {
		if 'A' <= dst[i] && dst[i] <= 'Z' {
			dst[i] += 'a' - 'A'
		}
	}
	return dst, err
}

func appendPath(dst []byte, m *verify.Message) ([]byte, error) {
	if m.Path == "" {
		return append(dst, '/'), nil
	}
	return appendClean(dst, m.Path)
}

func appendQuery(dst []byte, m *verify.Message) ([]byte, error) {
	if m.RawQuery == "" {
		return dst, nil
	}
	return appendClean(append(dst, '?'), m.RawQuery)
}

// appendValue appends the value of c in m.
func (t target) appendValue(dst []byte, m *verify.Message, c component) ([]byte, error) {
	var err error
	switch c.name {
	case "@method":
		if m.Method == "" {
			return dst, verify.ErrMissing
		}
		return appendClean(dst, m.Method)
	case "@scheme":
		return append(dst, t.scheme...), nil
	case "@authority":
		return t.appendAuthority(dst, m)
	case "@path":
		return appendPath(dst, m)
	case "@query":
		if m.RawQuery == "" {
			return append(dst, '?'), nil
		}
		return appendQuery(dst, m)
	case "@query-param":
		return appendQueryParam(dst, m.RawQuery, c.arg)
	case "@target-uri":
		dst = append(append(dst, t.scheme...), "://"...)
		if dst, err = t.appendAuthority(dst, m); err != nil {
			return dst, err
		}
		fallthrough
	case "@request-target":
		if dst, err = appendPath(dst, m); err != nil {
			return dst, err
		}
		return appendQuery(dst, m)
	}
	return appendField(dst, m, c)
}

func appendQueryParam(dst []byte, query, escaped string) ([]byte, error) {
	name, err := url.PathUnescape(escaped)
	if err != nil {
		return dst, verify.ErrMalformed
	}
	value, n, err := rawquery.Values(query, name)
	switch {
	case err != nil:
		return dst, verify.ErrMalformed
	case n == 0:
		return dst, verify.ErrMissing
	case n > 1: // forbidden by the RFC: which one was meant?
		return dst, verify.ErrRepeated
	}
	return appendEscaped(dst, value), nil
}

func appendField(dst []byte, m *verify.Message, c component) ([]byte, error) {
	values := m.Header[canonical(c.name)]
	if len(values) == 0 && c.name == "host" && m.Host != "" {
		values = []string{m.Host} // net/http takes it out of the header
	}
	if len(values) == 0 {
		return dst, verify.ErrMissing
	}
	switch c.form {
	case formBytes:
		for i, v := range values {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			v = textproto.TrimString(v)
			dst = append(dst, ':')
			dst = base64.StdEncoding.AppendEncode(dst, []byte(v))
			dst = append(dst, ':')
		}
		return dst, nil
	case formDict, formMember:
		return appendStructured(dst, values, c)
	}
	var err error
	for i, v := range values {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		if dst, err = appendClean(dst, textproto.TrimString(v)); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func appendStructured(dst []byte, values []string, c component) ([]byte, error) {
	var d dictionary
	if !parseDictionary(&d, strings.Join(values, ", ")) {
		return dst, verify.ErrMalformed
	}
	if c.form == formMember {
		m, ok := d.get(c.arg)
		if !ok {
			return dst, verify.ErrMissing
		}
		if dst, ok = appendMember(dst, m); !ok {
			return dst, verify.ErrMalformed
		}
		return dst, nil
	}
	for i, m := range d.list[:d.n] {
		if i > 0 {
			dst = append(dst, ", "...)
		}
		dst = append(dst, m.key...)
		at := len(dst)
		var ok bool
		if dst, ok = appendMember(append(dst, '='), m); !ok {
			return dst, verify.ErrMalformed
		}
		if rest, isTrue := bytes.CutPrefix(dst[at:], []byte("=?1")); isTrue { // left out in a dictionary
			dst = append(dst[:at], rest...)
		}
	}
	return dst, nil
}

// appendClean appends s, which must not be able to add a line to the
// signature base, nor be anything but ASCII.
func appendClean(dst []byte, s string) ([]byte, error) {
	for i := range len(s) {
		if (s[i] < ' ' && s[i] != '\t') || s[i] > '~' {
			return dst, verify.ErrMalformed
		}
	}
	return append(dst, s...), nil
}

func canonical(name string) string { return textproto.CanonicalMIMEHeaderKey(name) }

// single returns the one value of a header that must stand there exactly once
// and not be empty.
func single(h http.Header, name string) (string, error) {
	switch values := h[name]; {
	case len(values) == 0, len(values) == 1 && values[0] == "":
		return "", verify.ErrMissing
	case len(values) > 1:
		return "", verify.ErrRepeated
	default:
		return values[0], nil
	}
}
