package memstore

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

// excess is what the history is over its bound, from one step of forgetting to
// the next: only a new round measures it.
type excess struct{ bytes, room int64 }

// Prune implements [delivery.Pruner].
func (s *Store) Prune(ctx context.Context, now time.Time, keep delivery.Retention) (more bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if now.IsZero() {
		now = time.Now()
	}
	r := s.rows
	r.mu.Lock()
	defer r.mu.Unlock()
	if more := r.dropOld(keep.Before(now)); more {
		return true, nil
	}
	return r.dropOver(&s.over, keep.Room()), nil
}

// Purge implements [delivery.Pruner].
func (s *Store) Purge(ctx context.Context, tenant string) (more bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	if tenant == "" {
		return false, fmt.Errorf("%w: no tenant", delivery.ErrInvalid)
	}
	s.rows.mu.Lock()
	defer s.rows.mu.Unlock()
	return s.rows.drop(len(s.rows.past), func(e *entry) bool { return e.Delivery.Tenant == tenant }), nil
}

// dropOld forgets what was settled before its time. Of the dead ones that are
// kept longer, each step looks at all that are older than delivered ones get.
func (r *rows) dropOld(delivered, dead time.Time) (more bool) {
	done, gaveUp := bound(delivered), bound(dead)
	old := 0 // so many, at the front, may have had their time
	for old < len(r.past) && r.past[old].settled < max(done, gaveUp) {
		old++
	}
	return r.drop(old, func(e *entry) bool {
		if e.state == delivery.Dead {
			return e.settled < gaveUp
		}
		return e.settled < done
	})
}

func bound(t time.Time) int64 {
	if t.IsZero() {
		return math.MinInt64
	}
	return t.UnixMicro()
}

// dropOver forgets the oldest while there are more bytes than room.
func (r *rows) dropOver(over *excess, room int64) (more bool) {
	if over.bytes <= 0 || over.room != room {
		over.bytes, over.room = 0, room
		for _, e := range r.past {
			over.bytes += e.size()
		}
		over.bytes -= room
	}
	more = r.drop(len(r.past), func(e *entry) bool {
		if over.bytes <= 0 {
			return false
		}
		over.bytes -= e.size()
		return true
	})
	if !more {
		over.bytes = 0
	}
	return more
}

// size is what remembering the entry takes, in bytes.
func (e *entry) size() int64 {
	n := 600 + len(e.Delivery.Body)
	for i := range e.log {
		n += 200 + len(e.log[i].Response)
	}
	return int64(n)
}

// drop forgets those of the first n settled entries that chosen names, oldest
// first and MaxBatch at most, and reports whether there may be more.
func (r *rows) drop(n int, chosen func(*entry) bool) (more bool) {
	var kept []*entry
	dropped, i := 0, 0
	for ; i < n; i++ {
		e := r.past[i]
		if dropped == delivery.MaxBatch {
			more = true
			break
		}
		if chosen(e) {
			r.forget(e)
			dropped++
		} else {
			kept = append(kept, e)
		}
	}
	if dropped == 0 {
		return false
	}
	r.past = slices.Replace(r.past, 0, i, kept...)
	r.trim()
	return more
}

// forget leaves nothing of a settled entry but its place among the past ones.
func (r *rows) forget(e *entry) {
	delete(r.byID, e.Delivery.ID)
	if e.place < len(r.order) && r.order[e.place] == e {
		r.order[e.place] = nil
	}
	if e.Delivery.SubscriptionID == "" {
		delete(r.events, e.Delivery.EventID)
		return
	}
	if r.events[e.Delivery.EventID]--; r.events[e.Delivery.EventID] <= 0 {
		delete(r.events, e.Delivery.EventID)
	}
	if e.state == delivery.Delivered {
		r.counts.Delivered--
	} else {
		r.counts.Dead--
	}
}
