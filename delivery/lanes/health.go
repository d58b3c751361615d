package lanes

import (
	"time"

	"github.com/ringback-go/ringback/delivery"
)

// health is how the endpoint behind a lane has been doing. It is what was seen,
// not what was stored: an outcome counts from Settle on, whatever becomes of
// its commit, and is written with the next commit.
type health struct {
	failures int   // failed attempts in a row
	throttle int   // attempts at once while the endpoint recovers; 0: up to its cap
	failing  int64 // when the row of failures began, those by DNS aside; 0: it did not
	warned   bool
	dirty    bool // waits to be written
}

// observe takes note of how a lease ended.
func (s *Store) observe(l *lane, out *delivery.Outcome, now int64) {
	if l.visit > 0 {
		s.seeAsGuest(l, out.Sign())
		return
	}
	s.see(l, out.Sign(), now)
}

// see takes note of what an attempt told of an endpoint.
func (s *Store) see(l *lane, sign delivery.Sign, now int64) {
	was := l.health
	switch sign {
	case delivery.SignWell:
		l.failures, l.failing, l.warned = 0, 0, false
		if l.throttle *= 2; l.throttle >= l.limit(s.cfg.MaxInFlight) {
			l.throttle = 0
		}
	case delivery.SignFailing, delivery.SignUnresolved:
		l.failures++
		if l.failing == 0 && sign == delivery.SignFailing {
			l.failing = now
		}
		if l.failures >= delivery.ThrottleAfter {
			l.throttle = 1
		}
	case delivery.SignNone:
	}
	if (was.failures > 0 && l.failures == 0) || l.failing != was.failing || l.throttle != was.throttle || l.warned != was.warned {
		s.soil(l)
	}
}

// soil has a lane's state written with the next commit.
func (s *Store) soil(l *lane) {
	if !l.dirty {
		l.dirty = true
		l.rows++ // not forgotten until it is written
		s.dirty = append(s.dirty, l)
	}
}

// wash adds the states to be written to a batch.
func (s *Store) wash(b *Batch) []*lane {
	washed := s.dirty
	for _, l := range washed {
		l.dirty = false
		row := l.row()
		if row.NotBefore <= b.Now {
			row.NotBefore = 0
		}
		b.Lanes = append(b.Lanes, row)
	}
	s.dirty = nil
	return washed
}

// washed ends what wash began.
func (s *Store) washed(lanes []*lane, now int64, err error) {
	for _, l := range lanes {
		if err != nil {
			s.soil(l)
		}
		l.rows--
		s.tidy(l, now)
	}
}

// heal forgets what was seen of an endpoint.
func (l *lane) heal() { l.health = health{dirty: l.dirty} }

// report is the health as a lease shows it.
func (l *lane) report(now int64) delivery.Health {
	h := delivery.Health{Failures: l.failures, Warned: l.warned}
	if l.failing != 0 {
		h.FailingFor = max(time.Duration(now-l.failing)*time.Microsecond, 1)
	}
	return h
}

// limit is how many attempts the lane's endpoint may have under way when it is
// well.
func (l *lane) limit(defaultCap int) int {
	if l.visit > 0 {
		return l.visit
	}
	if l.cap > 0 {
		return l.cap
	}
	return defaultCap
}
