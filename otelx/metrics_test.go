package otelx_test

import (
	"context"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"iter"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/otelx"
	"github.com/ringback-go/ringback/registry"
)

func label(set attribute.Set) string {
	var parts []string
	for _, kv := range set.ToSlice() {
		parts = append(parts, string(kv.Key)+"="+kv.Value.String())
	}
	return strings.Join(parts, " ")
}

// points are the values of a metric by its attributes: sums and gauges as they
// are, histograms as count and sum, to the millisecond: stores round up to
// their clocks' ticks.
func points(t *testing.T, m metricdata.Metrics) map[string]string {
	t.Helper()
	out := map[string]string{}
	switch d := m.Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range d.DataPoints {
			out[label(p.Attributes)] = fmt.Sprint(p.Value)
		}
	case metricdata.Gauge[int64]:
		for _, p := range d.DataPoints {
			out[label(p.Attributes)] = fmt.Sprint(p.Value)
		}
	case metricdata.Gauge[float64]:
		for _, p := range d.DataPoints {
			out[label(p.Attributes)] = fmt.Sprint(p.Value)
		}
	case metricdata.Histogram[int64]:
		for _, p := range d.DataPoints {
			out[label(p.Attributes)] = fmt.Sprint(p.Count, " of ", p.Sum)
		}
	case metricdata.Histogram[float64]:
		for _, p := range d.DataPoints {
			out[label(p.Attributes)] = fmt.Sprint(p.Count, " of ", math.Round(p.Sum*1000)/1000)
		}
	default:
		t.Fatalf("%s is a %T", m.Name, d)
	}
	return out
}

func (r *rig) measured(name string, want map[string]string) {
	r.Helper()
	if diff := cmp.Diff(want, points(r.T, r.metrics()[name])); diff != "" {
		r.Errorf("%s (-want +got)\n%s", name, diff)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.answers, r.takes = []int{503, 503, 200}, time.Second
		stop := r.run()
		r.publish()
		pass(500 * time.Millisecond)
		r.measured("callback.delivery.in_flight", map[string]string{"": "1"})
		pass(3 * time.Minute)
		stop()

		const retry, accepted = "callback.dialect=plain callback.outcome=retry error.type=status", "callback.dialect=plain callback.outcome=accepted"
		r.measured("callback.delivery.in_flight", map[string]string{"": "0"})
		r.measured("callback.delivery.attempts", map[string]string{retry: "2", accepted: "1"})
		r.measured("callback.delivery.attempt.duration", map[string]string{retry: "2 of 2", accepted: "1 of 1"})
		r.measured("callback.delivery.duration", map[string]string{"callback.dialect=plain": "1 of 123"}) // two pauses and three attempts
		r.measured("callback.store.settle.size", map[string]string{"": "3 of 3"})
		r.measured("callback.store.settle.duration", map[string]string{"": "3 of 0"}) // the bubble's time stands still
		r.measured("callback.store.lease.size", map[string]string{"": "3 of 3"})
		if _, dead := r.metrics()["callback.delivery.dead_letters"]; dead {
			t.Error("a dead letter was counted")
		}
	})
}

func TestMetricsDead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		answers []int
		edit    func(*delivery.Event)
		meddle  func(*rig)
		want    string
	}{
		{"refused for good", []int{404}, func(*delivery.Event) {}, nil, "failed"},
		{"gone", []int{410}, func(*delivery.Event) {}, nil, "gone"},
		{"expired", []int{503}, func(e *delivery.Event) { e.ExpiresIn = 30 * time.Second }, nil, "expired"},
		{"removed behind the engine's back", []int{503}, func(*delivery.Event) {}, func(r *rig) {
			for sub := range r.reg.List(r.Context(), registry.Filter{}) {
				if err := r.reg.Delete(r.Context(), sub.ID); err != nil {
					r.Error(err)
				}
			}
		}, "removed"},
		{"disabled behind the engine's back", []int{503}, func(*delivery.Event) {}, func(r *rig) {
			for sub := range r.reg.List(r.Context(), registry.Filter{}) {
				sub.State, sub.Reason = registry.Disabled, "hush"
				if _, err := r.reg.Set(r.Context(), sub); err != nil {
					r.Error(err)
				}
			}
		}, "disabled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.answers = tt.answers
				stop := r.run()
				r.publish(tt.edit)
				pass(10 * time.Second)
				if tt.meddle != nil {
					tt.meddle(r)
				}
				pass(2 * time.Minute)
				stop()
				r.measured("callback.delivery.dead_letters", map[string]string{"callback.reason=" + tt.want: "1"})
			})
		})
	}
}

// What is not durable is not counted.
func TestMetricsSettle(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	hooks := otelx.Trace(otelx.WithMeterProvider(r.meters))
	dead := []delivery.Outcome{{ID: "a", Result: delivery.GiveUp}, {ID: "b", Result: delivery.GiveUp, Reason: delivery.ReasonFailing}}
	hooks.SettleDone(t.Context(), delivery.SettleDone{Outcomes: dead, Took: time.Second, Err: errors.New("hush")})
	hooks.SettleDone(t.Context(), delivery.SettleDone{Outcomes: dead, Took: time.Second, Lost: []string{"a"}})
	hooks.LeaseDone(t.Context(), delivery.LeaseDone{Asked: 5, Took: time.Second, Err: errors.New("hush")})
	hooks.LeaseDone(t.Context(), delivery.LeaseDone{Asked: 5, Got: 4, Took: 2 * time.Second})
	r.measured("callback.delivery.dead_letters", map[string]string{"callback.reason=failing": "1"})
	r.measured("callback.store.settle.duration", map[string]string{"error.type=store": "1 of 1", "": "1 of 1"})
	r.measured("callback.store.settle.size", map[string]string{"": "2 of 4"})
	r.measured("callback.store.lease.duration", map[string]string{"error.type=store": "1 of 1", "": "1 of 2"})
	r.measured("callback.store.lease.size", map[string]string{"": "1 of 4"})
}

