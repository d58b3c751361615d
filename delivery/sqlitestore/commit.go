package sqlitestore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// commit is one transaction under way.
type commit struct {
	*rows

	ctx                      context.Context //nolint:containedctx // it lives as long as the transaction
	tx                       *sql.Tx
	b                        *lanes.Batch
	pending, delivered, dead int // changes of the counts
	savesLow                 bool
}

// saveLowEvery is how far the stored mark may lag behind: a start looks at so
// many rows more.
const saveLowEvery = 4096

func (c *commit) all() error {
	var epoch int64
	if err := c.tx.StmtContext(c.ctx, c.stmts.epoch).QueryRowContext(c.ctx).Scan(&epoch); err != nil {
		return err
	}
	if epoch != c.epoch {
		return delivery.ErrOwned
	}
	for _, step := range []func() error{c.appends, c.settles, c.spills, c.lanes, c.kills, c.edits} {
		if err := step(); err != nil {
			return err
		}
	}
	if c.pending != 0 || c.delivered != 0 || c.dead != 0 {
		if err := c.exec(c.stmts.addMeta, c.pending, c.delivered, c.dead, c.b.Now); err != nil {
			return err
		}
	}
	if c.b.Low-c.savedLow >= saveLowEvery {
		c.savesLow = true
		return c.exec(c.stmts.setMeta, c.b.Low, "low")
	}
	return nil
}

func (c *commit) exec(stmt *sql.Stmt, args ...any) error {
	_, err := c.tx.StmtContext(c.ctx, stmt).ExecContext(c.ctx, args...)
	return err
}

func (c *commit) query(stmt *sql.Stmt, args ...any) *sql.Row {
	return c.tx.StmtContext(c.ctx, stmt).QueryRowContext(c.ctx, args...)
}

// blob returns what add appends, in memory that is used again by the next batch.
func (c *commit) blob(add func([]byte) []byte) []byte {
	from := len(c.blobs)
	c.blobs = add(c.blobs)
	return c.blobs[from:len(c.blobs):len(c.blobs)]
}

