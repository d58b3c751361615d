package lanes

import (
	"context"
	"maps"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

// A guest is a Store that starts attempts of a lane that another one serves, the
// host, so that what is published there need not cross over. It has a part of the
// lane's attempts at a time, and only first tries without a key, as long as all
// goes well: who fails, and what waits when the visit ends, is the host's.

// A Note tells a lane's host what a guest left or saw.
type Note struct {
	Lane string
	// Left says that a row is indexed now, in this class and due at Due.
	Left  bool  `json:",omitempty"`
	Retry bool  `json:",omitempty"`
	Due   int64 `json:",omitempty"`
	// Sign is what a failed attempt told of the endpoint, Well that others went
	// well since the one before.
	Sign delivery.Sign `json:",omitempty"`
	Well bool          `json:",omitempty"`
}

// A Visit is a lane that this Store is a guest of.
type Visit struct {
	Lane string
	// Most is how many attempts were under way at a time since it was asked
	// last, Waiting how many rows wait.
	Most, Waiting int
	// Over says that nothing is started any more: attempts failed, or Depart
	// was called.
	Over bool
}

// lendMin is the least that is lent to a guest.
const lendMin = 2

// hosts reports whether guests may start attempts of the lane: nothing is to be
// known of it but how many there are.
func (l *lane) hosts(now int64) bool {
	return l.mode == delivery.LaneOpen && !l.away && l.rate == 0 && l.hold <= now && len(l.barrier) == 0 &&
		l.failures < delivery.ThrottleAfter && l.throttle == 0
}

// Lend returns how many of a lane's attempts at a time one more guest may have:
// half of those that are left. It is 0 if this store does not serve the lane, or
// if there is more to know of it than a number.
func (s *Store) Lend(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[name]
	switch {
	case !s.owns(name), l != nil && !l.hosts(s.clock(zeroTime)):
		return 0
	case l == nil:
		l = &lane{}
	}
	if n := (l.limit(s.cfg.MaxInFlight) - l.lent) / 2; n >= lendMin {
		return n
	}
	return 0
}

// Lent says how many attempts at a time all guests of a lane have, or are to
// have. It reports whether the others are not more than what is left.
func (s *Store) Lent(name string, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.owns(name) {
		return false
	}
	l := s.lane(name)
	l.lent = n
	s.place(l, s.clock(zeroTime))
	return l.inFlight <= l.limit(s.cfg.MaxInFlight)-n
}

// Hosts reports whether guests may stay, and whether the lane is at its limit, so
// that one who has attempts to spare had better go.
func (s *Store) Hosts(name string) (stay, pressed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[name]
	if l == nil {
		return s.owns(name), false
	}
	now := s.clock(zeroTime)
	return s.owns(name) && l.hosts(now), l.inFlight >= l.limit(s.cfg.MaxInFlight)-l.lent && l.head(fresh, now) != nil
}

// Lends reports whether a lane has guests.
func (s *Store) Lends(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[name]
	return l != nil && l.lent > 0
}

// Heed takes in a guest's note. ErrElsewhere says that another owner is to.
func (s *Store) Heed(ctx context.Context, n Note) error {
	s.mu.Lock()
	if err := s.usable(); err != nil {
		s.mu.Unlock()
		return err
	}
	if !s.owns(n.Lane) {
		s.mu.Unlock()
		return ErrElsewhere
	}
	now := s.clock(zeroTime)
	l := s.lane(n.Lane)
	if n.Well && l.throttle == 0 { // one that recovers does so by what is seen here
		s.see(l, delivery.SignWell, now)
	}
	s.see(l, n.Sign, now)
	if n.Left {
		class := fresh
		if n.Retry {
			class = retries
		}
		s.leaveToBackend(l, class, n.Due)
	}
	closed := l.mode == delivery.LaneClosed
	s.place(l, now)
	s.mu.Unlock()
	if closed && n.Left {
		return s.kill(ctx, n.Lane)
	}
	return nil
}

// Visit makes this store a guest of a lane, with so many attempts at a time.
func (s *Store) Visit(name string, slots int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.usable() != nil || s.owns(name) {
		return
	}
	if l := s.lane(name); l.visit == 0 && !l.away { // else it leaves this moment, and is visited when it has
		l.visit, l.stay, l.most, l.away, l.well = slots, 0, 0, false, false
		s.visited[name] = l
	}
}

// Stay bounds all visits: nothing of them is started after so long from now,
// unless it is called again. A host that cannot reach its guest waits for that.
func (s *Store) Stay(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock(zeroTime)
	for _, l := range s.visited {
		l.stay = now + micros(d)
		s.place(l, now)
	}
}

// Visits lists the lanes that this store is a guest of. If afresh is set, Most
// counts from now on.
func (s *Store) Visits(afresh bool) []Visit {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Visit
	for _, l := range s.visited {
		out = append(out, Visit{Lane: l.name, Most: l.most, Waiting: l.queue[fresh].len(), Over: l.away})
		if afresh {
			l.most = l.inFlight
		}
	}
	return out
}

// Depart ends a visit: from when it returns nothing of the lane is started. What
// waits is indexed and the host told; what is attempted ends by itself.
func (s *Store) Depart(ctx context.Context, name string) error {
	s.mu.Lock()
	l := s.visited[name]
	if l != nil {
		l.away = true
	}
	waits := l != nil && l.queue[fresh].len() > 0
	s.mu.Unlock()
	if !waits {
		return nil
	}
	o := &departOp{name: name}
	o.sole = true
	return s.commit(ctx, o)
}

// Forget ends a visit of which nothing is in memory. It reports whether that is
// so.
func (s *Store) Forget(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.visited[name]
	if l == nil {
		return true
	}
	if !l.away || l.rows+l.reserved > 0 {
		return false
	}
	s.endVisit(l, s.clock(zeroTime))
	return true
}

// endVisit makes a lane one like others.
func (s *Store) endVisit(l *lane, now int64) {
	delete(s.visited, l.name)
	l.visit, l.away, l.well = 0, false, false
	l.heal()
	s.place(l, now)
}

// settleIn makes this store's what it was a guest of. The host before may have
// ended a row of it, which only the backend knows: none is attempted again before
// it was read.
func (s *Store) settleIn(now int64) {
	for _, l := range maps.Clone(s.visited) {
		if !s.owns(l.name) {
			continue
		}
		for _, r := range s.rows {
			if r.lane == l && r.state == waiting {
				s.unqueue(r)
				s.orphan(r)
			}
		}
		s.endVisit(l, now)
	}
}

// stranded reports whether a row is of a visit that ended since this store serves
// the lane.
func (r *row) stranded() bool { return r.guest && r.lane.visit == 0 }

// orphan has a row's end committed by who leases next.
func (s *Store) orphan(r *row) {
	r.state = settling
	s.orphans = append(s.orphans, r)
}

// guestQueue bounds what may wait of a visit, in attempts that it may have under
// way: with more the host does what it likes.
const guestQueue = 64

// asGuest returns the lane if a row may be attempted here though another store
// serves it.
func (s *Store) asGuest(r *Row, now int64) *lane {
	d := r.Delivery
	if d.Key != "" || r.ahead() || r.Attempts > 0 || r.Due > now {
		return nil
	}
	name := d.LaneName()
	if l := s.visited[name]; l != nil {
		if !l.away && s.held+r.cost() <= s.room && l.queue[fresh].len()+l.reserved < min(guestQueue*l.visit, s.share(l, fresh)) {
			return l
		}
		return nil
	}
	if n := s.sent[name]; n > 0 || len(s.sent) < sentMost {
		s.sent[name] = n + 1
	}
	return nil
}

// sentMost bounds the lanes of which it is counted what they are sent.
const sentMost = 1000

// Sent counts, by lane, what was left for other owners since it was asked last
// and could have been attempted here.
func (s *Store) Sent() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sent) == 0 {
		return nil
	}
	sent := s.sent
	s.sent = map[string]int{}
	return sent
}

