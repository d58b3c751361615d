package probelimit

import "time"

// Turns counts the tenants that probe or wait.
func (l *Limiter) Turns() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.turns)
}

// Buckets are the buckets of text keys.
type Buckets = buckets[string]

// MaxKeys bounds the keys of one kind.
const MaxKeys = maxKeys

// NewBuckets makes buckets of so many tokens a minute.
func NewBuckets(perMinute int) *Buckets { return newBuckets[string](perMinute) }

// Take takes a token if there is one.
func (b *buckets[K]) Take(key K, now time.Time) bool {
	if b.wait(key, now) > 0 {
		return false
	}
	b.spend(key, now)
	return true
}

// Len counts the keys that are held.
func (b *buckets[K]) Len() int { return len(b.known) }