func (c *commit) appends() error {
	appends := c.b.Append
	if len(appends) == 0 {
		return nil
	}
	args := c.args[:0]
	c.blobs = c.blobs[:0]
	for _, a := range appends {
		a.Seq = c.nextSeq
		c.nextSeq++
		data := c.blob(func(b []byte) []byte {
			return rowcodec.AppendDelivery(b, a.Delivery, rowcodec.Times{Due: a.Due, Expires: a.Expires})
		})
		args = append(args, a.Seq, a.Delivery.ID, data)
	}
	_, err := c.stmts.insert.run(c.ctx, c.tx, args, func(from, to int) error {
		for _, a := range appends[from:to] {
			var one int
			err := c.query(c.stmts.isStored, a.Seq).Scan(&one)
			if errors.Is(err, sql.ErrNoRows) {
				a.Duplicate, err = true, nil
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	c.args = args[:0]
	if err != nil {
		return err
	}
	return c.place()
}

// place records what becomes of the rows that were just stored.
func (c *commit) place() error {
	var outcomes, waits []any
	for _, a := range c.b.Append {
		switch {
		case a.Duplicate:
		case a.Delivery.SubscriptionID == "":
			outcomes = append(outcomes, a.Seq, stateMarker, c.b.Now, 0, []byte{})
		case a.Dead != "":
			outcomes = append(outcomes, a.Seq, stateDead, c.b.Now, 0, rowcodec.AppendOutcome(nil, a.Dead, nil))
			c.dead++
		case a.Delivery.Key != "":
			c.pending++
			d := a.Delivery
			err := c.query(c.stmts.waitKeyed, a.Seq, d.LaneName(), d.Key, a.Retry(), a.Due, a.Attempts, a.Tries, a.Expires).Scan(&a.Hidden)
			if err != nil {
				return err
			}
		default:
			c.pending++
			if a.Index {
				waits = append(waits, a.Seq, a.Delivery.LaneName(), "", a.Retry(), a.Due, a.Attempts, a.Tries, a.Expires)
			}
		}
	}
	if _, err := c.stmts.outcome.run(c.ctx, c.tx, outcomes, nil); err != nil {
		return err
	}
	_, err := c.stmts.wait.run(c.ctx, c.tx, waits, nil)
	return err
}

func (c *commit) settles() error {
	if len(c.b.Settle) == 0 {
		return nil
	}
	c.blobs = c.blobs[:0]
	outcomes := c.args[:0]
	var ended []*lanes.Settle
	var attempts, waits, done []any
	for _, st := range c.b.Settle {
		d := st.Delivery
		switch st.Result {
		case delivery.Done, delivery.GiveUp:
			state := stateDelivered
			if st.Result == delivery.GiveUp {
				state = stateDead
			}
			data := c.blob(func(b []byte) []byte { return rowcodec.AppendOutcome(b, st.Reason, st.Attempt) })
			outcomes = append(outcomes, st.Seq, state, c.b.Now, st.NewAttempts, data)
			ended = append(ended, st)
			if st.Indexed {
				done = append(done, st.Seq)
			}
		case delivery.Retry, delivery.Release:
			if st.Attempt != nil {
				attempts = append(attempts, st.Seq, st.Attempt.Number, rowcodec.AppendAttempt(nil, st.Attempt))
			}
			waits = append(waits, st.Seq, d.LaneName(), d.Key, st.NewAttempts > 0, st.NewDue, st.NewAttempts, st.NewTries, st.Expires)
		}
	}
	var repeated map[int]bool
	_, err := c.stmts.outcome.run(c.ctx, c.tx, outcomes, func(from, to int) error {
		// Settled before, by a commit whose end was not known. Counting needs
		// to know which: the newly settled ones are still waiting or young.
		if repeated == nil {
			repeated = map[int]bool{}
		}
		return c.findRepeated(ended, from, to, repeated)
	})
	c.args = outcomes[:0]
	if err != nil {
		return err
	}
	for i, st := range ended {
		if repeated[i] {
			continue
		}
		c.count(st.Result == delivery.Done)
	}
	if _, err := c.stmts.attempt.run(c.ctx, c.tx, attempts, nil); err != nil {
		return err
	}
	if _, err := c.stmts.wait.run(c.ctx, c.tx, waits, nil); err != nil {
		return err
	}
	if _, err := c.stmts.unwait.run(c.ctx, c.tx, done, nil); err != nil {
		return err
	}
	for _, st := range ended {
		if st.Delivery.Key == "" {
			continue
		}
		if st.Next, err = c.reveal(st.Delivery.LaneName(), st.Delivery.Key); err != nil {
			return err
		}
	}
	return nil
}

// findRepeated marks the rows whose outcome was stored at another time.
func (c *commit) findRepeated(ended []*lanes.Settle, from, to int, repeated map[int]bool) error {
	for i := from; i < to; i++ {
		var at int64
		err := c.tx.QueryRowContext(c.ctx, `SELECT at FROM ringback_outcome WHERE seq = ?`, ended[i].Seq).Scan(&at)
		if err != nil {
			return err
		}
		repeated[i] = at != c.b.Now
	}
	return nil
}

func (c *commit) count(delivered bool) {
	c.pending--
	if delivered {
		c.delivered++
	} else {
		c.dead++
	}
}

// reveal uncovers the oldest row of a key, unless one is uncovered.
func (c *commit) reveal(lane, key string) (*lanes.Row, error) {
	if key == "" {
		return nil, nil //nolint:nilnil // no row is an answer
	}
	row := &lanes.Row{}
	err := c.query(c.stmts.reveal, lane, key).Scan(&row.Seq, &row.Due, &row.Attempts, &row.Tries, &row.Expires)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // no row is an answer
	}
	if err != nil {
		return nil, err
	}
	return row, c.fill(row)
}

// fill reads the delivery of a row.
func (c *commit) fill(row *lanes.Row) error {
	var id string
	var data []byte
	if err := c.query(c.stmts.data, row.Seq).Scan(&id, &data); err != nil {
		return err
	}
	var err error
	row.Delivery, _, err = rowcodec.Delivery(id, data)
	return err
}

// spills indexes rows that only memory knew.
func (c *commit) spills() error {
	var waits []any
	for _, r := range c.b.Spill {
		d := r.Delivery
		waits = append(waits, r.Seq, d.LaneName(), d.Key, r.Retry(), r.Due, r.Attempts, r.Tries, r.Expires)
	}
	_, err := c.stmts.wait.run(c.ctx, c.tx, waits, nil)
	return err
}

func (c *commit) lanes() error {
	for _, l := range c.b.Lanes {
		var err error
		if l.IsDefault() {
			err = c.exec(c.stmts.dropLane, l.Lane)
		} else {
			err = c.exec(c.stmts.setLane, l.Lane, int(l.Mode), l.Reason, l.MaxInFlight, l.PerSecond, l.NotBefore,
				l.Failures, l.Throttle, l.FailingSince, l.Warned)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
