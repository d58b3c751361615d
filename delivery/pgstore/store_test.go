package pgstore_test

import (
	"context"
	"errors"
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
	"github.com/ringback-go/ringback/delivery/storetest"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// cluster makes stores, each in a schema of its own in one database, and knows
// where they are.
type cluster struct {
	url   string
	lanes lanes.Config
	tune  func(*pgxpool.Config) // nil: as it is
	deaf  bool                  // stores do not listen
	last  atomic.Int64
	runs  sync.Map // *pgstore.Store → *process
}

// process stands for what a program has: a pool, a store and an engine's Run.
type process struct {
	store   *pgstore.Store
	pool    *pgxpool.Pool
	schema  string
	crashed atomic.Bool // its pool gives no connection any more
	cancel  context.CancelFunc
	ended   chan error
}

var errCrashed = errors.New("the process is no more")

func (f *cluster) migrated(t *testing.T) string {
	t.Helper()
	schema := fmt.Sprintf("rb%d", f.last.Add(1))
	pool, err := pgxpool.New(context.Background(), f.url)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := pgstore.Migrate(context.Background(), pool, schema); err != nil {
		t.Fatal(err)
	}
	return schema
}

// start opens a store and runs it.
func (f *cluster) start(t *testing.T, schema string) *process {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(f.url)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{schema: schema, ended: make(chan error, 1)}
	cfg.MaxConns = 8
	if f.tune != nil {
		f.tune(cfg)
	}
	cfg.PrepareConn = func(context.Context, *pgx.Conn) (bool, error) {
		if p.crashed.Load() {
			return false, errCrashed
		}
		return true, nil
	}
	if p.pool, err = pgxpool.NewWithConfig(context.Background(), cfg); err != nil {
		t.Fatal(err)
	}
	p.store, err = pgstore.Open(context.Background(), pgstore.Config{
		Pool: p.pool, Schema: schema, Poll: 20 * time.Millisecond,
		NoListen: f.deaf, Lanes: f.lanes, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel = cancel
	go func() { p.ended <- p.store.Run(ctx) }()
	f.runs.Store(p.store, p)
	t.Cleanup(func() { p.stop(t) })
	return p
}

func (p *process) stop(t *testing.T) {
	t.Helper()
	if p.cancel == nil {
		return
	}
	p.cancel()
	p.cancel = nil
	if err := <-p.ended; err != nil && !p.crashed.Load() {
		t.Errorf("Run: %v", err)
	}
	p.pool.Close()
}

// crash ends a process without a word to the database.
func (p *process) crash(t *testing.T) {
	t.Helper()
	p.crashed.Store(true)
	p.stop(t)
}

// settled waits until processes serve so many shards.
func (p *process) serves(t *testing.T, n int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		mine, _ := p.store.Shards()
		if mine == n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("serves %d shards, want %d", mine, n)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// expire has the time pass after which a crashed engine counts as dead.
func (f *cluster) expire(t *testing.T, schema string) {
	t.Helper()
	conn, err := pgx.Connect(context.Background(), f.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), `UPDATE `+schema+`.engine SET expires = clock_timestamp() - interval '1 second'`); err != nil {
		t.Fatal(err)
	}
}

func (f *cluster) open(t *testing.T) delivery.Store {
	t.Helper()
	p := f.start(t, f.migrated(t))
	p.serves(t, 64)
	return p.store
}

func (f *cluster) reopen(t *testing.T, s delivery.Store) delivery.Store {
	t.Helper()
	v, _ := f.runs.Load(s)
	old := v.(*process)
	old.crash(t)
	f.expire(t, old.schema)
	p := f.start(t, old.schema)
	p.serves(t, 64)
	return p.store
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]lanes.Config{
		"default":       {MaxInFlight: 64},
		"little memory": {MaxInFlight: 64, HoldBytes: 256 << 10, Straggle: 16, BatchRows: 64},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &cluster{url: pgtest.New(t).Database(t), lanes: cfg}
			storetest.Run(t, storetest.Config{Open: f.open, Reopen: f.reopen, Traits: delivery.Traits{SharedByEngines: true}})
		})
	}
}
