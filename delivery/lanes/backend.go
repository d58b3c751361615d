package lanes

import (
	"context"

	"github.com/ringback-go/ringback/delivery"
)

// A Backend keeps the rows of a [Store]. It is rows only: which of them may be
// sent, and when, is decided in the Store's memory. One Store uses a Backend at
// a time. Commit is called by one goroutine at a time, unless the backend is
// [Parallel], Refill by one other, and both may run at once.
//
// All times are microseconds since the Unix epoch.
//
// A row is unsettled from its Append until a Settle with Done or GiveUp, a
// Kill or a Cancel. An unsettled row is indexed when Refill can find it: from
// its Append on if Append.Index says so or it has a key, from a Spill, a retry,
// a release or an Edit on, and after Load always. Of the unsettled rows of one lane and
// key all but the oldest are hidden from Refill and Load.
type Backend interface {
	// Load prepares for a new owner: all that the last one held is due as its
	// Due says. It returns what waits, and the lanes' states.
	Load(ctx context.Context) (Loaded, error)
	// Commit does all of b, durably, or nothing, and fills in the results. An
	// error that wraps delivery.ErrUnknown means that neither is known: the same
	// Batch is then committed again before any other until there is no error.
	// Where the first time went through, the second changes nothing and fills in
	// the same results: an Append whose ID is known under the Seq that it has
	// already is no Duplicate, no attempt is logged twice, Next is set. An
	// error that wraps delivery.ErrOwned says that the rows are another owner's
	// by now: nothing was done, and the Store fails for good.
	Commit(ctx context.Context, b *Batch) error
	// Refill reads, for each want, the first rows of a lane's class that are
	// indexed, not hidden and due at now, in order of Due and Seq. It may return
	// a state as old as the moment of the call.
	Refill(ctx context.Context, now int64, wants []Want) ([]Found, error)
	// HoldsAll reports that every row is in memory anyway: the Store then keeps
	// all of them and never calls Refill.
	HoldsAll() bool
}

// A Partial is a Backend that several Stores share: each serves the lanes that
// it owns. What it owns changes in [Store.Gain] and [Store.Leave] alone.
type Partial interface {
	// Owns reports whether this Store serves a lane. It must be quick.
	Owns(lane string) bool
}

// A Parallel Backend is one whose commits take long but not from each other: it
// is given two batches at a time, one of which settles rows without a key, and
// nothing else, while the other only appends such rows.
type Parallel interface{ Parallel() }

// A Fetcher is a Backend that finds rows by Seq. Its Store has room for many
// times more first tries: of most it keeps numbers only, and asks for the
// deliveries before their turn comes. Where a Batch settles or spills such a row
// its Delivery tells the lane alone. It is called as Refill is.
type Fetcher interface {
	// Fetch reads the deliveries of rows, unsettled ones, in the order of seqs:
	// nil for a row that is not there, which the Store then forgets. What comes
	// with an error is not looked at.
	Fetch(ctx context.Context, seqs []int64) ([]*delivery.Delivery, error)
}

// A Row is a delivery as the Store keeps it in memory.
type Row struct {
	// Seq orders rows by commit. The backend gives it.
	Seq int64
	// Delivery is shared with the backend and not changed; Attempts in it are
	// those made when the row was read.
	Delivery *delivery.Delivery
	// Due is when it may be attempted; 0 for a row that goes ahead.
	Due int64
	// Expires is when it is dead; 0 is never.
	Expires int64
	// Attempts were made in all, Tries since the schedule began.
	Attempts, Tries int
}

// Retry reports the row's class: whether it is other than a first try.
func (r *Row) Retry() bool { return r.Attempts > 0 }

// A Batch is what one transaction does, in the order of its fields.
type Batch struct {
	Now    int64
	Append []*Append
	Settle []*Settle
	// Spill are rows that are to be indexed from now on.
	Spill []*Row
	// Home are rows that were appended as a guest, and are to be indexed from now
	// on: their lanes' hosts do with them what is left to do, unless they were
	// settled there meanwhile. Notes tell these hosts; each is to reach
	// [Store.Heed] once.
	Home  []*Row
	Notes []Note
	Lanes []LaneRow
	Kill  []*Kill
	Edit  []*Edit
	// Low: every row with a smaller Seq is settled or indexed once the batch is
	// committed. It never falls, unless two batches are committed at a time.
	Low int64
}

