package strictjson

import (
	"bytes"
	"hash/maphash"
	"sync"
	"unicode/utf16"
	"unicode/utf8"
)

// DefaultMaxDepth is the number of nested objects and arrays that
// [Unmarshal] allows, and [Check] when it is asked for zero levels or fewer.
const DefaultMaxDepth = 64

// Check reports whether data is one JSON text: nil, or an [*Error] whose
// class is one of [ErrSyntax], [ErrDuplicate], [ErrDepth], [ErrTrailing] and
// [ErrUTF8]. maxDepth is the number of nested objects and arrays allowed; at
// zero or below it is [DefaultMaxDepth]. The checker recurses, so that a
// large maxDepth costs stack.
func Check(data []byte, maxDepth int) error {
	if maxDepth <= 0 {
		maxDepth = DefaultMaxDepth
	}
	c, ok := checkers.Get().(*checker)
	if !ok {
		c = new(checker)
	}
	c.data, c.pos, c.left = data, 0, maxDepth
	err := c.document()
	c.release()
	return err
}

// linearKeys is the number of keys of one object up to which comparing each
// with each is quicker than a map.
const linearKeys = 16

var (
	checkers sync.Pool
	seed     = maphash.MakeSeed() // random, so that nobody can aim at one bucket
)

type checker struct {
	data    []byte
	pos     int
	left    int // levels that may still be opened
	objects int // counts objects, to tell their keys apart in table
	keys    []key
	table   map[slot]int32 // last index in keys with this hash, for objects over linearKeys
}

type key struct {
	name []byte // decoded
	hash uint64
	next int32 // index of the key before it with the same hash, -1 for none
}

type slot struct {
	object int
	hash   uint64
}

// release returns c to the pool without references to the input, and without
// the memory of an unusually large input.
func (c *checker) release() {
	c.data = nil
	if cap(c.keys) > 1024 {
		c.keys = nil
	}
	clear(c.keys[:cap(c.keys)])
	c.keys = c.keys[:0]
	if c.objects = 0; len(c.table) > 1024 {
		c.table = nil
	}
	clear(c.table)
	checkers.Put(c)
}

func (c *checker) fail(err error) error { return &Error{Offset: c.pos, Err: err} }

func (c *checker) document() error {
	c.space()
	if err := c.value(); err != nil {
		return err
	}
	if c.space(); c.pos < len(c.data) {
		return c.fail(ErrTrailing)
	}
	return nil
}

func (c *checker) space() { c.pos = skipSpace(c.data, c.pos) }

func (c *checker) peek() byte {
	if c.pos < len(c.data) {
		return c.data[c.pos]
	}
	return 0
}

func (c *checker) value() error {
	switch ch := c.peek(); ch {
	case '{':
		return c.nested(c.object)
	case '[':
		return c.nested(c.array)
	case '"':
		_, err := c.str()
		return err
	case 't':
		return c.literal("true")
	case 'f':
		return c.literal("false")
	case 'n':
		return c.literal("null")
	default:
		if ch == '-' || isDigit(ch) {
			return c.number()
		}
		return c.fail(ErrSyntax)
	}
}

func (c *checker) nested(body func() error) error {
	if c.left == 0 {
		return c.fail(ErrDepth)
	}
	c.left--
	c.pos++
	c.space()
	err := body()
	c.left++
	return err
}

func (c *checker) array() error {
	if c.peek() == ']' {
		c.pos++
		return nil
	}
	for {
		if err := c.value(); err != nil {
			return err
		}
		if done, err := c.comma(']'); done || err != nil {
			return err
		}
	}
}

func (c *checker) object() error {
	if c.peek() == '}' {
		c.pos++
		return nil
	}
	c.objects++
	id, base := c.objects, len(c.keys)
	for {
		if c.peek() != '"' {
			return c.fail(ErrSyntax)
		}
		at := c.pos
		name, err := c.str()
		if err != nil {
			return err
		}
		if !c.add(id, base, name) {
			c.pos = at
			return c.fail(ErrDuplicate)
		}
		if c.space(); c.peek() != ':' {
			return c.fail(ErrSyntax)
		}
		c.pos++
		c.space()
		if err := c.value(); err != nil {
			return err
		}
		done, err := c.comma('}')
		if err != nil {
			return err
		}
		if done {
			c.keys = c.keys[:base]
			return nil
		}
	}
}

