package otelx_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	sdk "go.opentelemetry.io/otel/sdk/trace"

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
	client := otelx.Transport(empty, opt)
	running := propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": senderField})
	alone := &delivery.Lease{Delivery: delivery.Delivery{EventID: "evt-1"}}
	ctx := hooks.AttemptStart(running, delivery.AttemptStart{Lease: alone})
	for _, url := range []string{"https://first.example/", "http://second.example/"} {
		resp, err := client.Do(request(t, ctx, http.MethodPut, url))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	hooks.AttemptDone(ctx, delivery.AttemptDone{Lease: alone, Outcome: delivery.Outcome{Result: delivery.Done, Attempt: &delivery.Attempt{Status: 204}}})
	span := one(t, spans)
	got := attributes(span)
	if span.Parent().IsValid() || span.SpanContext().TraceID().String() == senderTrace || len(span.Links()) != 0 {
		t.Errorf("below %v, links %v", span.Parent(), span.Links())
	}
	if got["server.address"] != "first.example" || got["server.port"] != "443" || got["http.request.method"] != "PUT" || got["callback.outcome"] != "accepted" {
		t.Errorf("%v", got)
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
