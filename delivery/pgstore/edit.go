package pgstore

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// found is an edit with what is stored of its delivery.
type found struct {
	*lanes.Edit

	waits   bool
	state   int16
	outcome []byte
}

// find reads the deliveries that edits name, and what became of them. It
// returns those that are there.
func (r *rows) find(ctx context.Context, tx pgx.Tx, edits []*lanes.Edit) ([]found, error) {
	ids := make([]string, len(edits))
	named := make(map[string]*lanes.Edit, len(edits))
	for i, e := range edits {
		*e = lanes.Edit{ID: e.ID, Cancel: e.Cancel, Missing: true}
		ids[i], named[e.ID] = e.ID, e
	}
	rs, err := tx.Query(ctx, r.edit.find, ids)
	if err != nil {
		return nil, err
	}
	defer rs.Close()
	out := make([]found, 0, len(edits))
	for rs.Next() {
		var id string
		var f found
		var row lanes.Row
		var data []byte
		var state *int16
		var ended, tried, tries *int
		var due, expires *int64
		var hidden *bool
		var guest *int64
		if err := rs.Scan(&id, &row.Seq, &data, &state, &ended, &f.outcome, &due, &tried, &tries, &expires, &hidden, &guest); err != nil {
			return nil, err
		}
		d, times, err := rowcodec.Delivery(id, data)
		if err != nil {
			return nil, err
		}
		switch {
		case d.SubscriptionID == "":
			continue
		case !r.Owns(d.LaneName()):
			return nil, lanes.ErrElsewhere
		}
		row.Delivery, row.Due, row.Expires = d, times.Due, times.Expires
		f.Edit = named[id]
		f.Missing = false
		if state != nil {
			f.Settled, f.state, row.Attempts = true, *state, *ended
		}
		if due != nil {
			f.waits = true
			row.Due, row.Attempts, row.Tries, row.Expires, f.Hidden = *due, *tried, *tries, *expires, *hidden
		}
		f.Away = guest != nil && *guest != r.engine && state == nil && due == nil
		f.Row = row
		out = append(out, f)
	}
	place := make(map[*lanes.Edit]int, len(edits))
	for i, e := range edits {
		place[e] = i
	}
	// As if one was changed after another: of a key, the first to come back is
	// not hidden.
	slices.SortFunc(out, func(a, b found) int { return place[a.Edit] - place[b.Edit] })
	return out, rs.Err()
}

func (c *commit) edits(ctx context.Context, tx pgx.Tx) error {
	all, err := c.find(ctx, tx, c.b.Edit)
	if err != nil {
		return err
	}
	var cancels, retries []found
	for _, f := range all {
		switch {
		case !f.Cancel && f.Away:
		case !f.Cancel:
			retries = append(retries, f)
		case !f.Settled:
			cancels = append(cancels, f)
		}
	}
	q := &pgx.Batch{}
	if err := c.retryNow(q, retries); err != nil {
		return err
	}
	c.cancel(q, cancels)
	return tx.SendBatch(ctx, q).Close()
}

func (c *commit) cancel(q *pgx.Batch, fs []found) {
	if len(fs) == 0 {
		return
	}
	var seqs []int64
	var attempts []int32
	var lane []string
	var key [][]byte
	byKey := map[string]*lanes.Edit{}
	for _, f := range fs {
		seqs, attempts = append(seqs, f.Row.Seq), append(attempts, int32(f.Row.Attempts))
		if d := f.Row.Delivery; d.Key != "" {
			lane, key = append(lane, d.LaneName()), append(key, []byte(d.Key))
			byKey[d.LaneName()+"\x00"+d.Key] = f.Edit
		}
	}
	q.Queue(c.edit.end, seqs, attempts, c.b.Now, rowcodec.AppendOutcome(nil, delivery.ReasonCancelled, nil))
	q.Queue(c.sql.unwait, seqs)
	q.Queue(c.edit.count, c.engine, c.batch, -len(seqs), 0, len(seqs))
	if len(key) == 0 {
		return
	}
	q.Queue(c.sql.reveal, lane, key).Query(func(rs pgx.Rows) error {
		for rs.Next() {
			row, err := scanRow(rs)
			if err != nil {
				return err
			}
			byKey[row.Delivery.LaneName()+"\x00"+row.Delivery.Key].Next = row
		}
		return rs.Err()
	})
}

