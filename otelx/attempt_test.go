package otelx_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/otelx"
)

// An attempt that nothing leads to is a root whatever span its engine runs in,
// and what it says is of its first request.
func TestAttemptAlone(t *testing.T) {
	t.Parallel()
	spans, provider := recorder()
	opt := otelx.WithTracerProvider(provider)
	hooks := otelx.Trace(opt, otelx.WithParentFromPublish())
	var sent []*http.Request
	client := otelx.Transport(clientFunc(func(r *http.Request) (*http.Response, error) {
		sent = append(sent, r)
		return empty(r)
	}), opt)
	running := propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": senderField})
	alone := &delivery.Lease{Delivery: delivery.Delivery{EventID: "evt-1"}}
	ctx := hooks.AttemptStart(running, delivery.AttemptStart{Lease: alone})
	first, second := request(t, ctx, http.MethodPut, "https://first.example/"), request(t, ctx, http.MethodPut, "http://second.example/")
	hooks.Request(ctx, first)
	for _, req := range []*http.Request{first, second} {
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	hooks.AttemptDone(ctx, delivery.AttemptDone{Lease: alone, Outcome: delivery.Outcome{Result: delivery.Done, Attempt: &delivery.Attempt{Status: 204}}})
	span := one(t, spans)
	for _, req := range sent {
		if field := req.Header.Get("traceparent"); !strings.Contains(field, span.SpanContext().SpanID().String()) {
			t.Errorf("%s carries %q", req.URL, field)
		}
	}
	if sent[0] != first || sent[1] == second || len(second.Header) != 0 {
		t.Error("the attempt's request was copied, or another one changed")
	}
	got := attributes(span)
	if span.Parent().IsValid() || span.SpanContext().TraceID().String() == senderTrace || len(span.Links()) != 0 {
		t.Errorf("below %v, links %v", span.Parent(), span.Links())
	}
	if got["server.address"] != "first.example" || got["server.port"] != "443" || got["http.request.method"] != "PUT" || got["callback.outcome"] != "accepted" {
		t.Errorf("%v", got)
	}
}

// Where Trace is not to write the traceparent and Transport is, that does so, over
// what a dialect may have written.
func TestTransportWritesWhereTraceDoesNot(t *testing.T) {
	t.Parallel()
	spans, provider := recorder()
	hooks := otelx.Trace(otelx.WithTracerProvider(provider), otelx.WithPropagator(propagation.NewCompositeTextMapPropagator()))
	var sent http.Header
	client := otelx.Transport(clientFunc(func(r *http.Request) (*http.Response, error) {
		sent = r.Header
		return empty(r)
	}), otelx.WithTracerProvider(provider))
	l := &delivery.Lease{}
	ctx := hooks.AttemptStart(t.Context(), delivery.AttemptStart{Lease: l})
	req := request(t, ctx, http.MethodPost, "https://a.example/")
	req.Header.Set("traceparent", senderField)
	hooks.Request(ctx, req)
	if got := req.Header.Get("traceparent"); got != senderField {
		t.Errorf("Trace wrote %q", got)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	hooks.AttemptDone(ctx, delivery.AttemptDone{Lease: l, Outcome: delivery.Outcome{Attempt: &delivery.Attempt{}}})
	if got := sent.Get("traceparent"); !strings.Contains(got, one(t, spans).SpanContext().SpanID().String()) {
		t.Errorf("sent with %q", got)
	}
}

// What is recorded of an attempt costs few allocations, most of them the SDK's.
func TestAttemptAllocations(t *testing.T) { // AllocsPerRun stands no parallel tests
	meters := otelx.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(metric.NewManualReader())))
	ok := &delivery.Attempt{Status: 200}
	for name, tt := range map[string]struct {
		sampler sdk.Sampler
		most    float64
	}{
		"recorded":    {sdk.AlwaysSample(), 23},
		"not sampled": {sdk.NeverSample(), 13},
	} {
		_, traces := recorder(sdk.WithSampler(tt.sampler))
		hooks := otelx.Trace(otelx.WithTracerProvider(traces), meters)
		if got := testing.AllocsPerRun(100, func() { attempt(t.Context(), hooks, ok) }); got > tt.most+2 {
			t.Errorf("%s: %v allocations, want %v", name, got, tt.most)
		}
	}
}

// Attempts are linked to what a traceparent says to everybody else.
func TestCreation(t *testing.T) {
	t.Parallel()
	const good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for name, field := range map[string]string{
		"sampled": good, "not sampled": good[:54] + "0", "random": good[:54] + "3", "all flags": good[:53] + "ff", "reserved": good[:54] + "9",
		"upper case": strings.ToUpper(good), "no trace": strings.Replace(good, good[3:35], strings.Repeat("0", 32), 1),
		"no span": strings.Replace(good, good[36:52], strings.Repeat("0", 16), 1), "not hex": strings.Replace(good, "f", "g", 1),
		"another version": "cc" + good[2:], "version ff": "ff" + good[2:], "cut": good[:54], "longer": good + "0", "longer, another version": "cc" + good[2:] + "-0",
		"without dashes": strings.ReplaceAll(good, "-", "0"), "signed": good[:53] + "-1", "empty": "",
	} {
		spans, provider := recorder()
		hooks := otelx.Trace(otelx.WithTracerProvider(provider))
		l := &delivery.Lease{Delivery: delivery.Delivery{TraceParent: field}}
		hooks.AttemptDone(hooks.AttemptStart(t.Context(), delivery.AttemptStart{Lease: l}), delivery.AttemptDone{Lease: l, Outcome: delivery.Outcome{Attempt: &delivery.Attempt{}}})
		want := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": field}))
		var got trace.SpanContext
		for _, link := range one(t, spans).Links() {
			got = link.SpanContext
		}
		if !got.Equal(want) {
			t.Errorf("%s: linked to %+v, want %+v", name, got, want)
		}
	}
}

// What the caller says of the oldest counts, whatever the store knows.
func TestObserveOldest(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for want, oldest := range map[string]func(context.Context) (time.Duration, error){
		"90": func(context.Context) (time.Duration, error) { return 90 * time.Second, nil },
		"0":  nil, // nothing waits
	} {
		stop, err := otelx.Observe(otelx.Backlog{Store: r.store.(delivery.Browser), Oldest: oldest}, otelx.WithMeterProvider(r.meters))
		if err != nil {
			t.Fatal(err)
		}
		r.measured("callback.delivery.waiting.oldest_age", map[string]string{"": want})
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
}
