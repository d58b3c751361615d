package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
)

// browser implements [delivery.Browser] over the pool of readers.
type browser struct{ rows *rows }

// Each list walks a primary key or an index backwards, so that a limit bounds
// what is read.
const (
	listColumns = `SELECT d.seq, d.id, d.data, o.state, o.at, o.attempts, o.data, w.due, w.attempts
		FROM (%s) s JOIN ringback_delivery d ON d.seq = s.seq
		LEFT JOIN ringback_outcome o ON o.seq = s.seq LEFT JOIN ringback_waiting w ON w.seq = s.seq ORDER BY s.seq DESC`
	listAll       = `SELECT seq FROM ringback_delivery WHERE seq < ? ORDER BY seq DESC LIMIT ?`
	listDelivered = `SELECT seq FROM ringback_outcome WHERE state = 1 AND seq < ? ORDER BY seq DESC LIMIT ?`
	listDead      = `SELECT seq FROM ringback_outcome WHERE state = 2 AND seq < ? ORDER BY seq DESC LIMIT ?`
	listPending   = `SELECT seq FROM (SELECT seq FROM ringback_waiting WHERE seq < ?1
		UNION SELECT seq FROM ringback_delivery d WHERE seq < ?1 AND seq >= ?3
			AND NOT EXISTS (SELECT 1 FROM ringback_outcome o WHERE o.seq = d.seq) ORDER BY seq DESC) LIMIT ?2`
	listOne = `SELECT seq FROM ringback_delivery WHERE id = ?3 AND seq < ?1 LIMIT ?2`
)

// page is how many rows are read before they are handed on: no connection is
// held while the caller looks at them.
const page = 500

// Deliveries implements [delivery.Browser].
func (b browser) Deliveries(ctx context.Context, f delivery.Filter) iter.Seq2[delivery.Status, error] {
	return func(yield func(delivery.Status, error) bool) {
		before, n := int64(1)<<62, 0
		exact := f == delivery.Filter{ID: f.ID, State: f.State, Limit: f.Limit} // list finds no others
		for {
			want := page
			if f.Limit > 0 && exact {
				want = min(page, f.Limit-n)
			}
			list, last, err := b.list(ctx, f, before, want)
			if err != nil {
				yield(delivery.Status{}, fmt.Errorf("sqlitestore: list: %w", err))
				return
			}
			for i := range list {
				if !yield(list[i], nil) {
					return
				}
				if n++; n == f.Limit {
					return
				}
			}
			if last == 0 {
				return
			}
			before = last
		}
	}
}

// list reads a page; last is the Seq to go on from, 0 at the end.
func (b browser) list(ctx context.Context, f delivery.Filter, before int64, limit int) (out []delivery.Status, last int64, err error) {
	if err := b.rows.here(); err != nil {
		return nil, 0, err
	}
	from, args := listAll, []any{before, limit}
	switch {
	case f.ID != "":
		from, args = listOne, append(args, f.ID)
	case f.State == delivery.Delivered:
		from = listDelivered
	case f.State == delivery.Dead:
		from = listDead
	case f.State == delivery.Pending:
		from, args = listPending, append(args, b.rows.low.Load())
	}
	rs, err := b.rows.read.QueryContext(ctx, fmt.Sprintf(listColumns, from), args...)
	if err != nil {
		return nil, 0, err
	}
	defer rs.Close()
	read := 0
	var seqs []int64
	for rs.Next() {
		st, seq, marker, err := scanStatus(rs)
		if err != nil {
			return nil, 0, err
		}
		read++
		last = seq
		if marker || !f.Chooses(&st) {
			continue
		}
		out = append(out, st)
		seqs = append(seqs, seq)
	}
	if err := errors.Join(rs.Err(), rs.Close()); err != nil {
		return nil, 0, err
	}
	for i := range out {
		if out[i].Attempts > 0 && out[i].LastStatus == 0 && out[i].LastError == "" {
			if err := b.lastAttempt(ctx, seqs[i], &out[i]); err != nil {
				return nil, 0, err
			}
		}
	}
	if read < limit {
		last = 0
	}
	return out, last, nil
}

func scanStatus(rs *sql.Rows) (st delivery.Status, seq int64, marker bool, err error) {
	var id string
	var data, outcome []byte
	var state, at, attempts, due, tried sql.NullInt64
	if err := rs.Scan(&seq, &id, &data, &state, &at, &attempts, &outcome, &due, &tried); err != nil {
		return st, 0, false, err
	}
	d, times, err := rowcodec.Delivery(id, data)
	if err != nil {
		return st, 0, false, err
	}
	st.Delivery = *d
	if !state.Valid {
		st.State = delivery.Pending
		st.Attempts = int(tried.Int64)
		next := times.Due
		if due.Valid {
			next = due.Int64
		}
		if st.NextAttemptAt = time.UnixMicro(next).UTC(); next == 0 {
			st.NextAttemptAt = st.PublishedAt
		}
		return st, seq, false, nil
	}
	st.Attempts, st.SettledAt = int(attempts.Int64), time.UnixMicro(at.Int64).UTC()
	reason, last, err := rowcodec.Outcome(outcome)
	if err != nil {
		return st, 0, false, err
	}
	st.Reason = reason
	if last != nil {
		st.LastStatus, st.LastError = last.Status, last.Error
	}
	switch state.Int64 {
	case stateDelivered:
		st.State = delivery.Delivered
	case stateDead:
		st.State = delivery.Dead
	}
	return st, seq, state.Int64 == stateMarker, nil
}

