package otelx_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/otelx"
	"github.com/ringback-go/ringback/registry"
)

func ExampleTrace() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	accepted := make(chan struct{})
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("traceparent:", r.Header.Get("Traceparent") != "")
		w.WriteHeader(http.StatusNoContent)
		close(accepted)
	}))
	defer receiver.Close()

	spans := tracetest.NewSpanRecorder() // an exporter, in an application
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))
	traced := otelx.WithTracerProvider(provider)

	store, err := memstore.Open(ctx, memstore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	engine, err := delivery.New(delivery.Config{
		Store: store, Registry: &registry.Memory{}, Dialects: map[string]delivery.Dialect{"plain": plain{}},
		Client: receiver.Client(), // in an application: *egress.Client
		Trace:  otelx.Trace(traced),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := engine.Subscribe(ctx, registry.Subscription{Dialect: "plain", URL: receiver.URL, Types: []string{"order.paid"}}); err != nil {
		fmt.Println(err)
		return
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := engine.Run(ctx); err != nil {
			fmt.Println(err)
		}
	})

	requestCtx, request := provider.Tracer("shop").Start(ctx, "POST /orders")
	_, err = engine.Publish(requestCtx, delivery.Event{
		Dialect: "plain", Type: "order.paid", Data: []byte("42"), TraceParent: otelx.TraceParent(requestCtx),
	})
	request.End()
	if err != nil {
		fmt.Println(err)
		return
	}
	<-accepted
	cancel()
	running.Wait()

	for _, span := range spans.Ended() {
		if span.SpanKind() == trace.SpanKindClient {
			fmt.Println(span.Name(), "linked:", span.Links()[0].SpanContext.SpanID() == request.SpanContext().SpanID())
		}
	}
	// Output:
	// traceparent: true
	// deliver order.paid linked: true
}

func ExampleDeny() {
	reader := metric.NewManualReader() // an exporter, in an application
	provider := otelx.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))

	gate := middleware.Method{Deny: otelx.Deny("Method", nil, provider)}
	handler := gate.Handler(http.NotFoundHandler())
	for range 3 {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/hooks", nil))
	}

	printMetrics(reader)
	// Output:
	// callback.requests.denied {request} map[callback.gate:Method callback.reason:method] 3
}

func ExampleObserve() {
	ctx := context.Background()
	store, err := memstore.Open(ctx, memstore.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	reader := metric.NewManualReader() // an exporter, in an application
	provider := otelx.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))

	stop, err := otelx.Observe(otelx.Backlog{Store: store}, provider)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stop()

	printMetrics(reader)
	// Output:
	// callback.delivery.waiting {delivery} map[] 0
	// callback.delivery.waiting.oldest_age s map[] 0
}

func printMetrics(reader *metric.ManualReader) {
	var all metricdata.ResourceMetrics
	if err := reader.Collect(context.Background(), &all); err != nil {
		fmt.Println(err)
		return
	}
	for _, m := range all.ScopeMetrics[0].Metrics {
		var p metricdata.DataPoint[int64]
		switch d := m.Data.(type) {
		case metricdata.Sum[int64]:
			p = d.DataPoints[0]
		case metricdata.Gauge[int64]:
			p = d.DataPoints[0]
		case metricdata.Gauge[float64]:
			p.Value = int64(d.DataPoints[0].Value)
		}
		attrs := map[string]string{}
		for _, kv := range p.Attributes.ToSlice() {
			attrs[string(kv.Key)] = kv.Value.String()
		}
		fmt.Println(m.Name, m.Unit, attrs, p.Value)
	}
}

func ExampleTraceParent() {
	ctx, span := sdk.NewTracerProvider().Tracer("shop").Start(context.Background(), "POST /orders")
	defer span.End()
	ev := delivery.Event{Dialect: "standard", Type: "order.paid", TraceParent: otelx.TraceParent(ctx)}
	fmt.Println(len(ev.TraceParent), ev.TraceParent[:3])
	// Output: 55 00-
}

func ExampleLogs() {
	logger := slog.New(otelx.Logs(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{} // another one each time
			}
			return a
		},
	})))
	ctx := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2},
	}))
	logger.InfoContext(ctx, "stored", "order", 42)
	// Output:
	// level=INFO msg=stored order=42 trace_id=01000000000000000000000000000000 span_id=0200000000000000
}
