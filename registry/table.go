package registry

import (
	"context"
	"errors"
	"hash/maphash"
	"sync"
	"time"
)

// A table is the memory of a Cache for one kind of read: results by key, and
// the reads under way. Every read is registered under its key, and its result
// is kept only if it still is when it ends: dropping a key unregisters the
// read, so that what was read before a change is never put back after it.
type table[K comparable, V any] struct {
	seed    maphash.Seed
	max     int             // weight of the results in one shard
	weigh   func(V) int     // what a result weighs, 1 at least; nil is 1
	timeful func(V) bool    // of results that change by time alone; nil is none
	kept    func(*entry[V]) // is told of each result that is kept, while it cannot be dropped; nil is nobody
	shards  []shard[K, V]
}

type shard[K comparable, V any] struct {
	mu      sync.Mutex
	entries map[K]*entry[V]
	reads   map[K]*read[V]
	weight  int
	_       [32]byte // a cache line of its own
}

// An entry is not changed once it is in the table. Times count from the
// cache's start.
type entry[V any] struct {
	value V
	err   error         // nil or ErrNotFound
	until time.Duration // good on its own until then
	last  time.Duration // and as one of the run until then at most
	run   *run          // nil is none
}

// lives reports whether e may be returned.
func (e *entry[V]) lives(now time.Duration) bool {
	return now < e.until || e.run != nil && now < e.last && now < e.run.until()
}

type read[V any] struct {
	started   time.Duration
	run       *run          // the current one when it started
	done      chan struct{} // closed when the rest is final
	value     V
	err       error
	abandoned bool // by its own caller: says nothing to the others
}

func newTable[K comparable, V any](shards, entries int) *table[K, V] {
	t := &table[K, V]{seed: maphash.MakeSeed(), max: entries / shards, shards: make([]shard[K, V], shards)}
	for i := range t.shards {
		t.shards[i].entries = make(map[K]*entry[V])
		t.shards[i].reads = make(map[K]*read[V])
	}
	return t
}

func (t *table[K, V]) shard(k K) *shard[K, V] {
	return &t.shards[maphash.Comparable(t.seed, k)%uint64(len(t.shards))]
}

// find returns what is kept for k, or nil.
func (t *table[K, V]) find(k K, now time.Duration) *entry[V] {
	s := t.shard(k)
	s.mu.Lock()
	e := s.entries[k]
	s.mu.Unlock()
	if e == nil || !e.lives(now) {
		return nil
	}
	return e
}

// load returns what another caller is reading for k, or reads it. Before it
// reads again what it knew, it asks whether anything has changed at all; before
// it reads for the first time, too, where the last answer is an old one, or the
// result could not be told to be good for long.
func (t *table[K, V]) load(ctx context.Context, c *Cache, k K, from func(context.Context, K) (V, error)) (V, error) {
	s := t.shard(k)
	asked := false
	for {
		now := time.Since(c.start)
		s.mu.Lock()
		e := s.entries[k]
		if e != nil && e.lives(now) {
			s.mu.Unlock()
			return e.value, e.err
		}
		r := s.reads[k]
		if r == nil || now-r.started >= c.ttl { // one that takes longer is not waited for
			if !asked && (e != nil || c.versions.unsure(now)) {
				s.mu.Unlock()
				var err error
				if asked, err = c.versions.ask(ctx, now); err != nil {
					var none V
					return none, err
				}
				continue
			}
			r = &read[V]{started: now, run: c.versions.run(), done: make(chan struct{}), abandoned: true}
			s.reads[k] = r
			s.mu.Unlock()
			t.read(ctx, c, k, r, from)
			return r.value, r.err
		}
		s.mu.Unlock()
		select {
		case <-r.done:
		case <-ctx.Done():
			var none V
			return none, ctx.Err()
		}
		if !r.abandoned {
			return r.value, r.err
		}
	}
}

func (t *table[K, V]) read(ctx context.Context, c *Cache, k K, r *read[V], from func(context.Context, K) (V, error)) {
	defer func() { // also when from panics
		s := t.shard(k)
		s.mu.Lock()
		if s.reads[k] == r {
			delete(s.reads, k)
			if !r.abandoned && (r.err == nil || errors.Is(r.err, ErrNotFound)) {
				e := &entry[V]{r.value, r.err, r.started + c.ttl, r.started + maxCacheAge, r.run}
				if t.kept != nil {
					t.kept(e)
				}
				if t.timeful != nil && t.timeful(r.value) {
					e.run = nil
				}
				t.store(s, k, e, time.Since(c.start))
			}
		}
		s.mu.Unlock()
		close(r.done)
	}()
	r.value, r.err = from(ctx, k)
	r.abandoned = r.err != nil && ctx.Err() != nil
}

// put keeps what another table's read brought, unless what is kept was read later.
func (t *table[K, V]) put(k K, e *entry[V], now time.Duration) {
	s := t.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.entries[k]; known == nil || known.last < e.last {
		t.store(s, k, e, now)
	}
}

// store puts a result into its shard, instead of old ones if there is no room.
func (t *table[K, V]) store(s *shard[K, V], k K, e *entry[V], now time.Duration) {
	t.remove(s, k)
	w := t.weightOf(e)
	for s.weight > 0 && s.weight+w > t.max { // what weighs more than all is kept alone
		t.evict(s, now)
	}
	s.entries[k] = e
	s.weight += w
}

// evict makes room: of a few arbitrary results it drops those that are over, or
// else one that is not.
func (t *table[K, V]) evict(s *shard[K, V], now time.Duration) {
	looked, dropped, most := 0, false, min(8, len(s.entries))
	for k, e := range s.entries {
		looked++
		last := looked == most
		if !e.lives(now) || last && !dropped {
			t.remove(s, k)
			dropped = true
		}
		if last {
			return
		}
	}
}

func (t *table[K, V]) remove(s *shard[K, V], k K) {
	if e := s.entries[k]; e != nil {
		s.weight -= t.weightOf(e)
		delete(s.entries, k)
	}
}

func (t *table[K, V]) weightOf(e *entry[V]) int {
	if t.weigh == nil {
		return 1
	}
	return t.weigh(e.value)
}

func (t *table[K, V]) drop(k K) {
	s := t.shard(k)
	s.mu.Lock()
	t.remove(s, k)
	delete(s.reads, k)
	s.mu.Unlock()
}

func (t *table[K, V]) dropAll() {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		clear(s.entries)
		clear(s.reads)
		s.weight = 0
		s.mu.Unlock()
	}
}
