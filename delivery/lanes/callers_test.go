package lanes_test

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

func (m *model) delivery(lane string) delivery.Delivery {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.serial++
	id := "d" + strconv.Itoa(m.serial)
	d := delivery.Delivery{ID: id, EventID: id, SubscriptionID: lane, Lane: lane, Body: make([]byte, m.rnd.IntN(400))}
	if m.rnd.IntN(3) == 0 {
		d.Key = "k" + strconv.Itoa(m.rnd.IntN(2))
	}
	d.Ahead = m.rnd.IntN(12) == 0
	if m.rnd.IntN(6) == 0 {
		d.DelayIn = time.Duration(m.rnd.IntN(2000)) * time.Millisecond
	}
	if m.rnd.IntN(8) == 0 {
		d.ExpiresIn = time.Duration(1+m.rnd.IntN(3000)) * time.Millisecond
	}
	return d
}

func (m *model) produce(ctx context.Context) {
	for range 15 {
		var ds []delivery.Delivery
		for range 1 + m.n(8) {
			ds = append(ds, m.delivery(m.names[m.n(len(m.names))]))
		}
		for err := errFake; err != nil; {
			if ctx.Err() != nil {
				return
			}
			err = m.saw(m.store.Enqueue(ctx, time.Time{}, ds...))
		}
		m.mu.Lock()
		for _, d := range ds {
			m.accepted = append(m.accepted, d.ID)
		}
		m.mu.Unlock()
		m.audit()
		m.pause(100 * time.Millisecond)
	}
}

func (m *model) consume(ctx context.Context, draining bool) {
	for ctx.Err() == nil {
		req := delivery.LeaseRequest{Max: 1 + m.n(6), Retries: m.n(4) - 1, TTL: leaseTTL}
		if draining {
			req.Retries = 0
		}
		asked := time.Now()
		leases, err := m.store.Lease(ctx, time.Time{}, req)
		_ = m.saw(err)
		if err != nil && !errors.Is(err, errFake) && !errors.Is(err, delivery.ErrUnknown) && ctx.Err() == nil {
			m.fail("Lease: %w", err)
			return
		}
		m.took(asked, leases)
		if len(leases) == 0 {
			wait, cancel := context.WithTimeout(ctx, 10*time.Minute)
			idle := m.store.Wait(wait, req)
			cancel()
			if idle != nil && draining {
				return
			}
			continue
		}
		m.pause(50 * time.Millisecond)
		m.end(ctx, leases, draining)
	}
}

// end settles leases at random, or lets them end by themselves.
func (m *model) end(ctx context.Context, leases []delivery.Lease, draining bool) {
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
		case n < 7:
			o.Result, o.Attempt = delivery.Release, nil
		case n < 8:
			o.Result, o.Attempt, o.RetryIn = delivery.Release, nil, time.Duration(m.n(500))*time.Millisecond
		case n < 9:
			o.Result, o.RetryIn = delivery.Release, time.Duration(m.n(500))*time.Millisecond
		case n < 10:
			o.Result, o.Reason = delivery.GiveUp, "given up"
		}
		outs = append(outs, o)
	}
	for len(outs) > 0 {
		m.mu.Lock()
		for _, o := range outs { // the attempts are over
			delete(m.live, o.ID)
		}
		m.mu.Unlock()
		err := m.saw(m.store.Settle(ctx, time.Time{}, outs...))
		var lost *delivery.LostLeasesError
		if err == nil || errors.As(err, &lost) || ctx.Err() != nil {
			return
		}
	}
}

// control does what operators do.
func (m *model) control(ctx context.Context) {
	for ctx.Err() == nil {
		m.pause(60 * time.Millisecond)
		name := m.names[m.n(len(m.names))]
		switch m.n(10) {
		case 0, 1:
			m.set(ctx, delivery.LaneState{Lane: name, Mode: delivery.LanePaused})
		case 2:
			m.set(ctx, delivery.LaneState{Lane: name, Mode: delivery.LaneClosed, Reason: "closed"})
		case 3, 4, 5:
			m.set(ctx, delivery.LaneState{Lane: name, Mode: delivery.LaneOpen, NotBeforeIn: time.Duration(m.n(3)-1) * 200 * time.Millisecond})
		case 6:
			m.set(ctx, delivery.LaneState{Lane: name, MaxInFlight: []int{-1, 1, 2, 5}[m.n(4)]})
		default:
			m.operate(ctx)
		}
		m.audit()
	}
}

func (m *model) set(ctx context.Context, st delivery.LaneState) {
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
	for err := errFake; err != nil; {
		if ctx.Err() != nil {
			return
		}
		err = m.saw(m.store.SetLanes(ctx, time.Time{}, st))
	}
	m.mu.Lock()
	if st.Mode == delivery.LaneClosed {
		m.closed[st.Lane] = time.Now()
	}
	m.caps[st.Lane] = laneModel{cap: limit, capBefore: max(limit, c.cap), capSince: time.Now()}
	m.mu.Unlock()
}

func (m *model) operate(ctx context.Context) {
	m.mu.Lock()
	if len(m.accepted) == 0 {
		m.mu.Unlock()
		return
	}
	// Mostly what is under way.
	id, cancel := m.accepted[len(m.accepted)-1-m.rnd.IntN(min(len(m.accepted), 1+m.rnd.IntN(50)))], m.rnd.IntN(2) == 0
	if !cancel {
		delete(m.canceled, id)
	}
	m.mu.Unlock()
	var err error
	if cancel {
		if err = m.saw(m.store.Cancel(ctx, time.Time{}, id)); err == nil {
			m.mu.Lock()
			m.canceled[id] = time.Now()
			m.mu.Unlock()
		}
	} else {
		err = m.saw(m.store.RetryNow(ctx, time.Time{}, id))
	}
	if err != nil && !errors.Is(err, errFake) && !errors.Is(err, delivery.ErrSettled) && ctx.Err() == nil && !errors.Is(err, delivery.ErrUnknown) {
		m.fail("operator, cancel %t: %w", cancel, err)
	}
}
