package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
)

// machine says where the figures come from.
type machine struct {
	Processors int    `json:"processors"`
	CPU        string `json:"cpu"`
	OS         string `json:"os"`
	Go         string `json:"go"`
}

func thisMachine() machine {
	m := machine{Processors: runtime.NumCPU(), OS: runtime.GOOS + "/" + runtime.GOARCH, Go: runtime.Version()}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if name, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				m.CPU = strings.TrimSpace(v)
				break
			}
		}
	}
	return m
}

func printJSON(w io.Writer, results []result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(map[string]any{"machine": thisMachine(), "rows": results})
}

func printTable(w io.Writer, results []result) error {
	m := thisMachine()
	fmt.Fprintf(w, "%d processors (%s), %s, %s\n\n", m.Processors, m.CPU, m.OS, m.Go)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "row\tdeliveries/s\tbare loop/s\tratio\tmin\tmax\tCPU s/1000\tCPU ratio\tMiB\tlost\ttwice\t")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.3f\t%.2f\t%.0f\t%d\t%d\t\n",
			r.Name, r.Rate, r.Bare, r.Ratio, r.Min, r.Max, r.CPU, r.CPURatio, r.RSS, r.Lost, r.Duplicates)
	}
	return t.Flush()
}
