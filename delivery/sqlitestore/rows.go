package sqlitestore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// States in the table of outcomes.
const (
	stateDelivered = 1
	stateDead      = 2
	stateMarker    = 3 // an event nobody subscribed to
)

// rows is the lanes.Backend.
type rows struct {
	write, read *sql.DB
	path        string      // empty over the caller's pools
	file        os.FileInfo // as it was opened
	stmts       statements
	prepared    []*sql.Stmt

	checkpoints checkpoints
	epoch       int64
	nextSeq     int64
	low         atomic.Int64 // browsing needs it, too
	savedLow    int64
	args        []any
	blobs       []byte
}

// here reports whether the file is still where it was opened. SQLite does not
// look: it goes on in a file without a name, and a reader that is opened later
// applies this file's log to whatever has the name now.
func (r *rows) here() error {
	if r.path == "" {
		return nil
	}
	if now, err := os.Stat(r.path); err != nil || !os.SameFile(now, r.file) {
		return ErrMoved
	}
	return nil
}

func (r *rows) HoldsAll() bool { return false }

// Commit implements [lanes.Backend].
func (r *rows) Commit(ctx context.Context, b *lanes.Batch) error {
	if err := r.here(); err != nil {
		return err
	}
	tx, err := r.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("sqlitestore: begin: %w", err)
	}
	defer r.recycle()
	nextSeq := r.nextSeq
	c := &commit{rows: r, ctx: ctx, tx: tx, b: b}
	if err := c.all(); err != nil {
		r.nextSeq = nextSeq
		return errors.Join(fmt.Errorf("sqlitestore: commit: %w", err), tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		r.nextSeq = nextSeq
		return errors.Join(fmt.Errorf("sqlitestore: commit: %w", err), rollback(tx))
	}
	r.low.Store(b.Low)
	r.committed(b)
	if c.savesLow {
		r.savedLow = b.Low
	}
	return nil
}

// recycle keeps the memory of a batch for the next one, unless it is much.
func (r *rows) recycle() {
	const much = 1 << 20
	clear(r.args[:cap(r.args)])
	if cap(r.blobs) > much {
		r.blobs = nil
	}
}

// rollback ends a transaction whose commit failed. SQLite leaves it open when
// the disk is full, and then nothing of it is stored.
func rollback(tx *sql.Tx) error {
	if err := tx.Rollback(); err != nil && !errors.Is(err, sql.ErrTxDone) {
		return err
	}
	return nil
}

// Refill implements [lanes.Backend].
func (r *rows) Refill(ctx context.Context, now int64, wants []lanes.Want) ([]lanes.Found, error) {
	if err := r.here(); err != nil {
		return nil, err
	}
	found := make([]lanes.Found, len(wants))
	for i, w := range wants {
		if err := r.refill(ctx, now, w, &found[i]); err != nil {
			return nil, fmt.Errorf("sqlitestore: refill: %w", err)
		}
	}
	return found, nil
}

func (r *rows) refill(ctx context.Context, now int64, w lanes.Want, f *lanes.Found) error {
	rs, err := r.stmts.readRows.QueryContext(ctx, w.Lane, w.Retry, w.Limit+1)
	if err != nil {
		return err
	}
	defer rs.Close()
	bytes := 0
	for rs.Next() {
		row, err := scanRow(rs)
		if err != nil {
			return err
		}
		if row.Due > now || len(f.Rows) == w.Limit || bytes >= w.Bytes && len(f.Rows) > w.Known {
			f.NextDue = max(row.Due, 1)
			break
		}
		f.Rows = append(f.Rows, row)
		bytes += len(row.Delivery.Body)
	}
	return rs.Err()
}

// Fetch implements [lanes.Fetcher].
func (r *rows) Fetch(ctx context.Context, seqs []int64) (found []*delivery.Delivery, err error) {
	if err = r.here(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("sqlitestore: fetch: %w", err)
		}
	}()
	list, err := json.Marshal(seqs)
	if err != nil {
		return nil, err
	}
	rs, err := r.stmts.readSeqs.QueryContext(ctx, string(list))
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	found = make([]*delivery.Delivery, len(seqs))
	var i int
	var id string
	var data []byte
	for rs.Next() {
		if err = rs.Scan(&i, &id, &data); err != nil {
			return nil, err
		}
		if found[i], _, err = rowcodec.Delivery(id, data); err != nil {
			return nil, err
		}
	}
	if err = rs.Err(); err != nil {
		return nil, err
	}
	return found, nil
}

func scanRow(rs *sql.Rows) (*lanes.Row, error) {
	var id string
	var data []byte
	row := &lanes.Row{}
	if err := rs.Scan(&row.Seq, &row.Due, &row.Attempts, &row.Tries, &row.Expires, &id, &data); err != nil {
		return nil, err
	}
	var err error
	row.Delivery, _, err = rowcodec.Delivery(id, data)
	return row, err
}

