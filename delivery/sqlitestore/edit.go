package sqlitestore

import (
	"database/sql"
	"errors"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// kills gives up waiting rows of a closed lane: first those that are hidden
// behind others of their key, so that a kill that is cut off leaves none of
// them without the one that hides it.
func (c *commit) kills() error {
	for _, k := range c.b.Kill {
		for _, stmt := range []*sql.Stmt{c.stmts.killKey, c.stmts.killOpen} {
			if err := c.kill(k, stmt); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *commit) kill(k *lanes.Kill, stmt *sql.Stmt) error {
	rs, err := c.tx.StmtContext(c.ctx, stmt).QueryContext(c.ctx, k.Lane, k.Limit-k.Killed+len(k.Except))
	if err != nil {
		return err
	}
	defer rs.Close()
	var outcomes, done []any
	for rs.Next() && k.Killed < k.Limit {
		var seq int64
		var attempts int
		if err := rs.Scan(&seq, &attempts); err != nil {
			return err
		}
		if k.Except[seq] {
			continue
		}
		outcomes = append(outcomes, seq, stateDead, c.b.Now, attempts, rowcodec.AppendOutcome(nil, k.Reason, nil))
		done = append(done, seq)
		k.Killed++
	}
	if err := errors.Join(rs.Err(), rs.Close()); err != nil {
		return err
	}
	changed, err := c.stmts.outcome.run(c.ctx, c.tx, outcomes, nil)
	if err != nil {
		return err
	}
	c.pending -= changed
	c.dead += changed
	_, err = c.stmts.unwait.run(c.ctx, c.tx, done, nil)
	return err
}

func (c *commit) edits() error {
	for _, e := range c.b.Edit {
		if err := c.edit(e); err != nil {
			return err
		}
	}
	return nil
}

func (c *commit) edit(e *lanes.Edit) error {
	row := &e.Row
	*row = lanes.Row{}
	var data, outcome []byte
	err := c.query(c.stmts.byID, e.ID).Scan(&row.Seq, &data)
	if errors.Is(err, sql.ErrNoRows) {
		e.Missing = true
		return nil
	}
	if err != nil {
		return err
	}
	d, times, err := rowcodec.Delivery(e.ID, data)
	if err != nil {
		return err
	}
	row.Delivery, row.Due, row.Expires = d, times.Due, times.Expires
	if d.SubscriptionID == "" {
		e.Missing = true
		return nil
	}
	var state int
	switch err := c.query(c.stmts.hasOutcome, row.Seq).Scan(&state, &row.Attempts, &outcome); {
	case err == nil:
		e.Settled = true
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	waits := true
	err = c.query(c.stmts.waits, row.Seq).Scan(&row.Due, &row.Attempts, &row.Tries, &row.Expires, &e.Hidden)
	if errors.Is(err, sql.ErrNoRows) {
		waits, err = false, nil
	}
	if err != nil {
		return err
	}
	switch {
	case e.Cancel && e.Settled:
		return nil
	case e.Cancel:
		return c.cancel(e)
	}
	return c.retryNow(e, waits, state, outcome)
}

func (c *commit) cancel(e *lanes.Edit) error {
	data := rowcodec.AppendOutcome(nil, delivery.ReasonCancelled, nil)
	if _, err := c.stmts.outcome.run(c.ctx, c.tx, []any{e.Row.Seq, stateDead, c.b.Now, e.Row.Attempts, data}, nil); err != nil {
		return err
	}
	if _, err := c.stmts.unwait.run(c.ctx, c.tx, []any{e.Row.Seq}, nil); err != nil {
		return err
	}
	c.count(false)
	var err error
	e.Next, err = c.reveal(e.Row.Delivery.LaneName(), e.Row.Delivery.Key)
	return err
}

func (c *commit) retryNow(e *lanes.Edit, waits bool, state int, outcome []byte) error {
	row := &e.Row
	if row.Due != 0 || row.Attempts > 0 || e.Settled { // what goes ahead still does
		row.Due = c.b.Now
	}
	row.Tries = 0
	if e.Settled {
		_, last, err := rowcodec.Outcome(outcome)
		if err != nil {
			return err
		}
		if last != nil { // it is no longer the last one
			args := []any{row.Seq, last.Number, rowcodec.AppendAttempt(nil, last)}
			if _, err := c.stmts.attempt.run(c.ctx, c.tx, args, nil); err != nil {
				return err
			}
		}
		if err := c.exec(c.stmts.dropOutcome, row.Seq); err != nil {
			return err
		}
		c.pending++
		if state == stateDelivered {
			c.delivered--
		} else {
			c.dead--
		}
		row.Expires = 0 // who asks for it by hand wants it sent
	}
	if waits {
		return c.exec(c.stmts.rewait, row.Due, row.Seq)
	}
	d := row.Delivery
	return c.query(c.stmts.waitKeyed, row.Seq, d.LaneName(), d.Key, row.Retry(), row.Due, row.Attempts, row.Tries, row.Expires).Scan(&e.Hidden)
}
