package middleware

import (
	"context"
	"fmt"
	"math"
	"sync"
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
// as long as an empty bucket needs to fill up, so that forgetting it gives
// nothing away; by that, nobody can get rid of an empty bucket by making up
// other keys. While all places are taken by keys that are not idle, new keys
// share one bucket more, of the same rate. There is no goroutine: idle keys
// are removed when a new one comes.
//
// The zero value fails every request; make it with [NewLocalLimiter]. It is
// safe for concurrent use.
type LocalLimiter struct {
	cfg      LocalLimiterConfig
	perSec   rate.Limit
	idle     time.Duration
	cache    *ttlcache.Cache[string, *rate.Limiter]
	grow     sync.Mutex // held while a key is added, so that the bound is exact
	overflow *rate.Limiter
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
	perSec := float64(cfg.Requests) / cfg.Per.Seconds()
	l := &LocalLimiter{
		cfg:    cfg,
		perSec: rate.Limit(perSec),
		idle:   duration(float64(cfg.Burst) / perSec),
		// No capacity: ttlcache would push out the least recently used
		// key, whether its bucket is full or not.
		cache: ttlcache.New[string, *rate.Limiter](),
	}
	l.overflow = l.bucket()
	return l, nil
}

// duration of sec seconds, rounded up and bounded.
func duration(sec float64) time.Duration {
	ns := math.Ceil(sec * float64(time.Second))
	if ns >= math.MaxInt64 {
		return math.MaxInt64
	}
	return time.Duration(ns)
}

func (l *LocalLimiter) bucket() *rate.Limiter { return rate.NewLimiter(l.perSec, l.cfg.Burst) }

// Allow counts one request of key at the time now. The only error is that of
// the zero value. It does not allocate for a key that it knows. now should be
// the time by the machine's clock, which decides when a key is idle.
func (l *LocalLimiter) Allow(_ context.Context, key string, now time.Time) (Decision, error) {
	if l == nil || l.cache == nil {
		return Decision{}, fmt.Errorf("%w: zero LocalLimiter, make it with NewLocalLimiter", ErrConfig)
	}
	b := l.find(key)
	d := Decision{Allowed: b.AllowN(now, 1), Limit: l.cfg.Requests, Window: l.cfg.Per}
	tokens := b.TokensAt(now)
	d.Remaining = max(0, int(tokens))
	if !d.Allowed {
		d.Remaining = 0
		d.RetryAfter = duration((1 - tokens) / float64(l.perSec))
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

func (l *LocalLimiter) find(key string) *rate.Limiter {
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
	return l.cache.Set(key, l.bucket(), l.idle).Value()
}
