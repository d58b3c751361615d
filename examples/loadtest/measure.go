package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
)

// bench is what the rows of one run of the program share.
type bench struct {
	settings
	stderr     io.Writer
	url        string // the receiver's
	goroutines int    // at which the bare loop is best
	scratch    string // folder for all files
	key        []byte // seals the secrets in the registries
	profileTo  string // where the engine of the row at hand writes its profile
	filled     bool   // the backlogs are there
	token      string // in the names of what they are in
	server     string // URL of PostgreSQL, once a row needed it
	stopServer func() error
	river      string // the program of River's rows, once a row needed it
}

// round is what one row did in one round.
type round struct {
	rate      float64 // a second
	ratio     float64
	cpu       float64 // seconds per 1000
	cpuRatio  float64
	rss       float64 // MiB
	lost, dup int
	bare      float64 // the bare loop's rate beside it
	more      map[string]float64
}

// roundOf is what a part says about the whole row.
func roundOf(r report) round {
	return round{rate: r.rate(), cpu: r.cpuPer1000(), rss: r.RSS, lost: r.Lost, dup: r.Twice, more: map[string]float64{}}
}

// measure runs all rounds. Each row stands between two runs of the bare loop.
func measure(ctx context.Context, s settings, stderr io.Writer) (_ []result, err error) {
	stderr = &shared{w: stderr}
	rc, err := startReceiver(ctx, stderr)
	if err != nil {
		return nil, err
	}
	defer rc.close()
	scratch, err := os.MkdirTemp("", "ringback-load-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch) //nolint:errcheck // a folder of temporary files at worst
	b := &bench{settings: s, stderr: stderr, url: rc.url, scratch: scratch, key: make([]byte, 32), token: strings.ToLower(rand.Text()[:8])}
	_, _ = rand.Read(b.key) // never fails; it ends the program instead
	defer func() {
		if b.stopServer != nil {
			err = errors.Join(err, b.stopServer())
		}
	}()
	if err := b.tuneBare(ctx); err != nil {
		return nil, err
	}
	before, err := b.bare(ctx)
	if err != nil {
		return nil, err
	}
	rounds := make([][]round, len(s.rows))
	for i := range s.rounds {
		for k, row := range s.rows {
			b.profileTo = ""
			if i == s.rounds-1 {
				b.profileTo = profileName(s, row)
			}
			r, err := row.round(ctx, b, row)
			if err != nil {
				return nil, fmt.Errorf("loadtest: row %s: %w", row.name, err)
			}
			after, err := b.bare(ctx)
			if err != nil {
				return nil, err
			}
			r.compare(before, after)
			before = after
			rounds[k] = append(rounds[k], r)
			fmt.Fprintf(stderr, "round %d of %d: %-10s %7.0f/s, ratio %5.2f, bare loop %7.0f/s with %d goroutines\n",
				i+1, s.rounds, row.name, r.rate, r.ratio, r.bare, b.goroutines)
		}
	}
	out := make([]result, len(s.rows))
	for k, row := range s.rows {
		out[k] = summarize(row, s, rounds[k])
	}
	return out, nil
}

// compare sets what is compared with the bare loop, before and after the row.
func (r *round) compare(before, after report) {
	r.bare = (before.rate() + after.rate()) / 2
	if r.ratio == 0 {
		r.ratio = over(r.rate, r.bare)
	}
	if r.cpuRatio == 0 {
		r.cpuRatio = over(r.cpu, (before.cpuPer1000()+after.cpuPer1000())/2)
	}
}

func profileName(s settings, r row) string {
	if s.profile == "" || len(s.rows) == 1 {
		return s.profile
	}
	return s.profile + "." + r.name
}

func summarize(row row, s settings, rounds []round) result {
	pick := func(f func(round) float64) []float64 {
		values := make([]float64, len(rounds))
		for i, r := range rounds {
			values[i] = f(r)
		}
		return values
	}
	ratios := pick(func(r round) float64 { return r.ratio })
	res := result{
		Name: row.name, Endpoints: s.endpoints, row: row,
		Ratio: median(ratios), Min: slices.Min(ratios), Max: slices.Max(ratios),
		Rate:     median(pick(func(r round) float64 { return r.rate })),
		Bare:     median(pick(func(r round) float64 { return r.bare })),
		CPU:      median(pick(func(r round) float64 { return r.cpu })),
		CPURatio: median(pick(func(r round) float64 { return r.cpuRatio })),
		RSS:      median(pick(func(r round) float64 { return r.rss })),
		more:     map[string]float64{},
	}
	for name := range maps.Keys(rounds[0].more) {
		res.more[name] = median(pick(func(r round) float64 { return r.more[name] }))
	}
	if n, ok := res.more["endpoints"]; ok {
		res.Endpoints = int(n)
	}
	for _, r := range rounds {
		res.Lost += max(r.lost, 0)
		res.Duplicates += max(r.dup, 0)
	}
	return res
}

// shared is a writer that the children write to as well.
type shared struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *shared) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
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

func median(values []float64) float64 { return quantile(values, 0.5) }

// quantile returns the value that the share q of the values does not exceed;
// the mean of the two in the middle where that is the median of an even number.
func quantile(values []float64, q float64) float64 {
	s := slices.Sorted(slices.Values(values))
	n := len(s)
	switch {
	case n == 0:
		return 0
	case q == 0.5 && n%2 == 0:
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[min(int(q*float64(n)), n-1)]
}

// over is a/b, or 0 where there is nothing to compare with.
func over(a, b float64) float64 {
	if b <= 0 {
		return 0
	}
	return a / b
}