func (c *commit) retryNow(q *pgx.Batch, fs []found) error {
	var again struct{ seq, due []int64 } // those that wait
	var plain, keyed waiting             // those that do not
	bySeq := map[int64]*lanes.Edit{}
	var revived []found
	for _, f := range fs {
		row := &f.Row
		if row.Due != 0 || row.Attempts > 0 || f.Settled { // what goes ahead still does
			row.Due = c.b.Now
		}
		row.Tries = 0
		if f.Settled {
			row.Expires = 0 // who asks for it by hand wants it sent
			revived = append(revived, f)
		}
		switch {
		case f.waits:
			again.seq, again.due = append(again.seq, row.Seq), append(again.due, row.Due)
		case row.Delivery.Key != "":
			keyed.add(row, row.Due, row.Attempts, row.Tries, true)
			bySeq[row.Seq] = f.Edit
		default:
			plain.add(row, row.Due, row.Attempts, row.Tries, true)
		}
	}
	if err := c.revive(q, revived); err != nil {
		return err
	}
	if len(again.seq) > 0 {
		q.Queue(c.edit.rewait, again.seq, again.due)
	}
	if len(plain.seq) > 0 {
		q.Queue(c.sql.wait, append(plain.args(), plain.fresh)...)
	}
	if len(keyed.seq) > 0 {
		q.Queue(c.sql.keyed, keyed.args()...).Query(func(rs pgx.Rows) error {
			var seq int64
			var hidden bool
			_, err := pgx.ForEachRow(rs, []any{&seq, &hidden}, func() error {
				bySeq[seq].Hidden = hidden
				return nil
			})
			return err
		})
	}
	return nil
}

// revive makes settled rows pending again.
func (c *commit) revive(q *pgx.Batch, fs []found) error {
	if len(fs) == 0 {
		return nil
	}
	var seqs, attempted []int64
	var number []int32
	var data [][]byte
	delivered := 0
	for _, f := range fs {
		seqs = append(seqs, f.Row.Seq)
		if f.state == stateDelivered {
			delivered++
		}
		_, last, err := rowcodec.Outcome(f.outcome)
		if err != nil {
			return err
		}
		if last != nil { // it is no longer the last one
			attempted, number = append(attempted, f.Row.Seq), append(number, int32(last.Number))
			data = append(data, rowcodec.AppendAttempt(nil, last))
		}
	}
	if len(attempted) > 0 {
		q.Queue(c.sql.attempts, attempted, number, data)
	}
	q.Queue(c.edit.dropOutcomes, seqs)
	q.Queue(c.edit.count, c.engine, c.batch, len(fs), -delivered, delivered-len(fs))
	return nil
}

// editing are the statements of an operator's changes.
type editing struct{ find, end, count, rewait, dropOutcomes string }

func (s schema) editing() editing {
	return editing{
		find: s.sql(`SELECT d.id, d.seq, d.data, o.state, o.attempts, o.data, w.due, w.attempts, w.tries, w.expires, w.hidden, d.guest
			FROM @.delivery d LEFT JOIN @.outcome o ON o.seq = d.seq LEFT JOIN @.waiting w ON w.seq = d.seq
			WHERE d.id = ANY($1::text[]) FOR UPDATE OF d`),
		end: s.sql(`INSERT INTO @.outcome (seq, state, at, attempts, data)
			SELECT u.seq, 2, $3::bigint, u.attempts, $4::bytea FROM unnest($1::bigint[], $2::integer[]) AS u (seq, attempts)`),
		count: s.sql(`UPDATE @.tally SET pending = pending + $3, delivered = delivered + $4, dead = dead + $5
			WHERE engine = $1 AND batch = $2`),
		rewait:       s.sql(`UPDATE @.waiting w SET due = u.due, tries = 0 FROM unnest($1::bigint[], $2::bigint[]) AS u (seq, due) WHERE w.seq = u.seq`),
		dropOutcomes: s.sql(`DELETE FROM @.outcome WHERE seq = ANY($1::bigint[])`),
	}
}
