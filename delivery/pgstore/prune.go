package pgstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/retain"
)

const (
	forgetRows = 500     // deleted in one step
	spanRows   = 4096    // read in one step
	purgeRows  = 100_000 // remembered of a tenant from one step to the next
	prunings   = -1      // the engine in tally
	foldTally  = 100     // rows of prunings become one
)

// pruner implements [delivery.Pruner]. Of the processes that share a database
// one at a time reads and deletes. What it knows from one call to the next can
// be lost: then the whole history is read once, step by step.
type pruner struct {
	pool *pgxpool.Pool
	sql  pruning
	lock string // names the advisory lock

	mu      sync.Mutex
	history retain.History
	step    int64 // spanRows, but for tests
	more    bool  // a round is under way
	many    bool  // the last step was full of old ones

	purging sync.Mutex
	victims retain.Victims
}

// pruning are the texts with the schema's name filled in.
type pruning struct {
	settings, tryLock, awaitLock, state, history, tenant string
	outcomes, attempts, waiting, deliveries, count, fold string
}

func newPruner(pool *pgxpool.Pool, s schema) *pruner {
	return &pruner{pool: pool, lock: "ringback prune " + string(s), step: spanRows, sql: pruning{
		settings:  s.statements().settings,
		tryLock:   `SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))`,
		awaitLock: `SELECT true FROM (SELECT pg_advisory_xact_lock(hashtextextended($1, 0))) AS l`,
		state: s.sql(`SELECT coalesce(sum(delivered + dead), 0)::bigint,
				coalesce(sum(delivered + dead) FILTER (WHERE engine <> $1), 0)::bigint,
				(extract(epoch FROM clock_timestamp()) * 1000000)::bigint FROM @.tally`),
		// What rows and their index entries take beside the data is measured.
		// Data's length is known without reading it where it is large.
		history: s.sql(`SELECT o.seq, o.state, o.at,
				octet_length(o.data) + coalesce(octet_length(d.data) + 2 * octet_length(d.id) + octet_length(d.lane), 0) + 200
				+ (SELECT coalesce(sum(octet_length(a.data) + 70), 0) FROM @.attempt a WHERE a.seq = o.seq)
			FROM (SELECT seq, state, at, data FROM @.outcome WHERE seq > $1 AND seq <= $2 ORDER BY seq LIMIT $3) o
			LEFT JOIN @.delivery d ON d.seq = o.seq ORDER BY o.seq`),
		tenant: s.sql(`SELECT o.seq, CASE WHEN position($1::bytea IN d.data) > 0 THEN d.data END
			FROM (SELECT seq FROM @.outcome WHERE seq > $2 ORDER BY seq LIMIT $3) o
			LEFT JOIN @.delivery d ON d.seq = o.seq ORDER BY o.seq`),

		// Somebody may have retried one since it was read, or be about to: one
		// that is locked is left alone, so that nobody waits for another here.
		outcomes: s.sql(`DELETE FROM @.outcome WHERE seq = ANY(ARRAY(SELECT seq FROM @.outcome WHERE seq = ANY($1::bigint[])
				AND at < CASE state WHEN 2 THEN $2::bigint ELSE $3::bigint END FOR UPDATE SKIP LOCKED))
			RETURNING seq, state`),
		attempts:   s.sql(`DELETE FROM @.attempt WHERE seq = ANY($1::bigint[])`),
		waiting:    s.sql(`DELETE FROM @.waiting WHERE seq = ANY($1::bigint[])`),
		deliveries: s.sql(`DELETE FROM @.delivery WHERE seq = ANY($1::bigint[])`),
		count: s.sql(`INSERT INTO @.tally (engine, batch, pending, delivered, dead)
			SELECT $1, coalesce(max(batch), 0) + 1, 0, $2, $3 FROM @.tally WHERE engine = $1`),
		fold: s.sql(`WITH gone AS (DELETE FROM @.tally WHERE engine = $1
				AND (SELECT count(*) FROM @.tally WHERE engine = $1) > $2 RETURNING batch, pending, delivered, dead)
			INSERT INTO @.tally (engine, batch, pending, delivered, dead)
			SELECT $1, max(batch) + 1, sum(pending), sum(delivered), sum(dead) FROM gone HAVING count(*) > 0`),
	}}
}

