package lanes_test

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// visitor names a row of the table of guests.
type visitor struct {
	lane string
	who  *partner
}

// guestRow says how many of a lane's attempts at a time a guest has: 0 as long as
// it only asked.
type guestRow struct {
	slots     int
	dismissed bool
	still     time.Time // since when it starts nothing, zero: it may
}

// guesthouse is what the common fake knows of guests. It needs the fake's lock.
type guesthouse struct {
	table map[visitor]*guestRow
	alone map[string]time.Time // deliveries that go ahead, since when that holds for guests, too
	seen  map[string]int       // what happened how often
}

// grants says why a guest may not attempt a row of a lane now, having asked for
// it then.
func (c *common) grants(p *partner, lane string, asked time.Time, inFlight int) string {
	r := c.table[visitor{lane, p}]
	switch {
	case r == nil || r.slots == 0:
		return "it neither owns that nor is its guest"
	case !r.still.IsZero() && r.still.Before(asked):
		return "it had said that it starts nothing"
	case inFlight > r.slots:
		return "that is more than it was lent"
	}
	for _, x := range c.rows {
		if at, ok := c.alone[x.Delivery.ID]; ok && at.Before(asked) && !x.settled && x.Due == 0 && x.Attempts == 0 && x.Delivery.Key == "" && x.Delivery.LaneName() == lane {
			return x.Delivery.ID + " goes ahead"
		}
	}
	return ""
}

// takeAsGuest takes note of a row that is to be attempted by a guest.
func (p *partner) takeAsGuest(a *lanes.Append) {
	lane := a.Delivery.LaneName()
	if r := p.table[visitor{lane, p}]; r == nil || r.slots == 0 {
		p.blame("%s: append as a guest of lane %s, which it is not", p.name, lane)
	}
	if a.Delivery.Key != "" || a.Index || a.Elsewhere || a.Dead != "" || a.Source != nil || a.Due == 0 || a.Attempts > 0 {
		p.blame("%s: %s is not for a guest: %+v", p.name, a.Delivery.ID, a)
	}
	if p.fake.append(a); !a.Duplicate {
		p.rows[a.Seq].guest = p
		p.seen["rows of guests"]++
	}
}

// guestsOwn returns a row that this partner had as a guest, nil if it was ended or
// changed by its lane's host meanwhile.
func (p *partner) guestsOwn(seq int64, what string) *fakeRow {
	r := p.rows[seq]
	switch {
	case r != nil && r.settled && r.how == delivery.ReasonCancelled, r != nil && r.astray:
		if r.guest == p {
			r.guest = nil
		}
		p.seen["rows of guests that were canceled"]++
		return nil
	case r == nil || r.settled || r.indexed || r.guest != p:
		p.blame("%s: %s of row %d, which it is not a guest's: %+v", p.name, what, seq, r)
		return nil
	}
	return r
}

// settleAsHost ends an attempt of a row that no guest has.
func (p *partner) settleAsHost(st *lanes.Settle) {
	r := p.rows[st.Seq]
	if r != nil && r.astray && r.settled {
		return // its guest was sooner
	}
	if p.settle(st); r != nil {
		r.guest = nil
	}
}

// settleAsGuest ends an attempt of a guest's.
func (p *partner) settleAsGuest(st *lanes.Settle) {
	r := p.guestsOwn(st.Seq, "settle")
	if r == nil {
		if r = p.rows[st.Seq]; r != nil && r.astray && !r.settled && (st.Result == delivery.Done || st.Result == delivery.GiveUp) {
			r.end("done astray", p.applying)
		}
		return
	}
	p.settle(st)
	if r.guest = nil; r.indexed {
		r.homed = time.Now()
		p.seen["attempts of guests that failed"]++
	}
}

// home makes a guest's row the host's.
func (p *partner) home(row *lanes.Row) {
	if r := p.guestsOwn(row.Seq, "home"); r != nil {
		r.guest, r.indexed, r.homed = nil, true, time.Now()
		p.seen["rows sent home"]++
	}
}

