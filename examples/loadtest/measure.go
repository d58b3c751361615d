package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// result is a row of the report.
type result struct {
	Name       string  `json:"name"`
	Rate       float64 `json:"rate"` // deliveries a second, the median round's
	Bare       float64 `json:"bare"` // the bare loop's posts a second
	Ratio      float64 `json:"ratio"`
	Min        float64 `json:"min"` // of the ratios
	Max        float64 `json:"max"`
	CPU        float64 `json:"cpu_s_per_1000"`
	CPURatio   float64 `json:"cpu_ratio"` // to the bare loop's client
	RSS        float64 `json:"rss_mib"`
	Lost       int     `json:"lost"`
	Duplicates int     `json:"duplicates"`
}

func rowNames() []string { return []string{"memory", "sqlite"} }

// round is what one row did in one round.
type round struct {
	rate, cpu float64
	rss       float64
	lost, dup int
}

// measure interleaves the bare loop and the rows.
func measure(ctx context.Context, s settings, rc *receiver, progress io.Writer) ([]result, error) {
	goroutines, err := bestOf(ctx, rc.url, s.events/3+1)
	if err != nil {
		return nil, err
	}
	bare := make([]round, s.rounds)
	rows := map[string][]round{}
	for i := range s.rounds {
		if bare[i], err = observe(ctx, rc, s.events, func() (time.Duration, error) {
			return bareLoop(ctx, rc.url, s.events, goroutines)
		}); err != nil {
			return nil, err
		}
		for _, name := range s.rows {
			r, err := observe(ctx, rc, s.events, func() (time.Duration, error) {
				return loop(ctx, name, rc.url, s.events, s.endpoints)
			})
			if err != nil {
				return nil, fmt.Errorf("loadtest: row %s: %w", name, err)
			}
			rows[name] = append(rows[name], r)
			fmt.Fprintf(progress, "round %d of %d: %-8s %7.0f/s, bare loop %7.0f/s with %d goroutines\n", i+1, s.rounds, name, r.rate, bare[i].rate, goroutines)
		}
	}
	var out []result
	for _, name := range s.rows {
		out = append(out, summarize(name, rows[name], bare))
	}
	return out, nil
}

// observe runs one loop and measures it from outside.
func observe(ctx context.Context, rc *receiver, events int, loop func() (time.Duration, error)) (round, error) {
	if _, err := rc.count(ctx); err != nil {
		return round{}, err
	}
	runtime.GC()
	stop := make(chan struct{})
	peak := make(chan float64, 1)
	go watchMemory(stop, peak)
	before := cpuSeconds()
	took, err := loop()
	cpu := cpuSeconds() - before
	close(stop)
	r := round{cpu: cpu / float64(events) * 1000, rss: <-peak}
	if err != nil {
		return r, err
	}
	c, err := rc.count(ctx)
	if err != nil {
		return r, err
	}
	r.rate = float64(events) / took.Seconds()
	r.lost, r.dup = events-c.IDs, c.Requests-c.IDs
	return r, nil
}

func summarize(name string, rows, bare []round) result {
	ratios := make([]float64, len(rows))
	for i := range rows {
		ratios[i] = rows[i].rate / bare[i].rate
	}
	pick := func(list []round, f func(round) float64) float64 {
		values := make([]float64, len(list))
		for i, r := range list {
			values[i] = f(r)
		}
		return median(values)
	}
	res := result{
		Name: name, Ratio: median(ratios), Min: slices.Min(ratios), Max: slices.Max(ratios),
		Rate: pick(rows, func(r round) float64 { return r.rate }),
		Bare: pick(bare, func(r round) float64 { return r.rate }),
		CPU:  pick(rows, func(r round) float64 { return r.cpu }),
		RSS:  pick(rows, func(r round) float64 { return r.rss }),
	}
	if b := pick(bare, func(r round) float64 { return r.cpu }); b > 0 {
		res.CPURatio = res.CPU / b
	}
	for _, r := range rows {
		res.Lost += max(r.lost, 0)
		res.Duplicates += max(r.dup, 0)
	}
	return res
}

func median(values []float64) float64 {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	if n%2 == 1 {
		return s[n/2]
	}
	return (s[n/2-1] + s[n/2]) / 2
}

// complaint is an error if anything was lost.
func complaint(results []result) error {
	var errs []error
	for _, r := range results {
		if r.Lost > 0 {
			errs = append(errs, fmt.Errorf("loadtest: row %s lost %d events", r.Name, r.Lost))
		}
	}
	return errors.Join(errs...)
}

// watchMemory samples the resident memory and reports the highest.
func watchMemory(stop <-chan struct{}, peak chan<- float64) {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	highest := 0.0
	for {
		highest = max(highest, residentMiB())
		select {
		case <-stop:
			peak <- highest
			return
		case <-ticker.C:
		}
	}
}

func residentMiB() float64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0 // not Linux
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseFloat(fields[1], 64)
	if err != nil {
		return 0
	}
	return pages * float64(os.Getpagesize()) / (1 << 20)
}
