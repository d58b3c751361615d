package main

import (
	"context"
	"errors"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// fairEndpoints share the events, some of which hang.
const fairEndpoints = 20

// fairCap is how many attempts one endpoint may have under way, so that no few
// endpoints can take all slots.
const fairCap = 16

// What the endpoints that would hang do.
const (
	modeAlone  = "alone"  // they get no events
	modePaused = "paused" // they get events that wait
	modeHang   = "hang"   // they hang
)

// fairnessRound compares the healthy endpoints while others hang with the same
// events to the healthy ones alone: the same engine, nothing published to the
// others. That is the strictest comparison, since the run with hanging endpoints
// also stores the events that wait for those. ratio_paused compares with a run
// that stores them, too, but has those endpoints paused: what it is below 1 is
// the price of the hanging alone.
//
// The age on arrival is measured in a second stretch, at half the rate that the
// healthy endpoints had alone: at full load it would tell of nothing but the
// queue that the publishers build up.
func fairnessRound(hung int) func(context.Context, *bench, row) (round, error) {
	return func(ctx context.Context, b *bench, _ row) (round, error) {
		o := order{
			Part: "fairness", Kind: b.on, Endpoints: fairEndpoints, Hung: hung, Events: max(b.events, fairEndpoints),
			Seconds: b.scaled(2, 0.3),
		}
		by := map[string]report{}
		for _, mode := range []string{modeAlone, modeHang, modePaused} {
			o.Mode, o.Profile = mode, ""
			if mode == modeHang {
				o.Profile = b.profileTo
			}
			r, err := b.inScratch(ctx, o)
			if err != nil {
				return round{}, err
			}
			by[mode] = r
			if mode == modeAlone {
				o.PerSecond = r.Values["paced"] // the same for all
			}
		}
		alone, paused, hang := by[modeAlone], by[modePaused], by[modeHang]
		out := roundOf(hang)
		for _, r := range []report{alone, paused} {
			out.lost += r.Lost
			out.dup += r.Twice
		}
		out.ratio = over(hang.rate(), alone.rate())
		out.more = map[string]float64{
			"p95_ms": hang.Values["p95"], "p95_alone_ms": alone.Values["p95"], "p95_ratio": over(hang.Values["p95"], alone.Values["p95"]),
			"hung_sockets": hang.Values["most_hung"], "ratio_paused": over(hang.rate(), paused.rate()), "endpoints": fairEndpoints,
		}
		return out, nil
	}
}

func playFairness(ctx context.Context, o order) (_ report, err error) {
	r, err := openRig(ctx, o, lanes.Config{MaxInFlight: fairCap})
	if err != nil {
		return report{}, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	to, err := r.subscribe(ctx, o.URL, o.Endpoints, o.Hung)
	if err != nil {
		return report{}, err
	}
	every := o.Events - o.Events%len(to) // so that each endpoint has the same number
	healthy := every / len(to) * (len(to) - o.Hung)
	switch o.Mode {
	case modeAlone:
		every, to = healthy, to[o.Hung:]
	case modePaused:
		for _, e := range to[:o.Hung] {
			if err := r.engine.Pause(ctx, e.id); err != nil {
				return report{}, err
			}
		}
	}
	if _, err := ask(ctx, o.URL); err != nil {
		return report{}, err
	}
	r.start(ctx)
	if err := r.awaitReady(ctx); err != nil {
		return report{}, err
	}
	m := startMeter(r.cpu)
	if err := r.publishAll(ctx, callers, every, to, nil); err != nil {
		return report{}, err
	}
	if err := r.settledHealthy(ctx, o, healthy); err != nil {
		return report{}, err
	}
	out := m.report(healthy)

	if o.PerSecond == 0 {
		o.PerSecond = out.rate() / 2
	}
	out.Values["paced"] = o.PerSecond
	o.PerSecond *= float64(every) / float64(healthy) // the others' events come on top
	rounds := (paced(o) + len(to) - 1) / len(to)
	o.Seconds = float64(rounds*len(to)) / o.PerSecond
	n := paced(o)
	if err := r.publishPaced(ctx, o, to); err != nil {
		return report{}, err
	}
	if o.Mode != modeAlone {
		n = healthyOf(n, len(to), o.Hung)
	}
	if err := r.settledHealthy(ctx, o, healthy+n); err != nil {
		return report{}, err
	}
	c, err := ask(ctx, o.URL)
	out.Lost, out.Twice = healthy+n-c.IDs, c.Requests-c.IDs
	out.Values["p95"], out.Values["most_hung"] = c.P95, float64(c.MostHung)
	return out, err
}

// healthyOf is how many of n events, dealt out in turn, go to healthy endpoints.
func healthyOf(n, endpoints, hung int) int {
	return n/endpoints*(endpoints-hung) + max(n%endpoints-hung, 0)
}

// settledHealthy waits until so many deliveries to healthy endpoints are
// settled. What is delivered beyond that may be to endpoints that hung and then
// answered; the receiver knows.
func (r *rig) settledHealthy(ctx context.Context, o order, healthy int) error {
	return r.until(ctx, func(c delivery.Counts) (bool, error) {
		if c.Delivered < int64(healthy) {
			return false, nil
		}
		served, err := hungServed(ctx, o.URL)
		return c.Delivered >= int64(healthy+served), err
	})
}
