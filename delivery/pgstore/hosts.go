package pgstore

import "slices"

// host answers those who ask, and sends away those who cannot stay. lent are the
// attempts at a time that the table gives to guests of the lanes of some shards.
func (g *guests) host(rows []guestRow, of []int16, lent map[string]int, ticked bool, c *changes) {
	g.keepPromises(rows, lent)
	for lane := range g.lent {
		if _, some := lent[lane]; some {
			continue
		}
		if slices.Contains(of, shardOf(lane)) {
			g.lanes.Lent(lane, 0)
		} else if g.lanes.Lends(lane) { // it stayed after all: the next look tells
			continue
		}
		delete(g.lent, lane)
		delete(g.presses, lane)
	}
	stays, free := map[string]bool{}, map[string]bool{}
	for lane, n := range lent {
		g.lent[lane] = n
		free[lane] = g.lanes.Lent(lane, n)
		stay, pressed := g.lanes.Hosts(lane)
		stays[lane] = stay && !g.cools(lane)
		switch {
		case !pressed:
			g.presses[lane] = 0
		case ticked:
			g.presses[lane]++
		}
	}
	for _, r := range rows {
		if r.engine == g.id || r.dismissed || !g.rows.Owns(r.lane) {
			continue
		}
		v := visitor{r.lane, r.engine}
		switch {
		case !stays[r.lane]:
			g.coolDown(r.lane)
			c.dismissed = append(c.dismissed, r)
			continue
		case r.slots > 0:
			if pressed := g.presses[r.lane] >= pressedTicks; pressed != r.pressed {
				r.pressed = pressed
				c.pressed = append(c.pressed, r)
			}
			continue
		case g.promised[v] == 0:
			n := g.lanes.Lend(r.lane)
			if n == 0 {
				c.dismissed = append(c.dismissed, r)
				continue
			}
			g.promised[v] = n
			g.lent[r.lane] += n
			free[r.lane] = g.lanes.Lent(r.lane, g.lent[r.lane])
		}
		if free[r.lane] { // else the attempts of before end first
			r.slots = g.promised[v]
			g.arrives(r.lane)
			c.granted = append(c.granted, r)
		}
	}
}

// keepPromises counts what is kept free for those who asked and have not gone.
func (g *guests) keepPromises(rows []guestRow, lent map[string]int) {
	promised := map[visitor]int{}
	for _, r := range rows {
		if v := (visitor{r.lane, r.engine}); r.slots == 0 && !r.dismissed && g.promised[v] > 0 {
			promised[v] = g.promised[v]
			lent[r.lane] += promised[v]
		}
	}
	g.promised = promised
}
