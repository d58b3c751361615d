package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/delivery/lanes"
)

// postpone leaves rows with a key to the inbox where others of the key wait there:
// those come first.
func (r *rows) postpone(ctx context.Context, b *lanes.Batch) error {
	var lane []string
	var key [][]byte
	for _, a := range b.Append {
		if a.Seq == 0 && !a.Elsewhere && a.Source == nil && a.Delivery.Key != "" && a.Dead == "" { // a repeat stays as it was
			lane, key = append(lane, a.Delivery.LaneName()), append(key, []byte(a.Delivery.Key))
		}
	}
	if len(key) == 0 {
		return nil
	}
	type name struct{ lane, key string }
	queued := map[name]bool{}
	err := r.reading(ctx, r.sql.queued, []any{lane, key}, func(rs pgx.Rows) error {
		var lane string
		var key []byte
		err := rs.Scan(&lane, &key)
		queued[name{lane, string(key)}] = true
		return err
	})
	if err != nil || len(queued) == 0 {
		return err
	}
	for _, a := range b.Append {
		if !a.Elsewhere && a.Source == nil && a.Dead == "" && queued[name{a.Delivery.LaneName(), a.Delivery.Key}] {
			a.Elsewhere = true
		}
	}
	return nil
}

// recall fills in the results of a batch that was committed before.
func (c *commit) recall(ctx context.Context) error {
	c.stored = -1 // which of them, findDuplicates tells
	for seq := range c.appends {
		c.appends[seq].Hidden = false
	}
	err := c.reading(ctx, c.sql.hidden, []any{c.keyed.seq}, func(rs pgx.Rows) error {
		var seq int64
		err := rs.Scan(&seq)
		c.appends[seq].Hidden = true
		return err
	})
	if err != nil {
		return err
	}
	if err := c.reading(ctx, c.sql.heads, []any{c.ended.lane, c.ended.key}, func(rs pgx.Rows) error {
		row, err := scanRow(rs)
		if err != nil {
			return err
		}
		if st := c.settles[row.Delivery.LaneName()+"\x00"+row.Delivery.Key]; st != nil {
			st.Next = row
		}
		return nil
	}); err != nil {
		return err
	}
	for _, k := range c.b.Kill {
		k.Killed = k.Limit // as many as there may have been: another step tells
	}
	if len(c.b.Edit) == 0 {
		return nil
	}
	return pgx.BeginFunc(ctx, c.pool, func(tx pgx.Tx) error {
		_, err := c.find(ctx, tx, c.b.Edit)
		return err
	})
}

// findDuplicates marks the appended rows whose IDs were known.
func (c *commit) findDuplicates(ctx context.Context) error {
	stored := make(map[int64]bool, len(c.deliveries.seq))
	err := c.reading(ctx, c.sql.stored, []any{c.deliveries.seq}, func(rs pgx.Rows) error {
		var seq int64
		err := rs.Scan(&seq)
		stored[seq] = true
		return err
	})
	if err != nil {
		return err
	}
	for _, a := range c.b.Append {
		a.Duplicate = !a.Elsewhere && !stored[a.Seq]
	}
	return nil
}
