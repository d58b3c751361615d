package sqlitestore

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/retain"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
)

const (
	forgetRows  = 500     // deleted in one step, some 10 ms of the one writer
	spanRows    = 4096    // read in one step; the pool of writers does not wait for it
	vacuumPages = 128     // given back in one step
	purgeRows   = 100_000 // remembered of a tenant from one step to the next
)

// pruner is what pruning knows from one call to the next. It can be lost: then
// the whole history is read once, step by step.
type pruner struct {
	mu      sync.Mutex
	history retain.History
	step    int64 // spanRows, but for tests
	more    bool  // a round is under way

	purging sync.Mutex
	victims retain.Victims
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
	p.history.Begin(keep, settled, settled, p.more)
	if i := p.history.Due(now); i >= 0 {
		return p.age(ctx, r, p.history.Read(i, now), now, settled)
	}
	if over := p.history.Excess(settled); over > 0 {
		return p.shrink(ctx, r, over)
	}
	return r.vacuum(ctx)
}

// age reads a span and deletes what had its time.
func (p *pruner) age(ctx context.Context, r *rows, part *retain.Reading, now time.Time, settled int64) (more bool, err error) {
	full := func() bool { return part.Rows == p.step || len(part.Old) == forgetRows }
	err = r.readHistory(ctx, part.After, part.To, func(row retain.Row) bool {
		part.Add(row)
		return !full()
	})
	if err != nil {
		return false, err
	}
	if more, err = r.forget(ctx, part.Old, part.Done, part.Dead); err != nil {
		return false, err
	}
	part.End(full(), p.step)
	return more || p.history.Due(now) >= 0 || p.history.Excess(settled-int64(len(part.Old))) > 0, nil
}

// shrink deletes the oldest, however young, until over bytes are gone.
func (p *pruner) shrink(ctx context.Context, r *rows, over int64) (more bool, err error) {
	var read []retain.Row
	var old []int64
	err = r.readHistory(ctx, 0, retain.Forever, func(row retain.Row) bool {
		read, old = append(read, row), append(old, row.Seq)
		over -= row.Bytes
		return over > 0 && len(old) < forgetRows
	})
	if err != nil {
		return false, err
	}
	free, err := r.forget(ctx, old, retain.Forever, retain.Forever)
	if err != nil {
		return false, err
	}
	p.history.Drop(read)
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
	victims, err := p.victims.Next(tenant, forgetRows, func() ([]int64, error) { return s.rows.ofTenant(ctx, tenant) })
	if err != nil || len(victims) == 0 {
		return false, err
	}
	if _, err := s.rows.forget(ctx, victims, retain.Forever, retain.Forever); err != nil {
		return false, err
	}
	p.victims.Deleted(tenant, len(victims))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.history = retain.History{} // what it was measured with is gone
	return true, nil
}

// readHistory reads settled rows in order until each has enough. What their
// entries in tables and indexes take beside the data is measured.
func (r *rows) readHistory(ctx context.Context, after, to int64, each func(retain.Row) bool) error {
	rs, err := r.read.QueryContext(ctx, `SELECT o.seq, o.state, o.at, length(o.data) + ifnull(length(d.data) + 2 * length(d.id), 0) + 50
			+ (SELECT ifnull(sum(length(a.data) + 15), 0) FROM ringback_attempt a WHERE a.seq = o.seq)
		FROM ringback_outcome o LEFT JOIN ringback_delivery d ON d.seq = o.seq
		WHERE o.seq > ? AND o.seq <= ? ORDER BY o.seq`, after, to)
	if err != nil {
		return err
	}
	defer rs.Close()
	for rs.Next() {
		var h retain.Row
		var state int
		if err := rs.Scan(&h.Seq, &state, &h.At, &h.Bytes); err != nil {
			return err
		}
		h.Dead, h.Marker = state == stateDead, state == stateMarker
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
