package pgstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringback-go/ringback/delivery"
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

	mu    sync.Mutex
	keep  delivery.Retention // what due in spans goes by
	spans spans
	seen  int64 // ones ever settled when the last span was read
	step  int64 // spanRows, but for tests
	more  bool  // a round is under way
	many  bool  // the last step was full of old ones

	purging sync.Mutex
	victims map[string][]int64 // by tenant, found and not yet deleted
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
	if len(p.spans) == 0 || keep != p.keep {
		p.spans, p.keep, p.seen = spans{{to: forever, due: unread}}, keep, ever
	}
	if !p.more && ever-p.seen > settled/64 { // grown: measure it
		p.spans[len(p.spans)-1].due, p.seen = unread, ever
	}
	if i := p.spans.due(now.UnixMicro()); i >= 0 {
		return p.age(ctx, i, now, settled)
	}
	if p.spans.size(settled) > keep.Room() {
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
func (p *pruner) age(ctx context.Context, i int, now time.Time, settled int64) (more bool, err error) {
	at := now.UnixMicro()
	done, dead := cutoffs(p.keep.Before(now))
	next := span{to: p.spans[i].to, due: min(later(at, at, done), later(at, at, dead))} // what is pending may be settled from now on
	limit := p.step
	if p.many {
		limit = min(limit, forgetRows) // no more will be deleted
	}
	var old []int64
	var gone int
	read, last := int64(0), int64(0)
	mine, err := p.locked(ctx, p.sql.tryLock, func(tx pgx.Tx) error {
		list, err := p.read(ctx, tx, p.spans.from(i), next.to, limit)
		if err != nil {
			return err
		}
		for _, h := range list {
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
			if last = h.seq; len(old) == forgetRows {
				break
			}
		}
		gone, err = p.forget(ctx, tx, old, done, dead)
		return err
	})
	if err != nil || !mine {
		return false, err
	}
	if gone < len(old) {
		next.due = min(next.due, at+1) // look again
	}
	p.many = len(old) == forgetRows
	p.spans.replace(i, next, read == limit || p.many, last, p.step)
	settled -= int64(gone)
	return p.spans.due(at) >= 0 || p.spans.size(settled) > p.keep.Room(), nil
}

// shrink deletes the oldest, however young, until they fit.
func (p *pruner) shrink(ctx context.Context, settled int64) (more bool, err error) {
	var old []history
	var over int64
	var gone int
	mine, err := p.locked(ctx, p.sql.tryLock, func(tx pgx.Tx) error {
		list, err := p.read(ctx, tx, 0, forever, forgetRows)
		if err != nil || len(list) == 0 {
			return err
		}
		p.spans.trim(list[0].seq)
		over = p.spans.size(settled) - p.keep.Room()
		var seqs []int64
		for _, h := range list {
			if over <= 0 {
				break
			}
			old, seqs = append(old, h), append(seqs, h.seq)
			over -= h.bytes
		}
		gone, err = p.forget(ctx, tx, seqs, forever, forever)
		return err
	})
	if err != nil || !mine {
		return false, err
	}
	p.spans.drop(old)
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
