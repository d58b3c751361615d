package pgstore

import (
	"context"
	"fmt"
	"iter"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
)

// browser implements [delivery.Browser]. What no engine has taken yet is the
// newest.
type browser struct {
	pool *pgxpool.Pool
	sql  browsing
}

// browsing are the texts with the schema's name filled in. Each list walks a
// primary key or an index backwards, so that a limit bounds what is read.
type browsing struct {
	settings                           string
	inbox, inboxOne                    string
	all, one, delivered, dead, pending string
	attempts, counts, event, oldest    string
}

func newBrowser(pool *pgxpool.Pool, s schema) browser {
	// One that is stored is not to be listed as untaken, too. A lookup has no
	// order that another index could serve.
	const inbox = `SELECT i.xid, i.id, i.name, i.data FROM @.inbox i
		WHERE i.kind = $1 AND %s AND NOT EXISTS (SELECT FROM @.delivery d WHERE d.id = i.name) ORDER BY %s`
	const columns = `SELECT s.seq, d.id, d.data, o.state, o.at, o.attempts, o.data, w.due, w.attempts,
			(SELECT a.data FROM @.attempt a WHERE a.seq = s.seq AND coalesce(w.attempts, o.attempts) > 0 ORDER BY a.seq DESC, a.number DESC LIMIT 1)
		FROM (%s) s JOIN @.delivery d ON d.seq = s.seq
		LEFT JOIN @.outcome o ON o.seq = s.seq LEFT JOIN @.waiting w ON w.seq = s.seq ORDER BY s.seq DESC`
	list := func(from string) string { return s.sql(fmt.Sprintf(columns, from)) }
	return browser{pool: pool, sql: browsing{
		settings:  s.statements().settings,
		inbox:     s.sql(fmt.Sprintf(inbox, `(i.xid, i.id) < ($2, $3)`, `i.xid DESC, i.id DESC LIMIT $4`)),
		inboxOne:  s.sql(fmt.Sprintf(inbox, `i.name = $2`, `i.id LIMIT 1`)),
		all:       list(`SELECT seq FROM @.delivery WHERE seq < $1 ORDER BY seq DESC LIMIT $2`),
		one:       list(`SELECT seq FROM @.delivery WHERE id = $1 LIMIT 1`),
		delivered: list(`SELECT seq FROM @.outcome WHERE state = 1 AND seq < $1 ORDER BY seq DESC LIMIT $2`),
		dead:      list(`SELECT seq FROM @.outcome WHERE state = 2 AND seq < $1 ORDER BY seq DESC LIMIT $2`),
		pending: list(`SELECT seq FROM (
				(SELECT seq FROM @.waiting WHERE seq < $1 ORDER BY seq DESC LIMIT $2)
				UNION
				(SELECT d.seq FROM @.delivery d WHERE d.seq < $1 AND d.seq >= (SELECT min(low) FROM @.engine)
					AND NOT EXISTS (SELECT FROM @.outcome o WHERE o.seq = d.seq) ORDER BY d.seq DESC LIMIT $2)) u
			ORDER BY seq DESC LIMIT $2`),
		attempts: s.sql(`SELECT o.state, o.data, ARRAY(SELECT a.data FROM @.attempt a WHERE a.seq = d.seq ORDER BY a.seq, a.number)
			FROM @.delivery d LEFT JOIN @.outcome o ON o.seq = d.seq WHERE d.id = $1
			UNION ALL SELECT NULL, NULL, '{}' FROM @.inbox i WHERE i.name = $1 AND i.kind = $2 AND i.lane <> ''
				AND NOT EXISTS (SELECT FROM @.delivery d WHERE d.id = i.name)`),
		counts: s.sql(`SELECT coalesce(sum(pending), 0)::bigint
				+ (SELECT count(DISTINCT i.name) FROM @.inbox i WHERE i.kind = $1 AND i.lane <> ''
					AND NOT EXISTS (SELECT FROM @.delivery d WHERE d.id = i.name)),
			coalesce(sum(delivered), 0)::bigint, coalesce(sum(dead), 0)::bigint FROM @.tally`),
		// Delivery IDs begin with the event's ID and a dot; '/' follows the dot.
		event: s.sql(`SELECT count(*), count(*) FILTER (WHERE marker) FROM (
			SELECT coalesce(o.state = 3, false) AS marker FROM (
				SELECT seq FROM @.delivery WHERE id = $1 UNION ALL SELECT seq FROM @.delivery WHERE id >= $2 AND id < $3) d
				LEFT JOIN @.outcome o ON o.seq = d.seq
			UNION ALL SELECT bool_and(i.lane = '') FROM (
				SELECT name, lane FROM @.inbox WHERE kind = $4 AND name = $1
				UNION ALL SELECT name, lane FROM @.inbox WHERE kind = $4 AND name >= $2 AND name < $3) i
				WHERE NOT EXISTS (SELECT FROM @.delivery d WHERE d.id = i.name) GROUP BY i.name) e`),
		// An engine has one block that it still fills, and may do so slowly: what is
		// younger stands before what is older in so many blocks at most, and in some
		// of engines that are gone.
		oldest: s.sql(fmt.Sprintf(`WITH RECURSIVE
			engines AS MATERIALIZED (SELECT min(e.low) AS low, count(*) + 8 AS n FROM (SELECT low FROM @.engine ORDER BY id) e),
			waits (seq, n) AS (
				SELECT (SELECT seq FROM @.waiting ORDER BY seq LIMIT 1), 0
				UNION ALL
				SELECT (SELECT w.seq FROM @.waiting w WHERE w.seq >= (h.seq / %[1]d + 1) * %[1]d ORDER BY w.seq LIMIT 1), h.n + 1
				FROM waits h WHERE h.seq IS NOT NULL AND h.n < (SELECT n FROM engines)),
			young (seq, n) AS (
				SELECT (SELECT d.seq FROM @.delivery d WHERE d.seq >= (SELECT low FROM engines)
					AND NOT EXISTS (SELECT FROM @.outcome o WHERE o.seq = d.seq) ORDER BY d.seq LIMIT 1), 0
				UNION ALL
				SELECT (SELECT d.seq FROM @.delivery d WHERE d.seq >= (h.seq / %[1]d + 1) * %[1]d
					AND NOT EXISTS (SELECT FROM @.outcome o WHERE o.seq = d.seq) ORDER BY d.seq LIMIT 1), h.n + 1
				FROM young h WHERE h.seq IS NOT NULL AND h.n < (SELECT n FROM engines))
			SELECT d.id, d.data FROM (SELECT seq FROM waits UNION SELECT seq FROM young) s JOIN @.delivery d ON d.seq = s.seq
			UNION ALL (SELECT i.name, i.data FROM @.inbox i WHERE i.kind = $1 AND i.lane <> ''
				AND NOT EXISTS (SELECT FROM @.delivery d WHERE d.id = i.name) ORDER BY i.xid, i.id LIMIT 1)`, blockRows)),
	}}
}

