package registry

import (
	"context"
	"slices"
	"sync"
	"time"
)

// BatchMatcher is implemented by a [Registry] that answers many topics for less
// than one after another. A [Cache] then asks in one call for what concurrent
// callers of its Match miss.
//
// A type that embeds a BatchMatcher and answers Match in its own way has to
// answer MatchBatch, too.
type BatchMatcher interface {
	// MatchBatch returns what Match would for each of the topics, in their order.
	// Its error says that none was answered.
	MatchBatch(ctx context.Context, topics []Topic) ([]Matched, error)
}

// Matched is what Match returns for one topic.
type Matched struct {
	Subscriptions []Subscription
	Err           error
}

const (
	// maxTogether bounds a batch.
	maxTogether = 100
	// patience is how long a caller waits for the others before it asks alone.
	patience = 100 * time.Millisecond
)

// together has callers share reads: those that come while one is under way wait
// for its end, and one of them, the leader, reads for all.
type together struct {
	from  BatchMatcher
	alone func(context.Context, Topic) ([]Subscription, error)

	mu      sync.Mutex
	busy    bool      // a read is under way that the others wait for
	turn    int       // counts these
	began   time.Time // the last one
	waiting []*caller
}

// A caller waits to be told one thing.
type caller struct {
	topic Topic
	told  chan word // room for one
	gone  bool      // hears nothing any more
}

// A word is a result, or more to do.
type word struct {
	Matched
	lead  []*caller // read for all of these, the caller itself first
	turn  int       // as this one
	alone bool      // nobody could read for it
}

func (g *together) match(ctx context.Context, t Topic) ([]Subscription, error) {
	g.mu.Lock()
	if !g.busy || time.Since(g.began) > patience {
		turn := g.begin()
		g.mu.Unlock()
		defer g.next(turn)
		return g.alone(ctx, t)
	}
	c := &caller{topic: t, told: make(chan word, 1)}
	g.waiting = append(g.waiting, c)
	g.mu.Unlock()
	late := time.NewTimer(patience)
	defer late.Stop()
	var w word
	select {
	case w = <-c.told:
	case <-late.C:
		w = g.leave(c)
	case <-ctx.Done():
		w = g.leave(c)
	}
	switch {
	case w.lead != nil && ctx.Err() != nil:
		g.resign(w)
		return nil, ctx.Err()
	case w.lead != nil:
		return g.lead(ctx, w)
	case w.alone:
		return g.alone(ctx, t)
	}
	return w.Subscriptions, w.Err
}

// begin begins a turn. g.mu is locked.
func (g *together) begin() int {
	g.busy, g.began = true, time.Now()
	g.turn++
	return g.turn
}

// leave is for who waits no longer. It may just have been told something.
func (g *together) leave(c *caller) word {
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case w := <-c.told:
		return w
	default:
	}
	c.gone = true
	return word{alone: true}
}

// next ends a turn: one of those who wait has the next one.
func (g *together) next(turn int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if turn != g.turn { // somebody did not wait for its end
		return
	}
	g.waiting = slices.DeleteFunc(g.waiting, func(c *caller) bool { return c.gone })
	g.busy = len(g.waiting) > 0
	if !g.busy {
		return
	}
	n := min(len(g.waiting), maxTogether)
	batch := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	batch[0].told <- word{lead: batch, turn: g.begin()}
}

// resign has another one lead.
func (g *together) resign(w word) {
	g.mu.Lock()
	g.waiting = append(slices.Clone(w.lead[1:]), g.waiting...)
	g.mu.Unlock()
	g.next(w.turn)
}

// lead reads for a batch and returns what is its caller's own, the first.
func (g *together) lead(ctx context.Context, w word) ([]Subscription, error) {
	defer g.next(w.turn)
	if len(w.lead) > 1 {
		if all := g.read(ctx, w.lead); all != nil {
			return all[0].Subscriptions, all[0].Err
		}
	}
	return g.alone(ctx, w.lead[0].topic)
}

// read tells all but the first of a batch what it found, or to ask alone: what
// goes wrong for all may go right for each, whose context is another one.
func (g *together) read(ctx context.Context, batch []*caller) (all []Matched) {
	defer func() { // also when MatchBatch panics
		for i, c := range batch[1:] {
			w := word{alone: true}
			if all != nil {
				w = word{Matched: all[i+1]}
			}
			c.told <- w
		}
	}()
	topics := make([]Topic, len(batch))
	for i, c := range batch {
		topics[i] = c.topic
	}
	found, err := g.from.MatchBatch(ctx, topics)
	if err != nil || ctx.Err() != nil || len(found) != len(batch) {
		return nil
	}
	return found
}
