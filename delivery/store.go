package delivery

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"
)

// A Store keeps deliveries until they are settled. The engine drives it; the
// package storetest checks it, and delivery/lanes makes one out of a few
// operations on rows. To write a store: decide whether rows (lanes.Backend) or
// this interface fits your database, implement it, run storetest.Run under
// -race, run storetest.Benchmark, declare what cannot be promised as
// [Traits].
//
// All methods may be called concurrently. now is the time to go by; zero is the
// store's own clock, which is what the engine passes. Delays are durations that
// the store adds to it, so that clocks of several machines never meet. A store
// never starts an attempt by itself and never calls out.
type Store interface {
	// Enqueue stores deliveries, all or none, and returns when they are as
	// durable as the store makes anything. At most MaxBatch (ErrTooMany). One
	// whose ID is waiting, leased or still remembered is left alone without an
	// error. What goes to a closed lane is dead at once with the lane's reason.
	// An error that wraps ErrUnknown means the outcome is not known: the same
	// call may be repeated.
	Enqueue(ctx context.Context, now time.Time, ds ...Delivery) error
	// Lease hands out due deliveries, at most req.Max, fair over the lanes that
	// may send now, and never blocks for work to come. Of each ordering key
	// only a lane's oldest unsettled delivery is handed out. A lane that is
	// paused, closed, held back or at its cap costs nothing, whatever waits in
	// it. What is leased is handed out again only after the lease ends.
	Lease(ctx context.Context, now time.Time, req LeaseRequest) ([]Lease, error)
	// Extend lets leases run for ttl from now. Those that have ended are named
	// by a *LostLeasesError; the others are extended.
	Extend(ctx context.Context, now time.Time, ttl time.Duration, leases ...Lease) error
	// Settle ends leases and records their attempts, durably when it returns.
	// It is fenced: an outcome whose receipt is no longer the current one
	// changes nothing and is named by a *LostLeasesError; the others are
	// settled. ErrUnknown is as in Enqueue.
	Settle(ctx context.Context, now time.Time, outcomes ...Outcome) error
	// SetLanes changes how lanes are served, durably. Closing a lane makes all
	// that waits in it dead before the call returns; what is leased of it may
	// still be delivered, but is not tried again.
	SetLanes(ctx context.Context, now time.Time, lanes ...LaneState) error
}

// MaxBatch is how many deliveries one Enqueue takes.
const MaxBatch = 1000

// A LeaseRequest says how much work is wanted.
type LeaseRequest struct {
	// Max is how many leases at most; zero or less asks for none.
	Max int
	// Retries is how many of Max may be other than first tries. Zero is Max,
	// negative is none.
	Retries int
	// TTL is how long the leases last unless extended. Zero is 60 s.
	TTL time.Duration
}

// A Lease is the right to attempt a delivery until it ends.
type Lease struct {
	// Delivery is what to send; Attempts+1 is the number of the attempt.
	Delivery
	// Try counts the attempts, this one included, since the schedule began:
	// Attempts+1 unless the delivery was retried by hand.
	Try int
	// Expired says that the delivery's time is over: settle it as dead.
	Expired bool
	// Health is the endpoint's as the lease began, this attempt not counted.
	Health Health
	// Receipt proves the lease. It means something to the store alone.
	Receipt string
}

// Result is how a lease ends.
type Result int

const (
	// Release gives the delivery back as it was, due after RetryIn. An attempt
	// that is recorded with it counts in the log, not for the schedule.
	Release Result = iota
	// Done means delivered.
	Done
	// Retry means failed, to be tried again after RetryIn.
	Retry
	// GiveUp means dead, for Reason.
	GiveUp
)

// An Outcome ends a lease.
type Outcome struct {
	// ID and Receipt are the lease's.
	ID, Receipt string
	Result      Result
	// RetryIn is how long to wait before the next attempt, from now.
	RetryIn time.Duration
	// Reason says why the delivery is dead.
	Reason string
	// Attempt is recorded in the same step. Nil if no request was made.
	Attempt *Attempt
}

// LaneMode says whether a lane is served.
type LaneMode int

const (
	// LaneAsIs leaves the mode as it is.
	LaneAsIs LaneMode = iota
	// LaneOpen is the mode of a lane nobody set.
	LaneOpen
	// LanePaused keeps what waits and hands nothing out.
	LanePaused
	// LaneClosed makes all that waits, and all that comes, dead.
	LaneClosed
)

// A LaneState changes a lane. Its zero fields leave things as they are.
type LaneState struct {
	Lane string
	// Mode opens, pauses or closes the lane.
	Mode LaneMode
	// Reason is that of the deliveries that a closed lane kills. Empty is
	// "closed".
	Reason string
	// MaxInFlight caps the lane's leases; negative is the store's default.
	MaxInFlight int
	// PerSecond caps how many leases begin in a second; negative is no cap.
	PerSecond float64
	// NotBeforeIn holds the whole lane back for so long from now; a shorter
	// hold does not end a longer one, negative ends any.
	NotBeforeIn time.Duration
	// Health changes what is kept of the endpoint's health.
	Health HealthChange
}

// A Waiter is a Store that knows when there is work.
type Waiter interface {
	// Wait returns nil when a Lease with req may find work, or the context's
	// error. It may return early.
	Wait(ctx context.Context, req LeaseRequest) error
}

