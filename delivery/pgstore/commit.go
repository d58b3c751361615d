package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// mostDeadlocks is how often a batch is committed again that the server gave up
// for another transaction's sake, such as a change of the tables.
const mostDeadlocks = 3

// Commit implements [lanes.Backend]. All of a batch goes in one round trip, as
// one transaction; the row of tally makes sure that it happens once.
func (r *rows) Commit(ctx context.Context, b *lanes.Batch) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	err := r.commit(ctx, b)
	for range mostDeadlocks {
		if !violates(err, "40P01", "") {
			break
		}
		err = r.commit(ctx, b) // nothing was stored; whoever changes the tables has what it waited for
	}
	if violates(err, "23505", "delivery_pkey") { // seqs are given again: the server that took over after a failover was behind
		if err = r.leap(ctx); err == nil {
			err = r.commit(ctx, b)
		}
	}
	if err != nil {
		return fmt.Errorf("pgstore: commit: %w", err)
	}
	return nil
}

func (r *rows) commit(ctx context.Context, b *lanes.Batch) error {
	if err := r.postpone(ctx, b); err != nil {
		return err
	}
	batch, again, err := r.begin(ctx, b)
	if err != nil {
		return err
	}
	c := &commit{rows: r, b: b, batch: batch, careful: again || r.careful.Add(-1) >= 0}
	if err = c.send(ctx); !c.careful && (violates(err, "23505", "delivery_id") || violates(err, "23505", "outcome_pkey")) { // nothing was stored
		r.careful.Store(carefulBatches)
		c.careful = true
		err = c.send(ctx)
	}
	if again && violates(err, "23505", "tally_pkey") { // it went through the first time
		err = c.recall(ctx)
	}
	switch {
	case err == nil && c.stored < c.fresh:
		if err = c.findDuplicates(ctx); err != nil { // stored, but what was is not known
			return fmt.Errorf("%w: %w", delivery.ErrUnknown, err)
		}
	case violates(err, "23505", "delivery_pkey"): // not stored, and to be numbered anew
	case fenced(err):
		err = fmt.Errorf("%w: its engine's row is gone", delivery.ErrOwned)
	case err != nil && (again || undecided(err)):
		return fmt.Errorf("%w: %w", delivery.ErrUnknown, err)
	}
	r.ended(b)
	if err != nil {
		return err
	}
	for low := r.low.Load(); low < b.Low && !r.low.CompareAndSwap(low, b.Low); low = r.low.Load() {
	}
	if len(c.posts.shard) > 0 {
		r.posted()
	}
	return nil
}

// carefulBatches is for how many batches it is asked of each row whether it is
// there, once one was: who publishes a thing again may go on to.
const carefulBatches = 100

// violates reports whether the server refused a statement with a code, for a
// constraint if one is named.
func violates(err error, code, constraint string) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == code && (constraint == "" || pg.ConstraintName == constraint)
}

// fenced reports whether the engine's row is gone, or a shard not its own.
func fenced(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return ok && pg.Code == "23502" && pg.TableName == "tally" && pg.ColumnName == "engine"
}

// undecided reports whether what was sent may have been committed all the same.
func undecided(err error) bool {
	if errors.Is(err, lanes.ErrElsewhere) || pgconn.SafeToRetry(err) {
		return false
	}
	pg, ok := errors.AsType[*pgconn.PgError](err)
	return !ok || pg.Severity == "FATAL" || pg.SeverityUnlocalized == "FATAL"
}

