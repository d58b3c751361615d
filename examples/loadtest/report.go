package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
)

// result is a row of the report: medians over the rounds.
type result struct {
	Name       string  `json:"name"`
	Endpoints  int     `json:"endpoints"`
	Rate       float64 `json:"rate"` // a second
	Bare       float64 `json:"bare"` // the bare loop's posts a second beside it
	Ratio      float64 `json:"ratio"`
	Min        float64 `json:"min"` // of the ratios
	Max        float64 `json:"max"`
	CPU        float64 `json:"cpu_s_per_1000"`
	CPURatio   float64 `json:"cpu_ratio"` // to the bare client
	RSS        float64 `json:"rss_mib"`
	Lost       int     `json:"lost"`
	Duplicates int     `json:"duplicates"`

	row  row
	more map[string]float64
}

// MarshalJSON adds the values that this row alone has.
func (r result) MarshalJSON() ([]byte, error) {
	type common result // without this method
	out, err := json.Marshal(common(r))
	if err != nil {
		return nil, err
	}
	for _, name := range r.row.more {
		out = append(out[:len(out)-1], fmt.Sprintf(",%q:%s}", name, strconv.FormatFloat(r.more[name], 'f', -1, 64))...)
	}
	return out, nil
}

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
	return e.Encode(struct {
		Machine machine  `json:"machine"`
		Rows    []result `json:"rows"`
	}{thisMachine(), results})
}

func printTable(w io.Writer, results []result) error {
	m := thisMachine()
	fmt.Fprintf(w, "%d processors (%s), %s, %s\n\n", m.Processors, m.CPU, m.OS, m.Go)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "row\trate/s\tbare loop/s\tratio\tmin\tmax\tCPU s/1000\tCPU ratio\tMiB\tlost\ttwice\t")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.3f\t%.2f\t%.0f\t%d\t%d\t\n",
			r.Name, r.Rate, r.Bare, r.Ratio, r.Min, r.Max, r.CPU, r.CPURatio, r.RSS, r.Lost, r.Duplicates)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, r := range results {
		if len(r.row.more) > 0 {
			fmt.Fprintf(w, "%s, also:", r.Name)
			for _, name := range r.row.more {
				fmt.Fprintf(w, "  %s %s", name, short(r.more[name]))
			}
			fmt.Fprintln(w)
		}
	}
	fmt.Fprintln(w)
	for _, r := range results {
		fmt.Fprintf(w, "%s's ratio: %s\n", r.Name, r.row.means)
	}
	return nil
}

// short is a number as a reader wants it.
func short(v float64) string {
	if v >= 100 {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return strconv.FormatFloat(v, 'f', 2, 64)
}
