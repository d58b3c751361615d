package pgstore

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/delivery/lanes"
)

// guestRow is a row of the table.
type guestRow struct {
	lane             string
	engine           int64
	slots            int
	dismissed, still bool
	pressed          bool
}

// visitor names a row.
type visitor struct {
	lane   string
	engine int64
}

// changes are what a look has written.
type changes struct {
	ask, still, gone   []string // lanes, of this engine's rows
	granted, dismissed []guestRow
	pressed            []guestRow // and those that are no longer
}

// read reads the rows of this engine, and those of others for lanes of some shards.
func (g *guests) read(ctx context.Context, of []int16) ([]guestRow, error) {
	rs, err := g.cfg.Pool.Query(ctx, g.schema.sql(`SELECT lane, engine, slots, dismissed, still, pressed FROM @.guest WHERE engine = $1
		UNION ALL SELECT lane, engine, slots, dismissed, still, pressed FROM @.guest WHERE shard = ANY($2::smallint[]) AND engine <> $1`), g.id, of)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rs, func(row pgx.CollectableRow) (r guestRow, err error) {
		err = row.Scan(&r.lane, &r.engine, &r.slots, &r.dismissed, &r.still, &r.pressed)
		return r, err
	})
}

// write stores what a look came to, and has the others look.
func (g *guests) write(ctx context.Context, c *changes) error {
	g.hopes += len(c.ask)
	if len(c.still) > 0 {
		poke(g.told)
	}
	if g.statements(c).Len() == 0 {
		return nil
	}
	err := unlocked(func() error { return g.cfg.Pool.SendBatch(ctx, g.statements(c)).Close() })
	g.bell.ring(newsGuests)
	return err
}

func (g *guests) statements(c *changes) *pgx.Batch {
	b := &pgx.Batch{}
	if len(c.granted) > 0 && g.lenient { // what is used must be known after a crash
		b.Queue(g.sql.settings)
	}
	if len(c.ask) > 0 {
		shard := make([]int16, len(c.ask))
		for i, lane := range c.ask {
			shard[i] = shardOf(lane)
		}
		b.Queue(g.schema.sql(`INSERT INTO @.guest (lane, engine, shard, slots) SELECT u.lane, e.id, u.shard, 0
			FROM unnest($2::text[], $3::smallint[]) AS u (lane, shard), (SELECT id FROM @.engine WHERE id = $1 FOR KEY SHARE) AS e
			ON CONFLICT DO NOTHING`), g.id, c.ask, shard)
	}
	if len(c.still) > 0 {
		b.Queue(g.schema.sql(`UPDATE @.guest SET still = true WHERE engine = $1 AND lane = ANY($2::text[])`), g.id, c.still)
	}
	if len(c.gone) > 0 {
		b.Queue(g.schema.sql(`DELETE FROM @.guest WHERE engine = $1 AND lane = ANY($2::text[])`), g.id, c.gone)
	}
	for _, r := range c.granted { // who gains the shard is told of it, or it is not granted
		b.Queue(g.schema.sql(`UPDATE @.guest SET slots = $3 WHERE lane = $1 AND engine = $2 AND slots = 0 AND NOT dismissed
			AND EXISTS (SELECT FROM @.shard s WHERE s.id = guest.shard AND s.engine = $4 FOR SHARE)`), r.lane, r.engine, r.slots, g.id)
	}
	for _, r := range c.pressed {
		b.Queue(g.schema.sql(`UPDATE @.guest SET pressed = $3 WHERE lane = $1 AND engine = $2`), r.lane, r.engine, r.pressed)
	}
	for _, r := range c.dismissed {
		b.Queue(g.schema.sql(`UPDATE @.guest SET dismissed = true WHERE lane = $1 AND engine = $2`), r.lane, r.engine)
	}
	return b
}

// unlocked does something again that the server gave up for another's sake: who
// changes several rows of guests may meet who changes them in another order.
func unlocked(do func() error) error {
	err := do()
	for range mostDeadlocks {
		if !violates(err, "40P01", "") {
			break
		}
		err = do()
	}
	return err
}

// sendHome has what a dead engine held as a guest be waiting, and tells the
// engines that serve it.
func (s *Store) sendHome(ctx context.Context, tx pgx.Tx, engine, low int64) error {
	// An operator who cancels one of them this moment is done before, or sees it wait.
	const held = `d.seq >= $2 AND d.guest = $1
		AND NOT EXISTS (SELECT FROM @.outcome o WHERE o.seq = d.seq) AND NOT EXISTS (SELECT FROM @.waiting w WHERE w.seq = d.seq)`
	if _, err := tx.Exec(ctx, s.schema.sql(`SELECT FROM @.delivery d WHERE `+held+` FOR UPDATE`), engine, low); err != nil {
		return err
	}
	rs, err := tx.Query(ctx, s.schema.sql(`INSERT INTO @.waiting (seq, shard, lane, key, retry, due, attempts, tries, expires, hidden)
		SELECT d.seq, d.shard, d.lane, '', false, d.due, 0, 0, d.expires, false FROM @.delivery d
		WHERE `+held+` RETURNING lane, due`), engine, low)
	if err != nil {
		return err
	}
	left := map[string]int64{}
	var lane string
	var due int64
	if _, err := pgx.ForEachRow(rs, []any{&lane, &due}, func() error {
		if first, some := left[lane]; !some || due < first {
			left[lane] = due
		}
		return nil
	}); err != nil || len(left) == 0 {
		return err
	}
	p := &posts{}
	for lane, due := range left {
		p.note(&lanes.Note{Lane: lane, Left: true, Due: due})
	}
	_, err = s.post(ctx, tx, p)
	return err
}
