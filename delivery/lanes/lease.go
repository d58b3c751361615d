package lanes

import (
	"cmp"
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

const defaultTTL = time.Minute

// Lease implements [delivery.Store]. Work that memory does not hold is read
// before it returns empty-handed, and in the background otherwise.
func (s *Store) Lease(ctx context.Context, now time.Time, req delivery.LeaseRequest) ([]delivery.Lease, error) {
	if req.Max <= 0 {
		return nil, ctx.Err()
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s.mu.Lock()
		if err := s.usable(); err != nil {
			s.mu.Unlock()
			return nil, err
		}
		t := s.clock(now)
		s.advance(t)
		if len(s.orphans) > 0 {
			s.mu.Unlock()
			if err := s.bury(ctx, t); err != nil {
				return nil, err
			}
			continue
		}
		out := s.take(t, req)
		if len(out) == 0 && s.reading {
			done := s.readDone
			s.mu.Unlock()
			select {
			case <-done:
				continue
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		plan := s.beginRead(t)
		s.mu.Unlock()
		switch {
		case plan.empty():
			return out, nil
		case len(out) > 0:
			go s.read(context.WithoutCancel(ctx), t, plan) //nolint:errcheck // who finds nothing in memory reads again and sees the error
			return out, nil
		}
		if err := s.read(ctx, t, plan); err != nil {
			return nil, err
		}
	}
}

// advance lets the time pass: ended leases come back, lanes whose time has come
// are placed anew.
func (s *Store) advance(now int64) {
	if now >= s.nextReap {
		s.reap(now)
	}
	for len(s.timers) > 0 && s.timers[0].wakeAt <= now {
		l := s.timers[0]
		s.timers.set(l, never)
		s.place(l, now)
	}
}

// reap takes back leases that ended without a word.
func (s *Store) reap(now int64) {
	s.nextReap = never
	for _, r := range s.rows {
		switch {
		case r.state != leased:
		case r.expires > now:
			s.nextReap = min(s.nextReap, r.expires)
		default:
			r.token = 0
			r.lane.inFlight--
			if r.cancel || r.lane.mode == delivery.LaneClosed || r.stranded() {
				s.orphan(r) // not to be tried again
			} else {
				s.enqueue(r)
			}
			s.place(r.lane, now)
		}
	}
}

// reapBy has a lease's end noticed, also by those who wait already.
func (s *Store) reapBy(end int64) {
	if end < s.nextReap {
		s.nextReap = end
		s.wakeAll()
	}
}

// take leases from the lanes that are ready, one row a turn.
func (s *Store) take(now int64, req delivery.LeaseRequest) []delivery.Lease {
	left := cmp.Or(req.Retries, req.Max) // retries that may still be taken
	expires := now + micros(cmp.Or(max(req.TTL, 0), defaultTTL))
	taken := s.taken[:0] // known only in the end how many: leases are large
	for len(taken) < req.Max {
		class := fresh
		switch retry := s.ready[retries].len() > 0 && left > 0; {
		case s.ready[fresh].len() == 0 && !retry:
			return s.leases(taken, now)
		case s.ready[fresh].len() == 0, retry && s.alternate:
			class = retries
		}
		s.alternate = !s.alternate
		l := s.ready[class].pop()
		l.inRing[class] = false
		if r := l.head(class, now); r != nil && l.open(now, s.cfg.MaxInFlight) {
			l.queue[class].pop()
			s.count(r, -1)
			s.begin(r, now, expires)
			taken = append(taken, r)
			if class == retries {
				left--
			}
		}
		s.place(l, now)
	}
	return s.leases(taken, now)
}

// begin starts a lease.
func (s *Store) begin(r *row, now, expires int64) {
	s.tokens++
	r.state, r.token, r.expires = leased, s.tokens, expires
	s.reapBy(expires)
	l := r.lane
	l.inFlight++
	l.most = max(l.most, l.inFlight)
	if l.rate > 0 {
		l.started = now
	}
}

// leases describes the leases that were just begun.
func (s *Store) leases(taken []*row, now int64) []delivery.Lease {
	s.taken = taken
	if len(taken) == 0 {
		return nil
	}
	out := make([]delivery.Lease, len(taken))
	for i, r := range taken {
		out[i] = delivery.Lease{
			Delivery: *r.Delivery,
			Try:      r.Tries + 1,
			Expired:  r.Expires != 0 && r.Expires <= now,
			Receipt:  receipt(r.Seq, r.token),
			Health:   r.lane.report(now),
		}
		out[i].Attempts = r.Attempts
	}
	clear(taken)
	return out
}

func receipt(seq int64, token uint64) string {
	buf := make([]byte, 0, 24)
	buf = strconv.AppendInt(buf, seq, 36)
	buf = append(buf, '-')
	return string(strconv.AppendUint(buf, token, 36))
}

// leasedRow returns the row of a receipt that is still good, or nil.
func (s *Store) leasedRow(id, receipt string) *row {
	if r := s.heldRow(id, receipt); r != nil && r.state == leased {
		return r
	}
	return nil
}

// heldRow also returns one whose end is being committed.
func (s *Store) heldRow(id, receipt string) *row {
	a, b, ok := strings.Cut(receipt, "-")
	seq, err1 := strconv.ParseInt(a, 36, 64)
	token, err2 := strconv.ParseUint(b, 36, 64)
	if !ok || err1 != nil || err2 != nil {
		return nil
	}
	r := s.rows[seq]
	if r == nil || r.state != leased && r.state != settling || r.token != token || r.Delivery.ID != id {
		return nil
	}
	return r
}

// Extend implements [delivery.Store]. It is a matter of memory alone.
func (s *Store) Extend(ctx context.Context, now time.Time, ttl time.Duration, leases ...delivery.Lease) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.clock(now)
	s.advance(t)
	var lost []string
	for i := range leases {
		r := s.heldRow(leases[i].ID, leases[i].Receipt)
		if r == nil {
			lost = append(lost, leases[i].ID)
			continue
		}
		r.expires = t + micros(cmp.Or(max(ttl, 0), defaultTTL))
		s.reapBy(r.expires)
	}
	if lost != nil {
		return &delivery.LostLeasesError{IDs: lost}
	}
	return nil
}

// Wait implements [delivery.Waiter].
func (s *Store) Wait(ctx context.Context, req delivery.LeaseRequest) error {
	for {
		s.mu.Lock()
		now := s.clock(zeroTime)
		s.advance(now)
		if s.closed || len(s.orphans) > 0 || s.ready[fresh].len() > 0 || s.ready[retries].len() > 0 && req.Retries >= 0 || len(s.thirst) > 0 && !s.reading {
			s.mu.Unlock()
			return nil
		}
		s.waiters = true
		wake := s.wake
		next := s.nextReap
		if len(s.timers) > 0 {
			next = min(next, s.timers[0].wakeAt)
		}
		s.mu.Unlock()

		var timer *time.Timer
		var tick <-chan time.Time
		if next != never {
			timer = time.NewTimer(time.Duration(next-now)*time.Microsecond + time.Microsecond)
			tick = timer.C
		}
		select {
		case <-wake:
		case <-tick:
		case <-ctx.Done():
		}
		if timer != nil {
			timer.Stop()
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
