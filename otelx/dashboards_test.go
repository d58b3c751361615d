package otelx_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
)

// spelled returns the names that the Prometheus exporter gives to what there is,
// each with its labels.
func spelled(t *testing.T) map[string][]string {
	names := map[string][]string{}
	synctest.Test(t, func(t *testing.T) {
		seen := prometheus.NewRegistry()
		reader, err := exporter.New(exporter.WithRegisterer(seen))
		if err != nil {
			t.Fatal(err)
		}
		r := newRig(t)
		r.meters = metric.NewMeterProvider(metric.WithReader(reader))
		r.make(0)
		r.everything()
		families, err := seen.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.Metric {
				labels := []string{"job", "instance"} // the scraper's
				for _, l := range m.Label {
					labels = append(labels, l.GetName())
				}
				if m.Histogram == nil {
					names[f.GetName()] = append(names[f.GetName()], labels...)
					continue
				}
				for _, suffix := range []string{"_bucket", "_count", "_sum"} {
					name := f.GetName() + suffix
					if names[name] = append(names[name], labels...); suffix == "_bucket" {
						names[name] = append(names[name], "le")
					}
				}
			}
		}
	})
	return names
}

var (
	quoted  = regexp.MustCompile(`"[^"]*"`)
	ranges  = regexp.MustCompile(`\[(\d+[smhd]|\$__rate_interval)\]`)
	matcher = regexp.MustCompile(`\{([^{}]*)\}`)
	word    = regexp.MustCompile(`[A-Za-z_:][A-Za-z0-9_:]*`)
	grouped = regexp.MustCompile(`\bby \(([^()]*)\)`)
	lasting = regexp.MustCompile(`\boffset \d+[smhd]\b`)
)

// promQL are the words of the language that the expressions use.
var promQL = []string{
	"sum", "max", "rate", "increase", "deriv", "delta", "histogram_quantile", "and", "or", "unless",
}

// examine fails the test for what an expression names that does not exist, and
// for parentheses that do not match.
func examine(t *testing.T, where, expr string, names map[string][]string) {
	t.Helper()
	if strings.Count(expr, `"`)%2 != 0 {
		t.Errorf("%s: a string without an end: %s", where, expr)
	}
	rest := lasting.ReplaceAllString(ranges.ReplaceAllString(quoted.ReplaceAllString(expr, `""`), ""), "")
	var labels []string
	for _, m := range matcher.FindAllStringSubmatch(rest, -1) {
		for part := range strings.SplitSeq(m[1], ",") {
			label, ok := strings.CutSuffix(part, `""`)
			if !ok {
				t.Errorf("%s: %q matches nothing: %s", where, part, expr)
			}
			labels = append(labels, strings.TrimRight(label, "=!~"))
		}
	}
	for _, m := range grouped.FindAllStringSubmatch(rest, -1) {
		labels = append(labels, strings.Split(m[1], ", ")...)
	}
	rest = matcher.ReplaceAllString(grouped.ReplaceAllString(rest, ""), "")
	depth := 0
	for _, c := range rest {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		}
		if depth < 0 || strings.ContainsRune(`{}[]"$`, c) {
			t.Fatalf("%s: %q does not belong there: %s", where, c, expr)
		}
	}
	if depth != 0 {
		t.Errorf("%s: parentheses: %s", where, expr)
	}
	var metrics, known []string
	for _, w := range word.FindAllString(rest, -1) {
		if slices.Contains(promQL, w) {
			continue
		}
		if names[w] == nil {
			t.Errorf("%s: there is no metric %s: %s", where, w, expr)
		}
		metrics, known = append(metrics, w), append(known, names[w]...)
	}
	if len(metrics) == 0 {
		t.Errorf("%s: names no metric: %s", where, expr)
	}
	for _, l := range labels {
		if !slices.Contains(known, l) {
			t.Errorf("%s: %v have no label %q: %s", where, metrics, l, expr)
		}
	}
}