// Prune implements [delivery.Pruner].
func (p *pruner) Prune(ctx context.Context, now time.Time, keep delivery.Retention) (more bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	more, err = p.prune(ctx, now, keep)
	if err != nil {
		return false, fmt.Errorf("pgstore: prune: %w", err)
	}
	p.more = more
	return more, nil
}

func (p *pruner) prune(ctx context.Context, now time.Time, keep delivery.Retention) (more bool, err error) {
	if keep.Delivered < 0 && keep.Dead < 0 && keep.Bytes < 0 {
		return false, nil
	}
	settled, ever, clock, err := p.state(ctx)
	if err != nil {
		return false, err
	}
	if now.IsZero() {
		now = clock
	}
	p.history.Begin(keep, settled, ever, p.more)
	if i := p.history.Due(now); i >= 0 {
		return p.age(ctx, p.history.Read(i, now), now, settled)
	}
	if p.history.Excess(settled) > 0 {
		return p.shrink(ctx, settled)
	}
	return false, nil
}

// state counts the settled deliveries, as Counts does, and with them those that
// were forgotten, and tells the time.
func (p *pruner) state(ctx context.Context) (settled, ever int64, clock time.Time, err error) {
	var micros int64
	err = p.pool.QueryRow(ctx, p.sql.state, prunings).Scan(&settled, &ever, &micros)
	return settled, ever, time.UnixMicro(micros), err
}

// age reads a span and deletes what had its time.
func (p *pruner) age(ctx context.Context, r *retain.Reading, now time.Time, settled int64) (more bool, err error) {
	limit := p.step
	if p.many {
		limit = min(limit, forgetRows) // no more will be deleted
	}
	var gone int
	mine, err := p.locked(ctx, p.sql.tryLock, func(tx pgx.Tx) error {
		list, err := p.read(ctx, tx, r.After, r.To, limit)
		if err != nil {
			return err
		}
		for _, row := range list {
			if r.Add(row); len(r.Old) == forgetRows {
				break
			}
		}
		gone, err = p.forget(ctx, tx, r.Old, r.Done, r.Dead)
		return err
	})
	if err != nil || !mine {
		return false, err
	}
	if gone < len(r.Old) {
		r.Again()
	}
	p.many = len(r.Old) == forgetRows
	r.End(r.Rows == limit || p.many, p.step)
	return p.history.Due(now) >= 0 || p.history.Excess(settled-int64(gone)) > 0, nil
}

// read reads settled rows in order.
func (p *pruner) read(ctx context.Context, tx pgx.Tx, after, to, limit int64) ([]retain.Row, error) {
	rs, err := tx.Query(ctx, p.sql.history, after, to, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rs, func(row pgx.CollectableRow) (h retain.Row, err error) {
		var state int
		err = row.Scan(&h.Seq, &state, &h.At, &h.Bytes)
		h.Dead, h.Marker = state == stateDead, state == stateMarker
		return h, err
	})
}

// shrink deletes the oldest, however young, until they fit.
func (p *pruner) shrink(ctx context.Context, settled int64) (more bool, err error) {
	var old []retain.Row
	var over int64
	var gone int
	mine, err := p.locked(ctx, p.sql.tryLock, func(tx pgx.Tx) error {
		list, err := p.read(ctx, tx, 0, retain.Forever, forgetRows)
		if err != nil || len(list) == 0 {
			return err
		}
		p.history.Trim(list[0].Seq)
		over = p.history.Excess(settled)
		var seqs []int64
		for _, h := range list {
			if over <= 0 {
				break
			}
			old, seqs = append(old, h), append(seqs, h.Seq)
			over -= h.Bytes
		}
		gone, err = p.forget(ctx, tx, seqs, retain.Forever, retain.Forever)
		return err
	})
	if err != nil || !mine {
		return false, err
	}
	p.history.Drop(old)
	return over > 0 && gone > 0, nil
}

// locked does something as the only one among the processes. mine is false if
// another has the lock and the text does not wait for it.
func (p *pruner) locked(ctx context.Context, lock string, do func(pgx.Tx) error) (mine bool, err error) {
	err = pgx.BeginFunc(ctx, p.pool, func(tx pgx.Tx) error {
		q := &pgx.Batch{}
		q.Queue(p.sql.settings)
		q.Queue(lock, p.lock).QueryRow(func(row pgx.Row) error { return row.Scan(&mine) })
		if err := tx.SendBatch(ctx, q).Close(); err != nil || !mine {
			return err
		}
		return do(tx)
	})
	return mine, err
}