// comma reads what may follow an element: end, or a comma and the beginning
// of the next.
func (c *checker) comma(end byte) (done bool, err error) {
	c.space()
	switch c.peek() {
	case end:
		c.pos++
		return true, nil
	case ',':
		c.pos++
		c.space()
		return false, nil
	}
	return false, c.fail(ErrSyntax)
}

// add remembers a key of the object id, whose keys begin at base. It reports
// whether the key is new.
func (c *checker) add(id, base int, name []byte) bool {
	k := key{name: name, hash: maphash.Bytes(seed, name), next: -1}
	n := len(c.keys) - base
	if n < linearKeys {
		for _, old := range c.keys[base:] {
			if old.hash == k.hash && bytes.Equal(old.name, name) {
				return false
			}
		}
		c.keys = append(c.keys, k)
		return true
	}
	if c.table == nil {
		c.table = make(map[slot]int32)
	}
	if n == linearKeys {
		for i := base; i < len(c.keys); i++ {
			c.index(id, i)
		}
	}
	if i, ok := c.table[slot{id, k.hash}]; ok {
		for ; i >= 0; i = c.keys[i].next {
			if bytes.Equal(c.keys[i].name, name) {
				return false
			}
		}
	}
	c.keys = append(c.keys, k)
	c.index(id, len(c.keys)-1)
	return true
}

func (c *checker) index(id, i int) {
	at := slot{id, c.keys[i].hash}
	if last, ok := c.table[at]; ok {
		c.keys[i].next = last
	}
	c.table[at] = int32(i)
}

func (c *checker) literal(word string) error {
	if !bytes.HasPrefix(c.data[c.pos:], []byte(word)) {
		return c.fail(ErrSyntax)
	}
	c.pos += len(word)
	return nil
}

func (c *checker) number() error {
	if c.peek() == '-' {
		c.pos++
	}
	if c.peek() == '0' {
		c.pos++
	} else if !c.digits() {
		return c.fail(ErrSyntax)
	}
	if c.peek() == '.' {
		c.pos++
		if !c.digits() {
			return c.fail(ErrSyntax)
		}
	}
	if ch := c.peek(); ch == 'e' || ch == 'E' {
		c.pos++
		if ch := c.peek(); ch == '+' || ch == '-' {
			c.pos++
		}
		if !c.digits() {
			return c.fail(ErrSyntax)
		}
	}
	return nil
}

func (c *checker) digits() bool {
	from := c.pos
	for isDigit(c.peek()) {
		c.pos++
	}
	return c.pos > from
}

// str reads a string and returns its decoded bytes, which are part of the
// input when there was nothing to decode.
func (c *checker) str() ([]byte, error) {
	c.pos++
	from, escaped := c.pos, false
	for c.pos < len(c.data) {
		c.pos += plainRun(c.data[c.pos:])
		if c.pos == len(c.data) {
			break
		}
		ch := c.data[c.pos]
		switch {
		case ch == '"':
			text := c.data[from:c.pos]
			c.pos++
			if escaped {
				text = unescape(text)
			}
			return text, nil
		case ch == '\\':
			escaped = true
			if err := c.escape(); err != nil {
				return nil, err
			}
		case ch < ' ':
			return nil, c.fail(ErrSyntax)
		default:
			r, size := utf8.DecodeRune(c.data[c.pos:])
			if r == utf8.RuneError && size == 1 {
				return nil, c.fail(ErrUTF8)
			}
			c.pos += size
		}
	}
	return nil, c.fail(ErrSyntax)
}

func (c *checker) escape() error {
	if c.pos+1 >= len(c.data) {
		return c.fail(ErrSyntax)
	}
	switch c.data[c.pos+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		c.pos += 2
		return nil
	case 'u':
		r := unicodeEscape(c.data[c.pos:])
		switch {
		case r < 0:
			return c.fail(ErrSyntax)
		case !utf16.IsSurrogate(r):
			c.pos += 6
			return nil
		case utf16.DecodeRune(r, unicodeEscape(c.data[c.pos+6:])) == utf8.RuneError:
			return c.fail(ErrUTF8)
		}
		c.pos += 12
		return nil
	}
	return c.fail(ErrSyntax)
}
