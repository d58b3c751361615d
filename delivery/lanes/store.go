package lanes

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

// Config tunes a [Store]. The zero value is ready for use.
type Config struct {
	// MaxInFlight caps the leases of a lane that has no cap of its own, so that
	// one endpoint that hangs leaves slots to the others. 0 is 16.
	MaxInFlight int
	// HoldBytes bounds the rows that wait in memory, counted with their bodies
	// and what it costs to keep them; a third of it is for those whose delivery
	// is left to a Fetcher. The rest waits in the backend.
	// 0 is 32 MiB. A backend that HoldsAll is not bounded by it.
	HoldBytes int
	// Straggle is how many younger rows may be committed before a row that is
	// still unsettled is indexed. It bounds what a start must look through.
	// 0 is 60,000.
	Straggle int64
	// BatchRows bounds how many rows one commit takes from several callers.
	// 0 is 2,000.
	BatchRows int
}

// A Store is a [delivery.Store] made of a [Backend]: which rows may be sent is
// decided in its memory, and what several callers want stored at the same time
// is stored in one commit. It is safe for concurrent use and starts no lasting
// goroutine. Make one with [Open].
type Store struct {
	backend  Backend
	partial  Partial // nil: it owns every lane
	fetcher  Fetcher // nil: no row is bare
	cfg      Config
	room     int           // bytes for rows that wait in memory
	bareRoom int           // bytes for bare ones
	start    time.Time     // the store's clock runs from here, monotonically
	ahead    time.Duration // of the system's clock

	queue    queue
	settles  queue // of those that may be committed beside others
	parallel bool  // the backend takes both at once

	mu        sync.Mutex // guards all below
	lanes     map[string]*lane
	rows      map[int64]*row // waiting in memory, leased or settling
	ready     [2]ring        // lanes that may send now, by class
	taken     []*row         // by one lease, kept for the next
	alternate bool           // whose turn it is, where both classes may send
	timers    timers
	thirst    []*lane // lanes whose rows should be read
	young     []*row  // held rows that are not indexed, oldest first
	nextSeq   int64
	held      int // bytes of rows that wait in memory, bare ones aside
	heldBare  int // bytes of bare ones
	tokens    uint64
	nextReap  int64
	reading   bool
	readDone  chan struct{}      // closed when the read under way ends
	graveyard map[int64]struct{} // left memory while a read was under way
	appending bool               // rows are being committed, one batch at a time
	early     map[int64]struct{} // read and gone again meanwhile, some of them
	waiters   bool
	wake      chan struct{}      // closed to wake those who Wait
	editing   map[string]*edited // by ID, what an operator changes this moment
	unread    []unread           // what reads brought of it
	orphans   []*row             // leases that ended of rows not to be tried again
	dirty     []*lane            // health to be written
	visited   map[string]*lane   // of whose this store is a guest
	lagging   []*row             // a guest's, that were young for too long
	sent      map[string]int     // left for other owners, by lane
	closed    bool
	failed    error // a commit stayed undecided
	reads     sync.WaitGroup
}

