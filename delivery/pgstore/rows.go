package pgstore

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
	"github.com/ringback-go/ringback/delivery/lanes"
)

const (
	shards    = 64   // as the first migration makes them
	blockRows = 4096 // seqs in a block
)

// shardOf says which shard a lane belongs to. It is stored: it never changes.
func shardOf(lane string) int16 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(lane)) // cannot fail
	return int16(h.Sum32() % uint32(shards))
}

// rows is the lanes.Backend of one engine: one membership of this process.
type rows struct {
	pool    *pgxpool.Pool
	sql     *statements
	edit    *editing
	timeout time.Duration
	idle    string // a setting that ends transactions that stand still
	posted  func() // something was left for another engine
	failed  func(error)
	lenient bool // the session's commits are not durable unless asked to be

	engine   int64
	owned    [shards]atomic.Bool    // changed between commits only
	low      atomic.Int64           // as of the last commit
	careful  atomic.Int64           // batches to come of which some rows may be there
	mu       sync.Mutex             // guards what follows: two batches are committed at a time
	next     int64                  // seqs from here
	end      int64                  // to here are this engine's to give
	batch    int64                  // number of the last batch
	open     map[*lanes.Batch]int64 // under way, or committed perhaps; their numbers
	birthday lanes.Loaded           // what a new member finds
}

// Owns implements [lanes.Partial].
func (r *rows) Owns(lane string) bool { return r.owned[shardOf(lane)].Load() }

// Parallel implements [lanes.Parallel].
func (r *rows) Parallel() {}

// HoldsAll implements [lanes.Backend].
func (r *rows) HoldsAll() bool { return false }

// Load implements [lanes.Backend]: a new member owns nothing.
func (r *rows) Load(context.Context) (lanes.Loaded, error) { return r.birthday, nil }

// reading runs a query by index, whatever is known of the tables' sizes.
func (r *rows) reading(ctx context.Context, query string, args []any, each func(pgx.Rows) error) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	b := &pgx.Batch{}
	b.Queue(r.sql.settings)
	b.Queue(query, args...).Query(func(rs pgx.Rows) error {
		for rs.Next() {
			if err := each(rs); err != nil {
				return err
			}
		}
		return rs.Err()
	})
	return r.pool.SendBatch(ctx, b).Close()
}

// Refill implements [lanes.Backend].
func (r *rows) Refill(ctx context.Context, now int64, wants []lanes.Want) ([]lanes.Found, error) {
	n := len(wants)
	shard, lane, retry := make([]int16, n), make([]string, n), make([]bool, n)
	limit, known, bytes := make([]int32, n), make([]int32, n), make([]int32, n)
	for i, w := range wants {
		shard[i], lane[i], retry[i] = shardOf(w.Lane), w.Lane, w.Retry
		limit[i], known[i], bytes[i] = int32(w.Limit)+1, int32(w.Known), int32(w.Bytes)
	}
	found := make([]lanes.Found, n)
	full := make([]bool, n)
	err := r.reading(ctx, r.sql.refill, []any{shard, lane, retry, limit, known, bytes}, func(rs pgx.Rows) error {
		var want int64
		row := &lanes.Row{}
		var id string
		var data []byte
		if err := rs.Scan(&want, &row.Seq, &row.Due, &row.Attempts, &row.Tries, &row.Expires, &id, &data); err != nil {
			return err
		}
		i := want - 1
		f := &found[i]
		if full[i] {
			return nil
		}
		if row.Due > now || len(f.Rows) == wants[i].Limit || data == nil {
			full[i], f.NextDue = true, max(row.Due, 1)
			return nil
		}
		var err error
		row.Delivery, _, err = rowcodec.Delivery(id, data)
		f.Rows = append(f.Rows, row)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("pgstore: refill: %w", err)
	}
	return found, nil
}

// Fetch implements [lanes.Fetcher].
func (r *rows) Fetch(ctx context.Context, seqs []int64) ([]*delivery.Delivery, error) {
	found := make([]*delivery.Delivery, len(seqs))
	err := r.reading(ctx, r.sql.fetch, []any{seqs}, func(rs pgx.Rows) error {
		var place int64
		var id string
		var data []byte
		if err := rs.Scan(&place, &id, &data); err != nil {
			return err
		}
		var err error
		found[place-1], _, err = rowcodec.Delivery(id, data)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("pgstore: fetch: %w", err)
	}
	return found, nil
}

// begin gives a batch its number, and seqs to the rows that are stored here. One
// that was begun before keeps them.
func (r *rows) begin(ctx context.Context, b *lanes.Batch) (batch int64, again bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if batch, again := r.open[b]; again {
		return batch, true, nil
	}
	for _, a := range b.Append {
		if a.Elsewhere {
			continue
		}
		if r.next == r.end {
			first, err := r.nextBlock(ctx, r.pool)
			if err != nil {
				return 0, false, err
			}
			r.next, r.end = first, first+blockRows
		}
		a.Seq = r.next
		r.next++
	}
	r.batch++
	if r.open == nil {
		r.open = map[*lanes.Batch]int64{}
	}
	r.open[b] = r.batch
	return r.batch, false, nil
}

// ended forgets a batch of which it is known what became.
func (r *rows) ended(b *lanes.Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.open, b)
}

// decided is the number up to which it is known of every batch what became.
func (r *rows) decided() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.batch
	for _, open := range r.open {
		n = min(n, open-1)
	}
	return n
}

type querier interface {
	QueryRow(ctx context.Context, query string, args ...any) pgx.Row
}

