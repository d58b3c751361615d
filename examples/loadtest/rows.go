package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// errLater answers what the contract of the load test names and this version
// has no store for.
var errLater = errors.New("not in this version")

// row is a line of the report.
type row struct {
	name string
	// round measures once. Its ratio and processor ratio are to the bare loop
	// unless it sets them.
	round func(context.Context, *bench, row) (round, error)
	// means says what the ratio is, for the foot of the table.
	means string
	// more are the names of its further values, in the order in which to show them.
	more []string
}

// allRows are what this version can measure.
func allRows() []row {
	loop := "deliveries to the bare loop's posts"
	fair := "the healthy endpoints' deliveries while the others hang for 10 s, to the same events alone"
	fairMore := []string{"p95_ratio", "hung_sockets", "p95_ms", "p95_alone_ms", "ratio_paused"}
	return []row{
		{name: "memory", round: loopRound, means: loop},
		{name: "sqlite", round: loopRound, means: loop},
		{name: "postgres", round: postgresRound(1), means: loop},
		{name: "postgres2", round: postgresRound(2), means: loop + ", with two engines"},
		{name: "river", round: riverRound("installed"), means: loop + ", through River as its documentation sets it up"},
		{name: "rivertuned", round: riverRound("tuned"), means: loop + ", through River as it is quickest here, a hundred jobs in one insert"},
		{name: "enqueue", round: enqueueRound, means: "durable publishes of 64 callers to the folder's fsyncs", more: []string{"fsync_rate", "p99_ms"}},
		{
			name: "backlog", round: backlogRound, means: "time of a lease with the backlog to that with 1,000, the worst of three; less is better",
			more: []string{"waiting", "lease_dead", "lease_spread", "lease_future", "lease_us", "lease_few_us", "rate_ratio", "rate_dead", "rate_spread", "rate_future", "start_s"},
		},
		{name: "fairness", round: fairnessRound(1), means: fair, more: fairMore},
		{name: "fairness20", round: fairnessRound(4), means: fair, more: fairMore},
		{
			name: "latency", round: latencyRound, means: "publish to arrival at 200/s, median, to the same of a bare post; less is better",
			more: []string{"p50_50", "p95_50", "p50_200", "p95_200", "bare_p50_200", "bare_p95_200"},
		},
	}
}

func rowNames() []string {
	var names []string
	for _, r := range allRows() {
		names = append(names, r.name)
	}
	return names
}

func rowsOf(list string) ([]row, error) {
	var out []row
	for name := range strings.SplitSeq(list, ",") {
		i := slices.IndexFunc(allRows(), func(r row) bool { return r.name == name })
		switch {
		case i >= 0:
			out = append(out, allRows()[i])
		case slices.Contains([]string{"jetstream1", "jetstream3"}, name):
			return nil, fmt.Errorf("loadtest: row %s: %w", name, errLater)
		default:
			return nil, fmt.Errorf("loadtest: -rows takes a list of %v, not %q", rowNames(), name)
		}
	}
	return out, nil
}
