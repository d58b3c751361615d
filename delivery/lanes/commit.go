package lanes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

// An operation is what one caller wants stored. Its methods run under the
// store's lock, in the order in which operations were queued.
type operation interface {
	state() *opState
	// build adds to the batch, by the state of the lanes at this moment.
	build(s *Store, b *Batch)
	// apply brings memory up to date with what was committed.
	apply(s *Store, b *Batch)
	// revert undoes what build did to memory.
	revert(s *Store, b *Batch)
}

type opState struct {
	rows  int   // how many rows it brings
	now   int64 // the caller's time, 0 for the store's
	alone bool  // shares its batch with nobody
	sole  bool  // nothing else may be committed meanwhile
	again bool  // was committed more than once
	done  chan struct{}
	err   error
}

func (o *opState) state() *opState { return o }

// commit stores an operation together with all others that wait. Who finds
// nobody committing does it for those who wait, and then passes the turn on; so
// a batch grows while the one before it is being written, without a timer.
func (s *Store) commit(ctx context.Context, o operation) error {
	st := o.state()
	st.done = make(chan struct{})
	if err := ctx.Err(); err != nil {
		return err
	}
	q := &s.queue
	if _, settles := o.(*settleOp); settles && s.parallel && !st.sole {
		q = &s.settles
	}
	q.push(o)
	select {
	case <-st.done:
		return st.err
	case q.leader <- struct{}{}:
	case <-ctx.Done():
		if q.withdraw(o) {
			return ctx.Err()
		}
		<-st.done // somebody is writing it this moment
		return st.err
	}
	defer func() { <-q.leader }()
	for {
		select {
		case <-st.done:
			return st.err
		default:
			q.gather()
			ops := q.next(s.cfg.BatchRows)
			begin := time.Now()
			s.turn(context.WithoutCancel(ctx), q, ops)
			q.last.ops, q.last.took = len(ops), time.Since(begin)
		}
	}
}

// turn commits operations of a queue. Where settles have a queue of their own,
// what is written of lanes, keys or by more than one operation's hands has both.
func (s *Store) turn(ctx context.Context, q *queue, ops []operation) {
	sole := q == &s.queue
	if s.parallel && sole {
		s.mu.Lock()
		sole = s.overdue()
		s.mu.Unlock()
		for _, o := range ops {
			sole = sole || o.state().sole
		}
		if sole {
			s.settles.leader <- struct{}{}
			defer func() { <-s.settles.leader }()
		}
	}
	s.run(ctx, ops, sole)
}

// overdue reports whether there is more to write than what callers bring.
func (s *Store) overdue() bool {
	return len(s.dirty) > 0 || len(s.young) > 0 && s.nextSeq-s.young[0].Seq > s.cfg.Straggle
}

// run commits operations; sole says that nothing else is committed meanwhile.
func (s *Store) run(ctx context.Context, ops []operation, sole bool) {
	err := s.runOnce(ctx, ops, sole)
	if err != nil && len(ops) > 1 && !errors.Is(err, delivery.ErrUnknown) {
		for _, o := range ops { // one of them may be to blame, the others not
			o.state().err = s.runOnce(ctx, []operation{o}, sole)
			close(o.state().done)
		}
		return
	}
	for _, o := range ops {
		if err != nil {
			o.state().err = err
		}
		close(o.state().done)
	}
}

func (s *Store) runOnce(ctx context.Context, ops []operation, sole bool) error {
	b := &Batch{}
	s.mu.Lock()
	if err := s.usable(); err != nil {
		s.mu.Unlock()
		return err
	}
	for _, o := range ops {
		b.Now = max(b.Now, o.state().now)
	}
	if b.Now == 0 {
		b.Now = s.clock(zeroTime)
	}
	s.advance(b.Now)
	for _, o := range ops {
		o.build(s, b)
	}
	var spilled []*row
	var washed []*lane
	b.Low = s.low() // what is being appended comes under a greater Seq
	if sole {
		spilled, washed = s.stragglers(b), s.wash(b)
	}
	s.appending = s.appending || len(b.Append) > 0
	empty := len(b.Append)+len(b.Settle)+len(b.Spill)+len(b.Home)+len(b.Notes)+len(b.Lanes)+len(b.Kill)+len(b.Edit) == 0
	s.mu.Unlock()

	var err error
	if !empty {
		err = s.backend.Commit(ctx, b)
	}
	if errors.Is(err, delivery.ErrUnknown) {
		err = s.commitAgain(ctx, b, err)
		for _, o := range ops {
			o.state().again = true
		}
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if len(b.Append) > 0 {
		defer func() {
			s.appending = false
			clear(s.early)
		}()
	}
	if err != nil {
		if errors.Is(err, delivery.ErrOwned) && s.failed == nil { // what it holds is another's by now
			s.failed = err
			s.wakeAll()
		}
		for _, o := range slices.Backward(ops) {
			o.revert(s, b)
		}
		s.washed(washed, b.Now, err)
		return err
	}
	for _, r := range spilled {
		r.indexed = true
		if r.state != gone {
			r.lane.inDB[r.class()]++
		}
	}
	for _, o := range ops {
		o.apply(s, b)
	}
	s.washed(washed, b.Now, nil)
	return nil
}

// undecided bounds how often a batch is committed again.
const undecided = 10

// commitAgain repeats a commit of which it is not known whether it happened:
// until then memory cannot tell which rows there are. If that never ends well
// the store fails for good; what is stored then shows when it is opened anew.
func (s *Store) commitAgain(ctx context.Context, b *Batch, unknown error) error {
	pause := time.Millisecond
	for range undecided {
		time.Sleep(pause) // holds up nobody but those who want to commit
		pause *= 2
		if err := s.backend.Commit(ctx, b); err == nil || errors.Is(err, delivery.ErrOwned) {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = fmt.Errorf("lanes: the store must be opened anew: %w", unknown)
	s.wakeAll()
	return s.failed
}

// low is the Seq of the oldest row that a start would have to look for.
func (s *Store) low() int64 {
	for len(s.young) > 0 && (s.young[0].state == gone || s.young[0].indexed) {
		s.young[0] = nil
		s.young = s.young[1:]
	}
	if len(s.young) > 1024 && len(s.young) > 4*len(s.rows) { // behind a slow one: let go of those that are gone
		s.young = slices.DeleteFunc(s.young, func(r *row) bool { return r.state == gone || r.indexed })
	}
	// Its host would attempt an indexed row of a guest's at once: it stays young.
	for len(s.young) > 0 && s.young[0].guest && s.nextSeq-s.young[0].Seq > s.cfg.Straggle {
		s.lagging, s.young = append(s.lagging, s.young[0]), s.young[1:]
	}
	s.lagging = slices.DeleteFunc(s.lagging, func(r *row) bool { return r.state == gone || r.indexed })
	low := s.nextSeq
	if len(s.young) > 0 {
		low = s.young[0].Seq
	}
	if len(s.lagging) > 0 {
		low = min(low, s.lagging[0].Seq)
	}
	return low
}

// stragglers has rows indexed that so many younger ones have passed that a
// start would have to look far back for them.
func (s *Store) stragglers(b *Batch) []*row {
	var spilled []*row
	for _, r := range s.young {
		if s.nextSeq-r.Seq <= s.cfg.Straggle || len(spilled) == 500 || r.state == settling {
			break
		}
		if r.state != gone && !r.indexed && !r.guest {
			spilled = append(spilled, r)
			b.Spill = append(b.Spill, r.spilled())
		}
	}
	return spilled
}
