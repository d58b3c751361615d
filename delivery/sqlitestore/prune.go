package sqlitestore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
)

const (
	forgetRows  = 500     // deleted in one step, some 10 ms of the one writer
	spanRows    = 4096    // read in one step; the pool of writers does not wait for it
	vacuumPages = 128     // given back in one step
	purgeRows   = 100_000 // remembered of a tenant from one step to the next
	forever     = math.MaxInt64
	unread      = math.MinInt64 // the due of a span that was never read
)

// pruner is what pruning knows from one call to the next. It can be lost: then
// the whole history is read once, step by step.
type pruner struct {
	mu    sync.Mutex
	keep  delivery.Retention // what due in spans goes by
	spans []span             // in order, without gaps
	seen  int64              // settled ones when the last span was read
	step  int64              // spanRows, but for tests
	more  bool               // a round is under way

	purging sync.Mutex
	victims map[string][]int64 // by tenant, found and not yet deleted
}

// span is the settled rows from the span before up to a Seq. The time when the
// first of them may have to go is known, so that young history is not read
// again and again: no row is settled before it is read as pending.
type span struct {
	to, due                 int64
	rows, deliveries, bytes int64
}

// Prune implements [delivery.Pruner].
func (s *Store) Prune(ctx context.Context, now time.Time, keep delivery.Retention) (more bool, err error) {
	if err := s.rows.here(); err != nil {
		return false, err
	}
	if now.IsZero() {
		now = time.Now()
	}
	p := &s.pruner
	p.mu.Lock()
	defer p.mu.Unlock()
	more, err = p.prune(ctx, s.rows, now, keep)
	if err != nil {
		return false, fmt.Errorf("sqlitestore: prune: %w", err)
	}
	p.more = more
	return more, nil
}

func (p *pruner) prune(ctx context.Context, r *rows, now time.Time, keep delivery.Retention) (more bool, err error) {
	if keep.Delivered < 0 && keep.Dead < 0 && keep.Bytes < 0 {
		return r.vacuum(ctx)
	}
	p.step = cmp.Or(p.step, spanRows)
	settled, err := r.settled(ctx)
	if err != nil {
		return false, err
	}
	if len(p.spans) == 0 || keep != p.keep {
		p.spans, p.keep, p.seen = []span{{to: forever, due: unread}}, keep, settled
	}
	if !p.more && settled-p.seen > p.seen/64 { // grown: measure it
		p.spans[len(p.spans)-1].due, p.seen = unread, settled
	}
	if i := p.due(now.UnixMicro()); i >= 0 {
		return p.age(ctx, r, i, now, settled)
	}
	if over := p.history(settled) - keep.Room(); over > 0 {
		return p.shrink(ctx, r, over)
	}
	return r.vacuum(ctx)
}

// due returns the first span that has to be read, or -1.
func (p *pruner) due(now int64) int {
	return slices.IndexFunc(p.spans, func(s span) bool { return s.due <= now })
}

// history estimates the room that settled rows take. Other tables may share the
// file, so its size says nothing.
func (p *pruner) history(settled int64) int64 {
	var all span
	for _, s := range p.spans {
		all.rows += s.rows
		all.deliveries += s.deliveries
		all.bytes += s.bytes
	}
	if all.rows == 0 {
		return 0
	}
	return all.bytes + max(settled-all.deliveries, 0)*(all.bytes/all.rows)
}

// age reads a span and deletes what had its time.
func (p *pruner) age(ctx context.Context, r *rows, i int, now time.Time, settled int64) (more bool, err error) {
	from := int64(0)
	if i > 0 {
		from = p.spans[i-1].to
	}
	at := now.UnixMicro()
	done, dead := cutoffs(p.keep.Before(now))
	next := span{to: p.spans[i].to, due: min(later(at, at, done), later(at, at, dead))} // what is pending may be settled from now on
	var old []int64
	read, last := int64(0), int64(0)
	err = r.readHistory(ctx, from, next.to, func(h history) bool {
		cutoff := done
		if h.state == stateDead {
			cutoff = dead
		}
		if h.at < cutoff {
			old = append(old, h.seq)
		} else {
			next.add(h, later(at, h.at, cutoff))
		}
		read++
		last = h.seq
		return read < p.step && len(old) < forgetRows
	})
	if err != nil {
		return false, err
	}
	more, err = r.forget(ctx, old, done, dead)
	if err != nil {
		return false, err
	}
	parts := []span{next}
	if read == p.step || len(old) == forgetRows {
		parts = append(parts, span{to: next.to, due: unread})
		parts[0].to = last
	}
	p.spans = slices.Replace(p.spans, i, i+1, parts...)
	if i > 0 && p.spans[i-1].due != unread && p.spans[i-1].rows+p.spans[i].rows <= p.step {
		p.spans[i].join(p.spans[i-1])
		p.spans = slices.Delete(p.spans, i-1, i)
	}
	settled -= int64(len(old))
	return more || p.due(at) >= 0 || p.history(settled) > p.keep.Room(), nil
}

