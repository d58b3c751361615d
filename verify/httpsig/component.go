package httpsig

import (
	"net/url"
	"strings"
)

// form is how a component's value is taken.
type form uint8

const (
	formPlain  form = iota
	formBytes       // ;bs
	formDict        // ;sf, of a field that is known to be a dictionary
	formMember      // ;key="…"
	formParam       // @query-param;name="…"
)

// component is one covered part of a message. Two components are the same
// part exactly when they are equal.
type component struct {
	name string // @method, or a field's name in lower case
	form form
	arg  string
}

// The fields whose form is known, so that ;sf has one meaning.
var dictionaries = map[string]bool{
	"content-digest": true, "repr-digest": true, "want-content-digest": true, "want-repr-digest": true,
	"signature": true, "signature-input": true, "accept-signature": true, "priority": true,
}

// parseComponent reads an identifier. It is false for whatever is not
// supported: a component that is not understood must not count as covered.
func parseComponent(id bare, p *params) (component, bool) {
	name, ok := plainText(id)
	if !ok || p.n > 1 {
		return component{}, false
	}
	c := component{name: name}
	if name == "@query-param" {
		return c, p.n == 1 && p.list[0].key == "name" && c.setParam(p.list[0].val)
	}
	if strings.HasPrefix(name, "@") {
		switch name {
		case "@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query":
			return c, p.n == 0
		}
		return component{}, false // @status too: requests have none
	}
	if !fieldName(name) {
		return component{}, false
	}
	if p.n == 0 {
		return c, true
	}
	switch one := p.list[0]; one.key {
	case "bs":
		c.form = formBytes
		return c, one.val == bare{kind: kindBool}
	case "sf":
		c.form = formDict
		return c, one.val == bare{kind: kindBool} && dictionaries[name]
	case "key":
		c.form = formMember
		c.arg, ok = plainText(one.val)
		if !ok {
			return component{}, false
		}
		scan := scanner{s: c.arg}
		_, ok = scan.key()
		return c, ok && scan.done()
	}
	return component{}, false // req and tr too
}

func (c *component) setParam(b bare) bool {
	text, ok := plainText(b)
	if !ok {
		return false
	}
	name, err := url.PathUnescape(text)
	if err != nil || string(appendEscaped(nil, name)) != text {
		return false
	}
	c.form, c.arg = formParam, text
	return true
}

// parseConfigured reads an identifier as it stands in a configuration:
// @method, content-digest, @query-param;name="id", without the outer quotes.
func parseConfigured(text string) (component, bool) {
	name, rest, more := strings.Cut(text, ";")
	if more {
		rest = ";" + rest
	}
	c := scanner{s: `"` + name + `"` + rest}
	id, ok := c.bare()
	var p params
	if !ok || !c.params(&p) || !c.done() {
		return component{}, false
	}
	return parseComponent(id, &p)
}

// appendID appends the identifier's canonical text. Names and arguments hold
// nothing that needs an escape.
func (c component) appendID(dst []byte) []byte {
	dst = append(append(append(dst, '"'), c.name...), '"')
	switch c.form {
	case formPlain:
	case formBytes:
		dst = append(dst, ";bs"...)
	case formDict:
		dst = append(dst, ";sf"...)
	case formMember:
		dst = append(append(append(dst, `;key="`...), c.arg...), '"')
	case formParam:
		dst = append(append(append(dst, `;name="`...), c.arg...), '"')
	}
	return dst
}

func (c component) String() string { return string(c.appendID(nil)) }

// fieldName reports whether s is a field's name in lower case.
func fieldName(s string) bool {
	for i := range len(s) {
		if b := s[i]; !isLower(b) && !isDigit(b) && strings.IndexByte("!#$%&'*+-.^_`|~", b) < 0 {
			return false
		}
	}
	return s != ""
}

// appendEscaped appends s as a form would escape it, with %20 for a space.
func appendEscaped(dst []byte, s string) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		if b := s[i]; isAlpha(b) || isDigit(b) || strings.IndexByte("*-._", b) >= 0 {
			dst = append(dst, b)
		} else {
			dst = append(dst, '%', digits[b>>4], digits[b&15])
		}
	}
	return dst
}