// query runs one statement by index, whatever is known of the tables' sizes.
func (b browser) query(ctx context.Context, text string, args []any, each func(pgx.Rows) error) error {
	return fetch(ctx, b.pool, b.sql.settings, text, args, each)
}

// fetch sends the settings and a query as one transaction, in one round trip.
func fetch(ctx context.Context, pool *pgxpool.Pool, settings, text string, args []any, each func(pgx.Rows) error) error {
	q := &pgx.Batch{}
	q.Queue(settings)
	q.Queue(text, args...).Query(func(rs pgx.Rows) error {
		for rs.Next() {
			if err := each(rs); err != nil {
				return err
			}
		}
		return rs.Err()
	})
	return pool.SendBatch(ctx, q).Close()
}

// listRows are read before they are handed on: no connection is held while the
// caller looks at them.
const listRows = 500

// Deliveries implements [delivery.Browser].
func (b browser) Deliveries(ctx context.Context, f delivery.Filter) iter.Seq2[delivery.Status, error] {
	return func(yield func(delivery.Status, error) bool) {
		w := b.walk(f)
		n := 0
		exact := f == delivery.Filter{ID: f.ID, State: f.State, Limit: f.Limit} // the pages hold no others
		for !w.over {
			want := listRows
			if f.Limit > 0 && exact {
				want = min(listRows, f.Limit-n)
			}
			list, err := w.next(ctx, want)
			if err != nil {
				yield(delivery.Status{}, fmt.Errorf("pgstore: list: %w", err))
				return
			}
			for i := range list {
				if !yield(list[i], nil) {
					return
				}
				if n++; n == f.Limit {
					return
				}
			}
		}
	}
}

// walk is a list under way: first what no engine has taken, then what is stored.
// In this order none is missed that is taken meanwhile. It may be stored under
// any Seq, so that those listed untaken are remembered: few, while an engine
// runs. A page is one statement, which sees all tables at one moment.
type walk struct {
	browser

	filter delivery.Filter
	over   bool
	stored bool            // past the inbox
	listed map[string]bool // IDs from the inbox
	xid    uint64          // the inbox is read down to xid and id
	id     int64
	seq    int64 // what is stored is read down to seq
}

