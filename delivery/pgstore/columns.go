package pgstore

import (
	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// commit is one transaction under way: the batch in columns.
type commit struct {
	*rows

	b             *lanes.Batch
	batch         int64
	careful       bool // some rows may be there
	collected     bool // the batch is in columns
	fresh, stored int  // rows to append, and appended

	deliveries struct {
		seq, due, expires []int64
		id, lane          []string
		shard             []int16
		data              [][]byte
		guest             []bool
	}
	outcomes struct {
		seq      []int64
		state    []int16
		attempts []int32
		data     [][]byte
		fresh    []bool
	}
	attempts struct {
		seq    []int64
		number []int32
		data   [][]byte
	}
	waits, keyed waiting
	home         waiting // a guest's, for the lane's engine
	unwait       []int64
	ended        struct {
		lane []string
		key  [][]byte
	}
	posts posts
	takes struct {
		xid []string
		id  []int64
	}
	settles map[string]*lanes.Settle // of rows with a key, by lane and key
	appends map[int64]*lanes.Append  // of rows with a key
}

// waiting are rows to be indexed.
type waiting struct {
	seq, due, expires []int64
	shard             []int16
	lane              []string
	key               [][]byte
	retry, fresh      []bool
	attempts, tries   []int32
}

func (w *waiting) add(row *lanes.Row, due int64, attempts, tries int, fresh bool) {
	lane := row.Delivery.LaneName()
	w.seq, w.due, w.expires = append(w.seq, row.Seq), append(w.due, due), append(w.expires, row.Expires)
	w.shard, w.lane, w.key = append(w.shard, shardOf(lane)), append(w.lane, lane), append(w.key, []byte(row.Delivery.Key))
	w.retry, w.fresh = append(w.retry, attempts > 0), append(w.fresh, fresh)
	w.attempts, w.tries = append(w.attempts, int32(attempts)), append(w.tries, int32(tries))
}

func (w *waiting) args() []any {
	return []any{w.seq, w.shard, w.lane, w.key, w.retry, w.due, w.attempts, w.tries, w.expires}
}

// collect turns the batch into columns.
func (c *commit) collect() {
	c.collected = true
	for _, a := range c.b.Append {
		c.append(a)
	}
	for _, st := range c.b.Settle {
		c.settle(st)
	}
	for _, row := range c.b.Spill {
		c.waits.add(row, row.Due, row.Attempts, row.Tries, false)
	}
	for _, row := range c.b.Home {
		c.home.add(row, row.Due, row.Attempts, row.Tries, false)
	}
	for i := range c.b.Notes {
		c.posts.note(&c.b.Notes[i])
	}
}

func (c *commit) append(a *lanes.Append) {
	if a.Source != nil {
		s := a.Source.(source) //nolint:forcetypeassert // fold gave it
		c.takes.xid, c.takes.id = append(c.takes.xid, s.xid), append(c.takes.id, s.id)
	}
	d := a.Delivery
	data := rowcodec.AppendDelivery(nil, d, rowcodec.Times{Due: a.Due, Expires: a.Expires})
	if a.Elsewhere {
		c.posts.deliver(d, data)
		return
	}
	c.fresh++
	t := &c.deliveries
	t.seq, t.due, t.expires = append(t.seq, a.Seq), append(t.due, a.Due), append(t.expires, a.Expires)
	lane := d.LaneName()
	t.id, t.lane, t.shard, t.data = append(t.id, d.ID), append(t.lane, lane), append(t.shard, shardOf(lane)), append(t.data, data)
	t.guest = append(t.guest, a.Guest)
	switch {
	case d.SubscriptionID == "":
		c.end(a.Seq, stateMarker, 0, []byte{}, true)
	case a.Dead != "":
		c.end(a.Seq, stateDead, 0, rowcodec.AppendOutcome(nil, a.Dead, nil), true)
	case d.Key != "":
		c.keyed.add(&a.Row, a.Due, a.Attempts, a.Tries, true)
		if c.appends == nil {
			c.appends = map[int64]*lanes.Append{}
		}
		c.appends[a.Seq] = a
	case a.Index:
		c.waits.add(&a.Row, a.Due, a.Attempts, a.Tries, true)
	}
}

func (c *commit) end(seq int64, state int16, attempts int, data []byte, fresh bool) {
	t := &c.outcomes
	t.seq, t.state, t.attempts = append(t.seq, seq), append(t.state, state), append(t.attempts, int32(attempts))
	t.data, t.fresh = append(t.data, data), append(t.fresh, fresh)
}

func (c *commit) settle(st *lanes.Settle) {
	switch st.Result {
	case delivery.Done, delivery.GiveUp:
		state := int16(stateDelivered)
		if st.Result == delivery.GiveUp {
			state = stateDead
		}
		c.end(st.Seq, state, st.NewAttempts, rowcodec.AppendOutcome(nil, st.Reason, st.Attempt), false)
		if st.Indexed {
			c.unwait = append(c.unwait, st.Seq)
		}
		if key := st.Delivery.Key; key != "" {
			lane := st.Delivery.LaneName()
			if c.settles == nil {
				c.settles = map[string]*lanes.Settle{}
			}
			c.settles[lane+"\x00"+key] = st
			c.ended.lane, c.ended.key = append(c.ended.lane, lane), append(c.ended.key, []byte(key))
		}
	case delivery.Retry, delivery.Release:
		if st.Attempt != nil {
			t := &c.attempts
			t.seq, t.number = append(t.seq, st.Seq), append(t.number, int32(st.Attempt.Number))
			t.data = append(t.data, rowcodec.AppendAttempt(nil, st.Attempt))
		}
		w := &c.waits
		if st.Guest {
			w = &c.home
		}
		w.add(&st.Row, st.NewDue, st.NewAttempts, st.NewTries, false)
	}
}
