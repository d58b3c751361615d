package keys

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
	"sync/atomic"
)

// MACs keeps HMAC-SHA256 states of one key: making one costs several
// allocations and two hash blocks. There are too many keys for a sync.Pool
// each, and every one is used too seldom to find its own still filled.
type MACs struct {
	fresh func() *state            // hides the key from who prints this
	kept  [4]atomic.Pointer[state] // so many are used at a time, hardly more
}

type state struct{ hash.Hash }

// MAC is one state, with room that is any key's. It does not copy long texts
// that are given to Bytes.
type MAC struct {
	mac  *state
	text []byte // collects what is short: hashing in one piece is quicker
	sum  [sha256.Size]byte
}

// rooms are MACs without a state: thousands of keys are not used at a time.
var rooms = sync.Pool{New: func() any { return &MAC{text: make([]byte, 0, roomText)} }}

const (
	roomText = 1 << 10
	keepText = 4 << 10
)

// NewMACs returns the states of key, which it does not copy and which must not
// change.
func NewMACs(key []byte) *MACs {
	return &MACs{fresh: func() *state { return &state{hmac.New(sha256.New, key)} }}
}

// Start returns a fresh state.
func (p *MACs) Start() *MAC {
	m, ok := rooms.Get().(*MAC)
	if !ok { // the pool holds nothing else
		panic("keys: foreign value in a pool")
	}
	m.mac, m.text = p.take(), m.text[:0]
	return m
}

func (p *MACs) take() *state {
	for i := range p.kept {
		if p.kept[i].Load() == nil {
			continue
		}
		if s := p.kept[i].Swap(nil); s != nil {
			s.Reset()
			return s
		}
	}
	return p.fresh()
}

func (p *MACs) keep(s *state) {
	for i := range p.kept {
		if p.kept[i].CompareAndSwap(nil, s) {
			return
		}
	}
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
	p.keep(m.mac)
	m.mac = nil
	if cap(m.text) <= keepText {
		rooms.Put(m)
	}
	return sum
}
