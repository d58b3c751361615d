package lanes_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

var (
	seedFlag  = flag.Uint64("lanes.seed", 0, "repeat the schedule of this seed alone")
	countFlag = flag.Int("lanes.schedules", 250, "how many schedules to run")
)

// TestSchedules runs random schedules of callers over a backend that is as
// awkward as it may be, in virtual time. A failure prints its seed.
func TestSchedules(t *testing.T) {
	t.Parallel()
	if *seedFlag != 0 {
		schedule(t, *seedFlag)
		return
	}
	base := rand.Uint64() | 1
	for i := range *countFlag {
		if seed := base + uint64(i); !schedule(t, seed) {
			return
		}
	}
}

func schedule(t *testing.T, seed uint64) bool {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newModel(seed)
		err := m.play(t.Context())
		m.fake.mu.Lock()
		defer m.fake.mu.Unlock()
		if m.err != nil {
			err = m.err
		}
		if m.fake.wrong != nil {
			err = m.fake.wrong
		}
		if err != nil {
			t.Errorf("-lanes.seed=%d: %v", seed, err)
		}
	})
	return !t.Failed()
}

const leaseTTL = time.Second

type held struct {
	lane, key string
	end       time.Time
}

// laneModel is what the model knows of a lane: its cap, and until when the one
// before it may still be seen.
type laneModel struct {
	cap, capBefore int
	capSince       time.Time
}

// model is what must be true, whatever the schedule.
type model struct {
	rnd   *rand.Rand // guarded by mu
	fake  *fake
	cfg   lanes.Config
	store *lanes.Store
	names []string

	parallel, fetching bool

	mu       sync.Mutex
	accepted []string
	live     map[string]held
	caps     map[string]laneModel
	closed   map[string]time.Time // lanes, since when
	canceled map[string]time.Time
	fenced   time.Time // when the store said that it lost its ownership
	serial   int
	err      error
}

func newModel(seed uint64) *model {
	rnd := rand.New(rand.NewPCG(seed, 2))
	m := &model{
		rnd: rnd, fake: newFake(seed), live: map[string]held{}, caps: map[string]laneModel{},
		closed: map[string]time.Time{}, canceled: map[string]time.Time{},
	}
	m.cfg = lanes.Config{
		HoldBytes:   []int{1, 4_000, 20_000, 8 << 20}[rnd.IntN(4)],
		Straggle:    []int64{1, 5, 20_000}[rnd.IntN(3)],
		BatchRows:   []int{1, 10, 2_000}[rnd.IntN(3)],
		MaxInFlight: []int{1, 3, 64}[rnd.IntN(3)],
	}
	m.parallel, m.fetching = rnd.IntN(2) == 0, rnd.IntN(2) == 0
	for i := range 1 + rnd.IntN(5) {
		name := "lane" + strconv.Itoa(i)
		m.names = append(m.names, name)
		m.caps[name] = laneModel{cap: m.cfg.MaxInFlight, capBefore: m.cfg.MaxInFlight}
	}
	return m
}

func (m *model) backend() lanes.Backend {
	o := &owner{fake: m.fake, parallel: m.parallel}
	m.fake.twofold = m.parallel
	switch {
	case m.parallel && m.fetching:
		return fetchingTwofold{twofold{o}}
	case m.parallel:
		return twofold{o}
	case m.fetching:
		return fetching{o}
	}
	return o
}

func (m *model) n(n int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.rnd.IntN(n)
}

func (m *model) fail(format string, args ...any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.err = fmt.Errorf(format, args...)
	}
}

func (m *model) pause(limit time.Duration) { time.Sleep(time.Duration(m.n(int(limit))) + 1) } // virtual

// play runs a schedule of one to three lives of the store, then drains it.
func (m *model) play(ctx context.Context) error {
	for range 1 + m.n(3) {
		store, err := lanes.Open(ctx, m.backend(), m.cfg)
		if err != nil {
			if errors.Is(err, errFake) {
				continue // a crash while opening
			}
			return err
		}
		m.store = store
		life, cancel := context.WithCancel(ctx)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { m.produce(life) })
		}
		for range 3 {
			wg.Go(func() { m.consume(life, false) })
		}
		wg.Go(func() { m.control(life) })
		m.pause(2 * time.Second)
		if m.n(2) == 0 { // loses its ownership while it goes on
			if _, err := m.takeOver(ctx); err != nil {
				cancel()
				wg.Wait()
				return err
			}
			m.pause(time.Second)
		}
		cancel()
		wg.Wait()
		m.mu.Lock()
		m.fenced = time.Time{}
		clear(m.live)     // a crash ends all leases
		clear(m.canceled) // and with them what was to become of them
		m.mu.Unlock()
		m.fake.mu.Lock()
		m.fake.told(func(*lanes.Batch) bool { return true }) // the next life reads it all
		m.fake.mu.Unlock()
	}
	m.fake.mu.Lock()
	m.fake.calm = true
	clear(m.fake.open)
	m.fake.mu.Unlock()
	store, err := lanes.Open(ctx, m.backend(), m.cfg)
	if err != nil {
		return err
	}
	m.store = store
	return m.drain(ctx)
}

