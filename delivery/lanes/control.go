package lanes

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

type laneOp struct {
	opState
	states []delivery.LaneState
	before []lane    // to undo
	taken  []*Settle // rows of closed lanes
	pushed []*row    // rows of paused lanes

	elsewhere bool // another owner serves one of them: nothing was done
}

// SetLanes implements [delivery.Store].
func (s *Store) SetLanes(ctx context.Context, now time.Time, states ...delivery.LaneState) error {
	o := &laneOp{states: states}
	o.sole = true
	if !now.IsZero() {
		o.now = now.UnixMicro()
	}
	for i, st := range states {
		if st.Lane == "" {
			return &delivery.Error{Index: i, Field: "Lane", Err: delivery.ErrInvalid}
		}
	}
	if len(states) == 0 {
		return nil
	}
	if err := s.commit(ctx, o); err != nil {
		return err
	}
	if o.elsewhere {
		return ErrElsewhere
	}
	for _, st := range states {
		if st.Mode != delivery.LaneClosed {
			continue
		}
		if err := s.kill(ctx, st.Lane); err != nil {
			return err
		}
	}
	return nil
}

func (o *laneOp) build(s *Store, b *Batch) {
	now := o.now
	if now == 0 {
		now = b.Now
	}
	o.before, o.taken, o.pushed = nil, nil, nil
	if o.elsewhere = slices.ContainsFunc(o.states, func(st delivery.LaneState) bool { return !s.owns(st.Lane) }); o.elsewhere {
		return
	}
	for _, st := range o.states {
		l := s.lane(st.Lane)
		l.rows++ // not forgotten until apply
		o.before = append(o.before, *l)
		switch {
		case st.Mode == delivery.LaneOpen && l.mode == delivery.LaneClosed, st.Health == delivery.HealthForget:
			l.heal()
		case st.Health == delivery.HealthWarned:
			l.warned = true
		}
		if st.Mode != delivery.LaneAsIs {
			l.mode, l.reason = st.Mode, cmp.Or(st.Reason, "closed")
		}
		switch {
		case st.MaxInFlight > 0:
			l.cap = st.MaxInFlight
		case st.MaxInFlight < 0:
			l.cap = 0
		}
		switch {
		case st.PerSecond > 0:
			l.rate = st.PerSecond
		case st.PerSecond < 0:
			l.rate, l.started = 0, 0
		}
		switch {
		case st.NotBeforeIn > 0:
			l.hold = max(l.hold, now+micros(st.NotBeforeIn))
		case st.NotBeforeIn < 0:
			l.hold = 0
		}
		switch st.Mode {
		case delivery.LaneClosed:
			o.close(s, b, l)
		case delivery.LanePaused:
			o.pause(s, b, l)
		case delivery.LaneAsIs, delivery.LaneOpen:
		}
		row := l.row()
		if row.NotBefore <= now {
			row.NotBefore = 0
		}
		b.Lanes = append(b.Lanes, row)
	}
}

// close gives up what waits in memory; the backend's rows are killed after.
func (o *laneOp) close(s *Store, b *Batch, l *lane) {
	for _, st := range b.Settle { // queued before this, so not yet aware of it
		if st.Delivery.LaneName() == l.name && st.stays() {
			st.giveUp(l.reason)
		}
	}
	o.taken = append(o.taken, s.giveUpWaiting(b, l)...)
}

// giveUpWaiting makes dead what waits in a closed lane's memory.
func (s *Store) giveUpWaiting(b *Batch, l *lane) []*Settle {
	var taken []*Settle
	for class := range l.queue {
		for r := range l.queue[class].all() {
			r.state = settling
			s.count(r, -1)
			taken = append(taken, &Settle{
				Row: r.Row, Indexed: r.indexed,
				Result: delivery.GiveUp, Reason: l.reason,
				NewAttempts: r.Attempts, NewTries: r.Tries,
			})
		}
		l.queue[class] = rowQueue{}
	}
	b.Settle = append(b.Settle, taken...)
	return taken
}

// gaveUp lets out of memory what giveUpWaiting took. What that uncovers is
// killed after, unless the lane is opened before.
func (s *Store) gaveUp(taken []*Settle, now int64) {
	for _, st := range taken {
		r := s.rows[st.Seq]
		r.lane.barrier.remove(st.Seq)
		s.forget(r)
		s.reveal(st.Next, now)
	}
}

// keepWaiting undoes giveUpWaiting.
func (s *Store) keepWaiting(taken []*Settle) {
	for _, st := range taken {
		s.enqueue(s.rows[st.Seq])
	}
}

