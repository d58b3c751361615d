package pgstore

import (
	"context"
	"slices"
	"time"
)

// alone does something with lanes that this engine serves while they have no
// guests: for them, that would come too late.
func (g *guests) alone(ctx context.Context, do func() error, names ...string) error {
	others := func(lane string) bool { return !g.rows.Owns(lane) }
	mine := slices.DeleteFunc(slices.Clone(names), others)
	err := g.dismiss(ctx, mine...)
	if err == nil {
		err = do()
	}
	if err == nil { // one came in between, or the lane went or came, with guests
		come := slices.DeleteFunc(slices.Clone(names), func(lane string) bool { return others(lane) || slices.Contains(mine, lane) })
		err = g.dismiss(ctx, append(mine, come...)...)
	}
	return err
}

// dismiss has lanes that this engine serves be without guests for a while: when it
// returns none starts an attempt of them, and what waited for that is here.
func (g *guests) dismiss(ctx context.Context, names ...string) error {
	lent := slices.DeleteFunc(slices.Clone(names), func(lane string) bool { return g.rows.Owns(lane) && !g.lanes.Lends(lane) })
	if len(lent) == 0 {
		return nil
	}
	g.coolDown(lent...)
	err := unlocked(func() error {
		_, err := g.cfg.Pool.Exec(ctx, g.schema.sql(`UPDATE @.guest SET dismissed = true WHERE lane = ANY($1::text[]) AND NOT dismissed`), lent)
		return err
	})
	if err != nil {
		return err
	}
	g.bell.ring(newsGuests)
	end := g.sentAway(lent).Add(g.dismissal())
	for pause := time.Millisecond; ; pause = min(2*pause, guestPause) {
		var some bool
		err := g.cfg.Pool.QueryRow(ctx, g.schema.sql(`SELECT EXISTS (SELECT FROM @.guest WHERE lane = ANY($1::text[]) AND slots > 0 AND NOT still)`), lent).Scan(&some)
		if err != nil || !some || time.Now().After(end) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// arrives has the next dismissal of a lane waited for, whoever was sent away before.
func (g *guests) arrives(lane string) {
	g.coolMu.Lock()
	defer g.coolMu.Unlock()
	delete(g.away, lane)
}

// sentAway returns when the last of lanes was without guests, or they were sent
// away: one that is dead is not waited for again and again.
func (g *guests) sentAway(lanes []string) (last time.Time) {
	g.coolMu.Lock()
	defer g.coolMu.Unlock()
	for lane := range g.away {
		if !g.lanes.Lends(lane) {
			delete(g.away, lane)
		}
	}
	now := time.Now()
	for _, lane := range lanes {
		at, known := g.away[lane]
		if !known {
			at, g.away[lane] = now, now
		}
		if at.After(last) {
			last = at
		}
	}
	return last
}