// Every metric and label that the dashboard names exists, and nearly every
// metric is on it.
func TestDashboard(t *testing.T) {
	t.Parallel()
	names := spelled(t)
	text, err := os.ReadFile("dashboards/grafana.json")
	if err != nil {
		t.Fatal(err)
	}
	type target struct{ RefID, Expr, LegendFormat string }
	var board struct {
		UID, Title string
		Templating struct {
			List []struct {
				Name       string
				Definition string
			}
		}
		Panels []struct {
			ID      int
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []target
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	if board.UID == "" || board.Title == "" || len(board.Panels) < 10 {
		t.Fatalf("not a dashboard: %+v", board)
	}
	all := ""
	taken := map[string]string{}
	for i, p := range board.Panels {
		if p.ID != i+1 || p.GridPos.X+p.GridPos.W > 24 || len(p.Targets) == 0 {
			t.Errorf("panel %q: %+v", p.Title, p)
		}
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				cell := fmt.Sprint(p.GridPos.X+x, " ", p.GridPos.Y+y)
				if other, ok := taken[cell]; ok && other != p.Title {
					t.Fatalf("panel %q lies upon %q", p.Title, other)
				}
				taken[cell] = p.Title
			}
		}
		for _, q := range p.Targets {
			examine(t, p.Title, q.Expr, names)
			all += q.Expr + "\n"
		}
	}
	for _, v := range board.Templating.List {
		if call, ok := strings.CutPrefix(v.Definition, "label_values("); ok {
			name, _, _ := strings.Cut(call, ",")
			examine(t, "the variable "+v.Name, name, names)
		}
	}
	for name := range names {
		base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(name, "_bucket"), "_count"), "_sum")
		if strings.HasPrefix(name, "callback_") && !strings.Contains(all, base) {
			t.Errorf("%s is on no panel", name)
		}
	}
}

// Every metric and label that a rule names exists, and the file has the form
// that Prometheus wants.
func TestRules(t *testing.T) {
	t.Parallel()
	names := spelled(t)
	groups := readRules(t, "dashboards/prometheus-rules.yaml")
	if len(groups) != 2 {
		t.Fatalf("groups %v", groups)
	}
	seen := map[string]bool{}
	n := 0
	for name, rules := range groups {
		if len(rules) == 0 {
			t.Errorf("group %s is empty", name)
		}
		for _, r := range rules {
			n++
			if seen[r["alert"]] || !regexp.MustCompile(`^Callback[A-Z][A-Za-z]+$`).MatchString(r["alert"]) {
				t.Errorf("alert %q", r["alert"])
			}
			seen[r["alert"]] = true
			for _, key := range []string{"expr", "annotations.summary", "annotations.description"} {
				if r[key] == "" {
					t.Errorf("%s has no %s", r["alert"], key)
				}
			}
			if s := r["labels.severity"]; !slices.Contains([]string{"critical", "warning", "info"}, s) {
				t.Errorf("%s has the severity %q", r["alert"], s)
			}
			if f, ok := r["for"]; ok && !regexp.MustCompile(`^\d+m$`).MatchString(f) {
				t.Errorf("%s waits for %q", r["alert"], f)
			}
			examine(t, r["alert"], r["expr"], names)
			for _, l := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(r["annotations.summary"], -1) {
				if !strings.Contains(r["expr"], l[1]) {
					t.Errorf("%s: no label %s is left", r["alert"], l[1])
				}
			}
		}
	}
	if n < 10 {
		t.Errorf("%d rules", n)
	}
}

// readRules reads the subset of YAML that the rules are written in: fixed
// indents, values that are plain words or stand in single quotes.
func readRules(t *testing.T, path string) map[string][]map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`^( *)(- )?([a-z]+):(?: (?:([A-Za-z0-9-]+)|'([^']*)'))?$`)
	groups := map[string][]map[string]string{}
	group, section := "", ""
	var rule map[string]string
	for i, l := range strings.Split(strings.TrimSuffix(string(text), "\n"), "\n") {
		if strings.HasPrefix(strings.TrimLeft(l, " "), "#") {
			continue
		}
		m := line.FindStringSubmatch(l)
		if m == nil {
			t.Fatalf("line %d is no such YAML: %s", i+1, l)
		}
		key, value := m[3], m[4]+m[5]
		switch at := fmt.Sprint(len(m[1]), m[2], key); {
		case at == "0groups" && i < 5 && value == "":
		case at == "2- name" && value != "":
			group, rule = value, nil
			groups[group] = nil
		case at == "4rules" && group != "" && value == "":
		case at == "6- alert" && group != "":
			rule, section = map[string]string{"alert": value}, ""
			groups[group] = append(groups[group], rule)
		case slices.Contains([]string{"8expr", "8for"}, at) && rule != nil && rule[key] == "":
			rule[key], section = value, ""
		case slices.Contains([]string{"8labels", "8annotations"}, at) && rule != nil && value == "":
			section = key
		case slices.Contains([]string{"labels 10severity", "annotations 10summary", "annotations 10description"}, section+" "+at):
			rule[section+"."+key] = value
		default:
			t.Fatalf("line %d: %s does not belong there", i+1, l)
		}
	}
	return groups
}
