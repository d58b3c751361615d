package httpsig

import (
	"sync"
	"time"

	"github.com/ringback-go/ringback/verify"
)

// input is one entry of Signature-Input: what is covered, and the signature's
// parameters.
type input struct {
	n      int
	list   [maxItems]component
	params params

	created, expires           time.Time // zero: not given
	keyID, nonce, alg, tag     string
	hasKeyID, hasNonce, hasAlg bool
}

func (in *input) covers(c component) bool {
	for i := range in.n {
		if in.list[i] == c {
			return true
		}
	}
	return false
}

// parseInput refuses what it does not know, parameters and components alike:
// it might change what the signature means.
func parseInput(in *input, m member) bool {
	if m.implicit {
		return false
	}
	c := scanner{s: m.value}
	next, ok := c.inner()
	for ok && next {
		var p params
		id, good := c.bare()
		if !good || !c.params(&p) || in.n == maxItems {
			return false
		}
		one, good := parseComponent(id, &p)
		if !good || in.covers(one) {
			return false
		}
		in.list[in.n] = one
		in.n++
		next, ok = c.again()
	}
	if !ok || !c.params(&in.params) || !c.done() {
		return false
	}
	for i := range in.params.n {
		if !in.set(&in.params.list[i]) {
			return false
		}
	}
	return true
}

func (in *input) set(p *param) bool {
	var ok bool
	switch p.key {
	case "created":
		in.created, ok = moment(p.val)
	case "expires":
		in.expires, ok = moment(p.val)
	case "keyid":
		in.keyID, ok = unquote(p.val)
		in.hasKeyID = true
	case "nonce":
		in.nonce, ok = unquote(p.val)
		in.hasNonce = true
	case "alg":
		in.alg, ok = unquote(p.val)
		in.hasAlg = true
	case "tag":
		in.tag, ok = unquote(p.val)
	}
	return ok
}

func moment(b bare) (time.Time, bool) {
	n, ok := unsigned(b)
	return time.Unix(n, 0), ok && n > 0
}

// appendParams appends the value of @signature-params.
func (in *input) appendParams(dst []byte) []byte {
	dst = append(dst, '(')
	for i := range in.n {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = in.list[i].appendID(dst)
	}
	return appendParams(append(dst, ')'), &in.params)
}

// appendBase appends the signature base, RFC 9421 section 2.5. With an error
// it names the component that has no value.
func (in *input) appendBase(dst []byte, t target, m *verify.Message) ([]byte, component, error) {
	var err error
	for i := range in.n {
		dst = append(in.list[i].appendID(dst), ": "...)
		if dst, err = t.appendValue(dst, m, in.list[i]); err != nil {
			return dst, in.list[i], err
		}
		dst = append(dst, '\n')
	}
	return in.appendParams(append(dst, `"@signature-params": `...)), component{}, nil
}

// buffer is a reused signature base.
type buffer struct{ b []byte }

const keepBuffer = 64 << 10

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 1024)} }}

func newBuffer() *buffer {
	b, ok := buffers.Get().(*buffer)
	if !ok { // the pool holds nothing else
		b = new(buffer)
	}
	b.b = b.b[:0]
	return b
}

func (b *buffer) free() {
	if cap(b.b) <= keepBuffer {
		buffers.Put(b)
	}
}