// later is when a row that was settled at some time has had its own, seen now
// with the cutoff of its kind.
func later(now, settled, cutoff int64) int64 {
	if cutoff == unread {
		return forever
	}
	return settled + now - cutoff + 1
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

func cutoffs(delivered, dead time.Time) (int64, int64) {
	micro := func(t time.Time) int64 {
		if t.IsZero() {
			return unread
		}
		return t.UnixMicro()
	}
	return micro(delivered), micro(dead)
}

// shrink deletes the oldest, however young, until over bytes are gone.
func (p *pruner) shrink(ctx context.Context, r *rows, over int64) (more bool, err error) {
	var read []history
	var old []int64
	err = r.readHistory(ctx, 0, forever, func(h history) bool {
		read, old = append(read, h), append(old, h.seq)
		over -= h.bytes
		return over > 0 && len(old) < forgetRows
	})
	if err != nil {
		return false, err
	}
	free, err := r.forget(ctx, old, forever, forever)
	if err != nil {
		return false, err
	}
	i := 0
	for _, h := range read {
		for p.spans[i].to < h.seq {
			i++
		}
		s := &p.spans[i]
		if h.state != stateMarker {
			s.deliveries = max(s.deliveries-1, 0)
		}
		s.rows, s.bytes = max(s.rows-1, 0), max(s.bytes-h.bytes, 0) // it may be newer than they are
	}
	return free || over > 0 && len(old) > 0, nil
}

// Purge implements [delivery.Pruner].
func (s *Store) Purge(ctx context.Context, tenant string) (more bool, err error) {
	if tenant == "" {
		return false, fmt.Errorf("%w: no tenant", delivery.ErrInvalid)
	}
	if err := s.rows.here(); err != nil {
		return false, err
	}
	s.pruner.purging.Lock()
	defer s.pruner.purging.Unlock()
	more, err = s.purge(ctx, tenant)
	if err != nil {
		return false, fmt.Errorf("sqlitestore: purge: %w", err)
	}
	return more, nil
}

func (s *Store) purge(ctx context.Context, tenant string) (more bool, err error) {
	p := &s.pruner
	victims := p.victims[tenant]
	if len(victims) == 0 {
		if victims, err = s.rows.ofTenant(ctx, tenant); err != nil || len(victims) == 0 {
			return false, err
		}
	}
	n := min(len(victims), forgetRows)
	if _, err := s.rows.forget(ctx, victims[:n], forever, forever); err != nil {
		return false, err
	}
	if p.victims == nil {
		p.victims = map[string][]int64{}
	}
	if p.victims[tenant] = victims[n:]; n == len(victims) {
		delete(p.victims, tenant) // whether there are more, only reading tells
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spans = nil // what they were measured with is gone
	return true, nil
}

// history is a settled row, as pruning sees it.
type history struct{ seq, state, at, bytes int64 }

// readHistory reads settled rows in order until each has enough. What their
// entries in tables and indexes take beside the data is measured.
func (r *rows) readHistory(ctx context.Context, after, to int64, each func(history) bool) error {
	rs, err := r.read.QueryContext(ctx, `SELECT o.seq, o.state, o.at, length(o.data) + ifnull(length(d.data) + 2 * length(d.id), 0) + 50
			+ (SELECT ifnull(sum(length(a.data) + 15), 0) FROM ringback_attempt a WHERE a.seq = o.seq)
		FROM ringback_outcome o LEFT JOIN ringback_delivery d ON d.seq = o.seq
		WHERE o.seq > ? AND o.seq <= ? ORDER BY o.seq`, after, to)
	if err != nil {
		return err
	}
	defer rs.Close()
	for rs.Next() {
		var h history
		if err := rs.Scan(&h.seq, &h.state, &h.at, &h.bytes); err != nil {
			return err
		}
		if !each(h) {
			return nil
		}
	}
	return rs.Err()
}

// settled counts deliveries, as Counts does.
func (r *rows) settled(ctx context.Context) (n int64, err error) {
	err = r.read.QueryRowContext(ctx, `SELECT sum(value) FROM ringback_meta WHERE name IN ('delivered', 'dead')`).Scan(&n)
	return n, err
}

// ofTenant reads the whole history for settled rows of a tenant, purgeRows of
// them at most. The name is looked for in the bytes before they are decoded.
func (r *rows) ofTenant(ctx context.Context, tenant string) ([]int64, error) {
	var out []int64
	after := int64(0)
	for len(out) < purgeRows {
		n := 0
		rs, err := r.read.QueryContext(ctx, `SELECT o.seq, CASE WHEN instr(d.data, ?) > 0 THEN d.data END
			FROM ringback_outcome o CROSS JOIN ringback_delivery d ON d.seq = o.seq
			WHERE o.seq > ? ORDER BY o.seq LIMIT ?`, []byte(tenant), after, spanRows)
		if err != nil {
			return nil, err
		}
		for rs.Next() {
			var data sql.RawBytes
			if err = rs.Scan(&after, &data); err != nil {
				break
			}
			n++
			if data == nil {
				continue
			}
			var d *delivery.Delivery
			if d, _, err = rowcodec.Delivery("", data); err != nil {
				break
			}
			if d.Tenant == tenant {
				out = append(out, after)
			}
		}
		if err := errors.Join(err, rs.Err(), rs.Close()); err != nil {
			return nil, err
		}
		if n < spanRows {
			return out, nil
		}
	}
	return out, nil
}
