package pgstore

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// reader takes what others leave in the inbox for the shards of one member. It
// reads what was not visible when it looked before: transactions that were
// running then, and those that began later. So it waits for none of them,
// passes none over and need not walk over what was taken.
type reader struct {
	rows  *rows
	store *lanes.Store
	sql   *letters
	log   *slog.Logger
	alone func(ctx context.Context, do func() error, lanes ...string) error // while they have no guests
	last  moment                                                            // as of which all is read
	known map[int32]struct{}                                                // the server's processes that answered since it began
	seen  uint64                                                            // the largest number of a letter of the server: it is on disk

	mu     sync.Mutex
	whole  bool          // all is to be read again: some is this member's that was not
	eras   [shards]int64 // how often a shard became this member's
	behind atomic.Bool   // how lanes are served may be about to change; set under mu

	pass   pass          // under way
	stuck  [shards]bool  // a letter of theirs cannot be read
	relook time.Time     // when to try those again; zero: there are none
	pause  time.Duration // before that
}

// pass is one reading of the inbox. Of each shard it takes all letters in their
// order, or stops at some: one that it left would else come after its followers.
type pass struct {
	mine  []int16
	eras  [shards]int64
	stops [shards]bool
}

// page is how many letters are read at once; each may hold a body.
const page = delivery.MaxBatch

// own makes shards this member's, and has everything read that lies there: some
// of it is new to this member though it is old. Of shards that come it must be
// known how their lanes are to be served before anything is leased; of those that
// stay after all, letters were passed over meanwhile.
func (r *reader) own(ids []int16, come bool) {
	if len(ids) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.whole = true
	if come {
		r.behind.Store(true) // before anybody sees that they are here
	}
	for _, id := range ids {
		r.rows.owned[id].Store(true)
		r.eras[id]++
	}
}

// begin starts a pass and reports whether it is to read all.
func (r *reader) begin() (whole bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	whole = r.whole || r.last.xmax == ""
	r.whole = false
	if !r.relook.IsZero() && (whole || time.Now().After(r.relook)) {
		r.stuck, r.relook, whole = [shards]bool{}, time.Time{}, true
	}
	r.pass = pass{mine: r.rows.mine(), eras: r.eras, stops: r.stuck}
	return whole
}

// again has the next pass read all.
func (r *reader) again() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.whole = true
}

// check stops at shards that left since the pass began, even if they came back:
// the letters taken last may have been left where they are.
func (r *reader) check() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id := range r.eras {
		if !r.rows.owned[id].Load() || r.eras[id] != r.pass.eras[id] {
			r.pass.stops[id] = true
		}
	}
}

// knowsLanes lets leases begin, unless more was gained meanwhile.
func (r *reader) knowsLanes() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.behind.Store(r.whole)
}

// read takes in all that there is to take and reports whether there was any.
func (r *reader) read(ctx context.Context) (some bool, err error) {
	whole := r.begin()
	defer func() {
		if err != nil && whole {
			r.again()
		}
		if errors.Is(err, errMoved) { // at once, and all of it
			some, err = true, nil
		}
	}()
	query := r.sql.diff
	if whole {
		query = ""
	}
	// What commits after this moment is found the next time.
	now, got, err := r.look(ctx, query, source{xid: "0"}, r.last.xmax, r.last.xip)
	if err != nil {
		return false, err
	}
	switch {
	case r.continues(now):
	case whole || r.last.xmax == "":
		whole = true
	default: // from a lower number than before
		if now, got, err = r.look(ctx, r.sql.diff, source{xid: "0"}, r.last.xmax, r.last.xip); err != nil {
			return false, err
		}
		if !now.server.Equal(r.last.server) {
			return false, errMoved
		}
	}
	if whole {
		some, err = r.readWhole(ctx, now)
	} else {
		some, err = r.pages(ctx, now, got, r.take, r.sql.diff, r.last.xmax, r.last.xip)
	}
	if err == nil {
		r.last = now
	}
	return some, err
}

// errKills says that a letter makes deliveries dead, so that none of those that
// were left before it may be leased.
var errKills = errors.New("pgstore: a letter kills")

