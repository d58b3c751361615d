package memstore

import (
	"cmp"
	"context"
	"iter"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// Config tunes a [Store]. The zero value is ready for use.
type Config struct {
	// MaxPending bounds the deliveries that are not settled; over it, Enqueue
	// returns delivery.ErrFull. 0 is 1,000,000.
	MaxPending int
	// History is how many settled deliveries are remembered. 0 is 10,000.
	History int
	// Lanes tunes how lanes are served.
	Lanes lanes.Config
}

// A Store keeps deliveries in memory: it is not durable. It implements
// [delivery.Store], [delivery.Waiter], [delivery.Browser], [delivery.Operator]
// and [delivery.Pruner]. Make one with [Open].
type Store struct {
	*lanes.Store
	rows *rows
	over excess // guarded by rows.mu
}

// Open returns an empty store.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	r := &rows{
		maxPending: cmp.Or(cfg.MaxPending, 1_000_000),
		history:    cmp.Or(cfg.History, 10_000),
		byID:       map[string]*entry{},
		bySeq:      map[int64]*entry{},
		keyed:      map[laneKey][]*entry{},
		events:     map[string]int{},
	}
	s, err := lanes.Open(ctx, r, cfg.Lanes)
	if err != nil {
		return nil, err
	}
	return &Store{Store: s, rows: r}, nil
}

// Traits implements the store's own declaration: nothing outlives the process.
func (s *Store) Traits() delivery.Traits { return delivery.Traits{NotDurable: true} }

// Deliveries implements [delivery.Browser].
func (s *Store) Deliveries(ctx context.Context, f delivery.Filter) iter.Seq2[delivery.Status, error] {
	return func(yield func(delivery.Status, error) bool) {
		n := 0
		for _, e := range s.rows.newestFirst(f) {
			if err := ctx.Err(); err != nil {
				yield(delivery.Status{}, err)
				return
			}
			if !yield(e, nil) {
				return
			}
			if n++; f.Limit > 0 && n == f.Limit {
				return
			}
		}
	}
}

// Attempts implements [delivery.Browser].
func (s *Store) Attempts(ctx context.Context, id string) ([]delivery.Attempt, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.rows.attempts(id)
}

// Counts implements [delivery.Browser].
func (s *Store) Counts(ctx context.Context) (delivery.Counts, error) {
	s.rows.mu.Lock()
	defer s.rows.mu.Unlock()
	return s.rows.counts, ctx.Err()
}

// Oldest implements [delivery.Elder].
func (s *Store) Oldest(ctx context.Context) (time.Time, error) {
	return s.rows.oldest(), ctx.Err()
}

// Event implements [delivery.Browser].
func (s *Store) Event(ctx context.Context, eventID string) (int, bool, error) {
	s.rows.mu.Lock()
	defer s.rows.mu.Unlock()
	n, known := s.rows.events[eventID]
	return n, known, ctx.Err()
}
