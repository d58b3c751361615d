package pgstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// balances sees to it that every shard has an engine, and each engine its share.
func (m *member) balances(ctx context.Context) {
	tick := time.NewTicker(m.cfg.Expiry / 5)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-m.shift:
		}
		changed, err := m.balance(ctx)
		if err == nil && n%5 == 0 {
			err = m.tidy(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return
		case lost(err):
			m.fail(err)
			return
		case err != nil:
			m.log.LogAttrs(ctx, slog.LevelError, "pgstore: cannot balance", slog.Any("error", err))
		case changed:
			m.bell.ring(newsShards)
		}
	}
}

// balance takes or gives shards, and buries engines that are dead. It reports
// whether others have something to do now.
func (m *member) balance(ctx context.Context) (changed bool, err error) {
	rs, err := m.cfg.Pool.Query(ctx, m.schema.sql(`SELECT id FROM @.engine WHERE expires < clock_timestamp() AND id <> $1`), m.id)
	if err != nil {
		return false, err
	}
	dead, err := pgx.CollectRows(rs, pgx.RowTo[int64])
	if err != nil {
		return false, err
	}
	for _, id := range dead {
		if err := m.bury(ctx, id, true); err != nil { // one that cannot be buried holds up nothing else
			m.log.LogAttrs(ctx, slog.LevelError, "pgstore: cannot take over from an engine that gave no sign of life", slog.Int64("engine", id), slog.Any("error", err))
			continue
		}
		m.log.LogAttrs(ctx, slog.LevelWarn, "pgstore: an engine gave no sign of life, its shards are free", slog.Int64("engine", id))
	}
	var engines, here, kept, free int
	var asked bool
	mine := m.rows.mine()
	err = m.cfg.Pool.QueryRow(ctx, m.schema.sql(`SELECT (SELECT count(*) FROM @.engine),
		(SELECT count(*) FROM @.shard WHERE engine = $1), (SELECT count(*) FROM @.shard WHERE engine = $1 AND id = ANY($2::smallint[])),
		(SELECT count(*) FROM @.shard WHERE engine IS NULL),
		EXISTS (SELECT FROM @.guest WHERE shard = ANY($2::smallint[]))`), m.id, mine).Scan(&engines, &here, &kept, &free, &asked)
	if err != nil {
		return false, err
	}
	if asked {
		poke(m.guests.told)
	}
	if engines == 0 || kept < len(mine) { // as many others may be its own, after a failover that lost what it did last
		return false, delivery.ErrOwned
	}
	if m.unclean {
		if err := m.gain(ctx, 0); err != nil {
			return false, err
		}
	}
	fair := (shards + engines - 1) / engines
	switch own := len(mine); {
	case own < fair && (free > 0 || here > own):
		return false, m.gain(ctx, min(fair-own, free+here-own))
	case own > fair:
		return m.give(ctx, mine, own-fair)
	}
	return false, nil
}

// portionMin is how many shards a member takes at first.
const portionMin = 8

// gain takes n shards, or as many of them as can be read soon: nothing else is
// committed meanwhile, and what takes too long would be tried for ever.
func (m *member) gain(ctx context.Context, n int) error {
	m.portion = cmp.Or(m.portion, portionMin)
	n = min(n, m.portion)
	m.guests.mu.Lock() // who is a guest is as it was read until it is known here
	defer m.guests.mu.Unlock()
	err := m.lanes.Gain(ctx, func(ctx context.Context) (lanes.Loaded, error) {
		if n == 0 {
			return lanes.Loaded{}, nil
		}
		ctx, cancel := context.WithTimeout(ctx, m.cfg.Expiry)
		defer cancel()
		begin := time.Now()
		l, gained, err := m.rows.gain(ctx, m.schema, n)
		switch took := time.Since(begin); {
		case err != nil, took > m.cfg.Expiry/4:
			m.portion = max(m.portion/2, 1)
		case took < m.cfg.Expiry/50:
			m.portion = min(2*m.portion, shards)
		}
		if len(gained) > 0 {
			poke(m.shift) // there may be more
		}
		for lane := range l.Lent {
			m.guests.lent[lane] = l.Lent[lane]
		}
		m.reader.own(gained, true)
		return l, err
	})
	poke(m.kick)
	m.unclean = err != nil
	return err
}

// How long attempts are waited for: longer each time that none of the shards
// could be freed, up to what attempts may last.
const patienceMin, patienceMax = 300 * time.Millisecond, time.Minute

// leaving is how many shards are on their way at once.
const leaving = 4

// give frees n shards, preferably such as have nothing under way. It ends early
// after a while, since an engine may have died meanwhile.
func (m *member) give(ctx context.Context, mine []int16, n int) (gave bool, err error) {
	rand.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
	m.patience = max(m.patience, patienceMin)
	begin := time.Now()
	for len(mine) > 0 && n > 0 && time.Since(begin) <= m.cfg.Expiry/2 {
		wave := mine[:min(leaving, n, len(mine))]
		mine = mine[len(wave):]
		errs := make([]error, len(wave))
		var wg sync.WaitGroup
		for i, id := range wave {
			wg.Go(func() { errs[i] = m.leave(ctx, id) })
		}
		wg.Wait()
		for _, left := range errs {
			if left == nil {
				n--
				gave = true
			} else if !errors.Is(left, errBusy) {
				err = errors.Join(err, left)
			}
		}
		if err != nil {
			break
		}
	}
	if gave {
		m.patience = m.patience * 3 / 4
	} else {
		m.patience = min(2*m.patience, patienceMax)
	}
	return gave, err
}

