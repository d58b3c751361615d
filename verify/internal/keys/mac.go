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

// MAC is one state, with room that is any key's. It does not copy long texts
// that are given to Bytes.
type MAC struct {
	mac  hash.Hash
	text []byte // collects what is short: hashing in one piece is quicker
	sum  [sha256.Size]byte
}

// rooms are MACs without a state: thousands of keys are not used at a time.
var rooms = sync.Pool{New: func() any { return &MAC{text: make([]byte, 0, roomText)} }}

const (
	roomText = 1 << 10
	keepText = 4 << 10
)

// NewMACs returns a pool for key, which it does not copy and which must not
// change.
func NewMACs(key []byte) *MACs {
	p := new(MACs)
	p.pool.New = func() any { return hmac.New(sha256.New, key) }
	return p
}

// Start returns a fresh state.
func (p *MACs) Start() *MAC {
	m, ok := rooms.Get().(*MAC)
	mac, fits := p.pool.Get().(hash.Hash)
	if !ok || !fits { // the pools hold nothing else
		panic("keys: foreign value in a pool")
	}
	mac.Reset()
	m.mac, m.text = mac, m.text[:0]
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
	p.pool.Put(m.mac)
	m.mac = nil
	if cap(m.text) <= keepText {
		rooms.Put(m)
	}
	return sum
}
