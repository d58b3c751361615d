package keys

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// MACs keeps HMAC-SHA256 states of one key: making one costs several
// allocations and two hash blocks.
type MACs struct {
	pool sync.Pool
}

// MAC is one state. It does not copy long texts that are given to Bytes.
type MAC struct {
	mac  hash.Hash
	text []byte // collects what is short: hashing in one piece is quicker
	sum  [sha256.Size]byte
}

const (
	roomText = 1 << 10
	keepText = 4 << 10
)

// NewMACs returns a pool for key, which it does not copy and which must not
// change.
func NewMACs(key []byte) *MACs {
	p := new(MACs)
	p.pool.New = func() any { return &MAC{mac: hmac.New(sha256.New, key), text: make([]byte, 0, roomText)} }
	return p
}

// Start returns a fresh state.
func (p *MACs) Start() *MAC {
	m, ok := p.pool.Get().(*MAC)
	if !ok { // the pool holds nothing else
		panic("keys: foreign value in a pool")
	}
	m.mac.Reset()
	m.text = m.text[:0]
	return m
}

// Text adds s.
func (m *MAC) Text(s string) { m.text = append(m.text, s...) }

// Bytes adds b.
func (m *MAC) Bytes(b []byte) {
	if len(b) <= cap(m.text)-len(m.text) {
		m.text = append(m.text, b...)
		return
	}
	m.flush()
	m.mac.Write(b)
}

func (m *MAC) flush() {
	if len(m.text) > 0 {
		m.mac.Write(m.text)
		m.text = m.text[:0]
	}
}

// Finish returns the sum and takes the state back.
func (p *MACs) Finish(m *MAC) [sha256.Size]byte {
	m.flush()
	m.mac.Sum(m.sum[:0])
	sum := m.sum
	if cap(m.text) <= keepText {
		p.pool.Put(m)
	}
	return sum
}
