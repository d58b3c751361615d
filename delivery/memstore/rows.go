package memstore

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// rows is the lanes.Backend: every row is in memory, so that the lanes hold all
// of them and only settled ones and ordering keys are left to be kept here.
type rows struct {
	maxPending, history int

	mu     sync.Mutex
	seq    int64
	byID   map[string]*entry
	bySeq  map[int64]*entry // not settled
	keyed  map[laneKey][]*entry
	events map[string]int // deliveries remembered of each event
	order  []*entry       // by seq; settled ones that were forgotten are nil
	first  int            // in order, none before it is pending
	past   []*entry       // settled, oldest first
	counts delivery.Counts
}

type laneKey struct{ lane, key string }

type entry struct {
	lanes.Row
	state   delivery.State
	reason  string
	settled int64
	log     []delivery.Attempt
	place   int // in order
}

func (r *rows) HoldsAll() bool { return true }

func (r *rows) Load(context.Context) (lanes.Loaded, error) { return lanes.Loaded{NextSeq: 1}, nil }

func (r *rows) Refill(context.Context, int64, []lanes.Want) ([]lanes.Found, error) { return nil, nil }

func (r *rows) Commit(_ context.Context, b *lanes.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(b.Append) > 0 && int(r.counts.Pending)+len(b.Append)-len(b.Settle) > r.maxPending {
		return delivery.ErrFull
	}
	for _, a := range b.Append {
		r.append(a, b.Now)
	}
	for _, st := range b.Settle {
		r.settle(st, b.Now)
	}
	for _, k := range b.Kill {
		r.kill(k, b.Now)
	}
	for _, e := range b.Edit {
		r.edit(e, b.Now)
	}
	r.trim()
	return nil
}

func (r *rows) append(a *lanes.Append, now int64) {
	d := a.Delivery
	if _, known := r.byID[d.ID]; known {
		a.Duplicate = true
		return
	}
	r.seq++
	a.Seq = r.seq
	e := &entry{Row: a.Row, state: delivery.Pending, place: len(r.order)}
	r.byID[d.ID] = e
	if d.SubscriptionID == "" { // a marker
		r.events[d.EventID] += 0
		e.state, e.settled = delivery.Delivered, now
		r.order = append(r.order, nil)
		r.past = append(r.past, e)
		return
	}
	r.order = append(r.order, e)
	r.events[d.EventID]++
	r.counts.Pending++
	r.bySeq[a.Seq] = e
	if a.Dead != "" {
		r.finish(e, delivery.Dead, a.Dead, now)
		return
	}
	a.Hidden = r.queueKey(e)
}

// queueKey puts a row behind those of its lane and key and reports whether
// there are any.
func (r *rows) queueKey(e *entry) bool {
	if e.Delivery.Key == "" {
		return false
	}
	k := laneKey{e.Delivery.LaneName(), e.Delivery.Key}
	r.keyed[k] = append(r.keyed[k], e)
	return len(r.keyed[k]) > 1
}

// hidden reports whether an older row of the lane and key is unsettled.
func (r *rows) hidden(e *entry) bool {
	q := r.keyed[laneKey{e.Delivery.LaneName(), e.Delivery.Key}]
	return len(q) > 0 && q[0] != e
}

// leaveKey takes a row out of its key's queue and returns the row that it hid.
func (r *rows) leaveKey(e *entry) *lanes.Row {
	if e.Delivery.Key == "" {
		return nil
	}
	k := laneKey{e.Delivery.LaneName(), e.Delivery.Key}
	q := r.keyed[k]
	i := slices.Index(q, e)
	if i < 0 {
		return nil
	}
	q = slices.Delete(q, i, i+1)
	if len(q) == 0 {
		delete(r.keyed, k)
		return nil
	}
	r.keyed[k] = q
	if i > 0 {
		return nil
	}
	next := q[0].Row
	return &next
}

func (r *rows) settle(st *lanes.Settle, now int64) {
	e := r.bySeq[st.Seq]
	if e == nil {
		return
	}
	if st.Attempt != nil {
		e.log = append(e.log, *st.Attempt)
	}
	e.Attempts, e.Tries = st.NewAttempts, st.NewTries
	switch st.Result {
	case delivery.Done:
		st.Next = r.finish(e, delivery.Delivered, "", now)
	case delivery.GiveUp:
		st.Next = r.finish(e, delivery.Dead, st.Reason, now)
	case delivery.Retry, delivery.Release:
		e.Due = st.NewDue
	}
}

