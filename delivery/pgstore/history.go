package pgstore

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	forever = math.MaxInt64
	unread  = math.MinInt64 // the due of a span that was never read
)

// span is the settled rows from the span before up to a Seq. The time when the
// first of them may have to go is known, so that young history is not read
// again and again: no row is settled before it is read as pending.
type span struct {
	to, due                 int64
	rows, deliveries, bytes int64
}

// spans are in order, without gaps.
type spans []span

// due returns the first span that has to be read, or -1.
func (s spans) due(now int64) int {
	return slices.IndexFunc(s, func(s span) bool { return s.due <= now })
}

// from is where a span begins.
func (s spans) from(i int) int64 {
	if i == 0 {
		return 0
	}
	return s[i-1].to
}

// size estimates the room that settled rows take, of which others may have been
// stored or forgotten since they were read.
func (s spans) size(settled int64) int64 {
	var all span
	for i := range s {
		all.join(s[i])
	}
	if all.rows == 0 {
		return 0
	}
	return max(all.bytes+(settled-all.deliveries)*(all.bytes/all.rows), 0)
}

// trim empties the spans before the first row there is: another process has
// forgotten theirs.
func (s spans) trim(first int64) {
	for i := range s {
		if s[i].to >= first {
			return
		}
		s[i].rows, s[i].deliveries, s[i].bytes = 0, 0, 0
	}
}

// drop takes rows out of the count.
func (s spans) drop(gone []history) {
	i := 0
	for _, h := range gone {
		for s[i].to < h.seq {
			i++
		}
		if h.state != stateMarker {
			s[i].deliveries = max(s[i].deliveries-1, 0)
		}
		s[i].rows, s[i].bytes = max(s[i].rows-1, 0), max(s[i].bytes-h.bytes, 0) // it may be newer than they are
	}
}

// replace puts what was read in place of a span. If that was not the whole span,
// last is where it ended. Small neighbors become one.
func (s *spans) replace(i int, read span, cut bool, last, step int64) {
	parts := []span{read}
	if cut {
		parts = append(parts, span{to: read.to, due: unread})
		parts[0].to = last
	}
	*s = slices.Replace(*s, i, i+1, parts...)
	list := *s
	if i > 0 && list[i-1].due != unread && list[i-1].rows+list[i].rows <= step {
		list[i].join(list[i-1])
		*s = slices.Delete(list, i-1, i)
	}
}

func (s *span) add(h history, due int64) {
	s.due = min(s.due, due)
	s.rows++
	s.bytes += h.bytes
	if h.state != stateMarker {
		s.deliveries++
	}
}

// join takes in the span before.
func (s *span) join(b span) {
	s.due = min(s.due, b.due)
	s.rows += b.rows
	s.deliveries += b.deliveries
	s.bytes += b.bytes
}

// later is when a row that was settled at some time has had its own, seen now
// with the cutoff of its kind.
func later(now, settled, cutoff int64) int64 {
	if cutoff == unread {
		return forever
	}
	return settled + now - cutoff + 1
}

func cutoffs(delivered, dead time.Time) (int64, int64) {
	micro := func(t time.Time) int64 {
		if t.IsZero() {
			return unread
		}
		return t.UnixMicro()
	}
	return micro(delivered), micro(dead)
}

// history is a settled row, as pruning sees it.
type history struct{ seq, state, at, bytes int64 }

// read reads settled rows in order.
func (p *pruner) read(ctx context.Context, tx pgx.Tx, after, to, limit int64) ([]history, error) {
	rs, err := tx.Query(ctx, p.sql.history, after, to, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rs, func(row pgx.CollectableRow) (h history, err error) {
		err = row.Scan(&h.seq, &h.state, &h.at, &h.bytes)
		return h, err
	})
}
