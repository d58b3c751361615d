package lanes

import (
	"context"
	"errors"

	"github.com/ringback-go/ringback/delivery"
)

// lanesPerRead bounds one read; it holds up nobody, but its rows take memory.
const lanesPerRead = 200

// littleBytes of deliveries are read for a lane, however little is free.
const littleBytes = 16 << 10

// readPlan is what one read asks for.
type readPlan struct {
	wants []thirsty
	bare  []*row // rows whose deliveries are fetched
}

func (p *readPlan) empty() bool { return len(p.wants)+len(p.bare) == 0 }

type thirsty struct {
	lane  *lane
	class int
	want  Want
	next  int64 // what lane.next was
	era   int   // what lane.era was
}

// unread is a row that a read brought at the wrong moment.
type unread struct {
	id    string
	lane  string
	class int
	due   int64
}

// beginRead collects what should be read. It is empty if a read is under way,
// otherwise the caller must call read.
func (s *Store) beginRead(now int64) (p readPlan) {
	if s.reading || len(s.thirst) == 0 {
		return p
	}
	n := min(len(s.thirst), lanesPerRead)
	room := max(s.room-s.held, 0)
	for _, l := range s.thirst[:n] {
		l.thirsty = false
		if l.open(now, s.cfg.MaxInFlight) {
			for class := range 2 {
				if !s.wants(l, class, now) {
					continue
				}
				// Rows that memory has may come again: ask for so many more.
				k, known := min(s.share(l, class), 128), l.inDB[class]
				if class == fresh && l.next[class] == 0 { // for what goes ahead: of that, memory has these
					known = min(known, len(l.barrier))
				}
				p.wants = append(p.wants, thirsty{l, class, Want{Lane: l.name, Retry: class == retries, Limit: k + known, Known: known}, l.next[class], l.era})
				l.next[class] = never // what is committed from now on shows here
				l.rows++              // the lane is not forgotten meanwhile
			}
			if s.misses(l) {
				p.bare = append(p.bare, s.bareRows(l, max(room/n, littleBytes))...)
			}
		}
		if l.plain() {
			s.place(l, now)
		}
	}
	s.thirst = append(s.thirst[:0], s.thirst[n:]...)
	for _, r := range p.bare {
		room -= r.full()
	}
	for i := range p.wants {
		p.wants[i].want.Bytes = max(room/len(p.wants), littleBytes)
	}
	if !p.empty() {
		s.reading = true
		s.readDone = make(chan struct{})
		s.reads.Add(1)
	}
	return p
}

// refill reads rows.
func (s *Store) refill(ctx context.Context, now int64, wants []thirsty) ([]Found, error) {
	if len(wants) == 0 {
		return nil, nil
	}
	asked := make([]Want, len(wants))
	for i, w := range wants {
		asked[i] = w.want
	}
	return s.backend.Refill(ctx, now, asked)
}

// read fetches rows and takes them in.
func (s *Store) read(ctx context.Context, now int64, p readPlan) error {
	defer s.reads.Done()
	found, err := s.refill(ctx, now, p.wants)
	fetched, errFetch := s.fetch(ctx, p.bare)

	s.mu.Lock()
	defer s.mu.Unlock()
	for i, w := range p.wants {
		l := w.lane
		l.rows--
		if err != nil || l.era != w.era {
			s.leaveToBackend(l, w.class, w.next)
			continue
		}
		for _, r := range found[i].Rows {
			s.takeIn(l, w.class, r)
		}
		rows := found[i].Rows
		switch n := len(rows); {
		case found[i].NextDue != 0:
			s.leaveToBackend(l, w.class, found[i].NextDue)
		case n == w.want.Limit && rows[n-1].Due == 0: // more may go ahead
			s.leaveToBackend(l, w.class, 0)
		}
	}
	if errFetch == nil { // else nil is not to say that a row is gone
		s.dress(p.bare, fetched)
	}
	s.reading = false
	clear(s.graveyard)
	close(s.readDone)
	for _, w := range p.wants {
		s.place(w.lane, now)
	}
	for i, r := range p.bare {
		if i == 0 || r.lane != p.bare[i-1].lane {
			s.place(r.lane, now)
		}
	}
	if err = errors.Join(err, errFetch); err == nil || len(s.thirst) > 0 { // who waits is to see the error
		s.wakeAll()
	}
	return err
}

// takeIn holds a row that was read, unless memory knows better: it may have been
// settled, moved or taken in since the read began.
func (s *Store) takeIn(l *lane, class int, found *Row) {
	if s.editing[found.Delivery.ID] != nil {
		s.unread = append(s.unread, unread{found.Delivery.ID, l.name, class, found.Due})
		return
	}
	if _, dead := s.graveyard[found.Seq]; dead || s.rows[found.Seq] != nil {
		return
	}
	if l.mode != delivery.LaneOpen || l.away {
		s.leaveToBackend(l, class, found.Due)
		return
	}
	if found.ahead() {
		l.barrier.add(found.Seq)
	}
	s.hold(&row{Row: *found, lane: l, indexed: true, ahead: found.ahead(), early: s.appending && found.Seq >= s.nextSeq})
}
