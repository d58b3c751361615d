package otelx_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/otelx"
)

// Middleware alone counts what the gates inside refuse, each once, under the
// name that a Deny gives or else the type's.
func TestMiddlewareRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	opts := []otelx.Option{otelx.WithTracerProvider(r.traces), otelx.WithMeterProvider(r.meters)}
	own := func(w http.ResponseWriter, req *http.Request) { // a gate of the application's own
		if req.Header.Get("X-Own") != "" {
			otelx.Deny("Own", nil, opts...)(w, req, middleware.ErrOrigin)
			return
		}
		panic("hush")
	}
	handler := middleware.Chain(
		otelx.Middleware(opts...),
		middleware.Recover{Logger: slog.New(slog.DiscardHandler), Deny: otelx.Deny("Recover", nil, opts...)}.Handler,
		middleware.Method{}.Handler,
		middleware.Query{Deny: otelx.Deny("strict query", nil, opts...)}.Handler,
		middleware.Body{Limit: 3}.Handler,
	)(http.HandlerFunc(own))
	for _, tt := range []struct {
		method, target, body, own string
		status                    int
		event                     string
	}{
		{"GET", "/", "", "", 405, "Method method"},
		{"GET", "/", "", "", 405, "Method method"},
		{"POST", "/?a;b", "", "", 400, "strict query query"},
		{"POST", "/", "hush", "", 413, "Body body_size"},
		{"POST", "/", "abc", "1", 403, "Own origin"},
		{"POST", "/", "abc", "", 500, "Recover panic"},
	} {
		before := len(r.spans.Ended())
		req := httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body))
		req.Header.Set("X-Own", tt.own)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		span := r.spans.Ended()[before]
		holds(t, span, "hush")
		if events := span.Events(); w.Code != tt.status || len(events) != 1 || events[0].Attributes[0].Value.AsString()+" "+events[0].Attributes[1].Value.AsString() != tt.event {
			t.Errorf("%s %s: %d with %v, want %d with %q", tt.method, tt.target, w.Code, events, tt.status, tt.event)
		}
	}
	r.measured("callback.requests.denied", map[string]string{
		"callback.gate=Method callback.reason=method":      "2",
		"callback.gate=strict query callback.reason=query": "1",
		"callback.gate=Body callback.reason=body_size":     "1",
		"callback.gate=Own callback.reason=origin":         "1",
		"callback.gate=Recover callback.reason=panic":      "1",
	})
}

// A handler that was given up refuses when nobody listens any more.
func TestMiddlewareRefusalTooLate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	begun, ended := make(chan struct{}), make(chan struct{})
	late := http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		defer close(ended)
		close(begun)
		<-req.Context().Done()
		middleware.Method{}.Handler(http.HandlerFunc(accept)).ServeHTTP(w, req)
	})
	h := otelx.Middleware(otelx.WithMeterProvider(r.meters))(http.TimeoutHandler(late, time.Hour, ""))
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-begun
		cancel()
	}()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx))
	<-ended
}

// The values of a route's wildcards are not shown.
func TestMiddlewareHidesWildcards(t *testing.T) {
	t.Parallel()
	for name, handler := range map[string]func(middleware.Middleware) http.Handler{
		"inside of the mux": func(o middleware.Middleware) http.Handler {
			m := http.NewServeMux()
			m.Handle("/in/{token}", o(http.HandlerFunc(accept)))
			return m
		},
		"around the mux": func(o middleware.Middleware) http.Handler {
			m := http.NewServeMux()
			m.Handle("POST /in/{token}", http.HandlerFunc(accept))
			return o(m)
		},
	} {
		spans, provider := recorder()
		handler(otelx.Middleware(otelx.WithTracerProvider(provider))).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/in/hush?a=hush", nil))
		span := one(t, spans)
		holds(t, span, "hush")
		if got := attributes(span)["url.path"]; got != "/in/{token}" {
			t.Errorf("%s: path %q", name, got)
		}
	}
}

// What strangers send is kept short, and the handler sees it as it is.
func TestMiddlewareBounds(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	long := strings.Repeat("x", 1<<16)
	var seen http.Request
	h := otelx.Middleware(otelx.WithTracerProvider(r.traces), otelx.WithMeterProvider(r.meters))(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { seen = *req }))
	req := httptest.NewRequest(long, "/"+long, nil)
	req.Host = long
	req.Header.Set("User-Agent", long)
	req.Header.Set("X-Forwarded-For", long)
	h.ServeHTTP(httptest.NewRecorder(), req)
	if seen.Host != long || seen.URL.Path != "/"+long || seen.UserAgent() != long || req.Host != long {
		t.Error("the handler sees another request")
	}
	for key, value := range attributes(one(t, r.spans)) {
		if len(value) > 1024 {
			t.Errorf("%s has %d bytes", key, len(value))
		}
	}
	var all metricdata.ResourceMetrics
	if err := r.reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			h, ok := m.Data.(metricdata.Histogram[float64])
			if !ok {
				continue
			}
			for _, p := range h.DataPoints {
				if set := label(p.Attributes); len(set) > 1024 {
					t.Errorf("%s has a label of %d bytes", m.Name, len(set))
				}
			}
		}
	}
}
