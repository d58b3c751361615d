package otelx_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
)

const (
	senderTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	senderSpan  = "00f067aa0ba902b7"
	senderField = "00-" + senderTrace + "-" + senderSpan + "-01"
)

// everything is what a careful application has, and what must be cut down.
var everything = propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})

func recorder(opts ...sdk.TracerProviderOption) (*tracetest.SpanRecorder, trace.TracerProvider) {
	spans := tracetest.NewSpanRecorder()
	return spans, sdk.NewTracerProvider(append(opts, sdk.WithSpanProcessor(spans))...)
}

func one(t *testing.T, spans *tracetest.SpanRecorder) sdk.ReadOnlySpan {
	t.Helper()
	ended := spans.Ended()
	if len(ended) != 1 {
		t.Fatalf("%d spans ended, want 1", len(ended))
	}
	return ended[0]
}

func attributes(span sdk.ReadOnlySpan) map[string]string {
	m := map[string]string{}
	for _, kv := range span.Attributes() {
		m[string(kv.Key)] = kv.Value.String()
	}
	return m
}

// holds fails the test for every needle that the span shows anywhere.
func holds(t *testing.T, span sdk.ReadOnlySpan, needles ...string) {
	t.Helper()
	texts := []string{span.Name(), span.Status().Description}
	add := func(kvs []attribute.KeyValue) {
		for _, kv := range kvs {
			texts = append(texts, string(kv.Key)+"="+kv.Value.String())
		}
	}
	add(span.Attributes())
	for _, e := range span.Events() {
		texts = append(texts, e.Name)
		add(e.Attributes)
	}
	for _, text := range texts {
		for _, needle := range needles {
			if strings.Contains(text, needle) {
				t.Errorf("the span shows %q in %q", needle, text)
			}
		}
	}
}

func withBaggage(ctx context.Context, t *testing.T) context.Context {
	t.Helper()
	member, err := baggage.NewMember("tenant", "hush")
	if err != nil {
		t.Fatal(err)
	}
	bag, err := baggage.New(member)
	if err != nil {
		t.Fatal(err)
	}
	return baggage.ContextWithBaggage(ctx, bag)
}

// clientFunc is a delivery.Client.
type clientFunc func(req *http.Request) (*http.Response, error)

func (f clientFunc) Do(req *http.Request) (*http.Response, error) { return f(req) }
