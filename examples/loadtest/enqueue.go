package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ringback-go/ringback/delivery/lanes"
)

// enqueueRound publishes without a running engine; its ratio is to what the
// folder can sync, measured right before and after.
func enqueueRound(ctx context.Context, b *bench, _ row) (round, error) {
	r, err := b.inScratch(ctx, order{
		Part: "enqueue", Kind: b.on, Events: b.events, Endpoints: b.endpoints, Profile: b.profileTo,
		Seconds: b.scaled(1, 0.1),
	})
	if err != nil {
		return round{}, err
	}
	out := roundOf(r)
	out.more = r.Values
	out.ratio = over(out.rate, r.Values["fsync_rate"])
	return out, nil
}

func playEnqueue(ctx context.Context, o order) (_ report, err error) {
	r, err := openRig(ctx, o, lanes.Config{})
	if err != nil {
		return report{}, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	to, err := r.subscribe(ctx, o.URL, o.Endpoints, 0)
	if err != nil {
		return report{}, err
	}
	stop, err := r.serve(ctx)
	if err != nil {
		return report{}, err
	}
	half := time.Duration(o.Seconds / 2 * float64(time.Second))
	before, err := fsyncRate(o.Dir, half)
	if err != nil {
		return report{}, err
	}
	var mu sync.Mutex
	var calls []time.Duration
	m := startMeter(r.cpu)
	if err := r.publishAll(ctx, callers, o.Events, to, func(some []time.Duration) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, some...)
	}); err != nil {
		return report{}, err
	}
	out := m.report(o.Events)
	after, err := fsyncRate(o.Dir, half)
	if err != nil {
		return report{}, err
	}
	out.Values["fsync_rate"] = (before + after) / 2
	out.Values["p99_ms"] = quantile(millis(calls), 0.99)

	// What was acknowledged is what the file holds when it is opened anew.
	if err := errors.Join(stop(), r.close()); err != nil {
		return out, err
	}
	if r, err = openRig(ctx, o, lanes.Config{}); err != nil {
		return out, err
	}
	c, err := r.store.Counts(ctx)
	out.Lost = o.Events - int(c.Pending)
	return out, err
}

// fsyncRate is how often a second one caller can append 4 KiB to a file in the
// folder and have it synced: what a commit costs at least.
func fsyncRate(dir string, about time.Duration) (_ float64, err error) {
	path := filepath.Join(dir, "fsync")
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, f.Close(), os.Remove(path)) }()
	page := make([]byte, 4<<10)
	n := 0
	begin := time.Now()
	for n == 0 || time.Since(begin) < about {
		if _, err := f.Write(page); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(begin).Seconds(), nil
}
