package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/ringback-go/ringback/delivery/lanes"
)

// latencyRates are the loads, events a second, at which an engine is as good as
// idle.
var latencyRates = []int{50, 200}

// latencyRound measures from just before Publish to the receiver's handler. Its
// ratios are to a bare client that posts as seldom.
func latencyRound(ctx context.Context, b *bench, _ row) (round, error) {
	o := order{Kind: b.on, Endpoints: b.endpoints, Seconds: b.scaled(4, 0.3)}
	bare := o
	bare.Part, bare.PerSecond = "barepace", float64(latencyRates[len(latencyRates)-1])
	beside, err := b.child(ctx, bare)
	if err != nil {
		return round{}, err
	}
	o.Part, o.Profile = "latency", b.profileTo
	r, err := b.inScratch(ctx, o)
	if err != nil {
		return round{}, err
	}
	out := roundOf(r)
	out.more = r.Values
	out.more["bare_p50_200"], out.more["bare_p95_200"] = beside.Values["p50"], beside.Values["p95"]
	out.ratio = over(r.Values["p50_200"], beside.Values["p50"])
	out.cpuRatio = over(r.cpuPer1000(), beside.cpuPer1000())
	return out, nil
}

func playLatency(ctx context.Context, o order) (_ report, err error) {
	r, err := openRig(ctx, o, lanes.Config{})
	if err != nil {
		return report{}, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	to, err := r.subscribe(ctx, o.URL, o.Endpoints, 0)
	if err != nil {
		return report{}, err
	}
	r.start(ctx)
	if err := r.awaitReady(ctx); err != nil {
		return report{}, err
	}
	// The first connections, prepared statements and look-ups are not idle life.
	if err := r.publishAll(ctx, callers, 50, to, nil); err != nil {
		return report{}, err
	}
	if err := r.settled(ctx, 0); err != nil {
		return report{}, err
	}
	values := map[string]float64{}
	var out report
	for _, perSecond := range latencyRates {
		if _, err := ask(ctx, o.URL); err != nil {
			return report{}, err
		}
		o.PerSecond = float64(perSecond)
		n := paced(o)
		lost, twice := out.Lost, out.Twice
		m := startMeter(r.cpu)
		if err := r.publishPaced(ctx, o, to); err != nil {
			return report{}, err
		}
		out = m.report(n) // of the last one, the rates being what they are
		// The polls for the end come after the last arrival that is measured.
		if err := r.settled(ctx, 0); err != nil {
			return report{}, err
		}
		c, err := ask(ctx, o.URL)
		if err != nil {
			return report{}, err
		}
		out.Lost, out.Twice = lost+n-c.IDs, twice+c.Requests-c.IDs
		values["p50_"+strconv.Itoa(perSecond)], values["p95_"+strconv.Itoa(perSecond)] = c.P50, c.P95
	}
	out.Values = values
	return out, nil
}

// publishPaced publishes a paced order, each event stamped with the time of the call.
func (r *rig) publishPaced(ctx context.Context, o order, to []endpoint) error {
	return pace(ctx, o.PerSecond, paced(o), func(ctx context.Context, i int) error {
		return r.publish(ctx, to[i%len(to)], stampedPayload())
	})
}

// scaled is a duration in seconds for the default number of events, less for
// fewer, and least at least.
func (b *bench) scaled(seconds, least float64) float64 {
	return max(min(seconds*float64(b.events)/30_000, seconds), least)
}
