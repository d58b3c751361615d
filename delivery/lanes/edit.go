package lanes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

type editOp struct {
	opState
	edits  []*edited
	closed map[string]bool // lanes that are closed and have rows again
}

type edited struct {
	edit    Edit
	skip    bool // a leased row: memory alone is concerned
	removed *row // was waiting in memory
}

// RetryNow implements [delivery.Operator].
func (s *Store) RetryNow(ctx context.Context, now time.Time, ids ...string) error {
	o, err := s.edit(ctx, now, false, ids)
	if err != nil {
		return err
	}
	for name := range o.closed {
		if err := s.kill(ctx, name); err != nil && !errors.Is(err, ErrElsewhere) { // who gains the lane kills
			return err
		}
	}
	for _, e := range o.edits {
		if e.edit.Missing {
			return unknown(e.edit.ID)
		}
	}
	return nil
}

// Cancel implements [delivery.Operator].
func (s *Store) Cancel(ctx context.Context, now time.Time, ids ...string) error {
	o, err := s.edit(ctx, now, true, ids)
	if err != nil {
		return err
	}
	for _, e := range o.edits {
		switch {
		case e.edit.Missing:
			return unknown(e.edit.ID)
		case e.edit.Settled && !o.again:
			err = fmt.Errorf("%w (%q)", delivery.ErrSettled, e.edit.ID)
		}
	}
	return err
}

// maxShown bounds what an error shows of an ID, in bytes.
const maxShown = 1 << 10

// unknown names a delivery that there is none of.
func unknown(id string) error {
	return fmt.Errorf("%w (%q)", delivery.ErrNotFound, id[:min(len(id), maxShown)])
}

func (s *Store) edit(ctx context.Context, now time.Time, cancel bool, ids []string) (*editOp, error) {
	if len(ids) > delivery.MaxBatch {
		return nil, delivery.ErrTooMany
	}
	o := &editOp{edits: make([]*edited, 0, len(ids))}
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if !seen[id] {
			seen[id] = true
			o.edits = append(o.edits, &edited{edit: Edit{ID: id, Cancel: cancel}})
		}
	}
	if len(o.edits) == 0 {
		return o, nil
	}
	o.rows, o.alone, o.sole = len(o.edits), true, true
	if !now.IsZero() {
		o.now = now.UnixMicro()
	}
	return o, s.commit(ctx, o)
}

func (o *editOp) build(s *Store, b *Batch) {
	wanted := make(map[string]*edited, len(o.edits))
	for _, e := range o.edits {
		*e = edited{edit: Edit{ID: e.edit.ID, Cancel: e.edit.Cancel}}
		wanted[e.edit.ID] = e
	}
	o.closed = map[string]bool{}
	for _, r := range s.rows { // rare enough to look at each
		e := wanted[r.Delivery.ID]
		switch {
		case e == nil, r.bare > 0: // no bare one's ID is known: see dress and changed
		case r.state != waiting:
			r.cancel = r.cancel || e.edit.Cancel
			e.skip = true
		default:
			s.unqueue(r)
			r.state = settling
			e.removed = r
		}
	}
	s.editing = make(map[string]*edited, len(o.edits))
	for _, e := range o.edits {
		if !e.skip {
			s.editing[e.edit.ID] = e
			b.Edit = append(b.Edit, &e.edit)
		}
	}
}

func (o *editOp) apply(s *Store, b *Batch) {
	o.end(s, b.Now, func(e *edited) bool { return e.edit.Missing })
	for _, e := range o.edits {
		switch {
		case e.skip:
		case e.edit.Missing:
			e.restore(s, b.Now)
		default:
			o.changed(s, e, b.Now)
		}
	}
}

// changed takes note of what became of a row.
func (o *editOp) changed(s *Store, e *edited, now int64) {
	edit := &e.edit
	if edit.Away && !edit.Cancel {
		return
	}
	s.nextSeq = max(s.nextSeq, edit.Row.Seq+1)
	l := s.lane(edit.Row.Delivery.LaneName())
	if e.removed != nil {
		s.forget(e.removed)
	} else if r := s.rows[edit.Row.Seq]; r != nil && r.bare > 0 {
		s.unqueue(r)
		s.forget(r)
	}
	switch {
	case edit.Cancel, !edit.Row.ahead():
		l.barrier.remove(edit.Row.Seq)
	case !edit.Hidden:
		l.barrier.add(edit.Row.Seq)
	}
	switch {
	case edit.Cancel:
		s.reveal(edit.Next, now)
	case l.mode == delivery.LaneClosed:
		o.closed[l.name] = true
		fallthrough
	default:
		if !edit.Hidden {
			s.adopt(l, edit.Row, now)
		}
	}
	s.place(l, now)
}

// end lets reads bring the rows again. What they brought meanwhile was left out:
// it may be as it was before, and for those that are, it is left to the backend.
func (o *editOp) end(s *Store, now int64, asBefore func(*edited) bool) {
	kept := map[string]bool{}
	for _, e := range o.edits {
		switch {
		case e.skip:
		case asBefore(e):
			kept[e.edit.ID] = true
		case s.reading && e.edit.Row.Seq != 0:
			s.graveyard[e.edit.Row.Seq] = struct{}{}
		}
	}
	left := s.unread
	s.unread, s.editing = nil, nil
	for _, u := range left {
		if kept[u.id] {
			l := s.lane(u.lane) // it may have been forgotten meanwhile
			s.leaveToBackend(l, u.class, u.due)
			s.place(l, now)
		}
	}
}

// restore puts a row back that build took out.
func (e *edited) restore(s *Store, now int64) {
	if e.removed != nil {
		s.enqueue(e.removed)
		s.place(e.removed.lane, now)
	}
}

func (o *editOp) revert(s *Store, b *Batch) {
	o.end(s, b.Now, func(*edited) bool { return true })
	for _, e := range o.edits {
		e.restore(s, b.Now)
	}
}
