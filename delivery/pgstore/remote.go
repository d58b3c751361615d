package pgstore

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// leave puts deliveries into the inbox.
func (s *Store) leave(ctx context.Context, q sender, now time.Time, ds []delivery.Delivery) ([]source, error) {
	p, err := s.posts(now, ds)
	if err != nil || len(p.shard) == 0 {
		return nil, err
	}
	sources, err := s.post(ctx, q, p)
	if err != nil && undecided(err) {
		err = errors.Join(delivery.ErrUnknown, err)
	}
	return sources, err
}

func (s *Store) posts(now time.Time, ds []delivery.Delivery) (*posts, error) {
	if len(ds) > delivery.MaxBatch {
		return nil, delivery.ErrTooMany
	}
	at := s.clock(now)
	p := &posts{}
	for i := range ds {
		row, err := lanes.NewRow(i, &ds[i], at)
		if err != nil {
			return nil, err
		}
		p.deliver(&ds[i], rowcodec.AppendDelivery(nil, &ds[i], rowcodec.Times{Due: row.Due, Expires: row.Expires}))
	}
	return p, nil
}

// sender is a pool or a transaction.
type sender interface {
	Query(ctx context.Context, query string, args ...any) (pgx.Rows, error)
}

func (s *Store) post(ctx context.Context, q sender, p *posts) (sources []source, err error) {
	if s.lenient && q == s.cfg.Pool {
		err = pgx.BeginFunc(ctx, s.cfg.Pool, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, s.sql.settings); err != nil {
				return err
			}
			sources, err = s.post(ctx, tx, p)
			return err
		})
		return sources, err
	}
	rs, err := q.Query(ctx, s.sql.post, p.args()...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rs, func(row pgx.CollectableRow) (l source, err error) {
		err = row.Scan(&l.xid, &l.id)
		return l, err
	})
}

// awaitAhead waits until those that go ahead are where they do: what is
// published next may not pass them.
func (s *Store) awaitAhead(ctx context.Context, ds []delivery.Delivery, sources []source) error {
	if !slices.ContainsFunc(ds, func(d delivery.Delivery) bool { return d.Ahead }) {
		return nil
	}
	return s.await(ctx, sources)
}

