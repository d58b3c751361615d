package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/ringback-go/ringback/verify"
)

// The one line reports to the application's providers: a span for each request,
// and what was refused by which gate.
func TestTelemetry(t *testing.T) { // the providers are the process's, hence not parallel
	spans, reader := tracetest.NewSpanRecorder(), metric.NewManualReader()
	traces, meters := otel.GetTracerProvider(), otel.GetMeterProvider()
	otel.SetTracerProvider(sdk.NewTracerProvider(sdk.WithSpanProcessor(spans)))
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))
	defer func() {
		otel.SetTracerProvider(traces)
		otel.SetMeterProvider(meters)
	}()
	hooks, err := protected(http.HandlerFunc(existing), verify.GenerateSecret())
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /hooks", hooks)
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/hooks", strings.NewReader("{}")))
	if ended := spans.Ended(); w.Code != http.StatusUnauthorized || len(ended) != 1 || ended[0].Name() != "POST /hooks" {
		t.Errorf("answered %d with the spans %v", w.Code, ended)
	}
	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok && m.Name == "callback.requests.denied" {
				for _, kv := range sum.DataPoints[0].Attributes.ToSlice() {
					found[string(kv.Key)] = kv.Value.AsString()
				}
			}
		}
	}
	if found["callback.gate"] != "Signature" || found["callback.reason"] != "missing" {
		t.Errorf("refused: %v", found)
	}
}
