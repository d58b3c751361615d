package registry

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"
)

// How much a Cache keeps, and how long at most.
const (
	maxCacheTTL     = time.Second
	maxCacheAge     = time.Minute // whatever the version says
	maxCacheGets    = 65536
	maxCacheMatches = 65536 // each counts as one and as its subscriptions
)

// A Cache keeps what Get and Match of another [Registry] returned, for at most
// its time to live counted from the start of the read, so that a sender may
// resolve every attempt. Make it with [NewCache]; the zero value answers every
// call with an error.
//
// If the other Registry is [Versioned], the Cache asks it for its version when
// something kept is over, and before it reads while none is known that young, at
// most once per time to live and once after a change of its own. While the version
// stays the same, what is kept counts as read when the version was asked for,
// up to a minute after it was read in earnest; when it has changed, everything
// is dropped. When it cannot be read, results end by themselves. Nothing is
// seen later for that: a result of Match with a subscription that has an
// ExpiresAt is always read again.
//
// Results share slices and maps with the cache: they must not be modified.
// [Subscription.Clone] gives a copy that may.
//
// What Match returned is kept for Get, too, since who publishes is about to
// send.
//
// Set and Delete drop what they touch before they return, so that this process
// sees its own changes at once; changes by others are seen when the time to
// live is over, or after [Cache.Forget]. That is also the time for which a
// subscription may still match after its ExpiresAt. Misses for one key wait
// for one read, and those of Match for a read of all if the other Registry is a
// [BatchMatcher]; an unknown ID is remembered like a known one, other errors
// are not. At most 65,536 results of Get are kept, and 65,536 of Match and the
// subscriptions in them, together.
//
// A Cache is safe for concurrent use and starts no goroutines.
type Cache struct {
	inner   Registry
	ttl     time.Duration
	start   time.Time // durations since then are monotonic
	gets    *table[string, Subscription]
	matches *table[Topic, []Subscription]
	// versions is nil if inner has none, together if it answers one at a time.
	versions *versions
	together *together
}

var (
	_ Registry = (*Cache)(nil)
	_ Counter  = (*Cache)(nil)
)

var errNoRegistry = errors.New("registry: Cache without a Registry")

// NewCache returns a Cache of r with a time to live of ttl. Zero is one second,
// which is also the maximum. It panics if r is nil.
func NewCache(r Registry, ttl time.Duration) *Cache {
	if r == nil {
		panic("registry: NewCache without a Registry")
	}
	if ttl <= 0 || ttl > maxCacheTTL {
		ttl = maxCacheTTL
	}
	c := &Cache{
		inner:   r,
		ttl:     ttl,
		start:   time.Now(),
		gets:    newTable[string, Subscription](64, maxCacheGets),
		matches: newTable[Topic, []Subscription](64, maxCacheMatches),
	}
	c.matches.weigh = func(subs []Subscription) int { return 1 + len(subs) }
	c.matches.timeful = expiring
	c.matches.kept = c.keep
	if from, ok := r.(Versioned); ok {
		c.versions = &versions{cache: c, from: from, asked: -ttl}
	}
	if from, ok := r.(BatchMatcher); ok {
		c.together = &together{from: from, alone: r.Match}
	}
	return c
}

// keep keeps what a Match brought for Get, too: who publishes to a subscription
// is about to send to it. The lock of the match's shard is held.
func (c *Cache) keep(match *entry[[]Subscription]) {
	now := time.Since(c.start)
	for _, s := range match.value {
		c.gets.put(s.ID, &entry[Subscription]{value: s, until: match.until, last: match.last, run: match.run}, now)
	}
}

// dropAll drops everything, and the results of Match first, since those that
// are being kept bring results of Get with them.
func (c *Cache) dropAll() {
	c.matches.dropAll()
	c.gets.dropAll()
}

// expiring reports whether Match would return something else later although
// nothing was set. What an expiry gives the event back to is hidden by one of
// subs, so that these are all there is to look at.
func expiring(subs []Subscription) bool {
	return slices.ContainsFunc(subs, func(s Subscription) bool { return !s.ExpiresAt.IsZero() })
}

// Get implements [Registry]. The result must not be modified.
func (c *Cache) Get(ctx context.Context, id string) (Subscription, error) {
	if c.inner == nil {
		return Subscription{}, errNoRegistry
	}
	if err := ctx.Err(); err != nil {
		return Subscription{}, err
	}
	if e := c.gets.find(id, time.Since(c.start)); e != nil {
		return e.value, e.err
	}
	return c.gets.load(ctx, c, id, c.inner.Get)
}

// Match implements [Registry]. The result must not be modified.
func (c *Cache) Match(ctx context.Context, t Topic) ([]Subscription, error) {
	if c.inner == nil {
		return nil, errNoRegistry
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if e := c.matches.find(t, time.Since(c.start)); e != nil {
		return e.value, e.err
	}
	return c.matches.load(ctx, c, t, c.match)
}

// match asks the other Registry.
func (c *Cache) match(ctx context.Context, t Topic) ([]Subscription, error) {
	match := c.inner.Match
	if c.together != nil {
		match = c.together.match
	}
	subs, err := match(ctx, t)
	return slices.Clip(subs), err // so that an append copies
}

// Set implements [Registry].
func (c *Cache) Set(ctx context.Context, subs ...Subscription) ([]Subscription, error) {
	if c.inner == nil {
		return nil, errNoRegistry
	}
	stored, err := c.inner.Set(ctx, subs...)
	c.versions.changed()
	if err != nil {
		// It may be stored all the same, and under IDs that are not known here.
		c.dropAll()
		return stored, err
	}
	c.matches.dropAll() // before the rest, as in dropAll
	for _, s := range stored {
		c.gets.drop(s.ID)
	}
	for _, s := range subs {
		c.gets.drop(s.ID)
	}
	return stored, nil
}

// Delete implements [Registry].
func (c *Cache) Delete(ctx context.Context, id string) error {
	if c.inner == nil {
		return errNoRegistry
	}
	err := c.inner.Delete(ctx, id)
	c.Forget(id) // also after an error: it may be gone
	return err
}

// Forget drops what is kept about a subscription, and all results of Match.
// It is for those who learn that another process changed it.
func (c *Cache) Forget(id string) {
	if c.inner == nil {
		return
	}
	c.versions.changed()
	c.matches.dropAll() // first, as in dropAll
	c.gets.drop(id)
}

// Count implements [Counter]; its result is not cached. If the other Registry is
// no Counter its subscriptions are listed.
func (c *Cache) Count(ctx context.Context) (map[State]int, error) {
	if c.inner == nil {
		return nil, errNoRegistry
	}
	return CountStates(ctx, c.inner)
}

// List implements [Registry]; its results are not cached.
func (c *Cache) List(ctx context.Context, f Filter) iter.Seq2[Subscription, error] {
	if c.inner == nil {
		return func(yield func(Subscription, error) bool) { yield(Subscription{}, errNoRegistry) }
	}
	return c.inner.List(ctx, f)
}
