// Command river delivers the load test's events with River, by a worker as a
// team would write it by hand: it signs and posts, and leaves retries to River.
// It has no registry, no guard against private addresses and no record of
// attempts beyond River's own. examples/loadtest builds and starts it for its
// rows river and rivertuned, with an order in the environment.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/ringback-go/ringback/internal/usage"
)

// order is the part of a load test's order that is of use here.
type order struct {
	URL        string // the receiver's
	Server     string
	Schema     string
	Mode       string // installed or tuned
	Payload    json.RawMessage
	Events     int
	Endpoints  int
	Publishers int
	ServerPID  int // of the database, if it runs on this machine
}

// report is what a load test wants to know.
type report struct {
	Error   string
	Events  int
	Seconds float64 // from the first insert until no job is left
	CPU     float64 // seconds of this process and of the server meanwhile
	RSS     float64 // MiB
	Lost    int
	Twice   int
}

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the load test
		cancel()
	}()
	var o order
	err := json.Unmarshal([]byte(os.Getenv("RINGBACK_LOADTEST_ORDER")), &o)
	var r report
	if err == nil {
		r, err = deliver(ctx, o)
	}
	if err != nil {
		r.Error = err.Error()
	}
	r.RSS = usage.PeakMiB()
	_ = json.NewEncoder(os.Stdout).Encode(r) // who started it notices
}

// settings are how River is set up.
type settings struct {
	workers  int
	cooldown time.Duration // between two fetches of jobs
	poll     time.Duration
	conns    int32
	batch    int // jobs in one insert
}

// modes are River as its documentation sets it up, each event inserted by its
// caller, and as it is quickest here: jobs are then inserted by the hundred,
// which spares commits and, at a short cooldown, the lock of NOTIFY.
var modes = map[string]settings{
	"installed": {workers: 100, cooldown: river.FetchCooldownDefault, poll: river.FetchPollIntervalDefault, conns: 16, batch: 1},
	"tuned":     {workers: 1000, cooldown: 20 * time.Millisecond, poll: 100 * time.Millisecond, conns: 16, batch: 100},
}

func deliver(ctx context.Context, o order) (report, error) {
	mode, ok := modes[o.Mode]
	if !ok {
		return report{}, fmt.Errorf("no mode %q", o.Mode)
	}
	cfg, err := pgxpool.ParseConfig(o.Server)
	if err != nil {
		return report{}, err
	}
	cfg.MaxConns = mode.conns
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return report{}, err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, `CREATE SCHEMA `+o.Schema); err != nil {
		return report{}, err
	}
	driver, quiet := riverpgxv5.New(pool), slog.New(slog.DiscardHandler)
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Schema: o.Schema, Logger: quiet})
	if err != nil {
		return report{}, err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return report{}, err
	}
	w := newWorker(o)
	workers := river.NewWorkers()
	river.AddWorker(workers, w)
	client, err := river.NewClient(driver, &river.Config{
		Schema: o.Schema, Logger: quiet, Workers: workers,
		Queues:        map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: mode.workers}},
		FetchCooldown: mode.cooldown, FetchPollInterval: mode.poll,
	})
	if err != nil {
		return report{}, err
	}
	if err := client.Start(ctx); err != nil {
		return report{}, err
	}
	if err := warm(ctx, client, pool, o); err != nil {
		return report{}, err
	}
	if _, err := ask(ctx, o.URL); err != nil {
		return report{}, err
	}
	begin, cpu := time.Now(), usage.OwnSeconds()+usage.TreeSeconds(o.ServerPID)
	if err := publish(ctx, client, o, mode.batch); err != nil {
		return report{}, err
	}
	if err := settled(ctx, pool, o.Schema); err != nil {
		return report{}, err
	}
	r := report{Events: o.Events, Seconds: time.Since(begin).Seconds(), CPU: usage.OwnSeconds() + usage.TreeSeconds(o.ServerPID) - cpu}
	c, err := ask(ctx, o.URL)
	if err != nil {
		return r, err
	}
	r.Lost, r.Twice = o.Events-c.IDs, c.Requests-c.IDs
	return r, client.Stop(ctx)
}

// warm has some jobs done and the server look at the table, so that River is not
// judged by the plans for one that the server knows nothing of.
func warm(ctx context.Context, client *river.Client[pgx.Tx], pool *pgxpool.Pool, o order) error {
	o.Events = 2000
	if err := publish(ctx, client, o, 100); err != nil {
		return err
	}
	if err := settled(ctx, pool, o.Schema); err != nil {
		return err
	}
	_, err := pool.Exec(ctx, `VACUUM ANALYZE `+o.Schema+`.river_job`)
	return err
}

// publish inserts the jobs, so many at a time, from each of so many callers.
func publish(ctx context.Context, client *river.Client[pgx.Tx], o order, batch int) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range o.Publishers {
		wg.Go(func() {
			jobs := make([]river.InsertManyParams, 0, batch)
			for failed.Load() == nil {
				end := int(next.Add(int64(batch)))
				jobs = jobs[:0]
				for i := end - batch; i < min(end, o.Events); i++ {
					jobs = append(jobs, river.InsertManyParams{Args: callback{Endpoint: i % o.Endpoints, Body: o.Payload}})
				}
				var err error
				switch len(jobs) {
				case 0:
					return
				case 1:
					_, err = client.Insert(ctx, jobs[0].Args, nil)
				default:
					_, err = client.InsertManyFast(ctx, jobs)
				}
				if err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// settled waits until every job is done.
func settled(ctx context.Context, pool *pgxpool.Pool, schema string) error {
	for {
		var left bool
		err := pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+schema+`.river_job WHERE state IN ('available', 'running', 'retryable', 'scheduled', 'pending'))`).Scan(&left)
		if err != nil || !left {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// seen is what the receiver saw since it was last asked.
type seen struct {
	Requests int `json:"requests"`
	IDs      int `json:"ids"` // distinct ones
}

func ask(ctx context.Context, url string) (c seen, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/seen", nil)
	if err != nil {
		return c, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return c, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return c, fmt.Errorf("the receiver answered %s", resp.Status)
	}
	return c, json.NewDecoder(resp.Body).Decode(&c)
}