// An Append stores a row.
type Append struct {
	Row
	// Index says that memory does not hold the row.
	Index bool
	// Dead, not empty, settles it at once for this reason.
	Dead string
	// Elsewhere says that another owner serves the lane: the row is to be left
	// where that one finds it, and has no Seq. A [Partial] may set it, too, for a
	// row with a key, where rows that were left for this owner come before it.
	Elsewhere bool
	// Guest says that another owner serves the lane, as of whose guest this Store
	// will attempt the row. It is not indexed until it is in Home, is settled
	// otherwise than with Done or GiveUp, or this Store is dead: then the host is
	// told.
	Guest bool
	// Source is what came with a row that is folded: what it was folded from
	// ends with the batch, also where it is a Duplicate.
	Source any

	// Duplicate is set by the backend when the ID is known: nothing was stored.
	Duplicate bool
	// Hidden is set by the backend when an older row of the lane and key is
	// unsettled.
	Hidden bool
}

// A Settle ends the attempt of a row.
type Settle struct {
	Row
	// Indexed says whether the row is indexed.
	Indexed bool
	// Guest says that another owner serves the lane: if the row stays it is that
	// one's, unless it was settled there meanwhile.
	Guest  bool
	Result delivery.Result
	// NewDue, NewAttempts and NewTries are what a row that stays has from now on.
	NewDue                int64
	NewAttempts, NewTries int
	Reason                string
	Attempt               *delivery.Attempt // may be nil

	// Next is set by the backend to the row of the same lane and key that this
	// one had hidden, if any.
	Next *Row
}

// LaneRow is a lane's stored state. One that IsDefault is not kept.
type LaneRow struct {
	Lane        string
	Mode        delivery.LaneMode
	Reason      string
	MaxInFlight int
	PerSecond   float64
	NotBefore   int64

	// The endpoint's health: failed attempts in a row (not kept up to date),
	// attempts at once while it recovers, since when it has been failing, and
	// whether that was said. All zero for a healthy one.
	Failures, Throttle int
	FailingSince       int64
	Warned             bool
}

// IsDefault reports whether nothing about the lane was set.
func (l LaneRow) IsDefault() bool {
	return (l.Mode == delivery.LaneOpen || l.Mode == delivery.LaneAsIs) &&
		l.MaxInFlight == 0 && l.PerSecond == 0 && l.NotBefore == 0 &&
		l.Failures == 0 && l.Throttle == 0 && l.FailingSince == 0 && !l.Warned
}

// A Kill makes indexed rows of a lane dead, hidden ones too, at most Limit of
// them, and none that Except names.
type Kill struct {
	Lane, Reason string
	Limit        int
	Except       map[int64]bool

	// Killed is set by the backend.
	Killed int
}

// An Edit is an operator's wish for one delivery.
type Edit struct {
	ID string
	// Cancel makes it dead with delivery.ReasonCancelled; otherwise it becomes
	// due at the batch's Now and its Tries 0, whatever its state. An unsettled
	// one whose Due is 0 keeps that. One that was settled comes back hidden if
	// another row of its lane and key is unsettled; its Seq may be a new one.
	Cancel bool

	// The backend sets Missing, or Settled if the row was settled before, and
	// Row and Hidden as they are from now on, or were when it was canceled.
	Missing, Settled bool
	Row              Row
	Hidden           bool
	// Next is the row that a canceled one had hidden, if any.
	Next *Row
	// Away says that a guest has it. It was canceled all the same, but not made
	// due.
	Away bool
}

// A Want asks for rows of a lane: its first tries or its retries.
type Want struct {
	Lane  string
	Retry bool
	Limit int
	// Bytes bounds the bodies that are read, as far as more than Known rows,
	// those that memory has already, are returned.
	Bytes, Known int
}

// Found answers a Want.
type Found struct {
	Rows []*Row
	// NextDue is the Due of the first row beyond Rows, 0 if there is none.
	NextDue int64
}

// Loaded is what waits when a Store opens.
type Loaded struct {
	Heads []Head
	Lanes []LaneRow
	// Lent are the attempts at a time that lanes' guests have.
	Lent map[string]int
	// NextSeq is greater than every Seq given so far.
	NextSeq int64
	// Now is the latest Now of any Batch so far, as far as it is known: the
	// Store's clock does not fall behind it, or what is stored would wait for
	// as long as the system's clock was set back. If Clock is set it is the
	// time of the clock that all owners go by.
	Now   int64
	Clock bool
}

// A Head is the first row of a lane's class.
type Head struct {
	Lane  string
	Retry bool
	Due   int64
	// Ahead are the Seqs of the class's rows that go ahead, are not hidden and
	// were never attempted.
	Ahead []int64
}
