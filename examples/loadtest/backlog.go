package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

const (
	backlogMost  = 1_000_000 // deliveries that wait
	backlogEvent = 34        // of them for each event of the order, so that a short run is one
	backlogFew   = 1000      // to compare with
	backlogLanes = 10_000
)

// Where the backlog waits.
const (
	scenarioDead   = "dead"   // in one lane that is paused
	scenarioSpread = "spread" // over many lanes that may send
	scenarioFuture = "future" // over many lanes, due in a week
)

var scenarios = []string{scenarioDead, scenarioSpread, scenarioFuture}

// backlogRound compares a store in which much waits with one in which little
// does. The files are filled once, before the first round.
func backlogRound(ctx context.Context, b *bench, _ row) (round, error) {
	sizes := []int{min(backlogFew, backlogEvent*b.events), min(backlogMost, backlogEvent*b.events)}
	if b.on == "postgres" {
		if err := b.startPostgres(); err != nil {
			return round{}, err
		}
	}
	if !b.filled {
		for _, scenario := range scenarios {
			for _, n := range sizes {
				if err := b.fill(ctx, scenario, n); err != nil {
					return round{}, err
				}
			}
		}
		b.filled = true
	}
	out := round{more: map[string]float64{"waiting": float64(sizes[1])}}
	var much report // of all scenarios together
	for _, scenario := range scenarios {
		var reports [2]report
		for i, n := range sizes {
			o := b.backlog(scenario, n)
			o.Part, o.Events, o.Endpoints = "backlog", b.events, b.endpoints
			if i == 1 && scenario == scenarioDead {
				o.Profile = b.profileTo
			}
			r, err := b.child(ctx, o)
			if err != nil {
				return round{}, fmt.Errorf("%s, %d waiting: %w", scenario, n, err)
			}
			out.lost += r.Lost
			out.dup += r.Twice
			reports[i] = r
		}
		few, many := reports[0], reports[1]
		lease, rate := over(many.Values["lease_us"], few.Values["lease_us"]), over(many.rate(), few.rate())
		out.more["lease_"+scenario], out.more["rate_"+scenario] = lease, rate
		out.ratio = max(out.ratio, lease)
		if worst, ok := out.more["rate_ratio"]; !ok || rate < worst {
			out.more["rate_ratio"] = rate
		}
		out.more["lease_few_us"] = max(out.more["lease_few_us"], few.Values["lease_us"])
		for _, name := range []string{"lease_us", "start_s"} {
			out.more[name] = max(out.more[name], many.Values[name])
		}
		out.rss = max(out.rss, many.RSS)
		much.Events, much.Seconds, much.CPU = much.Events+many.Events, much.Seconds+many.Seconds, much.CPU+many.CPU
	}
	out.rate, out.cpu = much.rate(), much.cpuPer1000()
	return out, nil
}

// backlog is an order for a store in which n deliveries wait.
func (b *bench) backlog(scenario string, n int) order {
	o := order{Kind: b.on, Scenario: scenario, Waiting: n, Dir: filepath.Join(b.scratch, fmt.Sprintf("backlog-%s-%d", scenario, n))}
	if b.on == "postgres" {
		o.Server, o.Schema = b.server, fmt.Sprintf("backlog_%s_%s_%d", b.token, scenario, n)
	}
	return o
}

func (b *bench) fill(ctx context.Context, scenario string, n int) error {
	o := b.backlog(scenario, n)
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return err
	}
	fmt.Fprintf(b.stderr, "filling a store: %s, %d\n", scenario, n)
	o.Part = "fill"
	_, err := b.child(ctx, o)
	return err
}

func backlogLane(i int) string { return fmt.Sprintf("backlog-%d", i) }

// lanesOf is how many lanes a backlog has.
func lanesOf(o order) int {
	if o.Scenario == scenarioDead {
		return 1
	}
	return min(o.Waiting, backlogLanes)
}

