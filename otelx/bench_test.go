package otelx_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/sdk/metric"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/otelx"
)

var empty = clientFunc(func(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
})

func BenchmarkMiddleware(b *testing.B) {
	h := http.Handler(http.HandlerFunc(accept))
	for name, handler := range map[string]http.Handler{
		"bare":       h,
		"noProvider": otelx.Middleware()(h),
		"recorded":   otelx.Middleware(otelx.WithTracerProvider(sdk.NewTracerProvider()))(h),
	} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodPost, "/hooks", nil)
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(w, r)
			}
		})
	}
}

func BenchmarkTransport(b *testing.B) {
	for name, client := range map[string]delivery.Client{
		"bare":       empty,
		"noProvider": otelx.Transport(empty),
		"recorded":   otelx.Transport(empty, otelx.WithTracerProvider(sdk.NewTracerProvider())),
	} {
		b.Run(name, func(b *testing.B) {
			req := request(b, b.Context(), "POST", "https://hooks.example.com/in")
			b.ReportAllocs()
			for b.Loop() {
				resp, err := client.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				resp.Body.Close()
			}
		})
	}
}

func BenchmarkTrace(b *testing.B) {
	_, traces := recorder(sdk.WithSampler(sdk.NeverSample()))
	meters := metric.NewMeterProvider(metric.WithReader(metric.NewManualReader()))
	for name, hooks := range map[string]delivery.Trace{
		"noProvider": otelx.Trace(),
		"measured":   otelx.Trace(otelx.WithMeterProvider(meters)),
		"unsampled":  otelx.Trace(otelx.WithTracerProvider(traces)),
		"recorded":   otelx.Trace(otelx.WithTracerProvider(sdk.NewTracerProvider()), otelx.WithMeterProvider(meters)),
	} {
		b.Run(name, func(b *testing.B) {
			ok := &delivery.Attempt{Status: 200}
			b.ReportAllocs()
			for b.Loop() {
				attempt(b.Context(), hooks, ok)
			}
		})
	}
}

func BenchmarkDeny(b *testing.B) {
	nothing := func(http.ResponseWriter, *http.Request, error) {}
	meters := metric.NewMeterProvider(metric.WithReader(metric.NewManualReader()))
	for name, deny := range map[string]middleware.DenyFunc{
		"noProvider": otelx.Deny("Own", nothing),
		"measured":   otelx.Deny("Own", nothing, otelx.WithMeterProvider(meters)),
	} {
		b.Run(name, func(b *testing.B) {
			r, w := httptest.NewRequest(http.MethodPost, "/hooks", nil), httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				deny(w, r, middleware.ErrMethod)
			}
		})
	}
}