// queries counts what a collection costs, and may be away.
type queries struct {
	delivery.Browser
	registry.Registry

	counts int
	err    error
}

func (q *queries) Counts(ctx context.Context) (delivery.Counts, error) {
	q.counts++
	if q.err != nil {
		return delivery.Counts{}, q.err
	}
	return q.Browser.Counts(ctx)
}

// unlisted is a registry that is to be counted, not listed.
type unlisted struct {
	*registry.Memory
	t *testing.T
}

func (u unlisted) List(ctx context.Context, f registry.Filter) iter.Seq2[registry.Subscription, error] {
	u.t.Error("a collection lists the endpoints")
	return u.Memory.List(ctx, f)
}

func TestObserve(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	q := &queries{Browser: r.store.(delivery.Browser)}
	asked := 0
	stop, err := otelx.Observe(otelx.Backlog{
		Store: q, Registry: unlisted{r.reg, t},
		Oldest: func(context.Context) (time.Duration, error) { asked++; return 90 * time.Second, nil },
	}, otelx.WithMeterProvider(r.meters))
	if err != nil {
		t.Fatal(err)
	}
	subs, err := r.engine.Subscribe(t.Context(), registry.Subscription{Dialect: "plain", Tenant: "other", URL: endpointURL, Types: []string{"order.paid"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.engine.Pause(t.Context(), subs[0].ID); err != nil {
		t.Fatal(err)
	}
	r.publish()
	got := r.metrics()
	if q.counts != 1 || asked != 1 {
		t.Errorf("a collection asks for %d counts and %d ages", q.counts, asked)
	}
	for name, want := range map[string]map[string]string{
		"callback.delivery.waiting":            {"": "1"},
		"callback.delivery.waiting.oldest_age": {"": "90"},
		"callback.endpoints": {
			"callback.endpoint.state=active": "1", "callback.endpoint.state=paused": "1",
			"callback.endpoint.state=disabled": "0", "callback.endpoint.state=removed": "0",
		},
	} {
		if diff := cmp.Diff(want, points(t, got[name])); diff != "" {
			t.Errorf("%s (-want +got)\n%s", name, diff)
		}
	}

	q.err = errors.New("away")
	var all metricdata.ResourceMetrics
	if err := r.reader.Collect(t.Context(), &all); !errors.Is(err, q.err) {
		t.Errorf("Collect = %v, want the store's error", err)
	}
	q.err = nil
	if err := stop(); err != nil {
		t.Error(err)
	}
	if _, still := r.metrics()["callback.delivery.waiting"]; still {
		t.Error("observed after stop")
	}
}

// everything has each instrument measure, with each of its attributes.
func (r *rig) everything() {
	r.Helper()
	meters := otelx.WithMeterProvider(r.meters)
	stop, err := otelx.Observe(otelx.Backlog{Store: r.store.(delivery.Browser), Registry: r.reg}, meters)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() {
		if err := stop(); err != nil {
			r.Error(err)
		}
	})
	gated := otelx.Middleware(meters)(middleware.Method{}.Handler(http.HandlerFunc(accept)))
	mux := http.NewServeMux()
	mux.Handle("/hooks", gated)
	mux.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/hooks", nil))
	failing := otelx.Trace(meters)
	failing.LeaseDone(r.Context(), delivery.LeaseDone{Err: errors.New("away")})
	failing.SettleDone(r.Context(), delivery.SettleDone{Err: errors.New("away")})
	r.answers = []int{200, 404}
	stopEngine := r.run()
	r.publish()
	pass(time.Second)
	r.publish(func(e *delivery.Event) { e.ID = "evt-2" })
	pass(time.Minute)
	stopEngine()
}

// The table of the package's documentation is what there is.
func TestTable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.everything()
		var got []string
		for _, m := range r.metrics() {
			kind, keys := kindOf(m)
			got = append(got, strings.TrimSpace(strings.Join([]string{m.Name, kind, m.Unit, strings.Join(keys, " ")}, " ")))
			if m.Description == "" {
				t.Errorf("%s has no description", m.Name)
			}
		}
		slices.Sort(got)
		if diff := cmp.Diff(table(t), got); diff != "" {
			t.Errorf("the table and the instruments (-table +got)\n%s", diff)
		}
	})
}

func table(t *testing.T) (rows []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(file.Doc.Text()) {
		if strings.HasPrefix(line, "\tcallback.") {
			rows = append(rows, strings.Join(strings.Fields(line), " "))
		}
	}
	slices.Sort(rows)
	return rows
}

// kindOf returns the kind of a metric, and the attributes seen at any point.
func kindOf(m metricdata.Metrics) (kind string, keys []string) {
	seen := map[string]bool{}
	add := func(set attribute.Set) {
		for _, kv := range set.ToSlice() {
			seen[string(kv.Key)] = true
		}
	}
	switch d := m.Data.(type) {
	case metricdata.Sum[int64]:
		if kind = "updowncounter"; d.IsMonotonic {
			kind = "counter"
		}
		for _, p := range d.DataPoints {
			add(p.Attributes)
		}
	case metricdata.Gauge[int64]:
		kind = "gauge"
		for _, p := range d.DataPoints {
			add(p.Attributes)
		}
	case metricdata.Gauge[float64]:
		kind = "gauge"
	case metricdata.Histogram[float64]:
		kind = "histogram"
		for _, p := range d.DataPoints {
			add(p.Attributes)
		}
	case metricdata.Histogram[int64]:
		kind = "histogram"
	}
	return kind, slices.Sorted(maps.Keys(seen))
}
