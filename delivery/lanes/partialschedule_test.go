package lanes_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// TestPartialSchedules is TestSchedules with two Stores that share the rows:
// lanes move between them, and at times one of them is taken for dead.
func TestPartialSchedules(t *testing.T) {
	t.Parallel()
	if *seedFlag != 0 {
		m, _ := partialSchedule(t, *seedFlag)
		t.Log(m.common.seen)
		return
	}
	base := rand.Uint64() | 1
	in := map[string]int{} // schedules
	for i := range *countFlag {
		m, ok := partialSchedule(t, base+uint64(i))
		if !ok {
			return
		}
		for what := range m.common.seen {
			in[what]++
		}
	}
	for _, what := range []string{
		"guests", "rows of guests", "rows sent home", "attempts of guests that failed", "notes with a sign",
		"rows of dead guests", "rows of guests that became owners", "retries of rows of guests", "rows of guests that were canceled",
	} {
		t.Logf("%s: in %d of %d schedules", what, in[what], *countFlag)
		if in[what] == 0 && *countFlag >= 250 {
			t.Errorf("there were no %s", what)
		}
	}
}

func partialSchedule(t *testing.T, seed uint64) (m *pair, ok bool) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m = newPair(seed)
		err := m.play(t.Context())
		m.common.mu.Lock()
		defer m.common.mu.Unlock()
		if m.err != nil {
			err = m.err
		}
		if m.common.wrong != nil {
			err = m.common.wrong
		}
		if err != nil {
			t.Errorf("-lanes.seed=%d: %v", seed, err)
		}
	})
	return m, !t.Failed()
}

// pair is what must be true of two Stores.
type pair struct {
	*model
	common *common
	seats  []*seat
	roomy  bool // guests get on well
	slow   bool // attempts take long at times

	// Of deliveries, guarded by mu: when Enqueue began and returned, when they were
	// leased last, how many are ending them; and those retried by hand.
	begun, stored, leased map[string]time.Time
	ending                map[string]int
	retried               map[string]bool
	holders               map[string]*partner // of live leases
}

// seat is a process: who runs in it changes.
type seat struct {
	mu  sync.RWMutex
	who *partner
}

func (s *seat) now() *partner {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.who
}

func newPair(seed uint64) *pair {
	m := newModel(seed)
	c := newCommon(seed, m.names)
	m.fake, c.fetching, c.parallel = c.fake, m.fetching, m.parallel
	roomy := m.n(3) > 0
	if roomy {
		m.cfg.HoldBytes, m.cfg.MaxInFlight = max(m.cfg.HoldBytes, 20_000), max(m.cfg.MaxInFlight, 8)
		for _, name := range m.names {
			m.caps[name] = laneModel{cap: m.cfg.MaxInFlight, capBefore: m.cfg.MaxInFlight}
		}
	}
	return &pair{
		model: m, common: c, seats: make([]*seat, 2+m.n(2)), roomy: roomy, slow: m.n(2) == 0, begun: map[string]time.Time{}, stored: map[string]time.Time{}, leased: map[string]time.Time{},
		ending: map[string]int{}, retried: map[string]bool{}, holders: map[string]*partner{},
	}
}

// play has two engines work for a while, and then one of them end it all.
func (m *pair) play(ctx context.Context) error {
	for i := range m.seats {
		p, err := m.common.join(ctx, fmt.Sprintf("s%d", i), m.cfg)
		if err != nil {
			return err
		}
		m.seats[i] = &seat{who: p}
	}
	busy, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for _, s := range m.seats {
		wg.Go(func() { m.produce(busy, s) })
		wg.Go(func() { m.consume(busy, s, false) })
		wg.Go(func() { m.consume(busy, s, false) })
		wg.Go(func() { m.fold(busy, s) })
		wg.Go(func() { m.move(busy, s) })
		wg.Go(func() { m.attend(busy, s) })
	}
	wg.Go(func() { m.control(busy) })
	if m.n(2) == 0 {
		wg.Go(func() { m.kill(busy) })
	}
	m.pause(4 * time.Second)
	stop()
	wg.Wait()
	return m.finish(ctx)
}

func (m *pair) any() *seat { return m.seats[m.n(len(m.seats))] }

func (m *pair) produce(ctx context.Context, s *seat) {
	for range 40 {
		var ds []delivery.Delivery
		for range 1 + m.n(8) {
			ds = append(ds, m.delivery(m.names[m.n(len(m.names))]))
			if d := &ds[len(ds)-1]; m.roomy && m.n(5) > 0 {
				d.Key, d.Ahead, d.DelayIn = "", false, 0
			}
		}
		m.mu.Lock()
		for _, d := range ds {
			m.begun[d.ID] = time.Now()
		}
		m.mu.Unlock()
		for err := errFake; err != nil; {
			if ctx.Err() != nil {
				return
			}
			err = m.saw(m.enqueue(ctx, s.now(), ds))
		}
		m.mu.Lock()
		for _, d := range ds {
			m.accepted = append(m.accepted, d.ID)
			m.stored[d.ID] = time.Now()
		}
		m.mu.Unlock()
		m.pause(100 * time.Millisecond)
	}
}

// saw waits a little where a Store turned out to be dead.
func (m *pair) saw(err error) error {
	if errors.Is(err, delivery.ErrOwned) || errors.Is(err, delivery.ErrUnknown) {
		m.pause(10 * time.Millisecond)
	}
	return err
}