// Open makes a Store of a backend: it reads which lanes have work and finishes
// what a crash left half closed.
func Open(ctx context.Context, backend Backend, cfg Config) (*Store, error) {
	cfg.MaxInFlight = cmp.Or(cfg.MaxInFlight, 16)
	cfg.HoldBytes = cmp.Or(cfg.HoldBytes, 32<<20)
	cfg.Straggle = cmp.Or(cfg.Straggle, 60_000)
	cfg.BatchRows = cmp.Or(cfg.BatchRows, 2_000)
	s := &Store{
		backend:   backend,
		cfg:       cfg,
		start:     time.Now(),
		queue:     queue{leader: make(chan struct{}, 1)},
		settles:   queue{leader: make(chan struct{}, 1)},
		lanes:     map[string]*lane{},
		rows:      map[int64]*row{},
		graveyard: map[int64]struct{}{},
		early:     map[int64]struct{}{},
		visited:   map[string]*lane{},
		sent:      map[string]int{},
		wake:      make(chan struct{}),
		nextReap:  never,
		tokens:    rand.Uint64() >> 16, // an earlier store's receipts mean nothing here
	}
	s.partial, _ = backend.(Partial)
	s.room = cfg.HoldBytes
	if s.fetcher, _ = backend.(Fetcher); s.fetcher != nil {
		s.room, s.bareRoom = cfg.HoldBytes*2/3, cfg.HoldBytes/3
	}
	_, s.parallel = backend.(Parallel)
	loaded, err := backend.Load(ctx)
	if err != nil {
		return nil, err
	}
	if s.ahead = time.UnixMicro(loaded.Now).Sub(s.start); !loaded.Clock {
		s.ahead = max(s.ahead, 0)
	}
	s.absorb(loaded)
	if err := s.killClosed(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// absorb takes in what waits and how lanes are served.
func (s *Store) absorb(loaded Loaded) {
	s.nextSeq = max(s.nextSeq, loaded.NextSeq)
	now := s.clock(time.Time{})
	s.settleIn(now) // first: it forgets what was seen of a lane
	touched := make(map[string]*lane, len(loaded.Heads))
	for _, state := range loaded.Lanes {
		l := s.lane(state.Lane)
		touched[l.name] = l
		l.mode, l.reason, l.cap, l.rate, l.hold = state.Mode, state.Reason, state.MaxInFlight, state.PerSecond, state.NotBefore
		l.health = health{failures: state.Failures, throttle: state.Throttle, failing: state.FailingSince, warned: state.Warned}
		if l.mode == delivery.LaneAsIs {
			l.mode = delivery.LaneOpen
		}
	}
	for name, n := range loaded.Lent {
		l := s.lane(name)
		touched[name], l.lent = l, n
	}
	for _, h := range loaded.Heads {
		l := s.lane(h.Lane)
		touched[l.name] = l
		class := fresh
		if h.Retry {
			class = retries
		}
		s.leaveToBackend(l, class, h.Due)
		for _, seq := range h.Ahead {
			l.barrier.add(seq)
		}
	}
	for _, l := range touched {
		s.place(l, now)
	}
}

// killClosed finishes what was left half closed.
func (s *Store) killClosed(ctx context.Context) error {
	var names []string
	s.mu.Lock()
	for name, l := range s.lanes {
		if l.mode == delivery.LaneClosed && (l.next[fresh] != never || l.next[retries] != never) {
			names = append(names, name)
		}
	}
	s.mu.Unlock()
	for _, name := range names {
		if err := s.kill(ctx, name); err != nil && !errors.Is(err, ErrElsewhere) {
			return err
		}
	}
	return nil
}

// Close waits for what is under way and refuses what comes. It does not close
// the backend.
func (s *Store) Close() {
	s.queue.leader <- struct{}{}
	s.settles.leader <- struct{}{}
	s.mu.Lock()
	s.closed = true
	s.wakeAll()
	s.mu.Unlock()
	<-s.settles.leader
	<-s.queue.leader
	s.reads.Wait()
}

// clock returns now, or the store's own time where it is zero. That runs
// monotonically, from one owner to the next, too: a step of the system's clock
// moves no due time.
func (s *Store) clock(now time.Time) int64 {
	if now.IsZero() {
		now = s.start.Add(time.Since(s.start) + s.ahead)
	}
	return now.UnixMicro()
}

func (s *Store) lane(name string) *lane {
	l := s.lanes[name]
	if l == nil {
		l = newLane(name)
		s.lanes[name] = l
	}
	return l
}

// place puts a lane where it belongs: among the ready, the timers, those to be
// read for, or nowhere. Call it after every change of the lane.
func (s *Store) place(l *lane, now int64) {
	if l.hold != 0 && l.hold <= now {
		l.hold = 0
		s.soil(l) // else it would be kept for nothing
	}
	open := l.open(now, s.cfg.MaxInFlight)
	for class := range 2 {
		if open && !l.inRing[class] && l.head(class, now) != nil {
			l.inRing[class] = true
			s.ready[class].push(l)
			s.wakeAll()
		}
	}
	if open && !l.thirsty && (s.wants(l, fresh, now) || s.wants(l, retries, now) || s.misses(l)) {
		l.thirsty = true
		s.thirst = append(s.thirst, l)
		s.wakeAll()
	}
	before := s.earliest()
	s.timers.set(l, s.wakeTime(l, now))
	if s.earliest() < before {
		s.wakeAll() // who waits does so for a later time
	}
	if l.plain() && l.wakeAt == never && s.lanes[l.name] == l {
		delete(s.lanes, l.name)
	}
}

// earliest is when the first timer runs out.
func (s *Store) earliest() int64 {
	if len(s.timers) == 0 {
		return never
	}
	return s.timers[0].wakeAt
}

// wants reports whether rows of the class should be read from the backend.
func (s *Store) wants(l *lane, class int, now int64) bool {
	// A row that goes ahead is read at once: the lane waits for it.
	return l.next[class] <= now && (l.next[class] == 0 || l.queue[class].len() < s.share(l, class)/4+1 || l.queue[class].head().Due > now)
}

// share is how many rows of a class a lane may hold: twice what it leaves free
// where it is alone, an eighth of it among many, so that others find room.
func (s *Store) share(l *lane, class int) int {
	free := s.room - s.held
	cost := 1000
	if r := l.queue[class].head(); r != nil {
		cost = r.full()
	}
	least := 8
	if free < s.room/8 { // many lanes: each still goes on
		least = 2
	}
	return max(2*free/min(16, max(1, len(s.lanes)))/cost, least)
}

// wakeTime is when the passing of time alone will change what the lane may do.
func (s *Store) wakeTime(l *lane, now int64) int64 {
	if l.mode != delivery.LaneOpen || l.away {
		return never
	}
	at := int64(never)
	for class := range 2 {
		if r := l.queue[class].head(); r != nil {
			at = min(at, r.Due)
		}
		at = min(at, l.next[class])
	}
	if at == never {
		return never
	}
	if gate := max(l.hold, l.rateAt()); gate > now {
		return max(at, gate)
	}
	if at <= now { // due already: an attempt's end or a read will tell, not the clock
		at = never
		for class := range 2 {
			if r := l.queue[class].head(); r != nil && r.Due > now {
				at = min(at, r.Due)
			}
			if l.next[class] > now {
				at = min(at, l.next[class])
			}
		}
	}
	return at
}

// hold takes a row that memory did not have into its lane's queue.
func (s *Store) hold(r *row) {
	s.rows[r.Seq] = r
	r.lane.rows++
	if r.indexed {
		r.lane.inDB[r.class()]++
	}
	s.enqueue(r)
}

// enqueue puts a row into its lane's queue.
func (s *Store) enqueue(r *row) {
	r.state = waiting
	s.count(r, 1)
	r.lane.queue[r.class()].push(r)
}

// forget lets a row out of memory; it must not be in a queue any more.
func (s *Store) forget(r *row) {
	r.state = gone
	delete(s.rows, r.Seq)
	r.lane.rows--
	if r.indexed {
		r.lane.inDB[r.class()]--
	}
	if s.reading {
		s.graveyard[r.Seq] = struct{}{}
	}
	if r.early && s.appending {
		s.early[r.Seq] = struct{}{}
	}
}

// unqueue takes a waiting row out of its queue.
func (s *Store) unqueue(r *row) {
	r.lane.queue[r.class()].drop(r)
	s.count(r, -1)
}

// leaveToBackend notes that the backend alone has a row that is due at due.
func (s *Store) leaveToBackend(l *lane, class int, due int64) {
	l.next[class] = min(l.next[class], due)
}

// reveal takes note of a row that the settling of an older one uncovered.
func (s *Store) reveal(next *Row, now int64) {
	if next == nil {
		return
	}
	l := s.lane(next.Delivery.LaneName())
	if next.ahead() {
		l.barrier.add(next.Seq) // hidden, it stopped nothing
	}
	s.adopt(l, *next, now)
	s.place(l, now)
}

// adopt holds an indexed row if there is room, or leaves it to the backend.
func (s *Store) adopt(l *lane, next Row, now int64) {
	r := &row{Row: next, lane: l, indexed: true, ahead: next.ahead()}
	class := r.class()
	roomy := l.mode == delivery.LaneOpen && l.next[class] == never &&
		next.Due <= now+soon && l.queue[class].len() < s.share(l, class)
	if known := s.rows[next.Seq]; known != nil {
		return // a read brought it already
	}
	if !roomy && !s.backend.HoldsAll() {
		s.leaveToBackend(l, class, next.Due)
		return
	}
	s.hold(r)
}

// soon is how long before their time rows may be held in memory.
const soon = 30 * int64(time.Second/time.Microsecond)

// usable returns why the store takes no more calls, or nil.
func (s *Store) usable() error {
	if s.closed {
		return delivery.ErrClosed
	}
	return s.failed
}

func (s *Store) wakeAll() {
	if s.waiters {
		s.waiters = false
		close(s.wake)
		s.wake = make(chan struct{})
	}
}
