package pgstore

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// found is what is stored of a delivery that an operator names.
type found struct {
	waits   bool
	state   int16
	outcome []byte
}

// find reads a delivery and what became of it.
func (r *rows) find(ctx context.Context, tx pgx.Tx, e *lanes.Edit) (f found, err error) {
	e.Row, e.Missing, e.Settled, e.Hidden = lanes.Row{}, false, false, false
	row := &e.Row
	var data []byte
	var state *int16
	var ended, tried, tries *int
	var due *int64
	var hidden *bool
	err = tx.QueryRow(ctx, r.edit.find, e.ID).Scan(&row.Seq, &data, &state, &ended, &f.outcome, &due, &tried, &tries, &hidden)
	if errors.Is(err, pgx.ErrNoRows) {
		e.Missing = true
		return f, nil
	}
	if err != nil {
		return f, err
	}
	d, times, err := rowcodec.Delivery(e.ID, data)
	if err != nil {
		return f, err
	}
	row.Delivery, row.Due, row.Expires = d, times.Due, times.Expires
	switch {
	case d.SubscriptionID == "":
		e.Missing = true
		return f, nil
	case !r.Owns(d.LaneName()):
		return f, lanes.ErrElsewhere
	}
	if state != nil {
		e.Settled, f.state, row.Attempts = true, *state, *ended
	}
	if due != nil {
		f.waits = true
		row.Due, row.Attempts, row.Tries, e.Hidden = *due, *tried, *tries, *hidden
	}
	return f, nil
}

func (c *commit) edits(ctx context.Context, tx pgx.Tx) error {
	for _, e := range c.b.Edit {
		f, err := c.find(ctx, tx, e)
		switch {
		case err != nil:
			return err
		case e.Missing, e.Cancel && e.Settled:
		case e.Cancel:
			err = c.cancel(ctx, tx, e)
		default:
			err = c.retryNow(ctx, tx, e, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *commit) cancel(ctx context.Context, tx pgx.Tx, e *lanes.Edit) error {
	data := rowcodec.AppendOutcome(nil, delivery.ReasonCancelled, nil)
	for _, q := range []struct {
		text string
		args []any
	}{
		{c.edit.end, []any{e.Row.Seq, c.b.Now, e.Row.Attempts, data}},
		{c.sql.unwait, []any{[]int64{e.Row.Seq}}},
		{c.edit.count, []any{c.engine, c.batch, -1, 0, 1}},
	} {
		if _, err := tx.Exec(ctx, q.text, q.args...); err != nil {
			return err
		}
	}
	if e.Row.Delivery.Key == "" {
		return nil
	}
	rs, err := tx.Query(ctx, c.sql.reveal, []string{e.Row.Delivery.LaneName()}, [][]byte{[]byte(e.Row.Delivery.Key)})
	if err != nil {
		return err
	}
	defer rs.Close()
	if rs.Next() {
		if e.Next, err = scanRow(rs); err != nil {
			return err
		}
	}
	rs.Close()
	return rs.Err()
}

func (c *commit) retryNow(ctx context.Context, tx pgx.Tx, e *lanes.Edit, f found) error {
	row := &e.Row
	if row.Due != 0 || row.Attempts > 0 || e.Settled { // what goes ahead still does
		row.Due = c.b.Now
	}
	row.Tries = 0
	if e.Settled {
		if err := c.revive(ctx, tx, row, f); err != nil {
			return err
		}
	}
	if f.waits {
		_, err := tx.Exec(ctx, c.edit.rewait, row.Due, row.Seq)
		return err
	}
	w := waiting{}
	w.add(row, row.Due, row.Attempts, row.Tries, true)
	if row.Delivery.Key == "" {
		_, err := tx.Exec(ctx, c.sql.wait, append(w.args(), w.fresh)...)
		return err
	}
	return tx.QueryRow(ctx, c.sql.keyed, w.args()...).Scan(&row.Seq, &e.Hidden)
}

// revive makes a settled row pending again.
func (c *commit) revive(ctx context.Context, tx pgx.Tx, row *lanes.Row, f found) error {
	_, last, err := rowcodec.Outcome(f.outcome)
	if err != nil {
		return err
	}
	if last != nil { // it is no longer the last one
		_, err := tx.Exec(ctx, c.sql.attempts, []int64{row.Seq}, []int32{int32(last.Number)}, [][]byte{rowcodec.AppendAttempt(nil, last)})
		if err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, c.edit.dropOutcome, row.Seq); err != nil {
		return err
	}
	row.Expires = 0 // who asks for it by hand wants it sent
	delivered, dead := 0, -1
	if f.state == stateDelivered {
		delivered, dead = -1, 0
	}
	_, err = tx.Exec(ctx, c.edit.count, c.engine, c.batch, 1, delivered, dead)
	return err
}

// editing are the statements of an operator's changes.
type editing struct{ find, end, count, rewait, dropOutcome string }

func (s schema) editing() editing {
	return editing{
		find: s.sql(`SELECT d.seq, d.data, o.state, o.attempts, o.data, w.due, w.attempts, w.tries, w.hidden
			FROM @.delivery d LEFT JOIN @.outcome o ON o.seq = d.seq LEFT JOIN @.waiting w ON w.seq = d.seq WHERE d.id = $1 FOR UPDATE OF d`),
		end: s.sql(`INSERT INTO @.outcome (seq, state, at, attempts, data) VALUES ($1, 2, $2, $3, $4)`),
		count: s.sql(`UPDATE @.tally SET pending = pending + $3, delivered = delivered + $4, dead = dead + $5
			WHERE engine = $1 AND batch = $2`),
		rewait:      s.sql(`UPDATE @.waiting SET due = $1, tries = 0 WHERE seq = $2`),
		dropOutcome: s.sql(`DELETE FROM @.outcome WHERE seq = $1`),
	}
}
