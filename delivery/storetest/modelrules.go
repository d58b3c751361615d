package storetest

import (
	"fmt"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

// modelLane is a lane and its endpoint's health.
type modelLane struct {
	name   string
	mode   delivery.LaneMode
	reason string
	cap    int // 0 is the store's default
	hold   time.Time
	// wait is a hold of the store's own, for one that goes ahead and is to wait.
	// Whatever ends a hold may end it.
	wait time.Time

	rate   float64
	starts []time.Time // at this rate, and the last before it

	failures, atLeast int // after a crash the store may remember fewer, but so many at least
	throttle          int
	blurred           bool // throttled or not, that depends on the default cap
	failing           time.Time
	warned            bool
}

// roomy is a number of leases at once that the store's default cap allows.
const roomy = 8

func (l *modelLane) heal() {
	l.failures, l.atLeast, l.throttle, l.blurred, l.failing, l.warned = 0, 0, 0, false, time.Time{}, false
}

func (l *modelLane) closed() bool { return l.mode == delivery.LaneClosed }

// limits says how many leases the lane must get at once, and how many it may.
func (l *modelLane) limits() (must, may int) {
	must, may = roomy, plenty
	if l.cap > 0 {
		must, may = l.cap, l.cap
	}
	switch {
	case l.blurred:
		must = min(must, roomy)
	case l.throttle > 0:
		must, may = min(must, l.throttle), min(may, l.throttle)
	}
	return must, may
}

// observe takes note of how a lease ended.
func (l *modelLane) observe(o *delivery.Outcome, now time.Time) {
	switch sign := o.Sign(); sign {
	case delivery.SignWell:
		l.failures, l.atLeast, l.failing, l.warned = 0, 0, time.Time{}, false
		l.throttle *= 2
		switch {
		case l.cap > 0 && l.throttle >= l.cap:
			l.throttle, l.blurred = 0, false
		case l.cap == 0 && l.throttle >= roomy:
			l.blurred = true
		}
	case delivery.SignFailing, delivery.SignUnresolved:
		l.failures++
		l.atLeast++
		if sign == delivery.SignFailing && l.failing.IsZero() {
			l.failing = now
		}
		if l.failures >= delivery.ThrottleAfter {
			l.throttle, l.blurred = 1, false
		}
	case delivery.SignNone:
	}
}

// begin takes note of a lease's begin.
func (l *modelLane) begin(now time.Time) {
	if l.rate > 0 {
		l.starts = append(l.starts, now)
	}
}

// tooFast reports whether one more start would break the lane's rate.
func (l *modelLane) tooFast(now time.Time) bool {
	if l.rate == 0 {
		return false
	}
	n, span := int(l.rate), time.Second
	if l.rate < 1 {
		n, span = 1, time.Duration(float64(time.Second)/l.rate)
	}
	return len(l.starts) >= n && now.Sub(l.starts[len(l.starts)-n]) < span
}

// rested reports whether the lane's rate lets one more start for sure.
func (l *modelLane) rested(now time.Time) bool {
	return l.rate == 0 || len(l.starts) == 0 || now.Sub(l.starts[len(l.starts)-1]) >= time.Duration(float64(time.Second)/l.rate)
}

func (m *model) inFlight(l *modelLane) int {
	n := 0
	for _, r := range m.rows {
		if r.lease != nil && r.lane == l {
			n++
		}
	}
	return n
}

// first says whether a row is the first of its key: surely, or perhaps.
func (m *model) first(r *modelRow) (surely, perhaps bool) {
	if r.Key == "" {
		return true, true
	}
	if head := m.heads[r.key()]; head != nil {
		return head == r, head == r
	}
	for _, c := range m.candidates(r.key()) {
		perhaps = perhaps || c == r
	}
	return false, perhaps
}

// candidates returns which rows of a key may be its first: the oldest, but of
// those that were revived while others waited the contract does not say where
// they stand.
func (m *model) candidates(k laneKey) []*modelRow {
	var out []*modelRow
	oldest := false
	for _, r := range m.rows {
		if !r.pending() || r.Key == "" || r.key() != k {
			continue
		}
		if r.revived || !oldest {
			out = append(out, r)
		}
		oldest = oldest || !r.revived
	}
	return out
}

// reveal finds a key's next first row.
func (m *model) reveal(k laneKey) {
	if k.key == "" || m.heads[k] != nil {
		return
	}
	if all := m.candidates(k); len(all) == 1 {
		m.heads[k] = all[0]
	}
}

// blocked says whether rows that go ahead stop the others of a lane.
func (m *model) blocked(l *modelLane) (surely, perhaps bool) {
	for _, r := range m.rows {
		if r.lane != l || !r.pending() || !r.ahead {
			continue
		}
		s, p := m.first(r)
		surely, perhaps = surely || s, perhaps || p
	}
	return surely, perhaps
}

// refuses says why a row must not be leased, or nothing.
func (m *model) refuses(r *modelRow) string {
	l := r.lane
	if r.marker {
		return "it is a marker"
	}
	if r.state != delivery.Pending {
		return fmt.Sprintf("it is %s (%s)", r.state, r.reason)
	}
	_, may := l.limits()
	_, perhaps := m.first(r)
	blocked, _ := m.blocked(l)
	switch {
	case r.lease != nil:
		return fmt.Sprintf("it is leased until %v", r.ends)
	case r.due.After(m.now):
		return fmt.Sprintf("it is due in %v", r.due.Sub(m.now))
	case l.mode == delivery.LanePaused, l.closed():
		return "its lane is not open"
	case l.hold.After(m.now):
		return fmt.Sprintf("its lane is held back for %v", l.hold.Sub(m.now))
	case m.inFlight(l) >= may:
		return fmt.Sprintf("its lane has %d leases already (throttle %d, failures %d)", m.inFlight(l), l.throttle, l.failures)
	case l.tooFast(m.now):
		return fmt.Sprintf("its lane may send %v a second", l.rate)
	case !perhaps:
		return "an older one of its key is not settled"
	case blocked && !r.ahead:
		return "another one goes ahead of it"
	}
	return ""
}

// available reports whether a Lease that asks for enough must bring the row.
func (m *model) available(r *modelRow) bool {
	if !r.waits() || m.refuses(r) != "" {
		return false
	}
	must, _ := r.lane.limits()
	first, _ := m.first(r)
	_, perhaps := m.blocked(r.lane)
	return first && m.inFlight(r.lane) < must && r.lane.rested(m.now) && (r.ahead || !perhaps) && !r.lane.wait.After(m.now)
}

// end settles a row.
func (m *model) end(r *modelRow, state delivery.State, reason string, at time.Time) {
	r.state, r.reason, r.settled = state, reason, at
	r.ahead, r.revived, r.canceled = false, false, false
	if r.Key != "" && m.heads[r.key()] == r {
		delete(m.heads, r.key())
	}
	m.reveal(r.key())
}

// unlease takes the lease away.
func (m *model) unlease(r *modelRow) {
	m.stale = append(m.stale, *r.lease)
	if len(m.stale) > 20 {
		m.stale = m.stale[1:]
	}
	r.lease = nil
}

// stays keeps a row whose lease ended, unless it is not to be tried again; it
// reports whether it stays.
func (m *model) stays(r *modelRow) bool {
	switch {
	case r.canceled:
		m.end(r, delivery.Dead, delivery.ReasonCancelled, m.now)
	case r.lane.closed():
		m.end(r, delivery.Dead, r.lane.reason, m.now)
	default:
		return true
	}
	return false
}

// pass lets the time pass and leases end.
func (m *model) pass(d time.Duration) {
	m.now = m.now.Add(d)
	gone := false
	for _, r := range m.leased() {
		if r.ends.After(m.now) {
			continue
		}
		m.unlease(r)
		gone = !m.stays(r) || gone
	}
	if gone { // the next Lease at the latest sees to it
		m.lease(delivery.LeaseRequest{Max: 1})
	}
}