// A Browser is a Store whose deliveries can be looked at.
type Browser interface {
	// Deliveries yields what f chooses, newest first. An error ends the
	// sequence as its last pair. Deliveries may be changed while it goes on.
	Deliveries(ctx context.Context, f Filter) iter.Seq2[Status, error]
	// Attempts returns every recorded attempt of a delivery, oldest first, or
	// ErrNotFound.
	Attempts(ctx context.Context, id string) ([]Attempt, error)
	// Counts says how many deliveries are in each state.
	Counts(ctx context.Context) (Counts, error)
	// Event says how many deliveries the store remembers of an event, and
	// whether it remembers the event at all.
	Event(ctx context.Context, eventID string) (n int, known bool, err error)
}

// A Runner is a Store that has something to do while deliveries are sent, such
// as to keep its share of them. An engine runs it for as long as it runs itself,
// its drain included.
type Runner interface {
	// Run returns when ctx ends and what the process held is given back.
	Run(ctx context.Context) error
}

// A Waker is a Store that can be told that deliveries were enqueued past it, in
// a transaction of the caller's.
type Waker interface{ Wake() }

// A Filter chooses deliveries. Empty fields choose all.
type Filter struct {
	ID, SubscriptionID, Tenant, Type string
	State                            State
	// From and To bound PublishedAt: From is included, To is not.
	From, To time.Time
	// Limit ends the list after so many; 0 is no limit.
	Limit int
}

// Chooses reports whether f chooses a delivery. Limit does not count.
func (f Filter) Chooses(st *Status) bool {
	return (f.ID == "" || st.ID == f.ID) &&
		(f.SubscriptionID == "" || st.SubscriptionID == f.SubscriptionID) &&
		(f.Tenant == "" || st.Tenant == f.Tenant) &&
		(f.Type == "" || st.Type == f.Type) &&
		(f.State == "" || st.State == f.State) &&
		(f.From.IsZero() || !st.PublishedAt.Before(f.From)) &&
		(f.To.IsZero() || st.PublishedAt.Before(f.To))
}

// Counts are numbers of deliveries by state.
type Counts struct{ Pending, Delivered, Dead int64 }

// An Operator is a Store whose deliveries can be handled by hand. A zero now is
// the store's own clock, as everywhere.
type Operator interface {
	// RetryNow makes deliveries due at once, whatever their states, and starts
	// their schedules anew; attempt numbers go on. A leased one is left alone.
	// At most MaxBatch, in one step. ErrNotFound if one of them is not known;
	// the others are due all the same. A lane that is paused or held back lets
	// them wait: SetLanes ends either.
	RetryNow(ctx context.Context, now time.Time, ids ...string) error
	// Cancel makes waiting deliveries dead with [ReasonCancelled]; a leased one
	// is not tried again. Settled ones are left alone. At most MaxBatch, in one
	// step. ErrNotFound if one of them is not known, else ErrSettled if one was
	// settled; the others are canceled all the same.
	Cancel(ctx context.Context, now time.Time, ids ...string) error
}

// Traits are what a store cannot promise, each in a sentence of its docs;
// storetest then checks the weaker rule.
type Traits struct {
	// NotDurable: what is stored ends with the process.
	NotDurable bool
	// SharedByEngines: several processes may use the store at once, and what a
	// dead one held is due only after its expiry.
	SharedByEngines bool
}

var (
	// ErrUnknown says that a commit may or may not have happened.
	ErrUnknown = errors.New("delivery: outcome of the commit unknown")
	// ErrTooMany says that an Enqueue was over MaxBatch.
	ErrTooMany = errors.New("delivery: too many deliveries in one batch")
	// ErrInvalid says that an event or a delivery is not well formed.
	ErrInvalid = errors.New("delivery: invalid")
	// ErrFull says that the store takes no more.
	ErrFull = errors.New("delivery: store is full")
	// ErrNotFound says that there is no such delivery.
	ErrNotFound = errors.New("delivery: not found")
	// ErrSettled says that a delivery is settled already.
	ErrSettled = errors.New("delivery: already settled")
	// ErrClosed says that the store was closed.
	ErrClosed = errors.New("delivery: store is closed")
	// ErrOwned says that the store is open elsewhere, where one at a time may have it.
	ErrOwned = errors.New("delivery: store belongs to another process, or is open in this one")
	// ErrLeaseLost is what a [LostLeasesError] wraps.
	ErrLeaseLost = errors.New("delivery: lease lost")
	// ErrDialect says that an event's dialect is not configured.
	ErrDialect = errors.New("delivery: unknown dialect")
)

// A LostLeasesError names the deliveries whose leases had ended.
type LostLeasesError struct{ IDs []string }

func (e *LostLeasesError) Error() string {
	shown := e.IDs
	if len(shown) > 5 {
		shown = shown[:5]
	}
	return fmt.Sprintf("%v: %d of them: %s", ErrLeaseLost, len(e.IDs), strings.Join(shown, ", "))
}

// Unwrap returns ErrLeaseLost.
func (e *LostLeasesError) Unwrap() error { return ErrLeaseLost }

// An Error says which of the events or deliveries given was refused.
type Error struct {
	// Index counts from 0.
	Index int
	// Field names what was wrong; it may be empty.
	Field string
	// Err is a sentinel of this package or a dialect's error.
	Err error
}

// Error gives no number to the first, which mostly is the only one.
func (e *Error) Error() string {
	text := e.Err.Error()
	if e.Field != "" {
		text += ": " + e.Field
	}
	if e.Index > 0 {
		text += " (at " + strconv.Itoa(e.Index) + ")"
	}
	return text
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }
