package pgstore

import (
	"context"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/ringback-go/ringback/delivery/lanes"
)

// guests is one member's part in who is a guest where. What is published for a
// lane that another engine serves crosses over by letter, which costs about what
// it costs to deliver it; where much does, the engine asks to be a guest of the
// lane, and attempts what is published there itself.
//
// The table is what counts: its host writes how many attempts at a time are left
// to a guest, once they are free, and has them again when the guest's row is gone.
// The guest deletes it when it has nothing of the lane any more, or who buries it.
type guests struct {
	*member

	told chan struct{} // something is new
	sent chan struct{} // letters were

	mu     sync.Mutex     // held while the table is read and obeyed
	lent   map[string]int // attempts at a time, by lane
	begun  time.Time      // of the time in which letters are counted
	counts map[string]int // since then, by lane
	hopes  int            // rows of which something is to come
	// Ticks in a row at which nothing was under way, by visited lane; attempts that
	// are kept free for those who asked; ticks in a row at which a lane was at its
	// limit.
	idle     map[string]int
	promised map[visitor]int
	presses  map[string]int

	coolMu sync.Mutex
	cool   map[string]time.Time // lanes that have no guests, or are not asked for, before
	away   map[string]time.Time // when lanes' guests were sent away that may be there
}

const (
	// askWindow and askLetters: who sends so many in that time asks to be a guest.
	askWindow, askLetters = time.Second, 32
	// mostVisits bounds the lanes that an engine is a guest of.
	mostVisits = 256
	// A guest goes after so many ticks without an attempt, or sooner if something
	// waits: its engine is busy.
	idleTicks, stuckTicks = 8, 2
	// coolFor is how long a lane has no guests after one was sent away, or went
	// because attempts failed.
	coolFor = 5 * time.Second
	// pressedTicks is for how many ticks a lane is at its limit until guests go
	// that have attempts to spare.
	pressedTicks = 3
	// guestPause is the least time between two looks.
	guestPause = 20 * time.Millisecond
	// dismissalMin is how long it is waited for guests to stop, at least: so long
	// they start attempts without having looked again.
	dismissalMin = time.Second
)

func newGuests(m *member) guests {
	return guests{
		member: m, told: make(chan struct{}, 1), sent: make(chan struct{}, 1),
		lent: map[string]int{}, counts: map[string]int{}, idle: map[string]int{}, cool: map[string]time.Time{}, away: map[string]time.Time{},
		promised: map[visitor]int{}, presses: map[string]int{},
	}
}

func (g *guests) dismissal() time.Duration { return max(dismissalMin, 4*g.cfg.Poll) }

// run looks when something is new, and from time to time while anybody is a
// guest or asked to be one.
func (g *guests) run(ctx context.Context) {
	tick := time.NewTicker(g.cfg.Poll)
	defer tick.Stop()
	for {
		told, ticked := false, false
		select {
		case <-ctx.Done():
			return
		case <-g.told:
			told = true
		case <-g.sent:
		case <-tick.C:
			ticked = true
		}
		err := g.look(ctx, told, ticked)
		switch {
		case ctx.Err() != nil:
			return
		case lost(err):
			g.fail(err)
			return
		case err != nil:
			g.log.LogAttrs(ctx, slog.LevelError, "pgstore: cannot look after guests", slog.Any("error", err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(guestPause):
		}
	}
}

// look does what there is to do as a guest and as a host. How much they are used
// is judged at ticks.
func (g *guests) look(ctx context.Context, told, ticked bool) error {
	ctx, cancel := context.WithTimeout(ctx, g.rows.timeout)
	defer cancel()
	g.mu.Lock()
	defer g.mu.Unlock()
	var c changes
	visits := g.lanes.Visits(ticked)
	c.ask = g.wished(mostVisits - len(visits) - g.hopes)
	begin := time.Now()
	if !told && len(c.ask)+len(visits)+len(g.lent)+g.hopes == 0 {
		return nil
	}
	mine := g.rows.mine() // some may leave, or stay after all, before the end
	rows, err := g.read(ctx, mine)
	if err != nil {
		return err
	}
	own := map[string]guestRow{}
	lent := map[string]int{}
	g.hopes = len(rows)
	for _, r := range rows {
		if r.engine == g.id {
			own[r.lane] = r
		} else {
			lent[r.lane] += r.slots
		}
	}
	if err := g.visit(ctx, own, visits, ticked, &c); err != nil {
		return err
	}
	g.lanes.Stay(g.dismissal() - time.Since(begin)) // who is sent away from now on is waited for until then
	g.host(rows, mine, lent, ticked, &c)
	return g.write(ctx, &c)
}

// wished returns the lanes that this engine would like to be a guest of, so many
// at most.
func (g *guests) wished(most int) []string {
	now := time.Now()
	if now.Sub(g.begun) > askWindow {
		g.begun = now
		clear(g.counts)
	}
	var ask []string
	for lane, n := range g.lanes.Sent() {
		if g.counts[lane] += n; g.counts[lane] >= askLetters && len(ask) < most && !g.cools(lane) && !g.rows.Owns(lane) {
			ask = append(ask, lane)
			g.counts[lane] = 0
		}
	}
	return ask
}

// cools reports whether a lane is to have no guests yet.
func (g *guests) cools(lane string) bool {
	g.coolMu.Lock()
	defer g.coolMu.Unlock()
	return time.Now().Before(g.cool[lane])
}

func (g *guests) coolDown(lanes ...string) {
	g.coolMu.Lock()
	defer g.coolMu.Unlock()
	now := time.Now()
	until := now.Add(coolFor)
	maps.DeleteFunc(g.cool, func(_ string, until time.Time) bool { return until.Before(now) })
	for _, lane := range lanes {
		g.cool[lane] = until
	}
}

// visit begins and ends visits.
func (g *guests) visit(ctx context.Context, own map[string]guestRow, visits []lanes.Visit, ticked bool, c *changes) error {
	visiting := map[string]bool{}
	for _, v := range visits {
		visiting[v.Lane] = true
		r, known := own[v.Lane]
		useless := ticked && g.useless(v, r)
		if known && !r.dismissed && !r.still && !v.Over && !useless {
			continue
		}
		if err := g.lanes.Depart(ctx, v.Lane); err != nil {
			return err
		}
		switch {
		case known && !r.still: // before it is forgotten, or it would begin again
			g.coolDown(v.Lane)
			c.still = append(c.still, v.Lane)
		case g.lanes.Forget(v.Lane):
			visiting[v.Lane] = false
			delete(g.idle, v.Lane)
			c.gone = append(c.gone, v.Lane)
		}
	}
	for lane, r := range own {
		switch {
		case visiting[lane]:
		case g.rows.Owns(lane): // since it asked
			c.gone = append(c.gone, lane)
		case r.dismissed || r.still:
			g.coolDown(lane)
			c.gone = append(c.gone, lane)
		case r.slots > 0:
			delete(g.idle, lane)
			g.lanes.Visit(lane, r.slots)
		}
	}
	return nil
}

// useless reports whether a visit does not help: nothing comes, this engine is
// too busy for it, or the host could do more with its attempts.
func (g *guests) useless(v lanes.Visit, r guestRow) bool {
	if g.idle[v.Lane]++; v.Most > 0 {
		g.idle[v.Lane] = 0
	}
	idle := g.idle[v.Lane]
	return idle >= idleTicks || idle >= stuckTicks && v.Waiting > 0 || r.pressed && 2*v.Most < r.slots
}