// playFill stores the backlog.
func playFill(ctx context.Context, o order) (_ report, err error) {
	r, err := openRig(ctx, o, lanes.Config{})
	if err != nil {
		return report{}, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	stop, err := r.serve(ctx)
	if err != nil {
		return report{}, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	delay, spread := time.Duration(0), lanesOf(o)
	switch o.Scenario {
	case scenarioDead:
		if err := setLanes(ctx, r.store, 1, delivery.LanePaused); err != nil {
			return report{}, err
		}
	case scenarioFuture:
		delay = 7 * 24 * time.Hour
	}
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	m := startMeter(r.cpu)
	for range 8 {
		wg.Go(func() {
			for failed.Load() == nil {
				end := int(next.Add(delivery.MaxBatch))
				ds := make([]delivery.Delivery, 0, delivery.MaxBatch)
				for i := end - delivery.MaxBatch; i < min(end, o.Waiting); i++ {
					ds = append(ds, waiting(fmt.Sprintf("fill_%d", i), backlogLane(i%spread), delay))
				}
				if len(ds) == 0 {
					return
				}
				if err := r.store.Enqueue(ctx, time.Time{}, ds...); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	out := m.report(o.Waiting)
	if err := failed.Load(); err != nil {
		return out, *err
	}
	return out, nil
}

func waiting(id, lane string, delay time.Duration) delivery.Delivery {
	return delivery.Delivery{
		ID: id, EventID: id, SubscriptionID: lane, Dialect: "none", Type: "load", ContentType: "application/json",
		Body: payload, DelayIn: delay, PublishedAt: time.Now(),
	}
}

// setLanes changes the mode of the first n lanes of a backlog.
func setLanes(ctx context.Context, s delivery.Store, n int, mode delivery.LaneMode) error {
	for begin := 0; begin < n; begin += 1000 {
		var states []delivery.LaneState
		for i := begin; i < min(begin+1000, n); i++ {
			states = append(states, delivery.LaneState{Lane: backlogLane(i), Mode: mode})
		}
		if err := s.SetLanes(ctx, time.Time{}, states...); err != nil {
			return err
		}
	}
	return nil
}

// playBacklog measures the start, the leases and then live deliveries, for
// which lanes that may send are paused.
func playBacklog(ctx context.Context, o order) (_ report, err error) {
	begin := time.Now()
	r, err := openRig(ctx, o, lanes.Config{})
	if err != nil {
		return report{}, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	stop, err := r.serve(ctx)
	if err != nil {
		return report{}, err
	}
	started := time.Since(begin)
	if o.Scenario == scenarioSpread { // paused by the round before
		if err := setLanes(ctx, r.store, lanesOf(o), delivery.LaneOpen); err != nil {
			return report{}, err
		}
	}
	lease, err := leaseTime(ctx, r.store, o)
	if err != nil {
		return report{}, err
	}
	if o.Scenario == scenarioSpread {
		if err := setLanes(ctx, r.store, lanesOf(o), delivery.LanePaused); err != nil {
			return report{}, err
		}
	}
	to, err := r.subscribe(ctx, o.URL, o.Endpoints, 0)
	if err = errors.Join(err, stop()); err != nil {
		return report{}, err
	}
	out, err := r.deliver(ctx, o, to, int64(o.Waiting))
	if err != nil {
		return report{}, err
	}
	out.Values["lease_us"], out.Values["start_s"] = lease*1000, started.Seconds()
	return out, nil
}

const (
	leaseMax   = 64  // deliveries in a lease
	leaseTimes = 300 // leases to measure
	leaseLanes = 16  // live lanes beside a backlog that gives nothing
)

// leaseTime is the median time of a Lease in milliseconds. What was leased is
// given back. A backlog that may be sent is leased itself; beside the others a
// few lanes are alive.
func leaseTime(ctx context.Context, s delivery.Store, o order) (float64, error) {
	if o.Scenario != scenarioSpread {
		run := rand.Text() // an ID that was used is remembered
		ds := make([]delivery.Delivery, 4*leaseMax)
		for i := range ds {
			ds[i] = waiting(fmt.Sprintf("live_%s_%d", run, i), fmt.Sprintf("live-%d", i%leaseLanes), 0)
		}
		if err := s.Enqueue(ctx, time.Time{}, ds...); err != nil {
			return 0, err
		}
	}
	var took []time.Duration
	for range leaseTimes {
		begin := time.Now()
		leases, err := s.Lease(ctx, time.Time{}, delivery.LeaseRequest{Max: leaseMax})
		took = append(took, time.Since(begin))
		if err != nil {
			return 0, err
		}
		if len(leases) == 0 {
			return 0, errors.New("nothing to lease, though something waits")
		}
		if err := settleAll(ctx, s, leases, delivery.Release); err != nil {
			return 0, err
		}
	}
	for o.Scenario != scenarioSpread { // the live ones have done their part
		leases, err := s.Lease(ctx, time.Time{}, delivery.LeaseRequest{Max: leaseMax})
		if err != nil || len(leases) == 0 {
			return median(millis(took)), err
		}
		if err := settleAll(ctx, s, leases, delivery.Done); err != nil {
			return 0, err
		}
	}
	return median(millis(took)), nil
}

func settleAll(ctx context.Context, s delivery.Store, leases []delivery.Lease, result delivery.Result) error {
	outcomes := make([]delivery.Outcome, len(leases))
	for i, l := range leases {
		outcomes[i] = delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: result}
	}
	return s.Settle(ctx, time.Time{}, outcomes...)
}
