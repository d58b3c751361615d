package lanes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

// ErrElsewhere says that another owner serves a lane, so that nothing was done.
var ErrElsewhere = errors.New("lanes: the lane belongs to another owner")

// owns reports whether this store serves a lane. It may change between two
// commits, not within one.
func (s *Store) owns(lane string) bool { return s.partial == nil || s.partial.Owns(lane) }

// Gain takes over lanes: take makes them this store's, from when on Owns is true
// of them, and returns what waits in them. Nothing is committed meanwhile.
func (s *Store) Gain(ctx context.Context, take func(context.Context) (Loaded, error)) error {
	if err := s.gain(ctx, take); err != nil {
		return err
	}
	return s.killClosed(ctx)
}

func (s *Store) gain(ctx context.Context, take func(context.Context) (Loaded, error)) error {
	return s.between(ctx, func() error {
		loaded, err := take(ctx)
		if err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.absorb(loaded)
		return nil
	})
}

// between runs f while no commit is under way.
func (s *Store) between(ctx context.Context, f func() error) error {
	select {
	case s.queue.leader <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.queue.leader }()
	s.settles.leader <- struct{}{}
	defer func() { <-s.settles.leader }()
	s.mu.Lock()
	err := s.usable()
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return f()
}

// A Part is lanes that are to leave. Its functions are called while no commit is
// under way.
type Part struct {
	// Has reports whether a lane belongs to the part.
	Has func(lane string) bool
	// Own makes Owns false of the part, or true again.
	Own func(bool)
	// Free lets others take the part: all that waits in it is indexed. If it
	// fails with delivery.ErrUnknown the Store fails for good.
	Free func(context.Context) error
}

// Leave gives up lanes: no lease of them begins, what is attempted comes to its
// end, and then they are free. If ctx ends before, or they cannot be freed, they
// stay, as if nothing had been asked.
func (s *Store) Leave(ctx context.Context, p Part) error {
	err := s.between(ctx, func() error {
		p.Own(false)
		s.setAway(p, true)
		return nil
	})
	if err != nil {
		return err
	}
	if err = s.still(ctx, p); err == nil {
		err = s.between(ctx, func() error { return s.handOver(ctx, p) })
	}
	if err == nil {
		return nil
	}
	back := s.between(context.WithoutCancel(ctx), func() error {
		p.Own(true)
		s.setAway(p, false)
		return nil
	})
	return errors.Join(fmt.Errorf("lanes: leaving: %w", err), back)
}

func (s *Store) setAway(p Part, away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock(zeroTime)
	for name, l := range s.lanes {
		if p.Has(name) {
			l.away = away
			s.place(l, now)
		}
	}
	s.wakeAll()
}

// stillEvery is how often it is looked whether attempts have ended.
const stillEvery = 10 * time.Millisecond

// still waits until nothing of the part is being attempted or read.
func (s *Store) still(ctx context.Context, p Part) error {
	tick := time.NewTicker(stillEvery)
	defer tick.Stop()
	for {
		busy, orphans := s.busy(p)
		if !busy {
			return nil
		}
		if orphans { // nobody may ask for leases, which would end them
			if err := s.bury(ctx, 0); err != nil {
				return err
			}
			continue
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *Store) busy(p Part) (busy, orphans bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil || s.closed {
		return false, false // the next step says it
	}
	s.advance(s.clock(zeroTime))
	if len(s.orphans) > 0 {
		return true, true
	}
	if s.reading {
		return true, false
	}
	for _, r := range s.rows {
		if r.state != waiting && p.Has(r.lane.name) {
			return true, false
		}
	}
	return false, false
}

// handOver has all that memory alone knows of the part written, forgets the part
// and frees it.
func (s *Store) handOver(ctx context.Context, p Part) error {
	for more := true; more; {
		o := &leaveOp{part: p}
		if err := s.runOnce(ctx, []operation{o}, true); err != nil {
			return err
		}
		more = o.more
	}
	err := p.Free(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if errors.Is(err, delivery.ErrUnknown) && s.failed == nil { // another owner may serve it
		s.failed = err
		s.wakeAll()
	}
	if err != nil {
		return err
	}
	gone := func(l *lane) bool { return p.Has(l.name) }
	for class := range s.ready {
		kept := ring{}
		for s.ready[class].len() > 0 {
			if l := s.ready[class].pop(); !gone(l) {
				kept.push(l)
			}
		}
		s.ready[class] = kept
	}
	s.thirst = slices.DeleteFunc(s.thirst, gone)
	s.dirty = slices.DeleteFunc(s.dirty, gone)
	for name, l := range s.lanes {
		if p.Has(name) {
			s.timers.set(l, never)
			delete(s.lanes, name)
			delete(s.visited, name) // begun before it had left: it begins again
		}
	}
	return nil
}

// leaveRows bounds how many rows one commit indexes.
const leaveRows = 2000

// leaveOp lets rows of a part out of memory.
type leaveOp struct {
	opState
	part Part
	rows []*row
	more bool
}

func (o *leaveOp) build(s *Store, b *Batch) {
	for _, l := range s.lanes {
		if !o.part.Has(l.name) {
			continue
		}
		for class := range l.queue {
			for l.queue[class].len() > 0 && len(o.rows) < leaveRows {
				r := l.queue[class].popAny()
				s.count(r, -1)
				r.state = settling
				o.rows = append(o.rows, r)
				if !r.indexed {
					b.Spill = append(b.Spill, r.spilled())
				}
			}
			o.more = o.more || l.queue[class].len() > 0
		}
	}
}

func (o *leaveOp) apply(s *Store, b *Batch) {
	for _, r := range o.rows {
		s.leaveToBackend(r.lane, r.class(), r.Due) // should the part stay after all
		s.forget(r)
	}
}

func (o *leaveOp) revert(s *Store, b *Batch) {
	for _, r := range o.rows {
		s.enqueue(r)
	}
}

// An Incoming is a row that was left for the lane's owner.
type Incoming struct {
	Row    // without a Seq
	Source any
}

// Fold stores rows that others left for this owner, as [Store.Enqueue] does,
// 1,000 at most. Those whose lanes it does not own any more stay where they are.
func (s *Store) Fold(ctx context.Context, rows ...Incoming) error {
	if len(rows) > delivery.MaxBatch {
		return delivery.ErrTooMany
	}
	if len(rows) == 0 {
		return nil
	}
	o := &enqueueOp{items: make([]enqueued, len(rows))}
	o.rows = len(rows)
	for i := range rows {
		it := &o.items[i]
		it.row, it.folded = new(row), &rows[i]
		it.append.Delivery, it.append.Source = rows[i].Delivery, rows[i].Source
		o.sole = o.sole || it.append.Delivery.Key != ""
	}
	return s.commit(ctx, o)
}

// Skip has the backend begin with younger Seqs: next returns the first of them.
// It is called while no commit is under way, and only if every row is settled or
// indexed, so that a start need not look at older ones.
func (s *Store) Skip(ctx context.Context, next func(context.Context) (int64, error)) error {
	return s.between(ctx, func() error {
		s.mu.Lock()
		young := s.low() < s.nextSeq
		s.mu.Unlock()
		if young {
			return nil
		}
		seq, err := next(ctx)
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.nextSeq = max(s.nextSeq, seq)
		s.mu.Unlock()
		return nil
	})
}
