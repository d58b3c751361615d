package lanes_test

import (
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// apply does what a batch says, in the order of its fields.
func (f *fake) apply(b *lanes.Batch) {
	f.applying = b
	for _, a := range b.Append {
		f.append(a)
	}
	for _, st := range b.Settle {
		f.settle(st)
	}
	for _, r := range b.Spill {
		f.rows[r.Seq].indexed = true
	}
	for _, l := range b.Lanes {
		if f.lanes[l.Lane] = l; l.IsDefault() {
			delete(f.lanes, l.Lane)
		}
	}
	for _, k := range b.Kill {
		f.kill(k)
	}
	for _, e := range b.Edit {
		f.edit(e, b.Now)
	}
	if b.Low < f.low && !f.twofold {
		f.blame("Low fell from %d to %d", f.low, b.Low)
	}
	f.low = max(f.low, b.Low)
	for _, r := range f.rows {
		if r.Seq < f.low && !r.settled && !r.indexed {
			f.blame("Low is %d and row %d neither settled nor indexed", f.low, r.Seq)
		}
	}
}

func (f *fake) append(a *lanes.Append) {
	if f.byID[a.Delivery.ID] != nil {
		a.Duplicate = true
		return
	}
	f.seq++
	a.Seq = f.seq
	r := &fakeRow{Row: a.Row, indexed: a.Index || a.Delivery.Key != "", stored: f.applying}
	f.rows[a.Seq], f.byID[a.Delivery.ID] = r, r
	if a.Dead != "" {
		r.end(a.Dead, f.applying)
		return
	}
	a.Hidden = f.hidden(r)
}

func (r *fakeRow) end(how string, by *lanes.Batch) {
	r.settled, r.how, r.ended, r.known = true, how, by, time.Time{}
}

func (f *fake) settle(st *lanes.Settle) {
	r := f.rows[st.Seq]
	if r == nil || r.settled {
		f.blame("settle of row %d, which is settled already or unknown", st.Seq)
		return
	}
	if r.indexed != st.Indexed {
		f.blame("settle of row %d says indexed %t, it is %t", st.Seq, st.Indexed, r.indexed)
	}
	if r.Attempts != st.Row.Attempts || r.Tries != st.Row.Tries {
		f.blame("row %d has %d attempts and %d tries, the Store believes %d and %d", st.Seq, r.Attempts, r.Tries, st.Row.Attempts, st.Row.Tries)
	}
	r.Attempts, r.Tries = st.NewAttempts, st.NewTries
	switch st.Result {
	case delivery.Done:
		st.Next = f.finish(r, "done")
	case delivery.GiveUp:
		st.Next = f.finish(r, st.Reason)
	case delivery.Retry, delivery.Release:
		r.Due, r.indexed = st.NewDue, true
	}
}

// finish settles a row and returns the one that it hid.
func (f *fake) finish(r *fakeRow, how string) *lanes.Row {
	was := f.hidden(r)
	r.end(how, f.applying)
	if next := f.oldest(r); next != nil && !was {
		row := next.Row
		return &row
	}
	return nil
}

func (f *fake) kill(k *lanes.Kill) {
	for seq, r := range f.rows {
		if k.Killed == k.Limit {
			return
		}
		if !r.settled && r.indexed && r.Delivery.LaneName() == k.Lane && !k.Except[seq] {
			r.end(k.Reason, f.applying)
			k.Killed++
		}
	}
}

func (f *fake) edit(e *lanes.Edit, now int64) {
	r := f.byID[e.ID]
	if e.Missing = r == nil; e.Missing {
		return
	}
	e.Settled = r.settled
	switch {
	case e.Cancel:
		e.Row, e.Hidden = r.Row, f.hidden(r)
		if !r.settled {
			e.Next = f.finish(r, delivery.ReasonCancelled)
		}
		return
	case r.settled:
		delete(f.rows, r.Seq)
		f.seq++
		r.Seq, r.settled, r.Due = f.seq, false, now
		f.rows[r.Seq] = r
	case r.Due != 0:
		r.Due = now
	}
	r.Tries, r.indexed = 0, true
	e.Row, e.Hidden = r.Row, f.hidden(r)
}

// ahead returns a row that had to go before all others of its lane at asked.
func (f *fake) ahead(lane string, asked time.Time) *fakeRow {
	for _, r := range f.rows {
		if !r.settled && r.Due == 0 && r.Attempts == 0 && r.Delivery.Key == "" && r.Delivery.Lane == lane &&
			!r.since.IsZero() && r.since.Before(asked) {
			return r
		}
	}
	return nil
}
