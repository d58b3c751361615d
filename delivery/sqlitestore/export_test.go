package sqlitestore

import (
	"context"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// ReadBySteps has Prune read so many rows at a time.
func (s *Store) ReadBySteps(rows int64) { s.pruner.step = rows }

// Refill is the backend's.
func (s *Store) Refill(ctx context.Context, now int64, wants ...lanes.Want) ([]lanes.Found, error) {
	return s.rows.Refill(ctx, now, wants)
}

// Checkpointed waits for the checkpoint under way.
func (s *Store) Checkpointed() { s.rows.checkpoints.wg.Wait() }

// Fetch is the backend's.
func (s *Store) Fetch(ctx context.Context, seqs ...int64) ([]*delivery.Delivery, error) {
	return s.rows.Fetch(ctx, seqs)
}
