package lanes_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// took checks leases at the moment at which they were given. What a partner
// hands out that is dead and does not know it yet does not count.
func (m *pair) took(p *partner, asked time.Time, leases []delivery.Lease) {
	c := m.common
	c.mu.Lock()
	defer c.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.dead.Load() {
		return
	}
	now := time.Now()
	wrong := func(l delivery.Lease, format string, args ...any) {
		if m.err == nil {
			m.err = fmt.Errorf("%s leased %s of lane %s: %s", p.name, l.ID, l.Lane, fmt.Sprintf(format, args...))
		}
	}
	for _, l := range leases {
		r := c.byID[l.ID]
		if !r.astray && r.settled && !r.known.IsZero() && r.known.Before(asked) {
			wrong(l, "settled before (%s)", r.how)
		}
		if at, ok := m.closed[l.Lane]; ok && at.Before(asked) {
			wrong(l, "closed before")
		}
		if at, ok := m.canceled[l.ID]; ok && at.Before(asked) {
			wrong(l, "canceled before")
		}
		if first := c.ahead(l.Lane, asked); c.owners[l.Lane] == p && first != nil && (!l.Ahead || l.Attempts > 0) {
			wrong(l, "%s goes ahead", first.Delivery.ID)
		}
		if first := c.oldest(r); !r.settled && l.Key != "" && first != r {
			wrong(l, "%s of the same key is older", first.Delivery.ID)
		}
		if before := m.before(r); before != "" {
			wrong(l, "%s of the same key was published before", before)
		}
		inFlight, own := 1, 1
		for id, h := range m.live {
			if h.end.After(now) && id != l.ID && h.lane == l.Lane && m.holders[id] == p {
				own++
			}
			switch {
			case !h.end.After(now):
				delete(m.live, id)
			case id == l.ID && r.astray: // an operator wanted it
			case id == l.ID:
				wrong(l, "leased already by %s", m.holders[id].name)
			case h.lane == l.Lane && h.key == l.Key && l.Key != "":
				wrong(l, "beside %s of the same key", id)
			case h.lane == l.Lane:
				inFlight++
			}
		}
		if why := c.grants(p, l.Lane, asked, own); c.owners[l.Lane] != p && why != "" {
			wrong(l, "%s", why)
		}
		limit := m.caps[l.Lane].cap
		if !now.After(m.caps[l.Lane].capSince) {
			limit = max(limit, m.caps[l.Lane].capBefore)
		}
		if inFlight > limit {
			wrong(l, "%d are in flight at a cap of %d", inFlight, limit)
		}
		m.live[l.ID], m.holders[l.ID], m.leased[l.ID] = held{l.Lane, l.Key, now.Add(leaseTTL).Truncate(time.Microsecond)}, p, now
	}
}

// before returns an unsettled delivery of the same key that was stored before
// this one began to be.
func (m *pair) before(r *fakeRow) string {
	d := r.Delivery
	if d.Key == "" || m.retried[d.ID] {
		return ""
	}
	earlier := func(x *delivery.Delivery) bool {
		at, ok := m.stored[x.ID]
		return ok && !m.retried[x.ID] && x.Key == d.Key && x.LaneName() == d.LaneName() && at.Before(m.begun[d.ID])
	}
	for _, x := range m.common.rows {
		if !x.settled && earlier(x.Delivery) {
			return x.Delivery.ID
		}
	}
	for _, l := range m.common.inbox {
		if m.common.byID[l.row.Delivery.ID] == nil && earlier(l.row.Delivery) {
			return l.row.Delivery.ID
		}
	}
	return ""
}