// post leaves a note for a lane's host.
func (p *partner) post(n lanes.Note) {
	p.seen["notes"]++
	if n.Sign != delivery.SignNone {
		p.seen["notes with a sign"]++
	}
	p.inbox = append(p.inbox, &letter{row: lanes.Row{Delivery: &delivery.Delivery{Lane: n.Lane}}, note: &n, from: time.Now()})
}

// edit is the fake's, and knows that a guest may have the row.
func (p *partner) edit(e *lanes.Edit, now int64) {
	r := p.byID[e.ID]
	away := r != nil && r.guest != nil && r.guest != p
	switch {
	case away && !r.settled && !e.Cancel:
		p.seen["retries of rows of guests"]++
		e.Away, e.Row = true, r.Row
		return
	case away && r.settled && !e.Cancel: // its guest may go on with what it has
		r.guest, r.astray = nil, true
		e.Settled = true
		r.settled, r.indexed, r.Due, r.Tries = false, true, now, 0
		e.Row = r.Row
		return
	}
	p.fake.edit(e, now)
	e.Away = away && !e.Settled
	if r != nil && !away {
		r.guest = nil
	}
}

// buryAsGuest gives what a dead guest had to the hosts.
func (p *partner) buryAsGuest() {
	first := map[string]int64{}
	for _, r := range p.rows {
		if r.guest != p {
			continue
		}
		if r.guest = nil; r.settled {
			continue
		}
		p.seen["rows of dead guests"]++
		r.indexed, r.homed = true, time.Now()
		lane := r.Delivery.LaneName()
		if due, some := first[lane]; !some || r.Due < due {
			first[lane] = r.Due
		}
	}
	for _, lane := range p.names {
		if due, some := first[lane]; some {
			p.post(lanes.Note{Lane: lane, Left: true, Due: due})
		}
	}
	for v := range p.table {
		if v.who == p {
			delete(p.table, v)
		}
	}
}

// moveIn returns what others have of lanes that this partner gains. It is no guest
// of them any more.
func (p *partner) moveIn(got map[string]bool) map[string]int {
	lent := map[string]int{}
	for v, r := range p.table {
		switch {
		case !got[v.lane]:
		case v.who == p:
			delete(p.table, v)
		case r.slots > 0:
			lent[v.lane] += r.slots
		}
	}
	for _, r := range p.rows {
		if r.guest == p && !r.settled && got[r.Delivery.LaneName()] {
			p.seen["rows of guests that became owners"]++
		}
	}
	return lent
}

// alone does something with lanes while they have no guests.
func (p *partner) alone(ctx context.Context, do func() error, names ...string) error {
	err := p.dismiss(ctx, names)
	if err == nil {
		err = do()
	}
	if err == nil {
		err = p.dismiss(ctx, names) // one came in between
	}
	return err
}

// dismiss has lanes be without guests: when it returns none of them starts an
// attempt.
func (p *partner) dismiss(ctx context.Context, names []string) error {
	for _, name := range names {
		if p.Owns(name) && !p.store.Lends(name) {
			continue // one that left may have guests of whom it is not known here
		}
		for p.sendAway(name) {
			if p.pause(); ctx.Err() != nil || p.dead.Load() {
				return errFenced
			}
		}
	}
	return nil
}

// sendAway reports whether a lane's guests may start attempts still.
func (p *partner) sendAway(name string) (some bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for v, r := range p.table {
		if v.lane == name && !p.dead.Load() {
			r.dismissed = true
			some = some || r.slots > 0 && r.still.IsZero()
		}
	}
	return some
}

