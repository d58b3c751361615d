package pgstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringback-go/ringback/delivery/lanes"
)

// member is this process as one of those that deliver: an engine row that is
// kept alive, and the lanes of the shards that name it.
type member struct {
	*Store

	id     int64
	rows   *rows
	lanes  *lanes.Store
	reader *reader
	guests guests
	living context.Context //nolint:containedctx // ends with the membership, its cause says why
	fail   context.CancelCauseFunc

	alive atomic.Int64  // ns since the store was opened, when the last sign of life was sent
	kick  chan struct{} // the inbox should be looked at
	shift chan struct{} // so should the shards

	unclean  bool          // lanes may be half closed
	portion  int           // shards to gain at once
	patience time.Duration // how long attempts are waited for before another shard is tried
}

// leastLeaving is for how long it is tried, at least, to give back what is held.
const leastLeaving = 3 * time.Second

// leastTimeout bounds what is asked of the database, however soon an engine
// counts as dead.
const leastTimeout = 10 * time.Second

var errLost = errors.New("pgstore: another process took over what this one held")

// Run takes a share of the work until ctx ends, and then gives it back. What
// goes wrong meanwhile is logged and tried again. An engine runs it; without it
// the store only takes what others will deliver. One Run at a time.
func (s *Store) Run(ctx context.Context) error {
	if !s.running.CompareAndSwap(false, true) {
		return errors.New("pgstore: Run is under way already")
	}
	defer s.running.Store(false)
	const pauseMin, pauseMax = 50 * time.Millisecond, 5 * time.Second
	pause := pauseMin
	for ctx.Err() == nil {
		begin := time.Now()
		err := s.belong(ctx)
		if ctx.Err() != nil {
			return err
		}
		s.log.LogAttrs(ctx, slog.LevelError, "pgstore: out of service, trying again", slog.Any("error", err))
		if pause = min(2*pause, pauseMax); time.Since(begin) > s.cfg.Expiry {
			pause = pauseMin
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
	return nil
}

// belong is one membership, from joining to leaving.
func (s *Store) belong(ctx context.Context) error {
	m, err := s.join(ctx)
	if err != nil && ctx.Err() != nil {
		return nil // ended before it began
	}
	if err != nil {
		return fmt.Errorf("pgstore: joining: %w", err)
	}
	err = m.serve(ctx)
	m.fail(err)
	s.setMember(nil)
	m.lanes.Close()
	// What this process held is free at once if the database is there. The pool
	// may be closed when Run returns.
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), max(s.cfg.Expiry, leastLeaving))
	defer cancel()
	leave := s.bury(leaving, m.id, false)
	if leave == nil {
		s.bell.news.Or(int32(newsShards | newsInbox))
		leave = s.bell.tell(leaving)
	}
	if leave != nil {
		err = errors.Join(err, fmt.Errorf("pgstore: leaving: %w", leave))
	}
	return err
}

func (s *Store) join(ctx context.Context) (_ *member, err error) {
	m := &member{Store: s, kick: make(chan struct{}, 1), shift: make(chan struct{}, 1)}
	living, end := context.WithCancelCause(context.WithoutCancel(ctx))
	m.living, m.fail = living, end
	defer func() {
		if err != nil {
			end(err)
		}
	}()
	m.rows = &rows{
		pool: s.cfg.Pool, sql: &s.sql, edit: &s.edit, timeout: max(s.cfg.Expiry, leastTimeout), lenient: s.lenient, idle: s.idle(),
		posted: func() {
			s.bell.ring(newsInbox)
			poke(m.guests.sent)
		}, failed: end,
	}
	m.guests = newGuests(m)
	m.alive.Store(int64(time.Since(s.opened)))
	first, err := m.rows.nextBlock(ctx, s.cfg.Pool)
	if err != nil {
		return nil, err
	}
	var now time.Time
	err = s.cfg.Pool.QueryRow(ctx, s.schema.sql(`INSERT INTO @.engine (name, expires, low)
		VALUES ($1, clock_timestamp() + $2::interval, $3) RETURNING id, clock_timestamp()`), s.cfg.Name, s.cfg.Expiry, first).Scan(&m.id, &now)
	if err != nil {
		return nil, errors.Join(err, s.unjoin(ctx, first))
	}
	m.rows.engine, m.rows.next, m.rows.end = m.id, first, first+blockRows
	m.rows.low.Store(first)
	m.rows.birthday = lanes.Loaded{NextSeq: first, Now: now.UnixMicro(), Clock: true}
	if m.lanes, err = lanes.Open(ctx, m.rows, s.cfg.Lanes); err != nil {
		return nil, err
	}
	m.reader = &reader{rows: m.rows, store: m.lanes, sql: &s.letters, log: s.log, pause: s.cfg.Expiry, alone: m.guests.alone}
	if _, err := m.balance(ctx); err != nil {
		return nil, errors.Join(err, s.bury(context.WithoutCancel(ctx), m.id, false))
	}
	s.setMember(m)
	s.bell.ring(newsShards)
	return m, nil
}