func (b browser) walk(f delivery.Filter) *walk {
	w := &walk{browser: b, filter: f, listed: map[string]bool{}, xid: math.MaxUint64, id: math.MaxInt64, seq: math.MaxInt64}
	w.stored = f.State != "" && f.State != delivery.Pending
	w.over = !storable(f.ID)
	return w
}

// storable reports whether a column of text can hold an ID; no row has another.
func storable(id string) bool { return utf8.ValidString(id) && !strings.ContainsRune(id, 0) }

// next reads a page.
func (w *walk) next(ctx context.Context, limit int) ([]delivery.Status, error) {
	if w.stored {
		return w.nextStored(ctx, limit)
	}
	return w.nextUntaken(ctx, limit)
}

func (w *walk) nextUntaken(ctx context.Context, limit int) ([]delivery.Status, error) {
	text, args := w.sql.inbox, []any{inboxDelivery, w.xid, w.id, limit}
	if w.filter.ID != "" {
		text, args = w.sql.inboxOne, []any{inboxDelivery, w.filter.ID}
	}
	var out []delivery.Status
	read := 0
	err := w.query(ctx, text, args, func(rs pgx.Rows) error {
		var id string
		var data []byte
		if err := rs.Scan(&w.xid, &w.id, &id, &data); err != nil {
			return err
		}
		read++
		d, times, err := rowcodec.Delivery(id, data)
		if err != nil {
			return err
		}
		st := delivery.Status{Delivery: *d, State: delivery.Pending, NextAttemptAt: next(d, times.Due)}
		if d.SubscriptionID == "" || w.listed[id] || !w.filter.Chooses(&st) {
			return nil
		}
		w.listed[id] = true
		out = append(out, st)
		return nil
	})
	w.stored = w.filter.ID != "" || read < limit
	return out, err
}

func (w *walk) nextStored(ctx context.Context, limit int) ([]delivery.Status, error) {
	text, args := w.sql.all, []any{w.seq, limit}
	switch {
	case w.filter.ID != "":
		text, args = w.sql.one, []any{w.filter.ID}
	case w.filter.State == delivery.Delivered:
		text = w.sql.delivered
	case w.filter.State == delivery.Dead:
		text = w.sql.dead
	case w.filter.State == delivery.Pending:
		text = w.sql.pending
	}
	var out []delivery.Status
	read := 0
	err := w.query(ctx, text, args, func(rs pgx.Rows) error {
		st, marker, err := w.scan(rs)
		if err != nil {
			return err
		}
		read++
		if !marker && !w.listed[st.ID] && w.filter.Chooses(&st) {
			out = append(out, st)
		}
		return nil
	})
	w.over = w.filter.ID != "" || read < limit
	return out, err
}

// scan reads a row that is stored.
func (w *walk) scan(rs pgx.Rows) (st delivery.Status, marker bool, err error) {
	var id string
	var data, outcome, before []byte
	var state, at, attempts, due, tried pgtype.Int8
	if err := rs.Scan(&w.seq, &id, &data, &state, &at, &attempts, &outcome, &due, &tried, &before); err != nil {
		return st, false, err
	}
	d, times, err := rowcodec.Delivery(id, data)
	if err != nil {
		return st, false, err
	}
	st.Delivery = *d
	var last *delivery.Attempt
	if state.Valid {
		st.Attempts, st.SettledAt = int(attempts.Int64), time.UnixMicro(at.Int64).UTC()
		if st.Reason, last, err = rowcodec.Outcome(outcome); err != nil {
			return st, false, err
		}
	} else {
		if due.Valid {
			times.Due = due.Int64
		}
		st.State, st.Attempts, st.NextAttemptAt = delivery.Pending, int(tried.Int64), next(d, times.Due)
	}
	if last == nil && before != nil {
		a, err := rowcodec.Attempt(before)
		if err != nil {
			return st, false, err
		}
		last = &a
	}
	if last != nil {
		st.LastStatus, st.LastError = last.Status, last.Error
	}
	switch state.Int64 {
	case stateDelivered:
		st.State = delivery.Delivered
	case stateDead:
		st.State = delivery.Dead
	}
	return st, state.Int64 == stateMarker, nil
}

// next is when a pending one is due; one that goes ahead is at once.
func next(d *delivery.Delivery, due int64) time.Time {
	if due == 0 {
		return d.PublishedAt
	}
	return time.UnixMicro(due).UTC()
}