// look does what there is to do as a guest and as a host.
func (p *partner) look(ctx context.Context) error {
	p.looking <- struct{}{} // who is a guest is as it was read until it is known here
	defer func() { <-p.looking }()
	visits := p.store.Visits(p.chance(0.3))
	own, hosted := map[string]guestRow{}, map[visitor]guestRow{}
	served := map[string]bool{} // of these alone it is known who is there
	p.mu.Lock()
	for _, lane := range p.names {
		served[lane] = p.Owns(lane)
	}
	for v, r := range p.table {
		switch {
		case v.who == p:
			own[v.lane] = *r
		case served[v.lane]:
			hosted[v] = *r
		}
	}
	p.mu.Unlock()
	p.pause() // what was read is old by now
	still, gone, err := p.visit(ctx, own, visits)
	if err != nil {
		return err
	}
	granted, dismissed := p.host(hosted, served)
	var ask []string
	sent := p.store.Sent()
	for _, lane := range p.names { // in an order that the seed alone tells
		if sent[lane] > 0 && p.chance(0.7) {
			ask = append(ask, lane)
		}
	}
	p.pause()
	if p.chance(0.1) {
		return errFake
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead.Load() {
		return errFenced
	}
	for _, lane := range ask {
		if v := (visitor{lane, p}); p.table[v] == nil {
			p.table[v] = &guestRow{}
		}
	}
	for _, lane := range still {
		if r := p.table[visitor{lane, p}]; r != nil {
			r.still = time.Now()
		}
	}
	for _, lane := range gone {
		delete(p.table, visitor{lane, p})
	}
	for v, n := range granted {
		if r := p.table[v]; r != nil && r.slots == 0 && !r.dismissed && p.owners[v.lane] == p {
			r.slots = n
			p.seen["guests"]++
		}
	}
	for _, v := range dismissed {
		if r := p.table[v]; r != nil {
			r.dismissed = true
		}
	}
	return nil
}

// visit begins and ends visits. It returns the lanes of those that start nothing
// any more, and of those that are over.
func (p *partner) visit(ctx context.Context, own map[string]guestRow, visits []lanes.Visit) (still, gone []string, err error) {
	visiting := map[string]bool{}
	slices.SortFunc(visits, func(a, b lanes.Visit) int { return strings.Compare(a.Lane, b.Lane) })
	for _, v := range visits {
		visiting[v.Lane] = true
		r, known := own[v.Lane]
		if known && !r.dismissed && r.still.IsZero() && !v.Over && !p.chance(0.03) {
			continue
		}
		if err := p.store.Depart(ctx, v.Lane); err != nil {
			return nil, nil, err
		}
		switch {
		case known && r.still.IsZero():
			still = append(still, v.Lane)
		case p.store.Forget(v.Lane):
			gone = append(gone, v.Lane)
		}
	}
	for lane, r := range own {
		switch {
		case visiting[lane]:
		case r.dismissed || !r.still.IsZero():
			gone = append(gone, lane)
		case r.slots > 0:
			p.store.Visit(lane, r.slots)
		}
	}
	return still, gone, nil
}

// host answers those who ask, once the attempts of before are over, and sends away
// those who cannot stay.
func (p *partner) host(rows map[visitor]guestRow, served map[string]bool) (granted map[visitor]int, dismissed []visitor) {
	granted = map[visitor]int{}
	promised, lent := map[visitor]int{}, map[string]int{}
	for v, r := range rows {
		lent[v.lane] += r.slots
		if n := p.promised[v]; r.slots == 0 && !r.dismissed && n > 0 {
			promised[v] = n
			lent[v.lane] += n
		}
	}
	p.promised = promised
	for _, lane := range p.names {
		if n := lent[lane]; served[lane] && (n > 0 || p.store.Lends(lane)) {
			p.store.Lent(lane, n)
		}
	}
	for _, v := range slices.SortedFunc(maps.Keys(rows), func(a, b visitor) int {
		return cmp.Or(strings.Compare(a.lane, b.lane), strings.Compare(a.who.name, b.who.name))
	}) {
		r := rows[v]
		stay, pressed := p.store.Hosts(v.lane)
		switch {
		case r.dismissed:
		case !stay, pressed && p.chance(0.1):
			dismissed = append(dismissed, v)
		case r.slots > 0:
		default:
			if promised[v] == 0 {
				promised[v] = p.store.Lend(v.lane)
				lent[v.lane] += promised[v]
			}
			if promised[v] == 0 {
				dismissed = append(dismissed, v)
			} else if p.store.Lent(v.lane, lent[v.lane]) {
				granted[v] = promised[v]
			}
		}
	}
	return granted, dismissed
}