var errBusy = errors.New("pgstore: attempts did not end in time")

// leave frees a shard, if its attempts end in time.
func (m *member) leave(ctx context.Context, id int16) error {
	patience, cancel := context.WithTimeout(ctx, m.patience)
	defer cancel()
	err := m.lanes.Leave(patience, lanes.Part{
		Has: func(lane string) bool { return shardOf(lane) == id },
		Own: func(own bool) {
			if m.rows.owned[id].Store(false); own {
				m.reader.own([]int16{id}, false)
			}
		},
		Free: func(context.Context) error { return m.rows.free(context.WithoutCancel(ctx), m.schema, id) },
	})
	if err != nil && patience.Err() != nil && ctx.Err() == nil && m.living.Err() == nil {
		return errBusy
	}
	return err
}

// idle has the server end a transaction whose process stands still: it would
// keep others from burying it.
func (s *Store) idle() string {
	return fmt.Sprintf("set_config('idle_in_transaction_session_timeout', '%d', true)", s.cfg.Expiry.Milliseconds())
}

// bury ends an engine: what it held in memory alone is indexed, its shards are
// free. If it must be dead for that, one that came alive again is left alone.
func (s *Store) bury(ctx context.Context, id int64, dead bool) error {
	return unlocked(func() error { return s.buryOnce(ctx, id, dead) })
}

func (s *Store) buryOnce(ctx context.Context, id int64, dead bool) error {
	return pgx.BeginFunc(ctx, s.cfg.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.sql.settings); err != nil {
			return err
		}
		var pid int32
		if err := tx.QueryRow(ctx, `SELECT pg_backend_pid(), set_config('lock_timeout', '3s', true), `+s.idle()).Scan(&pid, nil, nil); err != nil {
			return err
		}
		var low int64
		watch, watched := context.WithCancel(ctx)
		var wg sync.WaitGroup
		if dead {
			wg.Go(func() { s.cut(watch, pid) })
		}
		// A commit of the engine that is under way ends first; later ones find
		// no row and fail.
		err := tx.QueryRow(ctx, s.schema.sql(`SELECT low FROM @.engine WHERE id = $1 AND (expires < clock_timestamp() OR NOT $2::boolean) FOR UPDATE`), id, dead).Scan(&low)
		watched()
		wg.Wait()
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.sendHome(ctx, tx, id, low); err != nil {
			return err
		}
		for _, q := range []struct {
			text string
			args []any
		}{
			{`INSERT INTO @.waiting (seq, shard, lane, key, retry, due, attempts, tries, expires, hidden)
				SELECT d.seq, d.shard, d.lane, '', false, d.due, 0, 0, d.expires, false FROM @.delivery d
				WHERE d.seq >= $2 AND d.guest IS NULL AND d.shard = ANY(ARRAY(SELECT id FROM @.shard WHERE engine = $1))
				AND NOT EXISTS (SELECT FROM @.outcome o WHERE o.seq = d.seq) AND NOT EXISTS (SELECT FROM @.waiting w WHERE w.seq = d.seq)`, []any{id, low}},
			{`DELETE FROM @.guest WHERE engine = $1`, []any{id}},
			{`WITH gone AS (DELETE FROM @.tally WHERE engine = $1 RETURNING pending, delivered, dead)
				INSERT INTO @.tally (engine, batch, pending, delivered, dead)
				SELECT 0, $1, coalesce(sum(pending), 0), coalesce(sum(delivered), 0), coalesce(sum(dead), 0) FROM gone`, []any{id}},
			{`UPDATE @.shard SET engine = NULL WHERE engine = $1`, []any{id}},
			{`DELETE FROM @.engine WHERE id = $1`, []any{id}},
		} {
			if _, err := tx.Exec(ctx, s.schema.sql(q.text), q.args...); err != nil {
				return err
			}
		}
		return nil
	})
}

// standstill is how long a transaction may keep a dead engine from being buried
// while the server waits for its client.
const standstill = time.Second

// cut ends such transactions. A process that stopped after it had sent a part of
// one holds the engine's row for as long as it stands still, and no timeout of
// the server's is meant for that.
func (s *Store) cut(ctx context.Context, waiter int32) {
	for {
		select {
		case <-time.After(standstill):
		case <-ctx.Done():
			return
		}
		_, err := s.cfg.Pool.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE pid = ANY(pg_blocking_pids($1)) AND wait_event_type = 'Client' AND xact_start < clock_timestamp() - $2::interval`, waiter, standstill)
		if err != nil && ctx.Err() == nil {
			s.log.LogAttrs(ctx, slog.LevelWarn, "pgstore: cannot end a transaction that stands still", slog.Any("error", err))
		}
	}
}