// unjoin takes back a row of which it is not known whether it is there: nobody
// else was given that block.
func (s *Store) unjoin(ctx context.Context, first int64) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(s.cfg.Expiry, time.Second))
	defer cancel()
	_, err := s.cfg.Pool.Exec(ctx, s.schema.sql(`DELETE FROM @.engine WHERE low = $1`), first)
	return err
}

// serve works until ctx ends or the membership is lost.
func (m *member) serve(ctx context.Context) error {
	var wg sync.WaitGroup
	work, stop := context.WithCancel(ctx)
	defer stop()
	wg.Go(func() { m.beats(work) })
	wg.Go(func() { m.balances(work) })
	wg.Go(func() { m.reads(work) })
	wg.Go(func() { m.guests.run(work) })
	wg.Go(func() { m.bell.serve(work, m.wake) })
	if !m.cfg.NoListen {
		wg.Go(func() { m.listen(work) })
	}
	var err error
	select {
	case <-ctx.Done():
	case <-m.living.Done():
		err = context.Cause(m.living)
	}
	stop()
	wg.Wait()
	return err
}

// fresh reports whether what this member holds cannot be another's yet. Its own
// clock decides, from before the last sign of life was sent.
func (m *member) fresh() bool {
	return time.Since(m.opened)-time.Duration(m.alive.Load()) < m.cfg.Expiry*4/5
}

// leases reports whether it may hand out work.
func (m *member) leases() bool {
	return m.fresh() && !m.reader.behind.Load() && m.living.Err() == nil
}

// beats gives signs of life. Missing ones end the membership.
func (m *member) beats(ctx context.Context) {
	tick := time.NewTicker(m.cfg.Expiry / 5)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		sent := time.Since(m.opened)
		if err := m.beat(ctx); err == nil {
			m.alive.Store(int64(sent))
			continue
		} else if errors.Is(err, errLost) {
			m.fail(err)
			return
		} else if ctx.Err() == nil {
			m.log.LogAttrs(ctx, slog.LevelWarn, "pgstore: no sign of life", slog.Any("error", err))
		}
		if time.Since(m.opened)-time.Duration(m.alive.Load()) > m.cfg.Expiry {
			m.fail(errLost)
			return
		}
	}
}

func (m *member) beat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, m.cfg.Expiry/2)
	defer cancel()
	tag, err := m.cfg.Pool.Exec(ctx, m.schema.sql(`UPDATE @.engine SET expires = clock_timestamp() + $2::interval, low = $3 WHERE id = $1`), m.id, m.cfg.Expiry, m.rows.low.Load())
	if err == nil && tag.RowsAffected() == 0 {
		err = errLost
	}
	return err
}

// reads looks at the inbox: when told to, soon after there was something, and
// slowly otherwise.
func (m *member) reads(ctx context.Context) {
	pause := time.Duration(0)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-m.kick:
			pause = 0
		case <-timer.C:
		}
		some, err := m.reader.read(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case lost(err):
			m.fail(err)
			return
		case err != nil:
			m.log.LogAttrs(ctx, slog.LevelError, "pgstore: cannot read the inbox", slog.Any("error", err))
			pause = m.cfg.Poll
		case some:
			pause = 0
		}
		pause = min(max(2*pause, m.cfg.Poll/50), m.cfg.Poll)
		timer.Reset(pause)
	}
}

// tidy keeps short what a takeover and a count have to read.
func (m *member) tidy(ctx context.Context) error {
	if err := m.lanes.Skip(ctx, m.rows.skip); err != nil {
		return err
	}
	_, err := m.cfg.Pool.Exec(ctx, m.schema.sql(`WITH gone AS (DELETE FROM @.tally WHERE engine = $1 AND batch > 0 AND batch <= $2 RETURNING pending, delivered, dead)
		INSERT INTO @.tally (engine, batch, pending, delivered, dead)
		SELECT $1, 0, coalesce(sum(pending), 0), coalesce(sum(delivered), 0), coalesce(sum(dead), 0) FROM gone
		ON CONFLICT (engine, batch) DO UPDATE SET pending = tally.pending + excluded.pending,
			delivered = tally.delivered + excluded.delivered, dead = tally.dead + excluded.dead`), m.id, m.rows.decided())
	return err
}
