package storetest

import (
	"context"
	"flag"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/ringback-go/ringback/delivery"
)

// modelLong, an environment variable, lets Model run thirty times as long.
const modelLong = "RINGBACK_LONG"

// Model puts random sequences of operations, crashes included, to a store and
// to a simple model of the contract, and compares them after every step. Where
// the contract leaves the store a choice, the model follows it. A failure is
// minimized and printed with the seed that repeats it: -rapid.seed. The number
// of sequences and their length are -rapid.checks and -rapid.steps; with
// RINGBACK_LONG=1 in the environment there are thirty times as many.
func Model(t *testing.T, cfg Config) {
	t.Helper()
	if cfg.Open == nil {
		t.Fatal("storetest: Config.Open is nil")
	}
	modelFlags(t, cfg)
	rapid.Check(t, func(rt *rapid.T) {
		home, leave := shelter(t)
		defer leave()
		m := &model{
			T: rt, ctx: home.Context(), cfg: cfg, home: home, store: cfg.Open(home),
			// A store's own clock, where it goes by that, is always behind.
			now:  time.Now().UTC().Truncate(time.Second).Add(time.Hour),
			byID: map[string]*modelRow{}, events: map[string]int{}, lanes: map[string]*modelLane{},
			heads: map[laneKey]*modelRow{}, receipts: map[string]bool{},
		}
		m.began = m.now
		for _, name := range []string{"l", "m", "n"} {
			m.lanes[name] = &modelLane{name: name}
			m.names = append(m.names, name)
		}
		actions := m.actions()
		actions[""] = func(rt *rapid.T) { m.T = rt; m.compare() }
		rt.Repeat(actions)
		m.T = rt
		m.finish()
	})
}

var modelOnce sync.Once

// modelFlags sets rapid's flags, once since they are those of the whole binary,
// except those that were given.
func modelFlags(t *testing.T, cfg Config) {
	t.Helper()
	modelOnce.Do(func() {
		given := map[string]bool{}
		flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
		checks := 12
		if cfg.Reopen == nil { // it has no disk to wait for
			checks = 200
		}
		if os.Getenv(modelLong) != "" {
			checks *= 30
		}
		for name, value := range map[string]string{
			"rapid.checks": strconv.Itoa(checks), "rapid.steps": "60", "rapid.nofailfile": "true", "rapid.shrinktime": "20s",
		} {
			if given[name] {
				continue
			}
			if err := flag.Set(name, value); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// shelter runs a subtest around one sequence, so that what the store's Open
// leaves to Cleanup happens when that is over and not when all are.
func shelter(t *testing.T) (home *testing.T, leave func()) {
	t.Helper()
	inside, over, gone := make(chan *testing.T), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		t.Run("sequence", func(t *testing.T) {
			inside <- t
			<-over
		})
	}()
	return <-inside, func() { close(over); <-gone }
}

// model is what a store should be like, in maps and slices.
type model struct {
	*rapid.T

	ctx   context.Context //nolint:containedctx // one sequence is one call
	cfg   Config
	home  *testing.T
	store delivery.Store
	began time.Time
	now   time.Time

	rows     []*modelRow // in the order of Enqueue
	byID     map[string]*modelRow
	events   map[string]int // deliveries remembered of each, markers none
	names    []string       // of the lanes
	lanes    map[string]*modelLane
	heads    map[laneKey]*modelRow // who goes first of a key, where that is known
	receipts map[string]bool       // all that were ever given
	stale    []delivery.Lease      // leases that have ended
	serial   int
}

type laneKey struct{ lane, key string }

// modelRow is a delivery and all that the contract says of it.
type modelRow struct {
	delivery.Delivery

	marker          bool
	lane            *modelLane
	due, expires    time.Time
	attempts, tries int
	state           delivery.State
	reason          string
	settled         time.Time // zero if the store may go by its own clock
	log             []delivery.Attempt

	lease    *delivery.Lease
	ends     time.Time // of the lease
	canceled bool      // while it was leased
	ahead    bool      // goes ahead, and was never attempted
	revived  bool      // was settled, and others of its key were not
}

func (r *modelRow) pending() bool { return !r.marker && r.state == delivery.Pending }
func (r *modelRow) waits() bool   { return r.pending() && r.lease == nil }
func (r *modelRow) retry() bool   { return r.attempts > 0 }

func (r *modelRow) key() laneKey { return laneKey{r.lane.name, r.Key} }

// GoString is how rapid prints a row that it chose.
func (r *modelRow) GoString() string { return r.ID }

// says prints a step of a sequence, with the time since its begin.
func (m *model) says(format string, args ...any) {
	m.Helper()
	m.Logf("%8v "+format, append([]any{m.now.Sub(m.began)}, args...)...)
}

func (m *model) must(err error, doing string) {
	m.Helper()
	if err != nil {
		m.Fatalf("%s: %v", doing, err)
	}
}

// leased returns the rows that are leased, in the order of Enqueue.
func (m *model) leased() []*modelRow {
	var out []*modelRow
	for _, r := range m.rows {
		if r.lease != nil {
			out = append(out, r)
		}
	}
	return out
}

// finish brings every delivery to its end: nothing was lost on the way.
func (m *model) finish() {
	for _, name := range m.names {
		m.set(delivery.LaneState{
			Lane: name, Mode: delivery.LaneOpen, MaxInFlight: plenty, PerSecond: -1, NotBeforeIn: -1, Health: delivery.HealthForget,
		})
	}
	m.pass(24 * time.Hour)
	for range 10 * (len(m.rows) + 1) {
		if m.drain(delivery.LeaseRequest{Max: plenty}); len(m.leased()) == 0 {
			break
		}
		var outs []delivery.Outcome
		for _, r := range m.leased() {
			outs = append(outs, outcome(*r.lease, delivery.Done))
		}
		m.settleAll(outs)
	}
	if i := slices.IndexFunc(m.rows, (*modelRow).pending); i >= 0 {
		m.Fatalf("%s can never be leased", m.rows[i].ID)
	}
	m.compare()
	m.lookUp()
}
