package pgstore

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// quick reports whether a batch appends and ends rows and does nothing else.
// Nearly all are like that, and they are what a busy engine's time goes into.
func quick(b *lanes.Batch) bool {
	if len(b.Spill)+len(b.Home)+len(b.Notes)+len(b.Lanes)+len(b.Kill)+len(b.Edit) > 0 {
		return false
	}
	for _, a := range b.Append {
		if a.Elsewhere || a.Source != nil || a.Index || a.Dead != "" || a.Delivery.Key != "" || a.Delivery.SubscriptionID == "" {
			return false
		}
	}
	for _, st := range b.Settle {
		if st.Result != delivery.Done && st.Result != delivery.GiveUp || st.Indexed || st.Delivery.Key != "" {
			return false
		}
	}
	return true
}

// direct reports whether statements may be sent over a connection past pgx, as
// parameters that are encoded here: it keeps prepared ones, and nobody watches.
func direct(conn *pgx.Conn) bool {
	const name = "github.com/ringback-go/ringback/delivery/pgstore.direct"
	known := conn.PgConn().CustomData()
	is, ok := known[name].(bool)
	if !ok {
		cfg := conn.Config() // a copy, and no small one
		is = cfg.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement && cfg.Tracer == nil
		known[name] = is
	}
	return is
}

// sendQuick stores a quick batch of rows that are all new, if a connection is
// to be had that lets it. It fails as a whole where one of them is not.
func (r *rows) sendQuick(ctx context.Context, b *lanes.Batch, batch int64) (sent bool, err error) {
	err = r.pool.AcquireFunc(ctx, func(pooled *pgxpool.Conn) error {
		conn := pooled.Conn()
		if !direct(conn) {
			return nil
		}
		sent = true
		stored, err := conn.Prepare(ctx, r.sql.storeNew, r.sql.storeNew) // known to the connection but for the first time
		if err != nil {
			return err
		}
		p := paramsPool.Get().(*params) //nolint:forcetypeassert // New gives it
		defer p.free()
		r.encode(p, b, batch)
		_, err = conn.PgConn().ExecStatement(ctx, stored, p.slices(), allBinary, nil).Close()
		return err
	})
	return sent || err != nil, err
}

// encode puts down a quick batch as the parameters of storeNew.
func (r *rows) encode(p *params, b *lanes.Batch, batch int64) {
	p.bigint(r.engine)
	p.bigint(batch)
	n := len(b.Append)
	p.array(pgtype.Int8OID, n)
	for _, a := range b.Append {
		p.int64(a.Seq)
	}
	p.array(pgtype.TextOID, n)
	for _, a := range b.Append {
		p.text(a.Delivery.ID)
	}
	var served [shards]bool
	p.array(pgtype.Int2OID, n)
	for _, a := range b.Append {
		shard := shardOf(a.Delivery.LaneName())
		served[shard] = served[shard] || !a.Guest
		p.int16(shard)
	}
	p.array(pgtype.TextOID, n)
	for _, a := range b.Append {
		p.text(a.Delivery.LaneName())
	}
	p.array(pgtype.Int8OID, n)
	for _, a := range b.Append {
		p.int64(a.Due)
	}
	p.array(pgtype.Int8OID, n)
	for _, a := range b.Append {
		p.int64(a.Expires)
	}
	p.array(pgtype.ByteaOID, n)
	for _, a := range b.Append {
		begin := p.open()
		p.buf = rowcodec.AppendDelivery(p.buf, a.Delivery, rowcodec.Times{Due: a.Due, Expires: a.Expires})
		p.close(begin)
	}
	p.bigint(b.Now)
	delivered, dead := r.encodeOutcomes(p, b.Settle)
	mine := 0
	for _, is := range served {
		if is {
			mine++
		}
	}
	p.array(pgtype.Int2OID, mine)
	for shard, is := range served {
		if is {
			p.int16(int16(shard))
		}
	}
	p.bigint(int64(n - len(b.Settle)))
	p.bigint(delivered)
	p.bigint(dead)
	p.array(pgtype.BoolOID, n)
	for _, a := range b.Append {
		p.bool(a.Guest)
	}
}

func (r *rows) encodeOutcomes(p *params, settles []*lanes.Settle) (delivered, dead int64) {
	n := len(settles)
	p.array(pgtype.Int8OID, n)
	for _, st := range settles {
		p.int64(st.Seq)
	}
	p.array(pgtype.Int2OID, n)
	for _, st := range settles {
		if st.Result == delivery.GiveUp {
			dead++
			p.int16(stateDead)
		} else {
			delivered++
			p.int16(stateDelivered)
		}
	}
	p.array(pgtype.Int4OID, n)
	for _, st := range settles {
		p.int32(int32(st.NewAttempts))
	}
	p.array(pgtype.ByteaOID, n)
	for _, st := range settles {
		begin := p.open()
		p.buf = rowcodec.AppendOutcome(p.buf, st.Reason, st.Attempt)
		p.close(begin)
	}
	return delivered, dead
}

// mostParams bounds the buffers that are kept, in bytes.
const mostParams = 1 << 20

var paramsPool = sync.Pool{New: func() any { return new(params) }}

func (p *params) free() {
	if cap(p.buf) > mostParams {
		return
	}
	p.buf, p.begins = p.buf[:0], p.begins[:0]
	clear(p.values)
	paramsPool.Put(p)
}