// Load implements [lanes.Backend]: it takes the file over, has every unsettled
// row indexed and looks which lanes have any.
func (r *rows) Load(ctx context.Context) (lanes.Loaded, error) {
	var l lanes.Loaded
	tx, err := r.write.BeginTx(ctx, nil)
	if err != nil {
		return l, err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it says so
	for _, q := range []struct {
		to   any
		text string
	}{
		{&r.epoch, `UPDATE ringback_meta SET value = value + 1 WHERE name = 'epoch' RETURNING value`},
		{&r.savedLow, `SELECT value FROM ringback_meta WHERE name = 'low'`},
		{&l.Now, `SELECT value FROM ringback_meta WHERE name = 'clock'`},
		{&r.nextSeq, `SELECT ifnull(max(seq), 0) + 1 FROM ringback_delivery`},
	} {
		if err := tx.QueryRowContext(ctx, q.text).Scan(q.to); err != nil {
			return l, err
		}
	}
	if err := r.indexYoung(ctx, tx); err != nil {
		return l, err
	}
	if _, err := tx.StmtContext(ctx, r.stmts.setMeta).ExecContext(ctx, r.nextSeq, "low"); err != nil {
		return l, err
	}
	if l.Lanes, err = loadLanes(ctx, tx); err != nil {
		return l, err
	}
	if l.Heads, err = loadHeads(ctx, tx); err != nil {
		return l, err
	}
	if err := tx.Commit(); err != nil {
		return l, err
	}
	r.savedLow = r.nextSeq
	r.low.Store(r.nextSeq)
	l.NextSeq = r.nextSeq
	return l, nil
}

// indexYoung adds to the waiting rows what the last owner held in memory alone.
func (r *rows) indexYoung(ctx context.Context, tx *sql.Tx) error {
	rs, err := tx.QueryContext(ctx, `SELECT seq, id, data FROM ringback_delivery d WHERE seq >= ?
		AND NOT EXISTS (SELECT 1 FROM ringback_outcome o WHERE o.seq = d.seq)
		AND NOT EXISTS (SELECT 1 FROM ringback_waiting w WHERE w.seq = d.seq)`, r.savedLow)
	if err != nil {
		return err
	}
	defer rs.Close()
	var args []any
	for rs.Next() {
		var seq int64
		var id string
		var data []byte
		if err := rs.Scan(&seq, &id, &data); err != nil {
			return err
		}
		d, t, err := rowcodec.Delivery(id, data)
		if err != nil {
			return err
		}
		args = append(args, seq, d.LaneName(), d.Key, 0, t.Due, 0, 0, t.Expires)
	}
	if err := rs.Err(); err != nil {
		return err
	}
	_, err = r.stmts.wait.run(ctx, tx, args, nil)
	return err
}

func loadLanes(ctx context.Context, tx *sql.Tx) ([]lanes.LaneRow, error) {
	rs, err := tx.QueryContext(ctx, `SELECT name, mode, reason, max_in_flight, per_second, not_before,
		failures, throttle, failing_since, warned FROM ringback_lane`)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	var out []lanes.LaneRow
	for rs.Next() {
		var l lanes.LaneRow
		var mode int
		if err := rs.Scan(&l.Lane, &mode, &l.Reason, &l.MaxInFlight, &l.PerSecond, &l.NotBefore,
			&l.Failures, &l.Throttle, &l.FailingSince, &l.Warned); err != nil {
			return nil, err
		}
		l.Mode = delivery.LaneMode(mode)
		out = append(out, l)
	}
	return out, rs.Err()
}

// loadHeads steps over the index from lane to lane: what it costs depends on
// the lanes, not on the rows.
func loadHeads(ctx context.Context, tx *sql.Tx) ([]lanes.Head, error) {
	next, err := tx.PrepareContext(ctx, `SELECT lane, retry, due FROM ringback_waiting
		WHERE hidden = 0 AND (lane, retry) > (?, ?) ORDER BY lane, retry, due LIMIT 1`)
	if err != nil {
		return nil, err
	}
	defer next.Close()
	var heads []lanes.Head
	h := lanes.Head{}
	retry := -1
	for {
		err := next.QueryRowContext(ctx, h.Lane, retry).Scan(&h.Lane, &retry, &h.Due)
		if errors.Is(err, sql.ErrNoRows) {
			break
		}
		if err != nil {
			return nil, err
		}
		h.Retry, h.Ahead = retry != 0, nil
		if h.Due == 0 {
			if h.Ahead, err = loadAhead(ctx, tx, h.Lane, h.Retry); err != nil {
				return nil, err
			}
		}
		heads = append(heads, h)
	}
	return heads, nil
}

func loadAhead(ctx context.Context, tx *sql.Tx, lane string, retry bool) ([]int64, error) {
	rs, err := tx.QueryContext(ctx, `SELECT seq FROM ringback_waiting WHERE due = 0 AND hidden = 0 AND attempts = 0 AND lane = ? AND retry = ?`, lane, retry)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	var seqs []int64
	for rs.Next() {
		var seq int64
		if err := rs.Scan(&seq); err != nil {
			return nil, err
		}
		seqs = append(seqs, seq)
	}
	return seqs, rs.Err()
}
