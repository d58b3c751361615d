package egress

import "sync"

// recent remembers at most twice half values in two generations: when the young one is full it
// becomes the old one, and what was not used again since is forgotten. The zero value with half
// set is ready; safe for concurrent use. Only verdicts that never change go in.
type recent[K comparable, V any] struct {
	half int

	mu    sync.RWMutex
	young map[K]V
	old   map[K]V
}

func (r *recent[K, V]) get(key K) (V, bool) {
	r.mu.RLock()
	value, found := r.young[key]
	if found {
		r.mu.RUnlock()
		return value, true
	}
	value, found = r.old[key]
	r.mu.RUnlock()
	if found {
		r.put(key, value)
	}
	return value, found
}

func (r *recent[K, V]) put(key K, value V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.young == nil || len(r.young) >= r.half {
		r.old, r.young = r.young, make(map[K]V, min(r.half, 64))
	}
	r.young[key] = value
}
