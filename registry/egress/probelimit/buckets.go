package probelimit

import (
	"time"

	"golang.org/x/time/rate"
)

const (
	maxKeys    = 10_000
	sweepEvery = time.Second
)

// buckets are token buckets by key, all alike and bounded in number. Only full ones, whose key did
// nothing for a minute, make room: nobody can push out his own empty one. What finds no room
// shares a bucket. The zero value, and nil, have tokens for everybody. Not safe for concurrent use.
type buckets[K comparable] struct {
	perMinute int
	known     map[K]*rate.Limiter
	overflow  *rate.Limiter
	swept     time.Time
}

func newBuckets[K comparable](perMinute int) *buckets[K] {
	if perMinute <= 0 {
		return &buckets[K]{}
	}
	b := &buckets[K]{perMinute: perMinute, known: map[K]*rate.Limiter{}}
	b.overflow = b.full()
	return b
}

// full is a bucket with a minute's tokens.
func (b *buckets[K]) full() *rate.Limiter {
	return rate.NewLimiter(rate.Limit(float64(b.perMinute)/60), b.perMinute)
}

// wait says how long there is no token, 0 if there is one.
func (b *buckets[K]) wait(key K, now time.Time) time.Duration {
	if b.perMinute <= 0 {
		return 0
	}
	l, known := b.known[key]
	if !known {
		if b.room(now) {
			return 0
		}
		l = b.overflow
	}
	missing := 1 - l.TokensAt(now)
	if missing <= 0 {
		return 0
	}
	return max(1, time.Duration(missing*60/float64(b.perMinute)*float64(time.Second)))
}

// spend takes a token, of which wait said that it is there.
func (b *buckets[K]) spend(key K, now time.Time) {
	if b.perMinute <= 0 {
		return
	}
	l, known := b.known[key]
	if !known {
		l = b.overflow
		if b.room(now) {
			l = b.full()
			b.known[key] = l
		}
	}
	l.AllowN(now, 1)
}

// room reports whether another key may be held, once idle ones are gone.
func (b *buckets[K]) room(now time.Time) bool {
	if len(b.known) < maxKeys {
		return true
	}
	if now.Sub(b.swept) < sweepEvery {
		return false
	}
	b.swept = now
	for key, l := range b.known {
		if l.TokensAt(now) >= float64(b.perMinute) {
			delete(b.known, key)
		}
	}
	return len(b.known) < maxKeys
}
