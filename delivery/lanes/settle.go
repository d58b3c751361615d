package lanes

import (
	"context"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

type settleOp struct {
	opState
	items []settled
}

type settled struct {
	row     *row
	outcome delivery.Outcome
	settle  Settle
}

// Settle implements [delivery.Store]. A lane's cap is free again as soon as
// Settle is called, since the attempt is over; its ordering keys are when the
// outcome is durable.
func (s *Store) Settle(ctx context.Context, now time.Time, outcomes ...delivery.Outcome) error {
	o := &settleOp{items: make([]settled, 0, len(outcomes))}
	if !now.IsZero() {
		o.now = now.UnixMicro()
	}
	var lost []string
	s.mu.Lock()
	t := s.clock(now)
	s.advance(t)
	for _, out := range outcomes {
		r := s.leasedRow(out.ID, out.Receipt)
		if r == nil {
			lost = append(lost, out.ID)
			continue
		}
		r.lane.inFlight--
		if r.seen != r.token { // Settle comes again where the commit failed
			r.seen = r.token
			s.observe(r.lane, &out, t)
		}
		if out.Result == delivery.Release && out.Attempt == nil && out.RetryIn <= 0 &&
			!r.cancel && r.lane.mode != delivery.LaneClosed && !r.stranded() {
			r.token = 0
			s.enqueue(r)
		} else {
			r.state = settling
			o.items = append(o.items, settled{row: r, outcome: out})
			// What goes ahead waits with its lane, whose state is then written, too.
			o.sole = o.sole || r.Delivery.Key != "" || r.ahead && out.Result == delivery.Release && out.Attempt == nil
		}
		s.place(r.lane, t)
	}
	o.sole = o.sole || s.overdue()
	s.mu.Unlock()

	if len(o.items) > 0 {
		o.rows = len(o.items)
		if err := s.commit(ctx, o); err != nil {
			s.mu.Lock()
			o.giveBack(s)
			s.mu.Unlock()
			return err
		}
	}
	if lost != nil {
		return &delivery.LostLeasesError{IDs: lost}
	}
	return nil
}

func (o *settleOp) build(s *Store, b *Batch) {
	now := o.now
	if now == 0 {
		now = b.Now
	}
	for i := range o.items {
		it := &o.items[i]
		r, out := it.row, &it.outcome
		it.settle = Settle{
			Row: r.Row, Indexed: r.indexed, Guest: r.guest,
			Result: out.Result, Reason: out.Reason, Attempt: out.Attempt,
			NewDue: now + max(micros(out.RetryIn), 0), NewAttempts: r.Attempts, NewTries: r.Tries,
		}
		st := &it.settle
		if out.Attempt != nil || out.Result == delivery.Retry {
			st.NewAttempts++
		}
		switch out.Result {
		case delivery.Retry:
			st.NewTries++
		case delivery.Release, delivery.Done, delivery.GiveUp:
		}
		if st.Expires != 0 {
			st.NewDue = min(st.NewDue, st.Expires)
		}
		if st.stays() {
			switch {
			case r.cancel:
				st.giveUp(delivery.ReasonCancelled)
			case r.lane.mode == delivery.LaneClosed:
				st.giveUp(r.lane.reason)
			}
		}
		if r.ahead && st.stays() && st.NewAttempts == r.Attempts { // still before all others: the lane waits with it
			r.lane.hold = max(r.lane.hold, st.NewDue)
			s.soil(r.lane)
			st.NewDue = 0
		}
		b.Settle = append(b.Settle, st)
		if r.guest && !r.stranded() {
			o.note(b, it)
		}
	}
}

// stays reports whether the row is to be tried again.
func (st *Settle) stays() bool {
	return st.Result == delivery.Retry || st.Result == delivery.Release
}

func (st *Settle) giveUp(reason string) { st.Result, st.Reason = delivery.GiveUp, reason }

func (o *settleOp) apply(s *Store, b *Batch) {
	for i := range o.items {
		it := &o.items[i]
		r, st := it.row, &it.settle
		l := r.lane
		attempted := st.NewAttempts > r.Attempts || !st.stays()
		if attempted {
			l.barrier.remove(r.Seq)
		}
		s.forget(r)
		if st.stays() && (!r.guest || r.stranded()) {
			next := st.Row
			next.Due, next.Attempts, next.Tries = st.NewDue, st.NewAttempts, st.NewTries
			if r.guest { // only the backend knows whether it stayed
				s.leaveToBackend(l, (&row{Row: next}).class(), next.Due)
			} else {
				s.adopt(l, next, b.Now)
			}
		}
		s.reveal(st.Next, b.Now)
		s.place(l, b.Now)
	}
}

// revert leaves the rows as they are: the operation may be built again, and
// Settle gives the leases back if it fails for good.
func (o *settleOp) revert(*Store, *Batch) {}

// buryOp ends rows whose lease was lost and that are not to be tried again, as
// settleOp's build decides: those that there are when its turn comes.
type buryOp struct {
	settleOp
	orphans []*row
}

func (s *Store) bury(ctx context.Context, now int64) error {
	o := &buryOp{}
	o.now, o.rows, o.sole = now, 1, true
	return s.commit(ctx, o)
}

func (o *buryOp) build(s *Store, b *Batch) {
	o.orphans, s.orphans = s.orphans, nil
	o.items = make([]settled, len(o.orphans))
	for i, r := range o.orphans {
		o.items[i] = settled{row: r, outcome: delivery.Outcome{Result: delivery.Release}}
	}
	o.settleOp.build(s, b)
}

func (o *buryOp) revert(s *Store, _ *Batch) { s.orphans = append(s.orphans, o.orphans...) }

// giveBack gives the leases back to those who hold them.
func (o *settleOp) giveBack(s *Store) {
	for i := range o.items {
		if r := o.items[i].row; r.state == settling {
			r.state = leased
			r.lane.inFlight++
			s.reapBy(r.expires)
		}
	}
}
