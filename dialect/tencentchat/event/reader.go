package event

import (
	"bytes"
	"encoding/json"
)

// A reader walks over JSON text that strictjson has accepted, so that nothing
// needs to be judged again.
type reader struct {
	data []byte
	pos  int // at a token
}

func (r *reader) space() {
	for r.pos < len(r.data) && r.data[r.pos] <= ' ' {
		r.pos++
	}
}

// begin goes behind the bracket that opens an object or a list.
func (r *reader) begin() {
	r.pos++
	r.space()
}

// end reports whether the bracket that closes is next, and goes behind it.
func (r *reader) end(bracket byte) bool {
	if r.data[r.pos] != bracket {
		return false
	}
	r.pos++
	return true
}

// comma goes behind a comma, if one is next.
func (r *reader) comma() {
	if r.space(); r.data[r.pos] == ',' {
		r.begin()
	}
}

// name reads a member's name and goes to its value.
func (r *reader) name() []byte {
	name := r.content()
	r.space()
	r.begin() // the colon
	return name
}

// content reads a string and returns what it says, which may be part of the
// text.
func (r *reader) content() []byte {
	from := r.pos
	r.pos++
	if n := bytes.IndexByte(r.data[r.pos:], '"'); bytes.IndexByte(r.data[r.pos:r.pos+n], '\\') < 0 {
		r.pos += n + 1
		return r.data[from+1 : r.pos-1]
	}
	r.pos = from
	var s string
	if json.Unmarshal(r.skip(), &s) != nil {
		return nil // not reached: the text is valid
	}
	return []byte(s)
}

// skip goes behind a value and returns its text.
func (r *reader) skip() []byte {
	from, depth := r.pos, 0
	for {
		switch r.data[r.pos] {
		case '"':
			for r.pos++; r.data[r.pos] != '"'; r.pos++ {
				if r.data[r.pos] == '\\' {
					r.pos++
				}
			}
			r.pos++
		case '{', '[':
			depth++
			r.pos++
		case '}', ']':
			depth--
			r.pos++
		case ',', ':', ' ', '\n', '\r', '\t':
			r.pos++
		default: // a number or a word
			for r.pos < len(r.data) && r.data[r.pos] > ' ' && bytes.IndexByte([]byte(",]}"), r.data[r.pos]) < 0 {
				r.pos++
			}
		}
		if depth == 0 {
			return r.data[from:r.pos]
		}
	}
}
