package registry

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Versioned is implemented by a [Registry] that can tell cheaply whether
// anything has changed, so that a [Cache] need not read everything again.
//
// Version returns a number that every change of a subscription, by whomever,
// replaces by one that was never there before. It changes at the same moment
// as what it stands for: who has been told a version, and then calls Get or
// Match, sees all that was changed up to it. What changes by time alone, such
// as an expiry, does not change it.
//
// A type that embeds a Versioned registry and answers Get or Match in its own
// way has to answer Version, too.
type Versioned interface {
	Version(ctx context.Context) (int64, error)
}

// versions asks for the version on behalf of a Cache.
//
// A run is a row of answers that are the same, without a failure in between.
// A read belongs to the run that was current when it started, that is after
// the run's first answer. If a later answer of the run was asked for at s, then
// nothing had changed between the first answer and that one. So either the
// read saw the registry before the later answer, and what it saw is what
// stood then, or after it, and saw at least that. In both cases it saw all that
// was changed before s: its result is as good as one of a read started at
// s, and is kept for a time to live from s. It is the start that counts, not
// the answer, and the run current at the read's start, not at its end: a run
// that began meanwhile may stand for changes that the read did not see.
type versions struct {
	cache *Cache
	from  Versioned

	current atomic.Pointer[run] // nil before the first answer and after a failure

	mu    sync.Mutex
	under *question     // nil if nobody asks
	asked time.Duration // when the last question that was answered, or failed, began
}

type run struct {
	version int64
	ends    atomic.Int64 // see until
}

// until returns the time at which the run's results are over, counted from the
// cache's start.
func (r *run) until() time.Duration { return time.Duration(r.ends.Load()) }

type question struct {
	started   time.Duration
	done      chan struct{} // closed when the rest is final
	version   int64
	err       error
	abandoned bool // by its own caller: says nothing to the others
}

// run returns the one that a read started now belongs to.
func (v *versions) run() *run {
	if v == nil {
		return nil
	}
	return v.current.Load()
}

// unsure reports whether a read that started now would belong to no run, or to
// one that is over and may well not go on, although there are versions.
func (v *versions) unsure(now time.Duration) bool {
	if v == nil {
		return false
	}
	r := v.current.Load()
	return r == nil || now >= r.until()
}

// changed ends the current run: this process has changed something, so that the
// next answer would end it anyway, and with it what was read meanwhile.
func (v *versions) changed() {
	if v == nil {
		return
	}
	v.mu.Lock()
	v.current.Store(nil)
	v.under, v.asked = nil, -v.cache.ttl
	v.mu.Unlock()
}

// ask asks for the version, or waits for who does, if the last answer is older
// than the time to live. It reports whether there is nothing more to wait for;
// an error is that of ctx.
func (v *versions) ask(ctx context.Context, now time.Duration) (done bool, err error) {
	if v == nil {
		return true, nil
	}
	ttl := v.cache.ttl
	v.mu.Lock()
	q := v.under
	if q != nil && now-q.started < ttl {
		v.mu.Unlock()
		return v.wait(ctx, q, q.started+ttl-now)
	}
	if now-v.asked < ttl {
		v.mu.Unlock()
		return true, nil
	}
	q = &question{started: now, done: make(chan struct{}), abandoned: true}
	v.under = q // one that takes longer than the time to live is replaced
	v.mu.Unlock()
	v.put(ctx, q)
	if q.abandoned {
		return false, ctx.Err()
	}
	return true, nil
}

// wait waits for another caller's question for a while.
func (v *versions) wait(ctx context.Context, q *question, atMost time.Duration) (done bool, err error) {
	late := time.NewTimer(atMost)
	defer late.Stop()
	select {
	case <-q.done:
		return !q.abandoned, nil
	case <-late.C:
		return true, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

func (v *versions) put(ctx context.Context, q *question) {
	defer func() { // also when Version panics
		changed := false
		v.mu.Lock()
		if v.under == q {
			v.under = nil
			if !q.abandoned {
				v.asked = q.started
				changed = v.note(q)
			}
		}
		v.mu.Unlock()
		if changed {
			v.cache.dropAll()
		}
		close(q.done)
	}()
	q.version, q.err = v.from.Version(ctx)
	q.abandoned = q.err != nil && ctx.Err() != nil
}

// note continues the current run, or begins another one. It reports whether
// the version is known to have changed.
func (v *versions) note(q *question) (changed bool) {
	now := v.current.Load()
	if q.err != nil {
		v.current.Store(nil)
		return false
	}
	until := int64(q.started + v.cache.ttl)
	if now != nil && now.version == q.version {
		now.ends.Store(until)
		return false
	}
	next := &run{version: q.version}
	next.ends.Store(until)
	v.current.Store(next)
	return now != nil
}
