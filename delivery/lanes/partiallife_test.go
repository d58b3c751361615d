package lanes_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// bury ends a partner that died: what it alone knew of is indexed, its lanes
// are free. It needs the lock.
func (p *partner) bury() {
	p.dead.Store(true)
	p.checkLow()
	p.buryAsGuest()
	for _, r := range p.rows {
		if p.owners[r.Delivery.LaneName()] == p && r.guest == nil {
			r.indexed = true
		}
	}
	for name, o := range p.owners {
		if o == p {
			delete(p.owners, name)
		}
	}
}

// fold reads the inbox once, and may take its time to do what it says.
func (p *partner) fold(ctx context.Context) error {
	moves := p.moves.Load()
	p.mu.Lock()
	var letters []*letter
	for _, l := range p.inbox {
		if p.Owns(l.row.Delivery.LaneName()) && len(letters) < 10 {
			letters = append(letters, l)
		}
	}
	p.mu.Unlock()
	if p.chance(0.3) {
		for range 20 {
			p.pause() // another may have taken them by now
		}
	}
	var rows []lanes.Incoming
	flush := func() error {
		err := p.store.Fold(ctx, rows...)
		rows = nil
		return err
	}
	for _, l := range letters {
		err := error(nil)
		switch {
		case l.note != nil:
			if err = flush(); err == nil && p.moves.Load() == moves {
				err = p.heed(ctx, l)
			}
		case l.row.Delivery.Ahead:
			rows = append(rows, lanes.Incoming{Row: l.row, Source: l})
			if err = p.alone(ctx, flush, l.row.Delivery.LaneName()); err == nil {
				p.wentAlone(l.row.Delivery.ID)
			}
		default:
			rows = append(rows, lanes.Incoming{Row: l.row, Source: l})
		}
		if err != nil || p.moves.Load() != moves { // of what left and came back, some was passed over
			return err
		}
	}
	return flush()
}

// heed takes a note from the inbox, unless it is dead and does not know it.
func (p *partner) heed(ctx context.Context, l *letter) error {
	err := p.store.Heed(ctx, *l.note)
	if errors.Is(err, lanes.ErrElsewhere) {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && !p.dead.Load() {
		p.inbox = slices.DeleteFunc(p.inbox, func(x *letter) bool { return x == l })
	}
	return err
}

// wentAlone notes that no guest may pass a delivery any more, if it is stored.
func (p *partner) wentAlone(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, known := p.guesthouse.alone[id]; !known && p.byID[id] != nil {
		p.guesthouse.alone[id] = time.Now()
	}
}

func newCommon(seed uint64, names []string) *common {
	f := newFake(seed)
	f.rnd = rand.New(rand.NewPCG(seed, 3))
	house := guesthouse{table: map[visitor]*guestRow{}, alone: map[string]time.Time{}, seen: map[string]int{}}
	return &common{fake: f, guesthouse: house, names: names, owners: map[string]*partner{}}
}

// join opens another Store. It owns nothing yet.
func (c *common) join(ctx context.Context, name string, cfg lanes.Config) (*partner, error) {
	p := &partner{common: c, name: name, open: map[*lanes.Batch]func(){}, looking: make(chan struct{}, 1)}
	var backend lanes.Backend = p
	switch {
	case c.fetching && c.parallel:
		backend = fetchingTwofoldPartner{fetchingPartner{p}}
	case c.fetching:
		backend = fetchingPartner{p}
	case c.parallel:
		backend = twofoldPartner{p}
	}
	for {
		store, err := lanes.Open(ctx, backend, cfg)
		if err == nil {
			p.store = store
			return p, nil
		}
		if !errors.Is(err, errFake) {
			return nil, err
		}
	}
}

// enqueue stores deliveries; those that go ahead do so before guests, too.
func (m *pair) enqueue(ctx context.Context, p *partner, ds []delivery.Delivery) error {
	var names, ids []string
	for _, d := range ds {
		if d.Ahead && p.Owns(d.Lane) {
			names, ids = append(names, d.Lane), append(ids, d.ID)
		}
	}
	var stored []string
	err := p.alone(ctx, func() error {
		err := p.store.Enqueue(ctx, time.Time{}, ds...)
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, id := range ids {
			if p.byID[id] != nil { // else it is in the inbox
				stored = append(stored, id)
			}
		}
		return err
	}, names...)
	if err == nil {
		for _, id := range stored {
			p.wentAlone(id)
		}
	}
	return err
}

// attend plays a seat's part in who is a guest where.
func (m *pair) attend(ctx context.Context, s *seat) {
	for ctx.Err() == nil {
		m.pause(15 * time.Millisecond)
		err := s.now().look(ctx)
		if err != nil && !errors.Is(err, errFake) && !errors.Is(err, delivery.ErrUnknown) && ctx.Err() == nil {
			m.fail("guests: %w", err)
		}
	}
}

// goHome ends all visits of a partner.
func (p *partner) goHome(ctx context.Context) error {
	for {
		left := p.store.Visits(false)
		p.mu.Lock()
		for v, r := range p.table {
			if r.dismissed = true; v.who == p {
				left = append(left, lanes.Visit{})
			}
		}
		p.mu.Unlock()
		if len(left) == 0 {
			return nil
		}
		if err := p.look(ctx); err != nil {
			return err
		}
		if _, err := p.store.Lease(ctx, time.Time{}, delivery.LeaseRequest{Max: 1, TTL: 1}); err != nil { // it ends what is over
			return err
		}
		p.pause()
	}
}

// retire has a partner end all that it does. Then nothing is left in its memory.
func (p *partner) retire(ctx context.Context, names []string) error {
	if err := p.goHome(ctx); err != nil {
		return err
	}
	if err := p.leave(ctx, names); err != nil {
		return err
	}
	leases, err := p.store.Lease(ctx, time.Time{}, delivery.LeaseRequest{Max: 1}) // it forgets lanes that were ready
	if err != nil {
		return err
	}
	_, lanes, rows, err := p.store.Audit(true)
	if err == nil && len(leases)+lanes+rows > 0 {
		err = fmt.Errorf("a Store that owns nothing leases %d and has %d lanes and %d rows in memory", len(leases), lanes, rows)
	}
	return err
}

// inherit has one Store serve all there is: heir if it can, or a new one.
func (m *pair) inherit(ctx context.Context, heir *partner) (*partner, error) {
	if heir != nil {
		err := heir.gain(ctx, m.names)
		if !errors.Is(err, delivery.ErrUnknown) {
			return heir, errors.Join(err, heir.look(ctx)) // it has no guests any more
		}
		m.bury(heir)
	}
	p, err := m.common.join(ctx, "last", m.cfg)
	if err != nil {
		return nil, err
	}
	return p, p.gain(ctx, m.names)
}
