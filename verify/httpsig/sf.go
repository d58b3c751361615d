package httpsig

import "strings"

// Structured Fields (RFC 9651), as far as signatures need them: dictionaries
// of items and inner lists, with parameters. The scanner works on the text and
// keeps parts of it; it takes numbers and base64 in their canonical form alone,
// so that what it keeps is also what has to be signed. Display strings are not
// known here. Every loop is bounded by a limit below or by the text.

const (
	maxField   = 16 << 10 // bytes of one field
	maxMembers = 16       // of a dictionary
	maxItems   = 32       // of an inner list
	maxParams  = 8        // of an item or a list
)

type kind uint8

const (
	kindNone kind = iota
	kindInteger
	kindDecimal
	kindString
	kindToken
	kindBytes
	kindBool
	kindDate
)

// bare is an item without its parameters; raw is its canonical text.
type bare struct {
	kind kind
	raw  string
}

type param struct {
	key string
	val bare // the canonical text of true is empty here
}

type params struct {
	n    int
	list [maxParams]param
}

// member is one entry of a dictionary. value is its text, not canonical, with
// parameters; with implicit it is the parameters alone.
type member struct {
	key, value string
	implicit   bool
}

type dictionary struct {
	n    int
	list [maxMembers]member
}

func (d *dictionary) get(key string) (member, bool) {
	for _, m := range d.list[:d.n] {
		if m.key == key {
			return m, true
		}
	}
	return member{}, false
}

// parseDictionary refuses a key that stands twice: the last one would count,
// and the first one would be what a careless reader sees.
func parseDictionary(d *dictionary, text string) bool {
	d.n = 0
	if len(text) > maxField {
		return false
	}
	c := scanner{s: text}
	c.spaces()
	for {
		if d.n == maxMembers {
			return false
		}
		m, ok := c.member()
		if !ok {
			return false
		}
		if _, twice := d.get(m.key); twice {
			return false
		}
		d.list[d.n] = m
		d.n++
		c.blanks()
		if c.done() {
			return true
		}
		if !c.skip(',') {
			return false
		}
		c.blanks()
	}
}

type scanner struct {
	s string
	i int
}

func (c *scanner) done() bool { return c.i == len(c.s) }

// peek returns 0 at the end, which no structured field contains.
func (c *scanner) peek() byte {
	if c.done() {
		return 0
	}
	return c.s[c.i]
}

func (c *scanner) skip(b byte) bool {
	if c.peek() != b || c.done() {
		return false
	}
	c.i++
	return true
}

func (c *scanner) spaces() {
	for c.peek() == ' ' {
		c.i++
	}
}

func (c *scanner) blanks() {
	for c.peek() == ' ' || c.peek() == '\t' {
		c.i++
	}
}

// while advances over the bytes that ok names and returns them.
func (c *scanner) while(ok func(byte) bool) string {
	from := c.i
	for !c.done() && ok(c.s[c.i]) {
		c.i++
	}
	return c.s[from:c.i]
}

func isLower(b byte) bool { return 'a' <= b && b <= 'z' }
func isDigit(b byte) bool { return '0' <= b && b <= '9' }
func isAlpha(b byte) bool { return isLower(b | 0x20) }

func isKey(b byte) bool { return isLower(b) || isDigit(b) || strings.IndexByte("_-.*", b) >= 0 }

func isToken(b byte) bool {
	return isAlpha(b) || isDigit(b) || strings.IndexByte("!#$%&'*+-.^_`|~:/", b) >= 0
}

func (c *scanner) key() (string, bool) {
	if b := c.peek(); !isLower(b) && b != '*' {
		return "", false
	}
	return c.while(isKey), true
}

func (c *scanner) member() (member, bool) {
	key, ok := c.key()
	if !ok {
		return member{}, false
	}
	implicit := !c.skip('=')
	from := c.i
	switch {
	case implicit:
	case c.peek() == '(':
		if !c.skipInner() {
			return member{}, false
		}
	default:
		if _, ok := c.bare(); !ok {
			return member{}, false
		}
	}
	var p params
	if !c.params(&p) {
		return member{}, false
	}
	return member{key: key, value: c.s[from:c.i], implicit: implicit}, true
}

func (c *scanner) skipInner() bool {
	next, ok := c.inner()
	for ok && next {
		var p params
		if _, good := c.bare(); !good || !c.params(&p) {
			return false
		}
		next, ok = c.again()
	}
	return ok
}

// inner opens an inner list; next says that an item follows.
func (c *scanner) inner() (next, ok bool) {
	if !c.skip('(') {
		return false, false
	}
	c.spaces()
	return !c.skip(')'), true
}

// again goes on behind an item of an inner list.
func (c *scanner) again() (next, ok bool) {
	if c.skip(')') {
		return false, true
	}
	if c.peek() != ' ' {
		return false, false
	}
	c.spaces()
	return !c.skip(')'), true
}

func (c *scanner) params(p *params) bool {
	p.n = 0
	for c.skip(';') {
		c.spaces()
		key, ok := c.key()
		if !ok || p.n == maxParams {
			return false
		}
		for _, other := range p.list[:p.n] {
			if other.key == key {
				return false
			}
		}
		val := bare{kind: kindBool}
		if c.skip('=') {
			if val, ok = c.bare(); !ok {
				return false
			}
			if val.raw == "?1" {
				val.raw = ""
			}
		}
		p.list[p.n] = param{key: key, val: val}
		p.n++
	}
	return true
}

// appendParams appends the canonical text of p.
func appendParams(dst []byte, p *params) []byte {
	for _, one := range p.list[:p.n] {
		dst = append(append(dst, ';'), one.key...)
		if one.val.raw != "" {
			dst = append(append(dst, '='), one.val.raw...)
		}
	}
	return dst
}

// appendMember appends the canonical text of a dictionary member's value.
func appendMember(dst []byte, m member) ([]byte, bool) {
	c := scanner{s: m.value}
	var p params
	switch {
	case m.implicit:
		dst = append(dst, "?1"...)
	case c.peek() == '(':
		dst = append(dst, '(')
		next, ok := c.inner()
		for first := true; ok && next; first = false {
			if !first {
				dst = append(dst, ' ')
			}
			b, good := c.bare()
			if !good || !c.params(&p) {
				return dst, false
			}
			dst = appendParams(append(dst, b.raw...), &p)
			next, ok = c.again()
		}
		if !ok {
			return dst, false
		}
		dst = append(dst, ')')
	default:
		b, ok := c.bare()
		if !ok {
			return dst, false
		}
		dst = append(dst, b.raw...)
	}
	if !c.params(&p) || !c.done() {
		return dst, false
	}
	return appendParams(dst, &p), true
}
