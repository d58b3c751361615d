package lanes

import (
	"container/heap"
	"math"

	"github.com/ringback-go/ringback/delivery"
)

const never = math.MaxInt64

const (
	fresh   = 0 // first tries
	retries = 1
)

type rowState uint8

const (
	waiting  rowState = iota // in its lane's queue
	leased                   // handed out
	settling                 // its end is being committed
	gone                     // out of memory
)

// row is a Row that is held in memory.
type row struct {
	Row
	lane    *lane
	state   rowState
	indexed bool // the backend can find it
	ahead   bool // goes ahead and was never attempted
	cancel  bool // an operator gave it up while it was leased
	guest   bool // another store serves its lane
	early   bool // read while a commit was under way that may have stored it

	bare int // not 0: memory has no room for its delivery, which takes so many bytes

	token   uint64 // of the current lease
	seen    uint64 // the lease whose outcome counts for the endpoint's health
	expires int64  // end of the current lease
}

func (r *row) class() int {
	if r.Attempts > 0 {
		return retries
	}
	return fresh
}

// ahead reports whether the row goes ahead and was never attempted.
func (r *Row) ahead() bool { return r.Due == 0 && r.Attempts == 0 }

// cost is what holding the row takes, in bytes.
func (r *Row) cost() int { return 500 + len(r.Delivery.Body) }

// lane is what memory knows of one lane. A lane that has nothing and is nothing
// special is forgotten.
type lane struct {
	name     string
	mode     delivery.LaneMode
	reason   string
	cap      int     // 0: the store's default
	rate     float64 // starts in a second; 0: any
	hold     int64   // nothing starts before
	started  int64   // the last start that counts by rate
	inFlight int     // attempts under way
	rows     int     // in memory, in whatever state
	bare     int     // of those that wait
	reserved int     // rows that are being committed and then held
	strips   int     // of those that become bare
	barrier  barrier // rows ahead, not hidden, that were never attempted
	era      int     // rises when rows are killed: what was read before is no more
	queue    [2]rowQueue
	next     [2]int64 // due of the first row that only the backend has
	inDB     [2]int   // rows in memory that Refill would return too
	inRing   [2]bool
	thirsty  bool
	plate    *delivery.Delivery // of its bare rows: it names the lane and nothing else
	away     bool               // on its way to another owner: nothing starts

	lent  int   // attempts at a time that guests have
	visit int   // attempts at a time that it has here, as a guest; 0: it is none
	stay  int64 // and until when; 0: until it departs
	most  int   // of those, since the last look
	well  bool  // one of them went well

	health

	wakeAt    int64 // place in the timer heap, never: not in it
	heapIndex int
}

// barrier is the rows, by Seq, that the others of a lane wait for. Adding and
// removing may be repeated: a read and a commit can tell of the same row.
type barrier map[int64]struct{}

func (b *barrier) add(seq int64) {
	if *b == nil {
		*b = barrier{}
	}
	(*b)[seq] = struct{}{}
}

func (b barrier) remove(seq int64) { delete(b, seq) }

func newLane(name string) *lane {
	return &lane{name: name, mode: delivery.LaneOpen, next: [2]int64{never, never}, wakeAt: never, heapIndex: -1}
}

func (l *lane) row() LaneRow {
	return LaneRow{
		Lane: l.name, Mode: l.mode, Reason: l.reason,
		MaxInFlight: l.cap, PerSecond: l.rate, NotBefore: l.hold,
		Failures: l.failures, Throttle: l.throttle, FailingSince: l.failing, Warned: l.warned,
	}
}

// plain reports whether nothing would be lost by forgetting the lane.
func (l *lane) plain() bool {
	return l.rows == 0 && len(l.barrier) == 0 && l.lent+l.visit == 0 &&
		l.next[fresh] == never && l.next[retries] == never &&
		!l.inRing[fresh] && !l.inRing[retries] && !l.thirsty && l.row().IsDefault()
}

// open reports whether the lane may start an attempt now, the queue aside.
func (l *lane) open(now int64, defaultCap int) bool {
	limit := l.limit(defaultCap) - l.lent
	if l.throttle > 0 {
		limit = min(limit, l.throttle)
	}
	if l.visit > 0 && l.stay != 0 && l.stay <= now {
		return false
	}
	return l.mode == delivery.LaneOpen && !l.away && l.inFlight < limit && l.hold <= now && l.rateAt() <= now
}

// rateAt returns when the rate lets one start: the last start counts by the rate of
// today, so that a change is felt at once.
func (l *lane) rateAt() int64 {
	if l.rate == 0 || l.started == 0 {
		return 0
	}
	return l.started + int64(min(1e6/l.rate, 1e15))
}

// head returns the row of a class that may go next, or nil.
func (l *lane) head(class int, now int64) *row {
	r := l.queue[class].head()
	if r == nil || r.bare > 0 || r.Due > now || len(l.barrier) > 0 && !r.ahead {
		return nil
	}
	return r
}

// ring is a first-in, first-out queue of lanes.
type ring struct {
	buf  []*lane
	head int
	n    int
}

func (r *ring) len() int { return r.n }

func (r *ring) push(l *lane) {
	if r.n == len(r.buf) {
		grown := make([]*lane, max(16, 2*len(r.buf)))
		for i := range r.n {
			grown[i] = r.buf[(r.head+i)%len(r.buf)]
		}
		r.buf, r.head = grown, 0
	}
	r.buf[(r.head+r.n)%len(r.buf)] = l
	r.n++
}

func (r *ring) pop() *lane {
	l := r.buf[r.head]
	r.buf[r.head] = nil
	r.head = (r.head + 1) % len(r.buf)
	r.n--
	return l
}

// timers is a heap of lanes by wakeAt.
type timers []*lane

func (t timers) Len() int           { return len(t) }
func (t timers) Less(i, j int) bool { return t[i].wakeAt < t[j].wakeAt }
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].heapIndex, t[j].heapIndex = i, j
}

func (t *timers) Push(x any) {
	l := x.(*lane) //nolint:forcetypeassert // container/heap
	l.heapIndex = len(*t)
	*t = append(*t, l)
}

func (t *timers) Pop() any {
	old := *t
	l := old[len(old)-1]
	old[len(old)-1] = nil
	*t = old[:len(old)-1]
	l.heapIndex = -1
	return l
}

// set moves the lane to its place for at.
func (t *timers) set(l *lane, at int64) {
	switch {
	case at == l.wakeAt:
	case at == never:
		heap.Remove(t, l.heapIndex)
		l.wakeAt = never
	case l.wakeAt == never:
		l.wakeAt = at
		heap.Push(t, l)
	default:
		l.wakeAt = at
		heap.Fix(t, l.heapIndex)
	}
}
