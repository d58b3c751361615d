package pgstore

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
)

// moment is what could be seen of a server's transactions, by their numbers.
// After a failover, or when the server recovered from a crash, the same numbers
// are given to others: a moment is of use while the server goes on that it is of.
type moment struct {
	server  time.Time // when it was started
	process int32     // its process that answered; none survives a crash
	xmax    string    // this one and later ones had not ended
	xip     []string  // nor had these
}

const selectMoment = `SELECT pg_postmaster_start_time(), pg_backend_pid(), pg_snapshot_xmax(s)::text, ARRAY(SELECT pg_snapshot_xip(s)::text) FROM pg_current_snapshot() s`

// errMoved says that a page came from elsewhere than the one before.
var errMoved = errors.New("pgstore: the server is another one")

// mostKnown bounds what is kept of a server's processes.
const mostKnown = 1000

// continues reports whether a moment is of the server of the last one, which has
// not recovered since: a process answered that did so before. If not, the last
// moment becomes one that holds all the same: on the same server numbers are given
// again only after those of letters that were seen, which are on disk; of another
// server nothing is known.
func (r *reader) continues(now moment) bool {
	same := now.server.Equal(r.last.server)
	_, known := r.known[now.process]
	if same && known {
		return true
	}
	if !same || len(r.known) >= mostKnown {
		r.known = map[int32]struct{}{}
	}
	r.known[now.process] = struct{}{}
	if xmax, err := strconv.ParseUint(r.last.xmax, 10, 64); same && err == nil && r.seen > 0 {
		r.last.xmax = strconv.FormatUint(min(xmax, r.seen+1), 10)
		return false
	}
	if !same {
		r.seen = 0
	}
	r.last = moment{server: now.server}
	return false
}

// look reads a page of letters, if a query for them is given, and what could be
// seen right before.
func (r *reader) look(ctx context.Context, query string, after source, more ...any) (now moment, got []letter, err error) {
	ctx, cancel := context.WithTimeout(ctx, r.rows.timeout)
	defer cancel()
	b := &pgx.Batch{}
	b.Queue(r.rows.sql.settings)
	b.Queue(selectMoment).QueryRow(func(row pgx.Row) error {
		return row.Scan(&now.server, &now.process, &now.xmax, &now.xip)
	})
	if query != "" {
		args := append([]any{r.pass.mine, after.xid, after.id, page}, more...)
		b.Queue(query, args...).Query(func(rs pgx.Rows) error {
			var l letter
			_, err := pgx.ForEachRow(rs, []any{&l.xid, &l.id, &l.shard, &l.kind, &l.name, &l.lane, &l.data}, func() error {
				got = append(got, l)
				return nil
			})
			return err
		})
	}
	err = r.rows.pool.SendBatch(ctx, b).Close()
	return now, got, err
}

// allPages has what a query finds taken, page by page.
func (r *reader) allPages(ctx context.Context, of moment, take func(context.Context, []letter) error, query string) (some bool, err error) {
	got, err := r.page(ctx, of, query, source{xid: "0"})
	if err != nil {
		return false, err
	}
	return r.pages(ctx, of, got, take, query)
}

// pages has a page taken, and those after it.
func (r *reader) pages(ctx context.Context, of moment, got []letter, take func(context.Context, []letter) error, query string, more ...any) (some bool, err error) {
	for {
		if len(got) > 0 { // in the order of their numbers
			if xid, err := strconv.ParseUint(got[len(got)-1].xid, 10, 64); err == nil {
				r.seen = max(r.seen, xid)
			}
		}
		if err := take(ctx, got); err != nil {
			return some, err
		}
		some = some || len(got) > 0
		if len(got) < page {
			return some, nil
		}
		if got, err = r.page(ctx, of, query, got[len(got)-1].source, more...); err != nil {
			return some, err
		}
	}
}

// page reads a page that belongs to a moment.
func (r *reader) page(ctx context.Context, of moment, query string, after source, more ...any) ([]letter, error) {
	now, got, err := r.look(ctx, query, after, more...)
	if err == nil && !now.server.Equal(of.server) { // one that recovered meanwhile is noticed at the next reading
		err = errMoved
	}
	return got, err
}