// send commits the batch. Edits need to look before they change something.
func (c *commit) send(ctx context.Context) error {
	if !c.careful && !c.lenient && quick(c.b) {
		if sent, err := c.sendQuick(ctx, c.b, c.batch); sent {
			return err
		}
	}
	if !c.collected {
		c.collect()
	}
	if len(c.b.Edit) == 0 {
		return c.pool.SendBatch(ctx, c.statements()).Close()
	}
	return pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT `+c.idle); err != nil {
			return err
		}
		if err := tx.SendBatch(ctx, c.statements()).Close(); err != nil {
			return err
		}
		return c.edits(ctx, tx)
	})
}

// statements is the transaction, in the order of the batch's fields.
func (c *commit) statements() *pgx.Batch {
	q := &pgx.Batch{}
	if c.lenient || c.looks() {
		q.Queue(c.sql.settings)
	}
	c.store(q)
	if len(c.takes.id) > 0 {
		q.Queue(c.sql.take, c.takes.xid, c.takes.id)
	}
	if len(c.posts.shard) > 0 {
		q.Queue(c.sql.post, c.posts.args()...)
	}
	if len(c.keyed.seq) > 0 {
		q.Queue(c.sql.keyed, c.keyed.args()...).Query(c.readHidden)
	}
	if len(c.attempts.seq) > 0 {
		q.Queue(c.sql.attempts, c.attempts.seq, c.attempts.number, c.attempts.data)
	}
	if len(c.waits.seq) > 0 {
		q.Queue(c.sql.wait, append(c.waits.args(), c.waits.fresh)...)
	}
	if len(c.home.seq) > 0 {
		q.Queue(c.sql.homeLock, c.home.seq)
		q.Queue(c.sql.home, c.home.args()...)
	}
	if len(c.unwait) > 0 {
		q.Queue(c.sql.unwait, c.unwait)
	}
	if len(c.ended.key) > 0 {
		q.Queue(c.sql.reveal, c.ended.lane, c.ended.key).Query(c.readNext)
	}
	c.laneRows(q)
	for _, k := range c.b.Kill {
		except := make([]int64, 0, len(k.Except))
		for seq := range k.Except {
			except = append(except, seq)
		}
		q.Queue(c.sql.kill, k.Lane, shardOf(k.Lane), except, min(k.Limit, 1<<30), c.b.Now, rowcodec.AppendOutcome(nil, k.Reason, nil), c.engine, c.batch).
			QueryRow(func(row pgx.Row) error { return row.Scan(&k.Killed) })
	}
	return q
}

// store appends rows and outcomes, by whose tally the batch is stored once.
func (c *commit) store(q *pgx.Batch) {
	d, o := &c.deliveries, &c.outcomes
	args := []any{c.engine, c.batch, d.seq, d.id, d.shard, d.lane, d.due, d.expires, d.data, c.b.Now, o.seq, o.state, o.attempts, o.data}
	if c.careful {
		q.Queue(c.sql.store, append(args, o.fresh, c.served(), d.guest)...).QueryRow(func(row pgx.Row) error { return row.Scan(&c.stored) })
		return
	}
	var ended [stateMarker + 1]int
	for _, state := range o.state {
		ended[state]++
	}
	c.stored = c.fresh
	q.Queue(c.sql.storeNew, append(args, c.served(), c.fresh-len(o.state), ended[stateDelivered], ended[stateDead], d.guest)...)
}

// served lists the shards of the rows to append.
func (c *commit) served() []int16 {
	var has [shards]bool
	out := make([]int16, 0, 8)
	for i, id := range c.deliveries.shard {
		if !has[id] && c.deliveries.lane[i] != "" && !c.deliveries.guest[i] {
			has[id] = true
			out = append(out, id)
		}
	}
	return out
}

// looks reports whether the batch does more than to append.
func (c *commit) looks() bool {
	return len(c.takes.id)+len(c.keyed.seq)+len(c.waits.seq)+len(c.home.seq)+len(c.unwait)+len(c.ended.key)+len(c.b.Lanes)+len(c.b.Kill)+len(c.b.Edit) > 0
}

// laneRows stores lanes' states, the last one of each.
func (c *commit) laneRows(q *pgx.Batch) {
	if len(c.b.Lanes) == 0 {
		return
	}
	last := make(map[string]lanes.LaneRow, len(c.b.Lanes))
	for _, l := range c.b.Lanes {
		last[l.Lane] = l
	}
	var drop []string
	t := struct {
		name, reason                 []string
		shard, mode                  []int16
		inFlight, failures, throttle []int32
		perSecond                    []float64
		notBefore, failing           []int64
		warned                       []bool
	}{}
	for name, l := range last {
		if l.IsDefault() {
			drop = append(drop, name)
			continue
		}
		t.name, t.reason, t.warned = append(t.name, name), append(t.reason, l.Reason), append(t.warned, l.Warned)
		t.shard, t.mode = append(t.shard, shardOf(name)), append(t.mode, int16(l.Mode))
		t.inFlight = append(t.inFlight, int32(min(l.MaxInFlight, 1<<30)))
		t.failures, t.throttle = append(t.failures, int32(min(l.Failures, 1<<30))), append(t.throttle, int32(min(l.Throttle, 1<<30)))
		t.perSecond, t.notBefore, t.failing = append(t.perSecond, l.PerSecond), append(t.notBefore, l.NotBefore), append(t.failing, l.FailingSince)
	}
	if len(t.name) > 0 {
		q.Queue(c.sql.setLanes, t.name, t.shard, t.mode, t.reason, t.inFlight, t.perSecond, t.notBefore, t.failures, t.throttle, t.failing, t.warned)
	}
	if len(drop) > 0 {
		q.Queue(c.sql.dropLanes, drop)
	}
}

func (c *commit) readHidden(rs pgx.Rows) error {
	var seq int64
	var hidden bool
	_, err := pgx.ForEachRow(rs, []any{&seq, &hidden}, func() error {
		c.appends[seq].Hidden = hidden
		return nil
	})
	return err
}

// readNext takes what the ended rows of a key had hidden.
func (c *commit) readNext(rs pgx.Rows) error {
	for rs.Next() {
		row, err := scanRow(rs)
		if err != nil {
			return err
		}
		if st := c.settles[row.Delivery.LaneName()+"\x00"+row.Delivery.Key]; st != nil {
			st.Next = row
		}
	}
	return rs.Err()
}

func scanRow(rs pgx.Row) (*lanes.Row, error) {
	row := &lanes.Row{}
	var id string
	var data []byte
	if err := rs.Scan(&row.Seq, &row.Due, &row.Attempts, &row.Tries, &row.Expires, &id, &data); err != nil {
		return nil, err
	}
	var err error
	row.Delivery, _, err = rowcodec.Delivery(id, data)
	return row, err
}