func (r *rows) nextBlock(ctx context.Context, q querier) (first int64, err error) {
	var block int64
	err = q.QueryRow(ctx, r.sql.block).Scan(&block)
	return block * blockRows, err
}

// skip begins a new block, so that low can follow what other engines store.
func (r *rows) skip(ctx context.Context) (int64, error) {
	first, err := r.nextBlock(ctx, r.pool)
	if err != nil {
		return 0, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next, r.end = first, first+blockRows
	r.low.Store(first)
	return first, nil
}

// leap has seqs begin after all that are stored.
func (r *rows) leap(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next, r.end = 0, 0
	_, err := r.pool.Exec(ctx, r.sql.leap)
	return err
}

// gain makes up to n free shards this engine's and reads what waits in them. The
// caller makes them owned.
func (r *rows) gain(ctx context.Context, s schema, n int) (l lanes.Loaded, gained []int16, err error) {
	err = pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, r.sql.settings); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SELECT `+r.idle); err != nil {
			return err
		}
		var id int64
		err := tx.QueryRow(ctx, s.sql(`SELECT id FROM @.engine WHERE id = $1 FOR KEY SHARE`), r.engine).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return delivery.ErrOwned
		}
		if err != nil {
			return err
		}
		// One that is this engine's in the table alone was gained by a commit
		// whose answer was lost.
		rs, err := tx.Query(ctx, s.sql(`UPDATE @.shard SET engine = $1 WHERE id IN (SELECT id FROM @.shard
			WHERE engine IS NULL OR engine = $1 AND NOT id = ANY($2::smallint[]) ORDER BY id LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING id`), r.engine, r.mine(), n)
		if err != nil {
			return err
		}
		if gained, err = pgx.CollectRows(rs, pgx.RowTo[int16]); err != nil || len(gained) == 0 {
			return err
		}
		if err := r.load(ctx, tx, gained, &l); err != nil {
			return err
		}
		return r.loadGuests(ctx, tx, s, gained, &l)
	})
	if err != nil || len(gained) == 0 {
		return lanes.Loaded{}, nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.next, r.end = l.NextSeq, l.NextSeq+blockRows
	return l, gained, nil
}

// mine lists the shards that this engine serves.
func (r *rows) mine() []int16 {
	out := []int16{}
	for id := range r.owned {
		if r.owned[id].Load() {
			out = append(out, int16(id))
		}
	}
	return out
}

// load reads what waits in shards. Their rows' seqs are smaller than any that
// this engine gives from now on, or a key's order could turn.
func (r *rows) load(ctx context.Context, tx pgx.Tx, gained []int16, l *lanes.Loaded) error {
	var err error
	if l.NextSeq, err = r.nextBlock(ctx, tx); err != nil {
		return err
	}
	rs, err := tx.Query(ctx, r.sql.loadLanes, gained)
	if err != nil {
		return err
	}
	l.Lanes, err = pgx.CollectRows(rs, func(row pgx.CollectableRow) (st lanes.LaneRow, err error) {
		var mode int
		err = row.Scan(&st.Lane, &mode, &st.Reason, &st.MaxInFlight, &st.PerSecond, &st.NotBefore,
			&st.Failures, &st.Throttle, &st.FailingSince, &st.Warned)
		st.Mode = delivery.LaneMode(mode)
		return st, err
	})
	if err != nil {
		return err
	}
	type class struct {
		lane  string
		retry bool
	}
	ahead := map[class][]int64{}
	if rs, err = tx.Query(ctx, r.sql.loadAhead, gained); err != nil {
		return err
	}
	var c class
	var seq int64
	if _, err := pgx.ForEachRow(rs, []any{&c.lane, &c.retry, &seq}, func() error {
		ahead[c] = append(ahead[c], seq)
		return nil
	}); err != nil {
		return err
	}
	if rs, err = tx.Query(ctx, r.sql.loadHeads, gained); err != nil {
		return err
	}
	l.Heads, err = pgx.CollectRows(rs, func(row pgx.CollectableRow) (h lanes.Head, err error) {
		err = row.Scan(&h.Lane, &h.Retry, &h.Due)
		h.Ahead = ahead[class{h.Lane, h.Retry}]
		return h, err
	})
	return err
}

// loadGuests reads what guests of the shards' lanes may attempt. This engine is
// none any more.
func (r *rows) loadGuests(ctx context.Context, tx pgx.Tx, s schema, gained []int16, l *lanes.Loaded) error {
	if _, err := tx.Exec(ctx, s.sql(`DELETE FROM @.guest WHERE engine = $1 AND shard = ANY($2::smallint[])`), r.engine, gained); err != nil {
		return err
	}
	rs, err := tx.Query(ctx, s.sql(`SELECT lane, sum(slots) FROM @.guest WHERE shard = ANY($1::smallint[]) GROUP BY lane`), gained)
	if err != nil {
		return err
	}
	l.Lent = map[string]int{}
	var lane string
	var slots int
	_, err = pgx.ForEachRow(rs, []any{&lane, &slots}, func() error {
		l.Lent[lane] = slots
		return nil
	})
	return err
}

// free lets others take a shard. Where that fails the membership ends: two
// engines must not serve it.
func (r *rows) free(ctx context.Context, s schema, id int16) error {
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	_, err := r.pool.Exec(ctx, s.sql(`UPDATE @.shard SET engine = NULL WHERE id = $1 AND engine = $2`), id, r.engine)
	if err != nil {
		err = fmt.Errorf("pgstore: freeing a shard: %w", err)
		if undecided(err) {
			err = fmt.Errorf("%w: %w", delivery.ErrUnknown, err)
		}
		r.failed(err)
	}
	return err
}
