package pgstore

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/retain"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
)

// Purge implements [delivery.Pruner].
func (p *pruner) Purge(ctx context.Context, tenant string) (more bool, err error) {
	if tenant == "" {
		return false, fmt.Errorf("%w: no tenant", delivery.ErrInvalid)
	}
	p.purging.Lock()
	defer p.purging.Unlock()
	more, err = p.purge(ctx, tenant)
	if err != nil {
		return false, fmt.Errorf("pgstore: purge: %w", err)
	}
	return more, nil
}

func (p *pruner) purge(ctx context.Context, tenant string) (more bool, err error) {
	victims, err := p.victims.Next(tenant, forgetRows, func() ([]int64, error) { return p.ofTenant(ctx, tenant) })
	if err != nil || len(victims) == 0 {
		return false, err
	}
	if _, err := p.locked(ctx, p.sql.awaitLock, func(tx pgx.Tx) error {
		_, err := p.forget(ctx, tx, victims, retain.Forever, retain.Forever)
		return err
	}); err != nil {
		return false, err
	}
	p.victims.Deleted(tenant, len(victims))
	p.mu.Lock()
	defer p.mu.Unlock()
	p.history = retain.History{} // what it was measured with is gone
	return true, nil
}

// ofTenant reads the whole history for settled rows of a tenant, purgeRows of
// them at most. The name is looked for in the bytes before they are decoded.
func (p *pruner) ofTenant(ctx context.Context, tenant string) ([]int64, error) {
	var out []int64
	after := int64(0)
	for len(out) < purgeRows {
		n := int64(0)
		err := fetch(ctx, p.pool, p.sql.settings, p.sql.tenant, []any{[]byte(tenant), after, p.step}, func(rs pgx.Rows) error {
			var data []byte
			if err := rs.Scan(&after, &data); err != nil {
				return err
			}
			if n++; data == nil {
				return nil
			}
			d, _, err := rowcodec.Delivery("", data)
			if err == nil && d.Tenant == tenant {
				out = append(out, after)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if n < p.step {
			return out, nil
		}
	}
	return out, nil
}

// forget deletes those rows that are still settled and ended before the cutoffs,
// done for delivered ones and markers, and says how many these were. All that is
// kept under a Seq goes at once.
func (p *pruner) forget(ctx context.Context, tx pgx.Tx, seqs []int64, done, dead int64) (int, error) {
	if len(seqs) == 0 {
		return 0, nil
	}
	rs, err := tx.Query(ctx, p.sql.outcomes, seqs, dead, done)
	if err != nil {
		return 0, err
	}
	var gone []int64
	var counts [stateMarker + 1]int64
	var seq int64
	var state int
	if _, err := pgx.ForEachRow(rs, []any{&seq, &state}, func() error {
		if state > 0 && state < len(counts) {
			counts[state]++
		}
		gone = append(gone, seq)
		return nil
	}); err != nil || len(gone) == 0 {
		return 0, err
	}
	q := &pgx.Batch{}
	for _, text := range []string{p.sql.attempts, p.sql.waiting, p.sql.deliveries} {
		q.Queue(text, gone)
	}
	if counts[stateDelivered]+counts[stateDead] > 0 {
		q.Queue(p.sql.count, prunings, -counts[stateDelivered], -counts[stateDead])
		q.Queue(p.sql.fold, prunings, foldTally)
	}
	return len(gone), tx.SendBatch(ctx, q).Close()
}
