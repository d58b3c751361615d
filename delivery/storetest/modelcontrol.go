package storetest

import (
	"errors"
	"time"

	"pgregory.net/rapid"

	"github.com/ringback-go/ringback/delivery"
)

func (m *model) setLanes() {
	st := delivery.LaneState{Lane: m.lane()}
	switch m.n("change", 0, 9) {
	case 0, 1:
		st.Mode = delivery.LanePaused
	case 2:
		st.Mode, st.Reason = delivery.LaneClosed, rapid.SampledFrom([]string{why, "gone"}).Draw(m.T, "reason")
	case 3:
		st.Mode = delivery.LaneOpen
	case 4, 5:
		st.MaxInFlight = rapid.SampledFrom([]int{-1, 1, 2, 3, 6}).Draw(m.T, "cap")
	case 6:
		st.PerSecond = rapid.SampledFrom([]float64{-1, 0.5, 1, 4}).Draw(m.T, "rate")
	case 7:
		st.NotBeforeIn = rapid.SampledFrom([]time.Duration{-1, 250 * time.Millisecond, 5 * time.Second, time.Minute}).Draw(m.T, "hold")
	case 8:
		st.Health = delivery.HealthForget
	case 9:
		st.Health = delivery.HealthWarned
	}
	m.set(st)
}

// set is SetLanes.
func (m *model) set(st delivery.LaneState) {
	m.Helper()
	m.says("SetLanes(%+v)", st)
	m.must(m.store.SetLanes(m.ctx, m.now, st), "SetLanes")
	l := m.lanes[st.Lane]
	switch {
	case st.Mode == delivery.LaneOpen && l.closed(), st.Health == delivery.HealthForget:
		l.heal()
	case st.Health == delivery.HealthWarned:
		l.warned = true
	}
	if st.Mode != delivery.LaneAsIs {
		l.mode, l.reason = st.Mode, st.Reason
	}
	switch {
	case st.MaxInFlight > 0:
		l.cap = st.MaxInFlight
	case st.MaxInFlight < 0:
		l.cap = 0
	}
	switch {
	case st.PerSecond < 0:
		l.rate, l.starts = 0, nil
	case st.PerSecond > 0: // the last start counts by the new rate
		l.rate = st.PerSecond
		if n := len(l.starts); n > 0 {
			l.starts = l.starts[n-1:]
		}
	}
	switch {
	case st.NotBeforeIn < 0:
		l.hold, l.wait = time.Time{}, time.Time{}
		for _, r := range m.rows {
			if r.lane == l && r.pending() && r.ahead {
				r.due = earlier(r.due, m.now)
			}
		}
	case st.NotBeforeIn > 0:
		if hold := m.now.Add(st.NotBeforeIn); hold.After(l.hold) {
			l.hold = hold
		}
	}
	if l.closed() {
		m.kill(l)
	}
}

// kill makes dead what waits in a closed lane. When, is by the store's clock.
func (m *model) kill(l *modelLane) {
	for _, r := range m.rows {
		if r.lane == l && r.waits() {
			m.end(r, delivery.Dead, l.reason, time.Time{})
		}
	}
}

// ids draws IDs, mostly of deliveries.
func (m *model) ids(n int) []string {
	var ids []string
	for range m.n("ids", 1, n) {
		if len(m.rows) == 0 || m.odds("unknown", 20) {
			ids = append(ids, "nobody")
			continue
		}
		ids = append(ids, rapid.SampledFrom(m.rows).Draw(m.T, "row").ID)
	}
	return ids
}

func (m *model) retryNow() {
	ids := m.ids(4)
	m.says("RetryNow(%q)", ids)
	err := m.store.(delivery.Operator).RetryNow(m.ctx, m.now, ids...)
	unknown := false
	for _, id := range ids {
		if r := m.byID[id]; r == nil {
			unknown = true
		} else if r.lease == nil {
			m.revive(r)
		}
	}
	if unknown != errors.Is(err, delivery.ErrNotFound) || !unknown && err != nil {
		m.Fatalf("RetryNow of %q: %v", ids, err)
	}
}

func (m *model) revive(r *modelRow) {
	if r.state != delivery.Pending {
		for _, other := range m.rows {
			r.revived = r.revived || r.Key != "" && other.pending() && other.key() == r.key()
		}
		r.state, r.reason, r.settled = delivery.Pending, "", time.Time{}
		r.expires = time.Time{} // who asks for it by hand wants it sent
		m.reveal(r.key())
	}
	r.due, r.tries = m.now, 0
	if r.lane.closed() {
		m.kill(r.lane)
	}
}

func (m *model) cancel() {
	id := m.ids(1)[0]
	m.says("Cancel(%s)", id)
	err := m.store.(delivery.Operator).Cancel(m.ctx, m.now, id)
	var want error
	switch r := m.byID[id]; {
	case r == nil:
		want = delivery.ErrNotFound
	case r.state != delivery.Pending:
		want = delivery.ErrSettled
	case r.lease != nil:
		r.canceled = true
	default:
		m.end(r, delivery.Dead, delivery.ReasonCancelled, m.now)
	}
	if !errors.Is(err, want) {
		m.Fatalf("Cancel of %q: %v, want %v", id, err, want)
	}
}

// canceled reports whether the store shows a delivery as canceled.
func (m *model) canceled(id string) bool {
	if _, ok := m.store.(delivery.Browser); !ok {
		return false
	}
	all := m.list(delivery.Filter{ID: id})
	return len(all) == 1 && all[0].Reason == delivery.ReasonCancelled
}

// crash abandons the store and opens what it left.
func (m *model) crash() {
	if m.cfg.Traits.SharedByEngines && len(m.leased()) > 0 {
		return // when those come back is a matter of the store's clock
	}
	m.says("crash")
	m.store = m.cfg.Reopen(m.home, m.store)
	for _, r := range m.leased() {
		m.unlease(r)
		r.canceled = r.canceled && m.canceled(r.ID) // the contract does not say that a crash leaves it so
		if !m.stays(r) {
			r.settled = time.Time{}
		}
	}
	for _, l := range m.lanes {
		l.starts = nil // when it last sent is not kept
		switch {
		case l.throttle == 1:
			l.atLeast = min(l.atLeast, delivery.ThrottleAfter)
		case !l.failing.IsZero():
			l.atLeast = min(l.atLeast, 1)
		default:
			l.atLeast = 0
		}
	}
}
