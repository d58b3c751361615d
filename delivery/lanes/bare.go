package lanes

import (
	"context"

	"github.com/ringback-go/ringback/delivery"
)

// A bare row waits in memory without its delivery, which takes several times the
// room. It spares the backend an index entry, which costs more than to read the
// delivery by its number before the row's turn comes.

// bareCost is what holding a bare row takes, in bytes: itself, and its places in
// the maps and queues.
const bareCost = 150

// full is what holding the row takes with its delivery, in bytes.
func (r *row) full() int {
	if r.bare > 0 {
		return r.bare
	}
	return r.cost()
}

// spilled is the row for a batch that indexes it. A bare one may get its delivery
// while that is written.
func (r *row) spilled() *Row {
	if r.bare == 0 {
		return &r.Row
	}
	c := r.Row
	return &c
}

// count takes note of a row that waits in memory, or, with -1, does so no more.
func (s *Store) count(r *row, by int) {
	if r.bare > 0 {
		r.lane.bare += by
		s.heldBare += by * bareCost
		return
	}
	s.held += by * r.cost()
}

// strip makes a new row bare. What its delivery has besides is let go of.
func (l *lane) strip(r Row) *row {
	if l.plate == nil {
		l.plate = &delivery.Delivery{Lane: l.name}
	}
	bare := r.cost()
	r.Delivery = l.plate
	return &row{Row: r, lane: l, bare: bare}
}

// bareShare is how many bare rows a lane may hold: three quarters of what is
// free where it is alone, an eighth among many, as share is for the others.
func (s *Store) bareShare() int {
	free := s.bareRoom - s.heldBare
	if len(s.lanes) < 2 {
		free -= free / 4
	}
	return free / max(1, min(8, len(s.lanes))) / bareCost
}

// fetchRows is how many deliveries of bare rows are fetched at a time for a lane,
// and how few other rows it has left when they are.
const fetchRows = 128

// misses reports whether deliveries of bare rows should be fetched.
func (s *Store) misses(l *lane) bool {
	if l.bare == 0 {
		return false
	}
	q := &l.queue[fresh]
	return q.head().bare > 0 || q.len()-l.bare <= min(s.share(l, fresh)/4, fetchRows)
}

// bareRows returns the bare ones among the lane's next rows, at least one, and
// others as far as their deliveries take no more than so many bytes.
func (s *Store) bareRows(l *lane, bytes int) []*row {
	most := min(s.share(l, fresh), fetchRows, l.bare)
	rows := make([]*row, 0, most)
	seen := 0
	for r := range l.queue[fresh].inOrder() {
		if seen++; len(rows) > 0 && (len(rows) == most || seen > 2*fetchRows) {
			break
		}
		if r.bare == 0 {
			continue
		}
		if len(rows) > 0 && bytes < r.full() {
			break
		}
		rows = append(rows, r)
		bytes -= r.full()
	}
	return rows
}

// fetch reads the deliveries of bare rows.
func (s *Store) fetch(ctx context.Context, rows []*row) ([]*delivery.Delivery, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	seqs := make([]int64, len(rows))
	for i, r := range rows {
		seqs[i] = r.Seq
	}
	return s.fetcher.Fetch(ctx, seqs)
}

// dress gives bare rows their deliveries, as far as they are still there. One
// that an operator changes this moment leaves its queue, as if it had not been
// bare when that began.
func (s *Store) dress(rows []*row, ds []*delivery.Delivery) {
	for i, d := range ds {
		r := rows[i]
		if s.rows[r.Seq] != r || r.bare == 0 {
			continue
		}
		waits := r.state == waiting
		switch {
		case d != nil:
			if waits {
				s.count(r, -1)
			}
			r.Delivery, r.bare = d, 0
			switch e := s.editing[d.ID]; {
			case waits && e != nil:
				r.lane.queue[fresh].drop(r)
				r.state, e.removed = settling, r
			case waits:
				s.count(r, 1)
			}
		case waits: // forgotten with its tenant
			s.unqueue(r)
			s.forget(r)
		}
	}
}