// pause leaves the lane's rows to the backend, so that they take no memory.
func (o *laneOp) pause(s *Store, b *Batch, l *lane) {
	if s.backend.HoldsAll() {
		return
	}
	for class := range l.queue {
		for r := range l.queue[class].all() {
			r.state = settling
			s.count(r, -1)
			o.pushed = append(o.pushed, r)
			if !r.indexed {
				b.Spill = append(b.Spill, r.spilled())
			}
		}
		l.queue[class] = rowQueue{}
	}
}

func (o *laneOp) apply(s *Store, b *Batch) {
	if o.elsewhere {
		return
	}
	s.gaveUp(o.taken, b.Now)
	for _, r := range o.pushed {
		class := r.class()
		s.leaveToBackend(r.lane, class, r.Due)
		s.forget(r)
	}
	for _, st := range o.states {
		l := s.lane(st.Lane)
		l.rows--
		s.place(l, b.Now)
	}
}

func (o *laneOp) revert(s *Store, b *Batch) {
	s.keepWaiting(o.taken)
	for _, r := range o.pushed {
		s.enqueue(r)
	}
	for i, was := range slices.Backward(o.before) {
		l := s.lane(o.states[i].Lane)
		l.mode, l.reason, l.cap, l.rate, l.hold = was.mode, was.reason, was.cap, was.rate, was.hold
		l.started = max(l.started, was.started)
		if st := o.states[i]; st.Health != delivery.HealthAsIs || was.mode == delivery.LaneClosed && st.Mode == delivery.LaneOpen {
			was.dirty = l.dirty // else what was seen meanwhile stands
			l.health = was.health
		}
		l.rows--
		s.place(l, b.Now)
	}
}

// killRows bounds one step of killing a closed lane, so that others get their
// turn between the steps.
const killRows = 2000

// kill makes dead what the backend holds of a closed lane, step by step. A lane
// that leaves meanwhile is for its next owner to kill: ErrElsewhere.
func (s *Store) kill(ctx context.Context, name string) error {
	if err := s.bury(ctx, 0); err != nil { // else they would wait for who leases next
		return err
	}
	for {
		o := &killOp{name: name}
		o.rows, o.alone, o.sole = killRows, true, true
		if err := s.commit(ctx, o); err != nil {
			return err
		}
		if o.elsewhere {
			return ErrElsewhere
		}
		if o.kill == nil || o.kill.Killed < killRows {
			return nil
		}
	}
}

type killOp struct {
	opState
	name  string
	kill  *Kill
	taken []*Settle
	next  [2]int64 // what lane.next was

	elsewhere bool
}

func (o *killOp) build(s *Store, b *Batch) {
	o.kill, o.taken = nil, nil
	if o.elsewhere = !s.owns(o.name); o.elsewhere {
		return
	}
	l := s.lanes[o.name]
	if l == nil || l.mode != delivery.LaneClosed {
		return // opened again meanwhile
	}
	o.taken = s.giveUpWaiting(b, l)
	o.next, l.next = l.next, [2]int64{never, never} // what is left there from now on shows here
	o.kill = &Kill{Lane: o.name, Reason: l.reason, Limit: killRows, Except: map[int64]bool{}}
	if s.backend.HoldsAll() { // nothing would read what a step leaves
		o.kill.Limit = math.MaxInt
	}
	mine := make(map[int64]bool, len(o.taken))
	for _, st := range o.taken {
		mine[st.Seq] = true
	}
	if l.rows > 0 { // being attempted: their own outcome settles them
		for seq, r := range s.rows {
			if r.lane == l && !mine[seq] {
				o.kill.Except[seq] = true
			}
		}
	}
	b.Kill = append(b.Kill, o.kill)
}

func (o *killOp) apply(s *Store, b *Batch) {
	if o.kill == nil {
		return
	}
	for _, st := range o.taken {
		st.Next = nil // what they hid was killed with the rest, or is read if the lane is opened
	}
	s.gaveUp(o.taken, b.Now)
	l := s.lane(o.name)
	l.era++
	l.barrier = nil // a read tells of what is left
	for seq := range o.kill.Except {
		if r := s.rows[seq]; r != nil && r.ahead {
			l.barrier.add(seq)
		}
	}
	if o.kill.Killed == killRows && !s.backend.HoldsAll() { // should it be opened now, what is left is read
		l.next = [2]int64{min(l.next[0], b.Now), min(l.next[1], b.Now)}
	}
	s.place(l, b.Now)
}

func (o *killOp) revert(s *Store, b *Batch) {
	s.keepWaiting(o.taken)
	if o.kill != nil {
		l := s.lane(o.name)
		for class, due := range o.next {
			s.leaveToBackend(l, class, due)
		}
		s.place(l, b.Now)
	}
}