func (r *rows) finish(e *entry, state delivery.State, reason string, now int64) *lanes.Row {
	e.state, e.reason, e.settled = state, reason, now
	delete(r.bySeq, e.Seq)
	r.counts.Pending--
	if state == delivery.Delivered {
		r.counts.Delivered++
	} else {
		r.counts.Dead++
	}
	r.past = append(r.past, e)
	return r.leaveKey(e)
}

func (r *rows) kill(k *lanes.Kill, now int64) {
	for seq, e := range r.bySeq {
		if k.Killed == k.Limit {
			return
		}
		if e.Delivery.LaneName() == k.Lane && !k.Except[seq] {
			r.finish(e, delivery.Dead, k.Reason, now)
			k.Killed++
		}
	}
}

func (r *rows) edit(ed *lanes.Edit, now int64) {
	e := r.byID[ed.ID]
	if e == nil || e.Delivery.SubscriptionID == "" {
		ed.Missing = true
		return
	}
	ed.Settled = e.state != delivery.Pending
	if ed.Cancel {
		if !ed.Settled {
			ed.Hidden = r.hidden(e)
			ed.Next = r.finish(e, delivery.Dead, delivery.ReasonCancelled, now)
		}
		ed.Row = e.Row
		return
	}
	e.Tries = 0
	if ed.Settled || e.Due != 0 { // what goes ahead still does
		e.Due = now
	}
	if ed.Settled {
		r.past = slices.DeleteFunc(r.past, func(x *entry) bool { return x == e })
		r.counts.Pending++
		if e.state == delivery.Delivered {
			r.counts.Delivered--
		} else {
			r.counts.Dead--
		}
		e.state, e.reason, e.settled = delivery.Pending, "", 0
		e.Expires = 0
		r.bySeq[e.Seq] = e
		r.first = min(r.first, e.place)
		ed.Hidden = r.queueKey(e)
	} else {
		ed.Hidden = r.hidden(e)
	}
	ed.Row = e.Row
}

// trim forgets the oldest settled rows beyond the history.
func (r *rows) trim() {
	for len(r.past) > r.history {
		e := r.past[0]
		r.past[0] = nil
		r.past = r.past[1:]
		r.forget(e)
	}
	if live := len(r.byID); len(r.order) > 2*live+1024 {
		r.order, r.first = slices.DeleteFunc(r.order, func(e *entry) bool { return e == nil }), 0
		for i, e := range r.order {
			e.place = i
		}
	}
}

// oldest is when the first of the pending rows was published.
func (r *rows) oldest() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	for ; r.first < len(r.order); r.first++ {
		if e := r.order[r.first]; e != nil && e.state == delivery.Pending {
			return e.Delivery.PublishedAt
		}
	}
	return time.Time{}
}

func (r *rows) newestFirst(f delivery.Filter) []delivery.Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []delivery.Status
	for _, e := range slices.Backward(r.order) {
		if e == nil {
			continue
		}
		st := e.status()
		if !f.Chooses(&st) {
			continue
		}
		out = append(out, st)
		if f.Limit > 0 && len(out) == f.Limit {
			break
		}
	}
	return out
}

func (e *entry) status() delivery.Status {
	st := delivery.Status{Delivery: *e.Delivery, State: e.state, Reason: e.reason}
	st.Attempts = e.Attempts
	if n := len(e.log); n > 0 {
		st.LastStatus, st.LastError = e.log[n-1].Status, e.log[n-1].Error
	}
	if e.state == delivery.Pending {
		st.NextAttemptAt = time.UnixMicro(e.Due).UTC()
		if e.Due == 0 {
			st.NextAttemptAt = st.PublishedAt
		}
	} else {
		st.SettledAt = time.UnixMicro(e.settled).UTC()
	}
	return st
}

func (r *rows) attempts(id string) ([]delivery.Attempt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.byID[id]
	if e == nil || e.Delivery.SubscriptionID == "" {
		return nil, delivery.ErrNotFound
	}
	return slices.Clone(e.log), nil
}
