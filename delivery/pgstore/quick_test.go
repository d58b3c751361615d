package pgstore_test

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// appends counts the statements that a pool's tracer sees rows stored by.
type appends struct{ seen atomic.Int64 }

func (a *appends) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}
func (a *appends) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
func (a *appends) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	return ctx
}
func (a *appends) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData) {}

func (a *appends) TraceBatchQuery(_ context.Context, _ *pgx.Conn, q pgx.TraceBatchQueryData) {
	if strings.Contains(q.SQL, ".delivery (seq") {
		a.seen.Add(1)
	}
}

// TestDirect: what is sent past pgx stores the same as what is sent through it,
// which is done where somebody wants to see the statements.
func TestDirect(t *testing.T) {
	t.Parallel()
	play := func(tracer pgx.QueryTracer) (rows []string) {
		s := newSite(t, pgtest.New(t).Database(t), lanes.Config{})
		s.tracer = tracer
		a := s.launch()
		s.shared(20*time.Second, 64, a)
		first := spread("first", 300, 70)
		for i := range first[:5] {
			first[i].Body = []byte(strings.Repeat(first[i].ID+"\x00", 20_000+i))
		}
		s.enqueue(a, first...)
		// Two of these are there, and so is one of each batch that follows.
		s.enqueue(a, of("new", "lane0", ""), first[3], first[299])
		for i := range 3 {
			s.enqueue(a, first[i], of(fmt.Sprint("later", i), "läne\n", ""))
		}
		leases := s.collect(20*time.Second, 304, a)[a]
		var outs []delivery.Outcome
		for _, l := range leases {
			result := delivery.Done
			if len(l.ID)%2 == 0 {
				result = delivery.GiveUp
			}
			out := outcomes([]delivery.Lease{l}, result)[0]
			out.Attempt.Response = []byte(l.ID)
			outs = append(outs, out)
		}
		s.must(a.store.Settle(t.Context(), time.Time{}, outs[:200]...))
		s.must(a.store.Settle(t.Context(), time.Time{}, outs[200:]...))
		want := delivery.Counts{}
		for _, o := range outs {
			if o.Result == delivery.Done {
				want.Delivered++
			} else {
				want.Dead++
			}
		}
		s.counted(a, want)
		got, err := s.pool(s.url).Query(t.Context(), `SELECT format('%s %s %s %s %s %s %s %s', d.id, d.shard, d.lane, octet_length(d.data), d.expires, o.state, o.attempts, o.data)
			FROM `+s.schema+`.delivery d JOIN `+s.schema+`.outcome o USING (seq) ORDER BY d.id`)
		s.must(err)
		rows, err = pgx.CollectRows(got, pgx.RowTo[string])
		s.must(err)
		return rows
	}
	tracer := &appends{}
	direct, traced := play(nil), play(tracer)
	if len(direct) != 304 || !reflect.DeepEqual(direct, traced) {
		t.Errorf("%d rows, traced %d:\n%.400s\n%.400s", len(direct), len(traced), direct, traced)
	}
	if tracer.seen.Load() == 0 {
		t.Error("the tracer saw no row stored")
	}
}

// TestOutcomeIsThere: a row that has ended already, by whomever, keeps nobody from
// settling it, nor those that are settled with it.
func TestOutcomeIsThere(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t).Database(t), lanes.Config{})
	a := s.launch()
	s.shared(20*time.Second, 64, a)
	s.enqueue(a, spread("x", 10, 3)...)
	leases := s.collect(10*time.Second, 10, a)[a]
	pool := s.pool(s.url)
	s.exec(pool, `INSERT INTO @.outcome (seq, state, at, attempts, data) SELECT seq, 2, 1, 7, '' FROM @.delivery WHERE id = $1`, leases[4].ID)
	s.settle(a, leases...)
	var ended, kept int
	s.must(pool.QueryRow(t.Context(), `SELECT count(*), count(*) FILTER (WHERE attempts = 7) FROM `+s.schema+`.outcome`).Scan(&ended, &kept))
	if ended != 10 || kept != 1 {
		t.Errorf("%d outcomes, %d as they were", ended, kept)
	}
}
