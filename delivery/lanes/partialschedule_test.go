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
		partialSchedule(t, *seedFlag)
		return
	}
	base := rand.Uint64() | 1
	for i := range *countFlag {
		if seed := base + uint64(i); !partialSchedule(t, seed) {
			return
		}
	}
}

func partialSchedule(t *testing.T, seed uint64) bool {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newPair(seed)
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
	return !t.Failed()
}

// pair is what must be true of two Stores.
type pair struct {
	*model
	common *common
	seats  [2]seat

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
	m.fake, c.fetching = c.fake, m.fetching
	return &pair{
		model: m, common: c, begun: map[string]time.Time{}, stored: map[string]time.Time{}, leased: map[string]time.Time{},
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
		m.seats[i].who = p
	}
	busy, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i := range m.seats {
		s := &m.seats[i]
		wg.Go(func() { m.produce(busy, s) })
		wg.Go(func() { m.consume(busy, s, false) })
		wg.Go(func() { m.consume(busy, s, false) })
		wg.Go(func() { m.fold(busy, s) })
		wg.Go(func() { m.move(busy, s) })
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

func (m *pair) any() *seat { return &m.seats[m.n(len(m.seats))] }

func (m *pair) produce(ctx context.Context, s *seat) {
	for range 20 {
		var ds []delivery.Delivery
		for range 1 + m.n(8) {
			ds = append(ds, m.delivery(m.names[m.n(len(m.names))]))
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
			err = m.saw(s.now().store.Enqueue(ctx, time.Time{}, ds...))
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
		m.pause(50 * time.Millisecond)
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
		m.pause(2 * time.Second)
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
	for i := range m.seats {
		p := m.seats[i].now()
		if m.n(2) == 0 {
			m.bury(p)
			continue
		}
		p.mu.Lock()
		clear(p.open)
		p.mu.Unlock()
		if err := p.leave(ctx, m.names); err != nil && !p.dead.Load() && !errors.Is(err, delivery.ErrUnknown) {
			return fmt.Errorf("leaving in the end: %w", err)
		} else if err != nil {
			m.bury(p)
		} else if _, lanes, rows, err := p.store.Audit(true); err != nil || lanes != 0 || rows != 0 {
			return fmt.Errorf("%d lanes and %d rows stay in memory of a Store that owns nothing, %w", lanes, rows, err)
		}
	}
	p, err := c.join(ctx, "last", m.cfg)
	if err != nil {
		return err
	}
	if err := p.gain(ctx, m.names); err != nil {
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
