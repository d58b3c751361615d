package verify

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// macPool keeps HMAC states of one key: making one costs several allocations
// and two hash blocks.
type macPool struct {
	pool sync.Pool
}

type macState struct {
	mac  hash.Hash
	head [maxMessageID + maxTimestamp + 2]byte
	sum  [sha256.Size]byte
}

func newMACPool(key []byte) *macPool {
	p := new(macPool)
	p.pool.New = func() any { return &macState{mac: hmac.New(sha256.New, key)} }
	return p
}

// sum returns the HMAC of id.stamp.body; the body is not copied.
func (p *macPool) sum(id, stamp string, body []byte) [sha256.Size]byte {
	st, ok := p.pool.Get().(*macState)
	if !ok { // the pool holds nothing else
		panic("verify: foreign value in a pool")
	}
	st.mac.Reset()
	head := append(st.head[:0], id...)
	head = append(head, '.')
	head = append(head, stamp...)
	head = append(head, '.')
	st.mac.Write(head)
	st.mac.Write(body)
	st.mac.Sum(st.sum[:0])
	sum := st.sum
	p.pool.Put(st)
	return sum
}
