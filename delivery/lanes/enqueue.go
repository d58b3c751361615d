package lanes

import (
	"context"
	"strings"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

var zeroTime time.Time

type enqueueOp struct {
	opState
	items []enqueued
}

// enqueued is what is needed of one delivery until it is stored.
type enqueued struct {
	append Append
	row    *row // what stays in memory
	lane   *lane
	folded *Incoming // nil: enqueued here
	left   bool      // not for this owner to fold
	bare   bool      // memory is to have no more than its numbers
}

// kept is what stays in memory of one that waits there, in one allocation: a row
// that lives long keeps no others alive.
type kept struct {
	delivery delivery.Delivery
	row      row
}

// Enqueue implements [delivery.Store].
func (s *Store) Enqueue(ctx context.Context, now time.Time, ds ...delivery.Delivery) error {
	if len(ds) > delivery.MaxBatch {
		return delivery.ErrTooMany
	}
	if len(ds) == 0 {
		return nil
	}
	o := &enqueueOp{items: make([]enqueued, len(ds))}
	o.rows = len(ds)
	if !now.IsZero() {
		o.now = now.UnixMicro()
	}
	for i, d := range ds {
		if err := validate(i, &d); err != nil {
			return err
		}
		k := &kept{delivery: d}
		o.items[i].row, o.items[i].append.Delivery = &k.row, &k.delivery
		o.sole = o.sole || d.Key != ""
	}
	return s.commit(ctx, o)
}

// maxDeliveryID leaves room for the longest event and subscription IDs.
const maxDeliveryID = 1024

func validate(i int, d *delivery.Delivery) error {
	var field string
	switch {
	case !delivery.ValidEventID(d.EventID):
		field = "EventID"
	case len(d.ID) > maxDeliveryID || d.ID != d.EventID && !strings.HasPrefix(d.ID, d.EventID+"."):
		field = "ID"
	case len(d.Key) > delivery.MaxKey:
		field = "Key"
	case d.DelayIn < 0:
		field = "DelayIn"
	case d.ExpiresIn < 0:
		field = "ExpiresIn"
	default:
		return nil
	}
	return &delivery.Error{Index: i, Field: field, Err: delivery.ErrInvalid}
}

func micros(d time.Duration) int64 { return int64(d / time.Microsecond) }

func (o *enqueueOp) build(s *Store, b *Batch) {
	now := o.now
	if now == 0 {
		now = b.Now
	}
	for i := range o.items {
		it := &o.items[i]
		a, d := &it.append, it.append.Delivery
		it.lane, it.bare = nil, false
		*a = Append{Row: it.begin(now), Source: a.Source}
		away := d.SubscriptionID != "" && !s.owns(d.LaneName())
		if it.left = away && it.folded != nil; it.left {
			continue
		}
		b.Append = append(b.Append, a)
		if away {
			if l := s.visited[d.LaneName()]; l != nil && a.ahead() {
				l.away = true // what follows may not pass it
			}
			if it.lane = s.asGuest(&a.Row, now); it.lane != nil {
				a.Guest = true
				it.reserve(s, 1)
			}
		}
		if a.Elsewhere = away && !a.Guest; away || d.SubscriptionID == "" {
			continue
		}
		it.lane = s.lane(d.LaneName())
		if it.lane.mode == delivery.LaneClosed {
			a.Dead = it.lane.reason
			continue
		}
		a.Index, it.bare = s.mayHold(it.lane, &a.Row, now)
		it.reserve(s, 1) // until apply or revert
	}
}

// reserve keeps the room that the row will take in memory free, or with -1 no
// more.
func (it *enqueued) reserve(s *Store, by int) {
	switch {
	case it.lane == nil || it.append.Index || it.append.Dead != "":
		return
	case it.bare:
		s.heldBare += by * bareCost
		it.lane.strips += by
	default:
		s.held += by * it.append.cost()
	}
	it.lane.reserved += by
}

// begin returns the row as it is stored.
func (it *enqueued) begin(now int64) Row {
	if it.folded != nil {
		return it.folded.Row
	}
	return newRow(it.append.Delivery, now)
}

func newRow(d *delivery.Delivery, now int64) Row {
	r := Row{Delivery: d, Due: now + micros(d.DelayIn), Attempts: d.Attempts, Tries: d.Attempts}
	if d.Ahead {
		r.Due = 0
	}
	if d.ExpiresIn > 0 {
		r.Expires = now + micros(d.ExpiresIn)
		r.Due = min(r.Due, r.Expires)
	}
	return r
}

// NewRow returns the row of a delivery that is enqueued at a time, without a
// Seq, for a [Partial] that leaves it to another owner. i is the delivery's
// place in its batch, for the error.
func NewRow(i int, d *delivery.Delivery, now time.Time) (Row, error) {
	if err := validate(i, d); err != nil {
		return Row{}, err
	}
	return newRow(d, now.UnixMicro()), nil
}

// mayHold decides whether a new row stays in memory, so that the backend need
// not index it, and whether bare.
func (s *Store) mayHold(l *lane, r *Row, now int64) (index, bare bool) {
	switch {
	case s.backend.HoldsAll():
		return false, false
	case r.Delivery.Key != "", r.Attempts > 0: // its order, or what a start could not tell, is the index's work
		return true, false
	case l.mode != delivery.LaneOpen, l.hold > now, r.Due > now, l.next[fresh] != never:
		return true, false
	}
	if l.bare == 0 && s.held+r.cost() <= s.room && l.queue[fresh].len()+l.reserved < s.share(l, fresh) {
		return false, false
	}
	bare = !r.ahead() && l.bare+l.strips < s.bareShare()
	return !bare, bare
}

func (o *enqueueOp) apply(s *Store, b *Batch) {
	for i := range o.items {
		it := &o.items[i]
		a := &it.append
		l := it.lane
		it.reserve(s, -1)
		if it.left {
			continue
		}
		if a.Duplicate || a.Elsewhere {
			s.tidy(l, b.Now)
			continue
		}
		s.nextSeq = max(s.nextSeq, a.Seq+1)
		if l == nil || a.Dead != "" || a.Hidden || s.readEarly(a.Seq) {
			s.tidy(l, b.Now)
			continue
		}
		l = s.lane(l.name) // it may have been forgotten while the batch was written
		r := it.row
		if it.bare {
			r = l.strip(a.Row) // the rest is let go of
		} else {
			*r = row{Row: a.Row, lane: l, indexed: a.Index || a.Delivery.Key != "", ahead: a.ahead(), guest: a.Guest}
		}
		if r.ahead {
			l.barrier.add(r.Seq)
		}
		switch {
		case !a.Index || s.backend.HoldsAll():
			if !r.indexed {
				s.young = append(s.young, r)
			}
			s.hold(r)
		default:
			s.adopt(l, a.Row, b.Now)
		}
		s.place(l, b.Now)
	}
}

// readEarly reports whether a read brought a row that is only now known to be
// stored: its commit took long to return, or another owner indexed it meanwhile.
func (s *Store) readEarly(seq int64) bool {
	_, gone := s.early[seq]
	return gone || s.rows[seq] != nil
}

// tidy forgets a lane that was made for a row that did not come.
func (s *Store) tidy(l *lane, now int64) {
	if l != nil && s.lanes[l.name] == l {
		s.place(l, now)
	}
}

func (o *enqueueOp) revert(s *Store, b *Batch) {
	for i := range o.items {
		it := &o.items[i]
		it.reserve(s, -1)
		s.tidy(it.lane, b.Now)
	}
}