// lastAttempt fills in what the table of earlier attempts knows.
func (b browser) lastAttempt(ctx context.Context, seq int64, st *delivery.Status) error {
	var data []byte
	err := b.rows.read.QueryRowContext(ctx, `SELECT data FROM ringback_attempt WHERE seq = ? ORDER BY number DESC LIMIT 1`, seq).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	a, err := rowcodec.Attempt(data)
	st.LastStatus, st.LastError = a.Status, a.Error
	return err
}

// Attempts implements [delivery.Browser].
func (b browser) Attempts(ctx context.Context, id string) ([]delivery.Attempt, error) {
	out, err := b.attempts(ctx, id)
	if err != nil && !errors.Is(err, delivery.ErrNotFound) {
		return nil, fmt.Errorf("sqlitestore: attempts: %w", err)
	}
	return out, err
}

func (b browser) attempts(ctx context.Context, id string) ([]delivery.Attempt, error) {
	if err := b.rows.here(); err != nil {
		return nil, err
	}
	var seq int64
	var outcome []byte
	var state sql.NullInt64
	err := b.rows.read.QueryRowContext(ctx, `SELECT d.seq, o.state, o.data FROM ringback_delivery d
		LEFT JOIN ringback_outcome o ON o.seq = d.seq WHERE d.id = ?`, id).Scan(&seq, &state, &outcome)
	if errors.Is(err, sql.ErrNoRows) || state.Int64 == stateMarker {
		return nil, delivery.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	rs, err := b.rows.read.QueryContext(ctx, `SELECT data FROM ringback_attempt WHERE seq = ? ORDER BY number`, seq)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	out := []delivery.Attempt{}
	for rs.Next() {
		var data []byte
		if err := rs.Scan(&data); err != nil {
			return nil, err
		}
		a, err := rowcodec.Attempt(data)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	if err := rs.Err(); err != nil {
		return nil, err
	}
	if _, last, err := rowcodec.Outcome(outcome); err != nil {
		return nil, err
	} else if last != nil {
		out = append(out, *last)
	}
	return out, nil
}

// Counts implements [delivery.Browser].
func (b browser) Counts(ctx context.Context) (delivery.Counts, error) {
	var c delivery.Counts
	if err := b.rows.here(); err != nil {
		return c, err
	}
	var epoch int64
	err := b.rows.read.QueryRowContext(ctx, `SELECT
		(SELECT value FROM ringback_meta WHERE name = 'epoch'),
		(SELECT value FROM ringback_meta WHERE name = 'pending'),
		(SELECT value FROM ringback_meta WHERE name = 'delivered'),
		(SELECT value FROM ringback_meta WHERE name = 'dead')`).Scan(&epoch, &c.Pending, &c.Delivered, &c.Dead)
	if err == nil && epoch != b.rows.epoch {
		err = delivery.ErrOwned
	}
	if err != nil {
		return delivery.Counts{}, fmt.Errorf("sqlitestore: counts: %w", err)
	}
	return c, nil
}

// listOldest looks at what waits by its key, and for what memory holds at the
// rows that are younger than every one settled or waiting.
const listOldest = `SELECT id, data FROM ringback_delivery WHERE seq = (SELECT min(seq) FROM (
	SELECT (SELECT seq FROM ringback_waiting ORDER BY seq LIMIT 1) AS seq
	UNION ALL SELECT (SELECT d.seq FROM ringback_delivery d WHERE d.seq >= ?
		AND NOT EXISTS (SELECT 1 FROM ringback_outcome o WHERE o.seq = d.seq) ORDER BY d.seq LIMIT 1)))`

// Oldest implements [delivery.Elder]. It looks at one delivery, and at those
// that were settled out of turn.
func (b browser) Oldest(ctx context.Context) (time.Time, error) {
	if err := b.rows.here(); err != nil {
		return time.Time{}, err
	}
	var id string
	var data []byte
	err := b.rows.read.QueryRowContext(ctx, listOldest, b.rows.low.Load()).Scan(&id, &data)
	if errors.Is(err, sql.ErrNoRows) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("sqlitestore: oldest: %w", err)
	}
	d, _, err := rowcodec.Delivery(id, data)
	if err != nil {
		return time.Time{}, fmt.Errorf("sqlitestore: oldest: %w", err)
	}
	return d.PublishedAt, nil
}

// Event implements [delivery.Browser].
func (b browser) Event(ctx context.Context, eventID string) (int, bool, error) {
	if err := b.rows.here(); err != nil {
		return 0, false, err
	}
	var n int
	var markers float64
	// Delivery IDs begin with the event's ID and a dot; '/' follows the dot.
	err := b.rows.stmts.readEvent.QueryRowContext(ctx, eventID, eventID+".", eventID+"/").Scan(&n, &markers)
	if err != nil {
		return 0, false, fmt.Errorf("sqlitestore: event: %w", err)
	}
	return n - int(markers), n > 0, nil
}
