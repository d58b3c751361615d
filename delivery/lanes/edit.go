package lanes

import (
	"context"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

type editOp struct {
	opState
	edit    Edit
	skip    bool   // a leased row: memory alone is concerned
	removed *row   // was waiting in memory
	closed  string // the lane, if a row came back to life in a closed one
}

// RetryNow implements [delivery.Operator].
func (s *Store) RetryNow(ctx context.Context, now time.Time, id string) error {
	return s.edit(ctx, now, Edit{ID: id})
}

// Cancel implements [delivery.Operator].
func (s *Store) Cancel(ctx context.Context, now time.Time, id string) error {
	return s.edit(ctx, now, Edit{ID: id, Cancel: true})
}

func (s *Store) edit(ctx context.Context, now time.Time, e Edit) error {
	o := &editOp{edit: e}
	o.rows, o.alone = 1, true
	if !now.IsZero() {
		o.now = now.UnixMicro()
	}
	if err := s.commit(ctx, o); err != nil {
		return err
	}
	switch {
	case o.edit.Missing:
		return delivery.ErrNotFound
	case o.edit.Cancel && o.edit.Settled && !o.again:
		return delivery.ErrSettled
	case o.closed != "":
		return s.kill(ctx, o.closed)
	}
	return nil
}

func (o *editOp) build(s *Store, b *Batch) {
	o.edit = Edit{ID: o.edit.ID, Cancel: o.edit.Cancel}
	o.skip, o.removed, o.closed = false, nil, ""
	for _, r := range s.rows { // rare enough to look at each
		if r.Delivery.ID != o.edit.ID {
			continue
		}
		if r.state != waiting {
			r.cancel = r.cancel || o.edit.Cancel
			o.skip = true
			return
		}
		s.unqueue(r)
		r.state = settling
		o.removed = r
		break
	}
	s.editing = o.edit.ID
	b.Edit = append(b.Edit, &o.edit)
}

func (o *editOp) apply(s *Store, b *Batch) {
	switch {
	case o.skip:
		return
	case o.edit.Missing:
		o.restore(s, b)
		return
	}
	o.end(s)
	s.nextSeq = max(s.nextSeq, o.edit.Row.Seq+1)
	l := s.lane(o.edit.Row.Delivery.LaneName())
	if o.removed != nil {
		s.forget(o.removed)
	}
	switch {
	case o.edit.Cancel, !o.edit.Row.ahead():
		l.barrier.remove(o.edit.Row.Seq)
	case !o.edit.Hidden:
		l.barrier.add(o.edit.Row.Seq)
	}
	if o.edit.Cancel {
		s.reveal(o.edit.Next, b.Now)
	} else {
		if l.mode == delivery.LaneClosed {
			o.closed = l.name
		}
		if !o.edit.Hidden {
			s.adopt(l, o.edit.Row, b.Now)
		}
	}
	s.place(l, b.Now)
}

// end lets reads bring the row again. What they brought meanwhile was left out:
// it may be as it was before.
func (o *editOp) end(s *Store) (left []unread) {
	left, s.unread, s.editing = s.unread, nil, ""
	if s.reading && o.edit.Row.Seq != 0 {
		s.graveyard[o.edit.Row.Seq] = struct{}{}
	}
	return left
}

func (o *editOp) restore(s *Store, b *Batch) {
	if o.removed != nil {
		s.enqueue(o.removed)
		s.place(o.removed.lane, b.Now)
	}
	for _, u := range o.end(s) {
		s.leaveToBackend(u.lane, u.class, u.due)
		s.place(u.lane, b.Now)
	}
}

func (o *editOp) revert(s *Store, b *Batch) {
	if !o.skip {
		o.edit.Row.Seq = 0
		o.restore(s, b)
	}
}