// readWhole reads all that lies there. How lanes are served comes first, since
// there may be much else; unless some of that is to be dead.
func (r *reader) readWhole(ctx context.Context, now moment) (some bool, err error) {
	cancels, err := r.page(ctx, now, r.sql.cancels, source{xid: "0"})
	if err != nil {
		return false, err
	}
	if len(cancels) == 0 {
		_, err = r.allPages(ctx, now, func(_ context.Context, got []letter) error {
			for _, l := range got {
				if st, err := readLaneState(l.data); err != nil || st.Mode == delivery.LaneClosed {
					return errors.Join(errKills, err)
				}
			}
			return nil
		}, r.sql.lanes)
	}
	switch {
	case len(cancels) > 0, errors.Is(err, errKills):
	case err != nil:
		return false, err
	default:
		if _, err := r.allPages(ctx, now, r.take, r.sql.lanes); err != nil {
			return false, err
		}
		r.knowsLanes()
	}
	if some, err = r.allPages(ctx, now, r.take, r.sql.all); err == nil {
		r.knowsLanes()
	}
	return some, err
}

// take does what letters say, in their order; deliveries that stand together in
// one commit.
func (r *reader) take(ctx context.Context, got []letter) error {
	var fold []lanes.Incoming
	flush := func() error {
		err := r.store.Fold(ctx, fold...)
		fold = fold[:0:0]
		r.check()
		return err
	}
	r.check()
	for _, l := range got {
		if r.pass.stops[l.shard] {
			continue
		}
		if l.kind == inboxDelivery {
			d, t, err := rowcodec.Delivery(l.name, l.data)
			if err != nil {
				r.stop(ctx, l, err)
				continue
			}
			fold = append(fold, lanes.Incoming{Row: lanes.Row{Delivery: d, Due: t.Due, Expires: t.Expires}, Source: l.source})
			if d.Ahead {
				if err := r.alone(ctx, flush, l.lane); err != nil {
					return err
				}
			}
			continue
		}
		if err := flush(); err != nil {
			return err
		}
		if r.pass.stops[l.shard] {
			continue
		}
		if err := r.obey(ctx, l); err != nil {
			return err
		}
		r.check()
	}
	return flush()
}

// stop leaves a letter that cannot be read where it is, and what follows it in
// its shard: a newer program may have written it, and will read it. The other
// shards go on.
func (r *reader) stop(ctx context.Context, l letter, err error) {
	r.pass.stops[l.shard], r.stuck[l.shard], r.relook = true, true, time.Now().Add(r.pause)
	r.log.LogAttrs(ctx, slog.LevelError, "pgstore: a letter in the inbox cannot be read, its shard waits",
		slog.Int("shard", int(l.shard)), slog.Int("kind", int(l.kind)), slog.String("xid", l.xid), slog.Int64("id", l.id), slog.Any("error", err))
}

var errKind = errors.New("pgstore: of an unknown kind")

// obey does what another process wants done with a lane or a delivery. A lane
// that left meanwhile is its new owner's to look after.
func (r *reader) obey(ctx context.Context, l letter) error {
	var err error
	alone := func(do func() error) { err = r.alone(ctx, do, l.lane) }
	switch l.kind {
	case inboxLane:
		st, unread := readLaneState(l.data)
		if unread != nil {
			r.stop(ctx, l, unread)
			return nil
		}
		alone(func() error { return r.store.SetLanes(ctx, time.Time{}, st) })
	case inboxRetry:
		alone(func() error { return r.store.RetryNow(ctx, time.Time{}, l.name) })
	case inboxNote:
		var n lanes.Note
		if unread := json.Unmarshal(l.data, &n); unread != nil {
			r.stop(ctx, l, unread)
			return nil
		}
		err = r.store.Heed(ctx, n)
	case inboxCancel:
		alone(func() error { return r.store.Cancel(ctx, time.Time{}, l.name) })
	default:
		r.stop(ctx, l, errKind)
		return nil
	}
	switch {
	case errors.Is(err, lanes.ErrElsewhere):
		return nil
	case errors.Is(err, delivery.ErrNotFound), errors.Is(err, delivery.ErrSettled): // it is done, if not as wished
	case err != nil:
		return err
	}
	if l.kind == inboxNote {
		_, err = r.rows.pool.Exec(ctx, r.rows.sql.takeNote, l.xid, l.id, r.rows.engine)
		return err
	}
	_, err = r.rows.pool.Exec(ctx, r.rows.sql.take, []string{l.xid}, []int64{l.id})
	return err
}