// takeOver opens another store of the rows, as a second engine would.
func (m *model) takeOver(ctx context.Context) (*lanes.Store, error) {
	store, err := lanes.Open(ctx, m.backend(), m.cfg)
	if errors.Is(err, errFake) {
		return nil, nil //nolint:nilnil // it fell over its own feet
	}
	return store, err
}

// saw takes note of an error that says that the store lost its ownership.
func (m *model) saw(err error) error {
	if errors.Is(err, delivery.ErrOwned) {
		m.mu.Lock()
		if m.fenced.IsZero() {
			m.fenced = time.Now()
		}
		m.mu.Unlock()
		m.pause(100 * time.Millisecond) // it will not change
	}
	return err
}

// audit checks memory for itself. What it may hold beyond HoldBytes is what one
// read brings and a few rows for each lane, so that every lane can go on.
func (m *model) audit() {
	bytes, _, _, err := m.store.Audit(false)
	if err != nil {
		m.fail("%w", err)
	}
	if limit := m.cfg.HoldBytes + len(m.names)*2*(128+8)*1000; bytes < 0 || m.cfg.HoldBytes < 1<<20 && bytes > limit {
		m.fail("%d bytes are held, the bound is %d", bytes, limit)
	}
}

// took checks leases at the moment at which they were given.
func (m *model) took(asked time.Time, leases []delivery.Lease) {
	m.fake.mu.Lock()
	defer m.fake.mu.Unlock()
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if len(leases) > 0 && !m.fenced.IsZero() && m.fenced.Before(asked) {
		m.err = fmt.Errorf("%s was leased by a store that had said it lost its ownership", leases[0].ID)
	}
	for _, l := range leases {
		r := m.fake.byID[l.ID]
		if r.settled && !r.known.IsZero() && r.known.Before(asked) {
			m.err = fmt.Errorf("%s was leased after it was settled (%s)", l.ID, r.how)
		}
		if since, ok := m.closed[l.Lane]; ok && since.Before(asked) {
			m.err = fmt.Errorf("%s was leased of a closed lane", l.ID)
		}
		if since, ok := m.canceled[l.ID]; ok && since.Before(asked) {
			m.err = fmt.Errorf("%s was leased after it was canceled", l.ID)
		}
		if first := m.fake.ahead(l.Lane, asked); first != nil && (!l.Ahead || l.Attempts > 0) {
			m.err = fmt.Errorf("%s was leased before %s, which goes ahead", l.ID, first.Delivery.ID)
		}
		inFlight := 1
		for id, h := range m.live {
			switch {
			case !h.end.After(now):
				delete(m.live, id)
			case id == l.ID:
				m.err = fmt.Errorf("%s was leased twice at once", l.ID)
			case h.lane == l.Lane && h.key == l.Key && l.Key != "":
				m.err = fmt.Errorf("%s was leased beside %s of the same key", l.ID, id)
			case h.lane == l.Lane:
				inFlight++
			}
		}
		if first := m.fake.oldest(r); !r.settled && l.Key != "" && first != r {
			m.err = fmt.Errorf("%s was leased before %s of the same key", l.ID, first.Delivery.ID)
		}
		c := m.caps[l.Lane]
		limit := c.cap
		if !now.After(c.capSince) {
			limit = max(limit, c.capBefore)
		}
		if inFlight > limit {
			m.err = fmt.Errorf("%d of lane %s are in flight at a cap of %d", inFlight, l.Lane, limit)
		}
		m.live[l.ID] = held{l.Lane, l.Key, now.Add(leaseTTL).Truncate(time.Microsecond)}
	}
}

// drain ends all that waits and looks at what is left.
func (m *model) drain(ctx context.Context) error {
	for _, name := range m.names {
		if m.n(2) == 0 {
			m.set(ctx, delivery.LaneState{Lane: name, Mode: delivery.LaneOpen, NotBeforeIn: -1})
		} else {
			m.set(ctx, delivery.LaneState{Lane: name, Mode: delivery.LaneClosed, Reason: "closed"})
		}
	}
	m.consume(ctx, true)
	m.audit()
	m.fake.mu.Lock()
	defer m.fake.mu.Unlock()
	for _, id := range m.accepted {
		switch r := m.fake.byID[id]; {
		case r == nil:
			return fmt.Errorf("%s was accepted and is not stored", id)
		case !r.settled:
			return fmt.Errorf("%s was skipped: lane %s, key %q, due %d, %d attempts, seq %d", id, r.Delivery.Lane, r.Delivery.Key, r.Due, r.Attempts, r.Seq)
		}
	}
	if bytes, _, rows, err := m.store.Audit(true); err != nil {
		return err
	} else if bytes != 0 || rows != 0 {
		return fmt.Errorf("%d bytes and %d rows stay in memory after the last was settled", bytes, rows)
	}
	return nil
}
