package middleware

import (
	"context"
	"fmt"
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jellydator/ttlcache/v3"
	"golang.org/x/time/rate"
)

// DefaultMaxKeys is the number of keys that a [LocalLimiter] tells apart when
// no other number is set.
const DefaultMaxKeys = 65_536

// LocalLimiterConfig are the values of a [LocalLimiter].
type LocalLimiterConfig struct {
	// Requests in Per are the rate of each key. Both are required.
	Requests int
	Per      time.Duration
	// Burst is how many requests may come at once. 0 means Requests.
	Burst int
	// MaxKeys bounds the number of keys. 0 means DefaultMaxKeys.
	MaxKeys int
}

// LocalLimiter is a [Limiter] in memory: a token bucket for each key.
//
// The number of keys is bounded. A key is forgotten when it has been idle for
// longer than an empty bucket needs to fill up, so that forgetting it gives
// nothing away; by that, nobody can get rid of an empty bucket by making up
// other keys. While all places are taken by keys that are not idle, new keys
// share one bucket more, of the same rate. There is no goroutine: idle keys
// are removed when a new one comes.
//
// The zero value fails every request; make it with [NewLocalLimiter]. It is
// safe for concurrent use.
type LocalLimiter struct {
	cfg   LocalLimiterConfig
	rate  rate.Limit
	fill  time.Duration // that an empty bucket needs
	start time.Time     // what is recent counts from here, by the monotonic clock
	cache *ttlcache.Cache[string, *bucket]
	grow  sync.Mutex // held while a key is added, so that the bound is exact
	// recent finds the keys of late without the cache's locks. A bucket
	// counts as found there for an eighth of its life, which the cache
	// keeps it longer for.
	recent   [1024]atomic.Pointer[bucket]
	seed     maphash.Seed
	overflow *bucket
}

// bucket is the state of one key.
type bucket struct {
	*rate.Limiter

	key    string
	latest atomic.Int64 // when a request last passed
	fresh  atomic.Int64 // until when it may be found in recent
}

func (l *LocalLimiter) bucket(key string) *bucket {
	return &bucket{Limiter: rate.NewLimiter(l.rate, l.cfg.Burst), key: key}
}

// NewLocalLimiter returns an empty limiter. Values that are negative, and a
// rate of zero, are [ErrConfig].
func NewLocalLimiter(cfg LocalLimiterConfig) (*LocalLimiter, error) {
	if cfg.Requests <= 0 || cfg.Per <= 0 {
		return nil, fmt.Errorf("%w: the rate is %d requests in %v, set Requests and Per to more than zero", ErrConfig, cfg.Requests, cfg.Per)
	}
	if cfg.Burst < 0 || cfg.MaxKeys < 0 {
		return nil, fmt.Errorf("%w: Burst is %d and MaxKeys %d, set them to zero or more", ErrConfig, cfg.Burst, cfg.MaxKeys)
	}
	if cfg.Burst == 0 {
		cfg.Burst = cfg.Requests
	}
	if cfg.MaxKeys == 0 {
		cfg.MaxKeys = DefaultMaxKeys
	}
	perSec := rate.Limit(float64(cfg.Requests) / cfg.Per.Seconds())
	fill := duration(float64(cfg.Burst) / float64(perSec))
	if fill > longest {
		return nil, fmt.Errorf("%w: a burst of %d needs more than 70 years to come back, set Burst to less", ErrConfig, cfg.Burst)
	}
	l := &LocalLimiter{
		cfg: cfg, rate: perSec, fill: fill, start: time.Now(), seed: maphash.MakeSeed(),
		// No capacity: ttlcache would push out the least recently used
		// key, whether its bucket is full or not.
		cache: ttlcache.New[string, *bucket](),
	}
	l.overflow = l.bucket("")
	return l, nil
}

// longest bounds how long an empty bucket may take to fill.
const longest = math.MaxInt64 / 4

// duration of s seconds, rounded up and bounded.
func duration(s float64) time.Duration {
	ns := math.Ceil(s * float64(time.Second))
	if ns >= math.MaxInt64 {
		return math.MaxInt64
	}
	return max(time.Duration(ns), 0)
}

// Allow counts one request of key at the time now. The only error is that of
// the zero value. It does not allocate for a key that it knows. now should be
// the time by the machine's clock, which decides when a key is idle.
func (l *LocalLimiter) Allow(_ context.Context, key string, now time.Time) (Decision, error) {
	if l == nil || l.cache == nil {
		return Decision{}, fmt.Errorf("%w: zero LocalLimiter, make it with NewLocalLimiter", ErrConfig)
	}
	at := int64(now.Sub(l.start))
	b := l.find(key, at)
	d := Decision{Allowed: b.AllowN(now, 1), Limit: l.cfg.Requests, Window: l.cfg.Per}
	tokens := b.TokensAt(now)
	d.ResetAfter = duration((float64(l.cfg.Burst) - tokens) / float64(l.rate))
	if d.Allowed {
		d.Remaining = max(0, int(tokens))
		b.latest.Store(at)
	} else {
		if at < b.latest.Load() { // a clock that was set back must not keep the bucket empty for so long
			b.SetLimitAt(now, l.rate)
			b.latest.Store(at)
		}
		d.RetryAfter = duration((1 - tokens) / float64(l.rate))
	}
	return d, nil
}

// Len returns the number of keys in memory, never more than MaxKeys.
func (l *LocalLimiter) Len() int {
	if l == nil || l.cache == nil {
		return 0
	}
	return l.cache.Len()
}

// find returns the bucket of key.
func (l *LocalLimiter) find(key string, at int64) *bucket {
	slot := &l.recent[maphash.String(l.seed, key)%uint64(len(l.recent))]
	if b := slot.Load(); b != nil && b.key == key && at < b.fresh.Load() {
		return b
	}
	b := l.known(key)
	if b != l.overflow {
		b.fresh.Store(at + int64(l.fill/8))
		slot.Store(b)
	}
	return b
}

// known returns the bucket of key from the cache, and makes one if there is
// room.
func (l *LocalLimiter) known(key string) *bucket {
	if item := l.cache.Get(key); item != nil { // also postpones its end
		return item.Value()
	}
	l.grow.Lock()
	defer l.grow.Unlock()
	if item := l.cache.Get(key); item != nil {
		return item.Value()
	}
	l.cache.DeleteExpired() // first, so that Len counts what is really there
	if l.cache.Len() >= l.cfg.MaxKeys {
		return l.overflow
	}
	return l.cache.Set(key, l.bucket(key), l.fill+l.fill/8).Value()
}
