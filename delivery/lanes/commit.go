package lanes

import (
	"context"
	"errors"
	"fmt"
	"runtime"
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
	s.queueMu.Lock()
	s.queue = append(s.queue, o)
	s.queueMu.Unlock()
	select {
	case <-st.done:
		return st.err
	case s.leader <- struct{}{}:
	case <-ctx.Done():
		if s.withdraw(o) {
			return ctx.Err()
		}
		<-st.done // somebody is writing it this moment
		return st.err
	}
	defer func() { <-s.leader }()
	for {
		select {
		case <-st.done:
			return st.err
		default:
			s.gather()
			ops := s.nextOps()
			begin := time.Now()
			s.run(context.WithoutCancel(ctx), ops)
			s.last.ops, s.last.took = len(ops), time.Since(begin)
		}
	}
}

// gather takes it that nobody comes any more when nobody has for so long, or
// after giving way so often: a processor that is idle gives way in no time.
const (
	lull     = 50 * time.Microsecond
	lullTurn = 100
)

// gather lets those who are about to commit join the batch. Whom the last batch
// let go is likely to come again, so it gives way until as many are there, or
// nobody has come for a moment, and for half as long as that batch took at most.
// A caller that is alone does not wait at all.
func (s *Store) gather() {
	if s.last.ops < 2 {
		return
	}
	begin := time.Now()
	came, at := 0, begin
	for turns := 0; turns < lullTurn; turns++ {
		s.queueMu.Lock()
		n := len(s.queue)
		s.queueMu.Unlock()
		now := time.Now()
		if n > came {
			came, at, turns = n, now, 0
		}
		if n >= s.last.ops || now.Sub(at) > lull || now.Sub(begin) > s.last.took/2 {
			return
		}
		runtime.Gosched()
	}
}

func (s *Store) withdraw(o operation) bool {
	s.queueMu.Lock()
	defer s.queueMu.Unlock()
	i := slices.Index(s.queue, o)
	if i < 0 {
		return false
	}
	s.queue = slices.Delete(s.queue, i, i+1)
	return true
}

// nextOps takes operations off the queue, at least one if there is any.
func (s *Store) nextOps() []operation {
	s.queueMu.Lock()
	defer s.queueMu.Unlock()
	n, rows := 0, 0
	for n < len(s.queue) && (n == 0 || rows+s.queue[n].state().rows <= s.cfg.BatchRows) {
		st := s.queue[n].state()
		if st.alone && n > 0 {
			break
		}
		rows += st.rows
		if n++; st.alone {
			break
		}
	}
	ops := s.queue[:n:n]
	if s.queue = s.queue[n:]; len(s.queue) == 0 {
		s.queue = nil
	}
	return ops
}

func (s *Store) run(ctx context.Context, ops []operation) {
	err := s.runOnce(ctx, ops)
	if err != nil && len(ops) > 1 && !errors.Is(err, delivery.ErrUnknown) {
		for _, o := range ops { // one of them may be to blame, the others not
			o.state().err = s.runOnce(ctx, []operation{o})
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

func (s *Store) runOnce(ctx context.Context, ops []operation) error {
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
	spilled := s.stragglers(b)
	washed := s.wash(b)
	empty := len(b.Append)+len(b.Settle)+len(b.Spill)+len(b.Lanes)+len(b.Kill)+len(b.Edit) == 0
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
		if s.backend.Commit(ctx, b) == nil {
			return nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = fmt.Errorf("lanes: the store must be opened anew: %w", unknown)
	s.wakeAll()
	return s.failed
}

// stragglers has rows indexed that so many younger ones have passed that a
// start would have to look far back for them.
func (s *Store) stragglers(b *Batch) []*row {
	for len(s.young) > 0 && (s.young[0].state == gone || s.young[0].indexed) {
		s.young[0] = nil
		s.young = s.young[1:]
	}
	if len(s.young) > 1024 && len(s.young) > 4*len(s.rows) { // behind a slow one: let go of those that are gone
		s.young = slices.DeleteFunc(s.young, func(r *row) bool { return r.state == gone || r.indexed })
	}
	b.Low = s.nextSeq
	if len(s.young) > 0 {
		b.Low = s.young[0].Seq
	}
	var spilled []*row
	for _, r := range s.young {
		if s.nextSeq-r.Seq <= s.cfg.Straggle || len(spilled) == 500 || r.state == settling {
			break
		}
		if r.state != gone && !r.indexed {
			spilled = append(spilled, r)
			b.Spill = append(b.Spill, &r.Row)
		}
	}
	return spilled
}
