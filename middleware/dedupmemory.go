package middleware

import (
	"bytes"
	"container/list"
	"context"
	"sync"
	"time"
)

const (
	// DefaultDedupEntries is the number of ids that a [MemoryDedup] knows when
	// no other number is set. Without answers they take about 300 bytes each.
	DefaultDedupEntries = 262_144
	// DefaultDedupBytes bounds its answers when no other number is set.
	DefaultDedupBytes = 64 << 20
)

// MemoryDedup is a [DedupStore] in memory: for one process, and forgotten with
// it. There is no goroutine: what is over is removed when something new comes.
//
// The zero value is ready for use. It is safe for concurrent use; its fields
// must not be changed after the first use.
type MemoryDedup struct {
	// MaxEntries bounds the ids. 0 and less mean DefaultDedupEntries. When all
	// places are taken by ids that must still be kept, new ones are ErrFull.
	MaxEntries int
	// MaxBytes bounds the answers, headers included. 0 and less mean
	// DefaultDedupBytes. An answer that finds no room is kept as its status.
	MaxBytes int

	mu    sync.Mutex
	ids   map[DedupKey]*list.Element
	open  list.List // claims, in the order in which they came
	done  list.List // answers, in the order in which they came
	bytes int
}

type dedupEntry struct {
	DedupClaim
	done      bool
	until     time.Time // the end of the lease, or of the retention
	evictable time.Time // when an answer may go for want of room
	answer    DedupAnswer
	size      int
}

// Claim implements [DedupStore].
func (m *MemoryDedup) Claim(_ context.Context, c DedupClaim) (DedupResult, error) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if at, known := m.ids[c.Key]; known {
		switch e := entryOf(at); {
		case !e.done && e.Token == c.Token:
			e.until = now.Add(c.Lease)
			return DedupResult{State: DedupClaimed}, nil
		case now.Before(e.until) && e.Digest != c.Digest:
			return DedupResult{State: DedupConflict}, nil
		case now.Before(e.until) && e.done:
			return DedupResult{State: DedupDone, Answer: e.answer.clone()}, nil
		case now.Before(e.until):
			return DedupResult{State: DedupInProgress}, nil
		}
		m.remove(at)
	}
	if !m.room(now) {
		return DedupResult{}, ErrFull
	}
	if m.ids == nil {
		m.ids = make(map[DedupKey]*list.Element)
	}
	m.ids[c.Key] = m.open.PushBack(&dedupEntry{DedupClaim: c, until: now.Add(c.Lease)})
	return DedupResult{State: DedupClaimed}, nil
}

// room removes what is over, a few at a time, and then what may go, and
// reports whether there is a place.
func (m *MemoryDedup) room(now time.Time) bool {
	limit := m.MaxEntries
	if limit <= 0 {
		limit = DefaultDedupEntries
	}
	for _, l := range []*list.List{&m.open, &m.done} {
		for range 4 {
			if at := l.Front(); at != nil && !now.Before(entryOf(at).until) {
				m.remove(at)
			}
		}
	}
	if at := m.done.Front(); len(m.ids) >= limit && at != nil && !now.Before(entryOf(at).evictable) {
		m.remove(at)
	}
	return len(m.ids) < limit
}

func (m *MemoryDedup) remove(at *list.Element) {
	e := entryOf(at)
	delete(m.ids, e.Key)
	m.bytes -= e.size
	if e.done {
		m.done.Remove(at)
		return
	}
	m.open.Remove(at)
}

// Commit implements [DedupStore].
func (m *MemoryDedup) Commit(_ context.Context, key DedupKey, token DedupToken, a DedupAnswer, r DedupRetention) error {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	at, e := m.mine(key, token)
	if e == nil {
		return ErrClaimLost
	}
	if e.done {
		return nil
	}
	m.open.Remove(at)
	e.done, e.until, e.evictable = true, now.Add(r.Keep), now.Add(min(r.Least, r.Keep))
	limit := m.MaxBytes
	if limit <= 0 {
		limit = DefaultDedupBytes
	}
	if size := a.size(); size > limit-m.bytes {
		e.answer = DedupAnswer{Status: a.Status, Cut: true}
	} else {
		e.answer, e.size = a.clone(), size
		m.bytes += size
	}
	m.ids[key] = m.done.PushBack(e)
	return nil
}

// Release implements [DedupStore].
func (m *MemoryDedup) Release(_ context.Context, key DedupKey, token DedupToken) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	at, e := m.mine(key, token)
	if e == nil || e.done {
		return ErrClaimLost
	}
	m.remove(at)
	return nil
}

// Len returns the number of ids in memory, never more than MaxEntries.
func (m *MemoryDedup) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.ids)
}

func (m *MemoryDedup) mine(key DedupKey, token DedupToken) (*list.Element, *dedupEntry) {
	at, known := m.ids[key]
	if !known || entryOf(at).Token != token {
		return nil, nil
	}
	return at, entryOf(at)
}

func entryOf(at *list.Element) *dedupEntry {
	e, _ := at.Value.(*dedupEntry)
	return e
}

func (a DedupAnswer) clone() DedupAnswer {
	a.Header, a.Body = a.Header.Clone(), bytes.Clone(a.Body)
	return a
}

func (a DedupAnswer) size() int {
	n := len(a.Body)
	for name, values := range a.Header {
		for _, v := range values {
			n += len(name) + len(v)
		}
	}
	return n
}
