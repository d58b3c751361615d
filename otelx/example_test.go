package otelx_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/otelx"
)

func ExampleMiddleware() {
	spans := tracetest.NewSpanRecorder() // an exporter, in an application
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))

	gates := middleware.Chain(
		otelx.Middleware(otelx.WithTracerProvider(provider), otelx.WithPropagator(propagation.TraceContext{})),
		middleware.Method{}.Handler,
		middleware.Query{}.Handler,
		middleware.Body{}.Handler,
	)
	mux := http.NewServeMux()
	mux.Handle("/hooks/{app}", gates(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNoContent)
	})))

	r := httptest.NewRequest(http.MethodPost, "/hooks/7", strings.NewReader("{}"))
	r.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	mux.ServeHTTP(httptest.NewRecorder(), r)

	for _, span := range spans.Ended() {
		fmt.Println(span.SpanKind(), span.Name())
		fmt.Println("parent:", span.Parent().IsValid(), "link:", span.Links()[0].SpanContext.TraceID())
	}
	// Output:
	// server POST /hooks/{app}
	// parent: false link: 4bf92f3577b34da6a3ce929d0e0e4736
}

func ExampleTransport() {
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("traceparent:", r.Header.Get("Traceparent") != "")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer receiver.Close()

	spans := tracetest.NewSpanRecorder() // an exporter, in an application
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(spans))

	// The receiver is on loopback, which *egress.Client refuses.
	client := otelx.Transport(receiver.Client(), otelx.WithTracerProvider(provider))

	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, receiver.URL+"/in?token=secret", strings.NewReader("{}"))
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := client.Do(req)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp.Body.Close()

	for _, span := range spans.Ended() {
		fmt.Println(span.SpanKind(), span.Name(), span.Status().Code)
		for _, kv := range span.Attributes() {
			if kv.Key != "server.port" { // another one each time
				fmt.Println(kv.Key, kv.Value.String())
			}
		}
	}
	// Output:
	// traceparent: true
	// client POST Error
	// http.request.method POST
	// url.scheme http
	// server.address 127.0.0.1
	// http.response.status_code 503
	// error.type 503
}
