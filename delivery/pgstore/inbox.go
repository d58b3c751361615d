package pgstore

import (
	"encoding/json"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// Kinds of rows in the inbox.
const (
	inboxDelivery = 1 // name: the delivery's ID, data: rowcodec's
	inboxLane     = 2 // name: the lane, data: a delivery.LaneState in JSON
	inboxRetry    = 3 // name: the delivery's ID, to be retried now
	inboxCancel   = 4 // name: the delivery's ID, to be canceled
	inboxNote     = 5 // name: the lane, data: a guest's lanes.Note in JSON
)

// posts are rows for the inbox, in columns.
type posts struct {
	shard, kind []int16
	name, lane  []string
	key, data   [][]byte
}

func (p *posts) args() []any { return []any{p.shard, p.kind, p.name, p.lane, p.key, p.data} }

func (p *posts) add(kind int16, shard int16, name, lane, key string, data []byte) {
	if data == nil { // would be NULL
		data = []byte{}
	}
	p.kind, p.shard = append(p.kind, kind), append(p.shard, shard)
	p.name, p.lane, p.key, p.data = append(p.name, name), append(p.lane, lane), append(p.key, []byte(key)), append(p.data, data)
}

func (p *posts) deliver(d *delivery.Delivery, data []byte) {
	lane := d.LaneName()
	shard := shardOf(lane)
	if lane == "" { // a marker: whoever takes it
		shard = shardOf(d.ID)
	}
	p.add(inboxDelivery, shard, d.ID, lane, d.Key, data)
}

func (p *posts) note(n *lanes.Note) {
	data, err := json.Marshal(n)
	if err != nil {
		panic(err) // it holds texts and numbers
	}
	p.add(inboxNote, shardOf(n.Lane), n.Lane, n.Lane, "", data)
}

// source is where an inbox row stands.
type source struct {
	xid string
	id  int64
}

// letter is a row of the inbox as it was read.
type letter struct {
	source

	shard, kind int16
	name, lane  string
	data        []byte
}

// letters are the statements of a reader. The first columns are those of a
// letter.
type letters struct{ all, lanes, cancels, diff, left, leftNames, lane, where string }

func (s schema) letters() letters {
	const columns = `SELECT i.xid::text, i.id, i.shard, i.kind, i.name, i.lane, i.data FROM @.inbox i WHERE i.shard = ANY($1::smallint[]) AND `
	return letters{
		all:     s.sql(columns + `(i.xid, i.id) > ($2::text::xid8, $3::bigint) ORDER BY i.xid, i.id LIMIT $4`),
		lanes:   s.sql(columns + `i.kind = 2 AND (i.xid, i.id) > ($2::text::xid8, $3::bigint) ORDER BY i.xid, i.id LIMIT $4`),
		cancels: s.sql(columns + `i.kind = 4 AND (i.xid, i.id) > ($2::text::xid8, $3::bigint) ORDER BY i.xid, i.id LIMIT least($4, 1)`),
		// One bound, so that the index is entered there: of two it may take the
		// lower one, and walk over all that was taken and not yet vacuumed.
		diff: s.sql(`SELECT * FROM (
			(` + columns + `(i.xid, i.id) > (greatest($2::text::xid8, $5::text::xid8), CASE WHEN $2::text::xid8 < $5::text::xid8 THEN -1 ELSE $3::bigint END)
				ORDER BY i.xid, i.id LIMIT $4)
			UNION ALL
			(` + columns + `i.xid = ANY($6::text[]::xid8[]) AND (i.xid, i.id) > ($2::text::xid8, $3::bigint) ORDER BY i.xid, i.id LIMIT $4)) l
			ORDER BY l.xid::xid8, l.id LIMIT $4`),
		// Somebody is there to take what is left.
		left: s.sql(`SELECT EXISTS (SELECT FROM unnest($1::text[]::xid8[], $2::bigint[]) AS u (xid, id) JOIN @.inbox i ON i.xid = u.xid AND i.id = u.id)
			AND EXISTS (SELECT FROM @.engine WHERE expires > clock_timestamp())`),
		leftNames: s.sql(`SELECT EXISTS (SELECT FROM @.inbox i WHERE i.name = ANY($1::text[]) AND i.kind = 1)
			AND EXISTS (SELECT FROM @.engine WHERE expires > clock_timestamp())`),
		lane: s.sql(`SELECT u.name, l.mode, l.reason, l.max_in_flight, l.per_second, l.not_before, l.failures, l.throttle, l.failing_since,
				EXISTS (SELECT FROM @.inbox i WHERE i.name = u.name AND i.kind = 2)
			FROM unnest($1::text[]) AS u (name) LEFT JOIN @.lane l ON l.name = u.name`),
		where: s.sql(`SELECT d.id, d.lane, false AS queued, coalesce((SELECT true FROM @.outcome o WHERE o.seq = d.seq), false) FROM @.delivery d WHERE d.id = ANY($1::text[])
			UNION ALL SELECT i.name, i.lane, true, false FROM @.inbox i WHERE i.name = ANY($1::text[]) AND i.kind = 1 ORDER BY queued`),
	}
}