// endOf settles leases at random, or lets them end by themselves.
func (m *pair) endOf(ctx context.Context, p *partner, leases []delivery.Lease, draining bool) {
	var outs []delivery.Outcome
	for _, l := range leases {
		o := delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: delivery.Done, Attempt: &delivery.Attempt{Number: l.Attempts + 1}}
		switch n := m.n(20); {
		case draining:
		case n == 0:
			m.pause(2 * leaseTTL)
			continue
		case n < 5:
			o.Result, o.RetryIn = delivery.Retry, time.Duration(m.n(1500))*time.Millisecond
			o.Attempt.Class = []string{"", "timeout", "dns"}[m.n(3)]
		case n < 7:
			o.Result, o.Attempt = delivery.Release, nil
		case n < 8:
			o.Result, o.Attempt, o.RetryIn = delivery.Release, nil, time.Duration(m.n(500))*time.Millisecond
		case n < 9:
			o.Result, o.Reason = delivery.GiveUp, "given up"
		}
		outs = append(outs, o)
	}
	if len(outs) == 0 {
		return
	}
	m.mu.Lock()
	for _, o := range outs { // the attempts are over
		if m.holders[o.ID] == p {
			delete(m.live, o.ID)
		}
		m.ending[o.ID]++
	}
	m.mu.Unlock()
	for {
		err := m.saw(p.store.Settle(ctx, time.Time{}, outs...))
		var lost *delivery.LostLeasesError
		if err == nil || errors.As(err, &lost) || errors.Is(err, delivery.ErrOwned) || errors.Is(err, delivery.ErrUnknown) || ctx.Err() != nil {
			break
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, o := range outs {
		m.ending[o.ID]--
	}
}

// bury has a partner taken for dead. Its leases, and what was to become of
// them, end with it.
func (m *pair) bury(p *partner) {
	m.common.mu.Lock()
	defer m.common.mu.Unlock()
	p.bury()
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.live {
		if m.holders[id] == p {
			delete(m.live, id)
		}
	}
	clear(m.canceled)
}

// control does what operators do, wherever the lane happens to be.
func (m *pair) control(ctx context.Context) {
	for ctx.Err() == nil {
		m.pause(60 * time.Millisecond)
		st := delivery.LaneState{Lane: m.names[m.n(len(m.names))]}
		switch m.n(10) {
		case 0, 1:
			st.Mode = delivery.LanePaused
		case 2:
			st.Mode, st.Reason = delivery.LaneClosed, "closed"
		case 3, 4, 5:
			st.Mode, st.NotBeforeIn = delivery.LaneOpen, time.Duration(m.n(3)-1)*200*time.Millisecond
		case 6:
			st.MaxInFlight = []int{-1, 1, 2, 5}[m.n(4)]
		default:
			m.operate(ctx)
			continue
		}
		m.set(ctx, st, m.seats...)
	}
}

// set changes a lane by whoever has it.
func (m *pair) set(ctx context.Context, st delivery.LaneState, seats ...*seat) {
	m.mu.Lock()
	c := m.caps[st.Lane]
	limit := c.cap
	switch {
	case st.MaxInFlight > 0:
		limit = st.MaxInFlight
	case st.MaxInFlight < 0:
		limit = m.cfg.MaxInFlight
	}
	m.caps[st.Lane] = laneModel{cap: max(limit, c.cap), capBefore: max(limit, c.cap)}
	if st.Mode == delivery.LaneOpen || st.Mode == delivery.LanePaused {
		delete(m.closed, st.Lane)
	}
	m.mu.Unlock()
	asked := time.Now()
	began := asked // with guests sent away
	waits := m.waiting(st.Lane, asked, asked)
	for err := errFake; err != nil; {
		if ctx.Err() != nil {
			return
		}
		p := seats[m.n(len(seats))].now()
		err = m.saw(p.alone(ctx, func() error {
			began = time.Now()
			return p.store.SetLanes(ctx, time.Time{}, st)
		}, st.Lane))
		if errors.Is(err, lanes.ErrElsewhere) {
			m.pause(20 * time.Millisecond)
		}
	}
	if st.Mode == delivery.LaneClosed {
		for id := range m.waiting(st.Lane, asked, began) {
			if waits[id] {
				m.fail("%s waits in lane %s, which was closed", id, st.Lane)
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if st.Mode == delivery.LaneClosed {
		m.closed[st.Lane] = time.Now()
	}
	m.caps[st.Lane] = laneModel{cap: limit, capBefore: max(limit, c.cap), capSince: time.Now()}
}

// waiting are the deliveries of a lane that nobody has leased since a time, or
// has in hand, and that no guest has or left to its host after it began.
func (m *pair) waiting(lane string, since, began time.Time) map[string]bool {
	m.common.mu.Lock()
	defer m.common.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	out := map[string]bool{}
	for id, r := range m.common.byID {
		at, stored := m.stored[id]
		if _, live := m.live[id]; !live && m.ending[id] == 0 && !r.settled && stored && at.Before(since) &&
			r.guest == nil && r.homed.Before(began) && r.Delivery.LaneName() == lane && m.leased[id].Before(since) && time.Since(m.leased[id]) > leaseTTL {
			out[id] = true
		}
	}
	return out
}

func (m *pair) operate(ctx context.Context) {
	of := m.withGuests()
	m.mu.Lock()
	if len(m.accepted) == 0 {
		m.mu.Unlock()
		return
	}
	id, cancel := m.accepted[len(m.accepted)-1-m.rnd.IntN(min(len(m.accepted), 1+m.rnd.IntN(50)))], m.rnd.IntN(2) == 0
	if len(of) > 0 && m.rnd.IntN(3) > 0 {
		id = of[m.rnd.IntN(len(of))]
	}
	if !cancel {
		delete(m.canceled, id)
		m.retried[id] = true
	}
	m.mu.Unlock()
	p := m.any().now()
	var err error
	if cancel {
		err = m.saw(p.alone(ctx, func() error { return p.store.Cancel(ctx, time.Time{}, id) }, m.laneOf(id)))
		m.mu.Lock()
		if err == nil && !p.dead.Load() {
			m.canceled[id] = time.Now()
		}
		m.mu.Unlock()
	} else {
		err = m.saw(p.alone(ctx, func() error { return p.store.RetryNow(ctx, time.Time{}, id) }, m.laneOf(id)))
	}
	for _, known := range []error{nil, errFake, delivery.ErrSettled, delivery.ErrUnknown, delivery.ErrNotFound, lanes.ErrElsewhere} {
		if errors.Is(err, known) || ctx.Err() != nil {
			return
		}
	}
	m.fail("operator, cancel %t: %w", cancel, err)
}

// laneOf returns the lane of a delivery that is stored.
func (m *pair) laneOf(id string) string {
	m.common.mu.Lock()
	defer m.common.mu.Unlock()
	if r := m.common.byID[id]; r != nil {
		return r.Delivery.LaneName()
	}
	return ""
}

// withGuests lists the accepted deliveries that guests have.
func (m *pair) withGuests() (ids []string) {
	m.common.mu.Lock()
	defer m.common.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range m.accepted {
		if m.common.byID[id] != nil && m.common.byID[id].guest != nil {
			ids = append(ids, id)
		}
	}
	return ids
}