func (m *pair) consume(ctx context.Context, s *seat, draining bool) {
	for ctx.Err() == nil {
		req := delivery.LeaseRequest{Max: 1 + m.n(6), Retries: m.n(4) - 1, TTL: leaseTTL}
		if draining {
			req.Retries = 0
		}
		p := s.now()
		asked := time.Now()
		leases, err := p.store.Lease(ctx, time.Time{}, req)
		if err != nil && !errors.Is(err, errFake) && !errors.Is(err, delivery.ErrUnknown) && ctx.Err() == nil {
			m.fail("Lease: %w", err)
			return
		}
		_ = m.saw(err) // it is tried again
		m.took(p, asked, leases)
		if len(leases) == 0 {
			limit := 10 * time.Minute
			if !draining {
				limit = 100 * time.Millisecond // another may sit there by then
			}
			wait, cancel := context.WithTimeout(ctx, limit)
			idle := p.store.Wait(wait, req)
			cancel()
			if idle != nil && draining {
				return
			}
			continue
		}
		attempt := 50 * time.Millisecond
		if m.slow && m.n(4) == 0 {
			attempt = leaseTTL
		}
		m.pause(attempt)
		m.endOf(ctx, p, leases, draining)
	}
}

func (m *pair) fold(ctx context.Context, s *seat) {
	for ctx.Err() == nil {
		m.pause(30 * time.Millisecond)
		err := s.now().fold(ctx)
		if err != nil && !errors.Is(err, errFake) && !errors.Is(err, delivery.ErrUnknown) && ctx.Err() == nil {
			m.fail("Fold: %w", err)
		}
	}
}

// move gains and gives up lanes.
func (m *pair) move(ctx context.Context, s *seat) {
	for ctx.Err() == nil {
		m.pause(100 * time.Millisecond)
		p := s.now()
		names := slices.DeleteFunc(slices.Clone(m.names), func(string) bool { return m.n(2) == 0 })
		var err error
		switch m.n(5) {
		case 0, 1:
			patience, cancel := context.WithTimeout(ctx, time.Duration(1+m.n(500))*time.Millisecond)
			err = p.leave(patience, names)
			if patience.Err() != nil {
				err = nil
			}
			cancel()
		case 2:
			err = p.store.Skip(ctx, func(context.Context) (int64, error) {
				p.mu.Lock()
				defer p.mu.Unlock()
				p.seq += 100
				p.low = p.seq + 1
				p.checkLow()
				return p.seq + 1, nil
			})
		default:
			err = p.gain(ctx, names)
		}
		if err != nil && !errors.Is(err, errFake) && !errors.Is(err, delivery.ErrUnknown) && ctx.Err() == nil {
			m.fail("moving: %w", err)
		}
		m.audit(p)
	}
}

func (m *pair) audit(p *partner) {
	if _, _, _, err := p.store.Audit(false); err != nil {
		m.fail("%s: %w", p.name, err)
	}
}

// kill has one of them taken for dead at some moment. It goes on for a while,
// then another sits in its place.
func (m *pair) kill(ctx context.Context) {
	for n := 2; ctx.Err() == nil; n++ {
		m.pause(time.Second)
		s := m.any()
		p := s.now()
		m.bury(p)
		m.pause(200 * time.Millisecond)
		next, err := m.common.join(ctx, "s"+strconv.Itoa(n), m.cfg)
		if err != nil {
			m.fail("join: %w", err)
			return
		}
		s.mu.Lock()
		s.who = next
		s.mu.Unlock()
	}
}

// finish has all that waits settled by one Store, and looks at what is left.
func (m *pair) finish(ctx context.Context) error {
	c := m.common
	c.mu.Lock()
	c.calm = true
	c.mu.Unlock()
	last := m.n(2 * len(m.seats)) // one of them, or one that reads all anew
	var heir *partner
	for i, s := range m.seats {
		p := s.now()
		p.mu.Lock()
		clear(p.open)
		p.mu.Unlock()
		switch {
		case i == last && !p.dead.Load():
			heir = p
			continue
		case m.n(2) == 0:
			m.bury(p)
			continue
		}
		if err := p.retire(ctx, m.names); errors.Is(err, delivery.ErrUnknown) || p.dead.Load() {
			m.bury(p)
		} else if err != nil {
			return fmt.Errorf("leaving in the end: %w", err)
		}
	}
	p, err := m.inherit(ctx, heir)
	if err != nil {
		return err
	}
	m.mu.Lock()
	clear(m.canceled)
	m.mu.Unlock()
	s := &seat{who: p}
	for _, name := range m.names {
		st := delivery.LaneState{Lane: name, Mode: delivery.LaneOpen, NotBeforeIn: -1}
		if m.n(2) == 0 {
			st = delivery.LaneState{Lane: name, Mode: delivery.LaneClosed, Reason: "closed"}
		}
		m.set(ctx, st, s)
	}
	for {
		c.mu.Lock()
		left := len(c.inbox)
		c.mu.Unlock()
		if left == 0 {
			break
		}
		if err := p.fold(ctx); err != nil {
			return err
		}
	}
	m.consume(ctx, s, true)
	return m.settledAll(p)
}

func (m *pair) settledAll(p *partner) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range m.accepted {
		switch r := p.byID[id]; {
		case r == nil:
			return fmt.Errorf("%s was accepted and is not stored", id)
		case !r.settled:
			return fmt.Errorf("%s was skipped: lane %s, key %q, due %d, %d attempts, seq %d", id, r.Delivery.Lane, r.Delivery.Key, r.Due, r.Attempts, r.Seq)
		}
	}
	if bytes, _, rows, err := p.store.Audit(true); err != nil {
		return err
	} else if bytes != 0 || rows != 0 {
		return fmt.Errorf("%d bytes and %d rows stay in memory after the last was settled", bytes, rows)
	}
	return nil
}

var _ lanes.Partial = (*partner)(nil)
