package pgstore_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/delivery/pgstore"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// site is a schema that several processes share.
type site struct {
	*testing.T
	*cluster
	schema string
	cfg    pgstore.Config // of the processes to come
	idle   bool           // they do not Run
	once   bool           // each of their connections is used once
	tracer pgx.QueryTracer
}

func newSite(t *testing.T, url string, cfg lanes.Config) *site {
	t.Helper()
	f := &cluster{url: url, lanes: cfg}
	return &site{
		T: t, cluster: f, schema: f.migrated(t),
		cfg: pgstore.Config{Expiry: time.Second, Poll: 20 * time.Millisecond, Logger: slog.New(slog.DiscardHandler)},
	}
}

// engine is a process whose connections can be made to hang.
type engine struct {
	*process
	gate atomic.Pointer[chan struct{}] // what a connection waits for
}

// launch starts a process as the site's cfg says.
func (s *site) launch() *engine {
	s.Helper()
	cfg, err := pgxpool.ParseConfig(s.url)
	if err != nil {
		s.Fatal(err)
	}
	e := &engine{process: &process{schema: s.schema, ended: make(chan error, 1)}}
	cfg.MaxConns = 8
	cfg.ConnConfig.Tracer = s.tracer
	cfg.PrepareConn = func(context.Context, *pgx.Conn) (bool, error) {
		if gate := e.gate.Load(); gate != nil {
			<-*gate
		}
		if e.crashed.Load() {
			return false, errCrashed
		}
		return true, nil
	}
	if s.once {
		cfg.AfterRelease = func(*pgx.Conn) bool { return false }
	}
	if e.pool, err = pgxpool.NewWithConfig(context.Background(), cfg); err != nil {
		s.Fatal(err)
	}
	sc := s.cfg
	sc.Pool, sc.Schema, sc.Lanes = e.pool, s.schema, s.lanes
	if e.store, err = pgstore.Open(context.Background(), sc); err != nil {
		s.Fatal(err)
	}
	if s.idle {
		s.Cleanup(e.pool.Close)
		return e
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.cancel = cancel
	go func() { e.ended <- e.store.Run(ctx) }()
	s.Cleanup(func() { e.stop(s.T) })
	return e
}

// until waits for a condition.
func (s *site) until(limit time.Duration, what string, done func() bool) {
	s.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !done(); <-tick.C {
		if time.Now().After(end) {
			s.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// shared waits until engines serve all shards, and none more than its share.
func (s *site) shared(limit time.Duration, most int, all ...*engine) {
	s.Helper()
	var served []int
	s.until(limit, fmt.Sprintf("%d engines serve all shards, %d at most", len(all), most), func() bool {
		served = served[:0]
		sum := 0
		for _, e := range all {
			mine, _ := e.store.Shards()
			if sum += mine; mine > most {
				return false
			}
			served = append(served, mine)
		}
		return sum == 64
	})
}

func (s *site) enqueue(e *engine, ds ...delivery.Delivery) {
	s.Helper()
	if err := e.store.Enqueue(s.Context(), time.Time{}, ds...); err != nil {
		s.Fatalf("Enqueue: %v", err)
	}
}

// collect leases until n are had.
func (s *site) collect(limit time.Duration, n int, all ...*engine) map[*engine][]delivery.Lease {
	s.Helper()
	got, sum := map[*engine][]delivery.Lease{}, 0
	s.until(limit, fmt.Sprintf("%d leases", n), func() bool {
		for _, e := range all {
			leases, err := e.store.Lease(s.Context(), time.Time{}, delivery.LeaseRequest{Max: n - sum, TTL: time.Minute})
			if err != nil {
				s.Fatalf("Lease: %v", err)
			}
			got[e] = append(got[e], leases...)
			sum += len(leases)
		}
		return sum >= n
	})
	return got
}

func ids(leases []delivery.Lease) []string {
	out := make([]string, len(leases))
	for i, l := range leases {
		out[i] = l.ID
	}
	return out
}

func outcomes(leases []delivery.Lease, result delivery.Result) []delivery.Outcome {
	outs := make([]delivery.Outcome, len(leases))
	for i, l := range leases {
		outs[i] = delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: result, Reason: "given up", Attempt: &delivery.Attempt{Number: l.Attempts + 1}}
	}
	return outs
}

// settle ends leases as delivered.
func (s *site) settle(e *engine, leases ...delivery.Lease) {
	s.Helper()
	if err := e.store.Settle(s.Context(), time.Time{}, outcomes(leases, delivery.Done)...); err != nil {
		s.Fatalf("Settle: %v", err)
	}
}

// counted wants the counts to be these, and what is listed to agree.
func (s *site) counted(e *engine, want delivery.Counts) {
	s.Helper()
	got, err := e.store.Counts(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	var listed delivery.Counts
	for st, err := range e.store.Deliveries(s.Context(), delivery.Filter{}) {
		switch {
		case err != nil:
			s.Fatal(err)
		case st.State == delivery.Delivered:
			listed.Delivered++
		case st.State == delivery.Dead:
			listed.Dead++
		default:
			listed.Pending++
		}
	}
	if got != want || listed != want {
		s.Errorf("counts %+v, listed %+v, want %+v", got, listed, want)
	}
}

// of is a delivery to a lane.
func of(id, lane, key string) delivery.Delivery {
	return delivery.Delivery{ID: id, EventID: id, SubscriptionID: lane, Key: key, Type: "t", PublishedAt: epoch, Body: []byte(id)}
}

// spread are deliveries over many lanes.
func spread(prefix string, n, over int) []delivery.Delivery {
	ds := make([]delivery.Delivery, n)
	for i := range ds {
		ds[i] = of(fmt.Sprintf("%s-%d", prefix, i), fmt.Sprintf("lane%d", i%over), "")
	}
	return ds
}

func TestSharedEvenly(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t).Database(t), lanes.Config{})
	s.cfg.Expiry, s.cfg.Poll = 40*time.Second, 10*time.Second // nobody looks before 8 s unless told
	a := s.launch()
	s.shared(6*time.Second, 64, a)
	b := s.launch()
	s.shared(6*time.Second, 32, a, b)
	c := s.launch()
	s.shared(6*time.Second, 22, a, b, c)
	b.stop(t)
	s.shared(6*time.Second, 32, a, c)
	a.stop(t)
	s.shared(6*time.Second, 64, c)
}

func TestSharedAfterCrash(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t).Database(t), lanes.Config{})
	a, b, c := s.launch(), s.launch(), s.launch()
	s.shared(10*time.Second, 22, a, b, c)
	b.crashed.Store(true)
	s.shared(s.cfg.Expiry+3*time.Second, 32, a, c)
	a.crashed.Store(true)
	s.shared(s.cfg.Expiry+3*time.Second, 64, c)
	a.crashed.Store(false) // and comes again
	s.shared(10*time.Second, 32, a, c)
}

// TestSharedWhileSlow: attempts that last long keep a newcomer from its share
// for a while, not for good.
func TestSharedWhileSlow(t *testing.T) {
	t.Parallel()
	s := newSite(t, pgtest.New(t).Database(t), lanes.Config{})
	a := s.launch()
	s.shared(10*time.Second, 64, a)
	s.enqueue(a, spread("x", 1000, 500)...)
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for range 500 { // slots
		wg.Go(func() {
			for ctx.Err() == nil {
				leases, err := a.store.Lease(ctx, time.Time{}, delivery.LeaseRequest{Max: 1})
				if err != nil || len(leases) == 0 {
					select {
					case <-ctx.Done():
					case <-time.After(20 * time.Millisecond):
					}
					continue
				}
				select { // an attempt
				case <-ctx.Done():
				case <-time.After(700 * time.Millisecond):
				}
				out := outcomes(leases, delivery.Retry)
				_ = a.store.Settle(context.WithoutCancel(ctx), time.Time{}, out...) // it may be shut down by now
			}
		})
	}
	b := s.launch()
	s.shared(60*time.Second, 32, a, b)
	stop()
	wg.Wait()
}