// guestFailures is after how many failures in a row a guest goes.
const guestFailures = 3

// seeAsGuest takes note of how a guest's attempt ended.
func (s *Store) seeAsGuest(l *lane, sign delivery.Sign) {
	switch sign {
	case delivery.SignWell:
		l.well, l.failures = true, 0
	case delivery.SignFailing, delivery.SignUnresolved:
		if l.failures++; l.failures >= guestFailures {
			l.away = true
		}
	case delivery.SignNone:
	}
}

// note tells the host of a row of its lane how that ended here.
func (o *settleOp) note(b *Batch, it *settled) {
	st, l := &it.settle, it.row.lane
	n := Note{Lane: l.name, Left: st.stays()}
	if sign := it.outcome.Sign(); sign == delivery.SignFailing || sign == delivery.SignUnresolved {
		n.Sign, n.Well = sign, l.well
		l.well = false
	}
	if n.Left {
		n.Retry, n.Due = st.NewAttempts > 0, st.NewDue
	}
	if n.Left || n.Sign != delivery.SignNone {
		b.Notes = append(b.Notes, n)
	}
}

// departOp leaves what waits of a visit to the host.
type departOp struct {
	opState
	name string
	rows []*row
}

func (o *departOp) build(s *Store, b *Batch) {
	o.rows = nil
	l := s.visited[o.name]
	if l == nil { // this store serves it meanwhile
		return
	}
	n := Note{Lane: l.name, Left: true, Due: never}
	for r := range l.queue[fresh].all() {
		r.state = settling
		s.count(r, -1)
		o.rows = append(o.rows, r)
		b.Home = append(b.Home, &r.Row)
		n.Due = min(n.Due, r.Due)
	}
	l.queue[fresh] = rowQueue{}
	if len(o.rows) > 0 {
		b.Notes = append(b.Notes, n)
	}
}

func (o *departOp) apply(s *Store, _ *Batch) {
	for _, r := range o.rows {
		s.forget(r)
	}
}

func (o *departOp) revert(s *Store, b *Batch) {
	for _, r := range o.rows {
		s.enqueue(r)
		s.place(r.lane, b.Now)
	}
}