// awaitAheadNames is awaitAhead for what a member stored or left.
func (s *Store) awaitAheadNames(ctx context.Context, m *member, ds []delivery.Delivery) error {
	var names []string
	for i := range ds {
		if ds[i].Ahead && (!m.rows.Owns(ds[i].LaneName()) || ds[i].Key != "") {
			names = append(names, ds[i].ID)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return s.awaitNone(ctx, s.letters.leftNames, names)
}

// await returns when letters were taken, or nobody is there to take them: then
// they are before all that comes.
func (s *Store) await(ctx context.Context, sources []source) error {
	xids, ids := make([]string, len(sources)), make([]int64, len(sources))
	for i, l := range sources {
		xids[i], ids[i] = l.xid, l.id
	}
	return s.awaitNone(ctx, s.letters.left, xids, ids)
}

// awaitNone asks until nothing is left.
func (s *Store) awaitNone(ctx context.Context, query string, args ...any) error {
	for pause := time.Millisecond; ; pause = min(2*pause, s.cfg.Poll/4) {
		var left bool
		err := s.cfg.Pool.QueryRow(ctx, query, args...).Scan(&left)
		if err != nil || !left {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func readLaneState(data []byte) (st delivery.LaneState, err error) {
	err = json.Unmarshal(data, &st)
	return st, err
}

// joined returns the member, once it has obeyed the letters from before it came:
// they are older than what is wanted now. A process that is about to join waits
// for that: its own lanes are changed without a letter.
func (s *Store) joined(ctx context.Context) (*member, error) {
	late := time.NewTimer(s.cfg.Expiry)
	defer late.Stop()
	for {
		m, changed := s.current()
		if m == nil && !s.running.Load() || m != nil && !m.reader.behind.Load() {
			return m, nil
		}
		var look <-chan time.Time
		if m != nil {
			look = time.After(s.cfg.Poll / 100)
		}
		select {
		case <-changed:
		case <-look:
		case <-late.C: // it cannot: what is left now is found later
			return nil, nil //nolint:nilnil // no member is an answer
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// tries bounds how often a lane is followed from owner to owner.
const tries = 5

// SetLanes implements [delivery.Store]. Who serves a lane changes it; that is
// waited for.
func (s *Store) SetLanes(ctx context.Context, now time.Time, states ...delivery.LaneState) error {
	for i := range states {
		if states[i].Lane == "" {
			return &delivery.Error{Index: i, Field: "Lane", Err: delivery.ErrInvalid}
		}
	}
	for try := 1; len(states) > 0; try++ {
		m, err := s.joined(ctx)
		if err != nil {
			return err
		}
		var mine, theirs []delivery.LaneState
		for _, st := range states {
			if m != nil && try <= tries && m.rows.Owns(st.Lane) {
				mine = append(mine, st)
			} else {
				theirs = append(theirs, st)
			}
		}
		if len(mine) > 0 {
			err := m.guests.alone(ctx, func() error { return m.lanes.SetLanes(ctx, now, mine...) }, laneNames(mine)...)
			if lost(err) {
				m.fail(err)
			}
			if err != nil && !lost(err) && !errors.Is(err, lanes.ErrElsewhere) {
				return err
			}
			if err != nil {
				states = slices.Concat(mine, theirs)
				continue
			}
		}
		states = nil
		if err := s.writeLanes(ctx, theirs); err != nil {
			return err
		}
	}
	return nil
}

func laneNames(states []delivery.LaneState) []string {
	names := make([]string, len(states))
	for i := range states {
		names[i] = states[i].Lane
	}
	return names
}

// writeLanes has other processes change lanes, unless they are as wanted.
func (s *Store) writeLanes(ctx context.Context, states []delivery.LaneState) error {
	states, err := s.differing(ctx, states)
	if err != nil || len(states) == 0 {
		return err
	}
	p := &posts{}
	for _, st := range states {
		data, err := json.Marshal(st)
		if err != nil {
			return err
		}
		p.add(inboxLane, shardOf(st.Lane), st.Lane, st.Lane, "", data)
	}
	return s.ask(ctx, p)
}

// ask leaves letters and waits for what they ask for.
func (s *Store) ask(ctx context.Context, p *posts) error {
	sources, err := s.post(ctx, s.cfg.Pool, p)
	if err != nil {
		return err
	}
	s.bell.ring(newsInbox)
	return s.await(ctx, sources)
}

// differing leaves out what is as it is to be, so that a start with many
// subscriptions asks for little.
func (s *Store) differing(ctx context.Context, states []delivery.LaneState) ([]delivery.LaneState, error) {
	if len(states) == 0 {
		return nil, nil
	}
	names := make([]string, len(states))
	for i, st := range states {
		names[i] = st.Lane
	}
	rs, err := s.cfg.Pool.Query(ctx, s.letters.lane, names)
	if err != nil {
		return nil, err
	}
	type stored struct {
		lanes.LaneRow

		asked bool
	}
	is := map[string]stored{}
	_, err = pgx.CollectRows(rs, func(row pgx.CollectableRow) (struct{}, error) {
		var st stored
		var mode *int
		var reason *string
		var inFlight, failures, throttle *int
		var perSecond *float64
		var notBefore, failing *int64
		err := row.Scan(&st.Lane, &mode, &reason, &inFlight, &perSecond, &notBefore, &failures, &throttle, &failing, &st.asked)
		if mode != nil {
			st.Mode, st.Reason, st.MaxInFlight, st.PerSecond, st.NotBefore = delivery.LaneMode(*mode), *reason, *inFlight, *perSecond, *notBefore
			st.Failures, st.Throttle, st.FailingSince = *failures, *throttle, *failing
		}
		is[st.Lane] = st
		return struct{}{}, err
	})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(states), func(want delivery.LaneState) bool {
		st, ok := is[want.Lane]
		return ok && !st.asked && as(st.LaneRow, want)
	}), nil
}

// as reports whether a lane is as wanted.
func as(is lanes.LaneRow, want delivery.LaneState) bool {
	mode := is.Mode
	if mode == delivery.LaneAsIs {
		mode = delivery.LaneOpen
	}
	healthy := is.Failures == 0 && is.Throttle == 0 && is.FailingSince == 0
	switch {
	case want.Mode != delivery.LaneAsIs && want.Mode != mode,
		want.Mode == delivery.LaneClosed && want.Reason != is.Reason,
		want.MaxInFlight > 0 && want.MaxInFlight != is.MaxInFlight, want.MaxInFlight < 0 && is.MaxInFlight != 0,
		want.PerSecond > 0 && want.PerSecond != is.PerSecond, want.PerSecond < 0 && is.PerSecond != 0,
		want.NotBeforeIn > 0, want.NotBeforeIn < 0 && is.NotBefore != 0,
		want.Health == delivery.HealthForget && !healthy, want.Health == delivery.HealthWarned:
		return false
	}
	return true
}

// RetryNow implements [delivery.Operator].
func (s *Store) RetryNow(ctx context.Context, now time.Time, ids ...string) error {
	_, err := s.operate(ctx, inboxRetry, ids, func(m *member, ids []string) error { return m.lanes.RetryNow(ctx, now, ids...) })
	return err
}

// Cancel implements [delivery.Operator].
func (s *Store) Cancel(ctx context.Context, now time.Time, ids ...string) error {
	settled, err := s.operate(ctx, inboxCancel, ids, func(m *member, ids []string) error { return m.lanes.Cancel(ctx, now, ids...) })
	if err == nil && settled {
		err = delivery.ErrSettled
	}
	return err
}

// operate has deliveries changed by whoever serves them. It reports whether
// one of those that others serve was settled before.
func (s *Store) operate(ctx context.Context, kind int16, ids []string, here func(*member, []string) error) (settled bool, err error) {
	if len(ids) > delivery.MaxBatch {
		return false, delivery.ErrTooMany
	}
	if len(ids) == 0 {
		return false, nil
	}
	m, err := s.joined(ctx)
	if err != nil {
		return false, err
	}
	rs, err := s.cfg.Pool.Query(ctx, s.letters.where, slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return !storable(id) }))
	if err != nil {
		return false, err
	}
	type delivered struct {
		lane         string
		inbox, ended bool
	}
	found := map[string]delivered{}
	known := map[string]string{} // their lanes
	var id string
	var d delivered
	_, err = pgx.ForEachRow(rs, []any{&id, &d.lane, &d.inbox, &d.ended}, func() error {
		if _, twice := found[id]; !twice && d.lane != "" {
			found[id], known[id] = d, d.lane
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	var mine []string
	theirs := &posts{}
	for _, id := range ids { // in the caller's order: of a key, the first to come back is not hidden
		switch d, ok := found[id]; {
		case !ok:
			continue
		case m != nil && !d.inbox && m.rows.Owns(d.lane):
			mine = append(mine, id)
		default:
			theirs.add(kind, shardOf(d.lane), id, d.lane, "", nil)
			settled = settled || d.ended
		}
		delete(found, id)
	}
	if len(mine) > 0 {
		names := make([]string, len(mine))
		for i, id := range mine {
			names[i] = known[id]
		}
		err = m.guests.alone(ctx, func() error { return here(m, mine) }, names...)
		if lost(err) || errors.Is(err, lanes.ErrElsewhere) { // on its way: who has it now will see to it
			if err = nil; lost(err) {
				m.fail(err)
			}
			for _, id := range mine {
				theirs.add(kind, shardOf(known[id]), id, known[id], "", nil)
			}
		}
	}
	if len(theirs.name) > 0 {
		err = errors.Join(err, s.ask(ctx, theirs))
	}
	if err == nil {
		for _, id := range ids {
			if known[id] == "" {
				return false, fmt.Errorf("%w (%q)", delivery.ErrNotFound, id[:min(len(id), 1<<10)])
			}
		}
	}
	return settled, err
}
