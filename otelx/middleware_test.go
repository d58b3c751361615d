package otelx_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/trace"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/otelx"
	"github.com/ringback-go/ringback/verify"
)

func accept(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }

func TestMiddlewareName(t *testing.T) {
	t.Parallel()
	mux := func(pattern string, h http.Handler) http.Handler {
		m := http.NewServeMux()
		m.Handle(pattern, h)
		return m
	}
	ok := http.HandlerFunc(accept)
	tests := []struct {
		name         string
		method, path string
		handler      func(observe middleware.Middleware) http.Handler
		want, route  string
	}{
		{"inside of the mux", "POST", "/hooks/7", func(o middleware.Middleware) http.Handler { return mux("POST /hooks/{app}", o(ok)) }, "POST /hooks/{app}", "/hooks/{app}"},
		{"around the mux", "POST", "/hooks/7", func(o middleware.Middleware) http.Handler { return o(mux("POST /hooks/{app}", ok)) }, "POST /hooks/{app}", "/hooks/{app}"},
		{"pattern without a method", "PUT", "/hooks/7", func(o middleware.Middleware) http.Handler { return o(mux("/hooks/{app}", ok)) }, "PUT /hooks/{app}", "/hooks/{app}"},
		{"pattern with a host", "POST", "/hooks/7", func(o middleware.Middleware) http.Handler { return o(mux("example.com/hooks/", ok)) }, "POST /hooks/", "/hooks/"},
		{"no mux", "POST", "/hooks/7", func(o middleware.Middleware) http.Handler { return o(ok) }, "POST", ""},
		{"not found", "POST", "/other", func(o middleware.Middleware) http.Handler { return o(mux("/hooks/{app}", ok)) }, "POST", ""},
		{"method of the caller's own", "FROB", "/hooks/7", func(o middleware.Middleware) http.Handler { return o(ok) }, "HTTP", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spans, provider := recorder()
			h := tt.handler(otelx.Middleware(otelx.WithTracerProvider(provider)))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(tt.method, tt.path, nil))
			span := one(t, spans)
			if span.Name() != tt.want || span.SpanKind() != trace.SpanKindServer || attributes(span)["http.route"] != tt.route {
				t.Errorf("%v span %q, route %q; want %q, %q", span.SpanKind(), span.Name(), attributes(span)["http.route"], tt.want, tt.route)
			}
		})
	}
}

func TestMiddlewareSender(t *testing.T) {
	t.Parallel()
	none := propagation.NewCompositeTextMapPropagator()
	tests := []struct {
		name        string
		propagators propagation.TextMapPropagator
		traceparent string
		linked      bool
	}{
		{"linked", everything, senderField, true},
		{"no context", everything, "", false},
		{"malformed context", everything, "00-xyz", false},
		{"turned off", none, senderField, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spans, provider := recorder()
			var inside trace.SpanContext
			var bag baggage.Baggage
			h := otelx.Middleware(otelx.WithTracerProvider(provider), otelx.WithPropagator(tt.propagators))(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				inside, bag = trace.SpanContextFromContext(r.Context()), baggage.FromContext(r.Context())
			}))
			r := httptest.NewRequest(http.MethodPost, "/", nil)
			r.Header.Set("Traceparent", tt.traceparent)
			r.Header.Set("Baggage", "tenant=evil")
			h.ServeHTTP(httptest.NewRecorder(), r)

			span := one(t, spans)
			if span.Parent().IsValid() || span.SpanContext().TraceID().String() == senderTrace {
				t.Errorf("the span continues the trace of %v", span.Parent())
			}
			if inside.SpanID() != span.SpanContext().SpanID() {
				t.Error("the handler's context is not the span's")
			}
			if bag.Len() != 0 {
				t.Errorf("the sender's baggage came in: %v", bag)
			}
			var links []string
			for _, l := range span.Links() {
				links = append(links, l.SpanContext.TraceID().String()+"-"+l.SpanContext.SpanID().String())
			}
			var want []string
			if tt.linked {
				want = []string{senderTrace + "-" + senderSpan}
			}
			if diff := cmp.Diff(want, links); diff != "" {
				t.Errorf("links (-want +got)\n%s", diff)
			}
		})
	}
}

// A baggage of the server's own, put there outside, is not the sender's.
func TestMiddlewareOwnBaggage(t *testing.T) {
	t.Parallel()
	_, provider := recorder()
	var bag baggage.Baggage
	h := otelx.Middleware(otelx.WithTracerProvider(provider), otelx.WithPropagator(everything))(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		bag = baggage.FromContext(r.Context())
	}))
	r := httptest.NewRequestWithContext(withBaggage(t.Context(), t), http.MethodPost, "/", nil)
	r.Header.Set("Traceparent", senderField)
	r.Header.Set("Baggage", "tenant=evil")
	h.ServeHTTP(httptest.NewRecorder(), r)
	if got := bag.Member("tenant").Value(); got != "hush" {
		t.Errorf("tenant = %q, want the server's own", got)
	}
}

func TestMiddlewareGates(t *testing.T) {
	t.Parallel()
	token, err := verify.NewToken("Authorization", "Token", false, verify.Key{ID: "key-17", Secret: []byte("K-1")})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, token string
		want        string
	}{
		{"accepted", "Token K-1", "204"},
		{"refused", "Token K-2", "401"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spans, provider := recorder()
			gates := middleware.Chain(otelx.Middleware(otelx.WithTracerProvider(provider)),
				middleware.Method{}.Handler, middleware.Body{}.Handler, middleware.Signature{Verifier: token}.Handler)
			mux := http.NewServeMux()
			mux.Handle("/hooks", gates(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if id, ok := middleware.IdentityFrom(r.Context()); !ok || id.Key != "key-17" {
					t.Errorf("IdentityFrom = %v, %v", id, ok)
				}
				w.WriteHeader(http.StatusNoContent)
			})))
			r := httptest.NewRequest(http.MethodPost, "/hooks?secret=hush", strings.NewReader("payload"))
			r.Header.Set("Authorization", tt.token)
			r.Header.Set("X-Forwarded-For", "203.0.113.66")
			mux.ServeHTTP(httptest.NewRecorder(), r)

			span := one(t, spans)
			got := attributes(span)
			if got["http.response.status_code"] != tt.want || got["client.address"] != "192.0.2.1" {
				t.Errorf("status %s from %s, want %s from 192.0.2.1", got["http.response.status_code"], got["client.address"], tt.want)
			}
			holds(t, span, "K-1", "K-2", "key-17", "hush", "payload", "203.0.113.66")
		})
	}
}

func TestMiddlewareMetrics(t *testing.T) {
	t.Parallel()
	reader := metric.NewManualReader()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /hooks/{app}", accept)
	h := otelx.Middleware(otelx.WithMeterProvider(metric.NewMeterProvider(metric.WithReader(reader))), otelx.WithServerName("hooks.example.com:8443"))(mux)
	for _, host := range []string{"a.example", "b.example:1", "c.example:2"} { // must not matter
		r := httptest.NewRequest(http.MethodPost, "/hooks/"+host, nil)
		r.Host = host
		h.ServeHTTP(httptest.NewRecorder(), r)
	}

	var all metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &all); err != nil {
		t.Fatal(err)
	}
	var found bool
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			if m.Name != "http.server.request.duration" {
				continue
			}
			found = true
			points := m.Data.(metricdata.Histogram[float64]).DataPoints
			if len(points) != 1 || points[0].Count != 3 {
				t.Fatalf("%d time series, want one with three requests", len(points))
			}
			got := map[string]string{}
			for _, kv := range points[0].Attributes.ToSlice() {
				got[string(kv.Key)] = kv.Value.String()
			}
			want := map[string]string{
				"http.request.method": "POST", "http.route": "/hooks/{app}", "http.response.status_code": "204", "url.scheme": "http",
				"server.address": "hooks.example.com", "server.port": "8443", "network.protocol.name": "http", "network.protocol.version": "1.1",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("attributes (-want +got)\n%s", diff)
			}
		}
	}
	if !found {
		t.Error("no http.server.request.duration")
	}
}

// The ResponseWriter keeps what http.ResponseController needs.
func TestMiddlewareWriter(t *testing.T) {
	t.Parallel()
	_, provider := recorder()
	server := httptest.NewServer(otelx.Middleware(otelx.WithTracerProvider(provider))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		control := http.NewResponseController(w)
		if err := control.EnableFullDuplex(); err != nil {
			t.Errorf("EnableFullDuplex: %v", err)
		}
		io.WriteString(w, "ok")
		if err := control.Flush(); err != nil {
			t.Errorf("Flush: %v", err)
		}
	})))
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); string(body) != "ok" || err != nil {
		t.Errorf("body %q, %v", body, err)
	}
}

func TestMiddlewareNil(t *testing.T) {
	t.Parallel()
	observe := otelx.Middleware(nil, otelx.WithTracerProvider(nil), otelx.WithMeterProvider(nil), otelx.WithPropagator(nil), otelx.WithServerName(""))
	w := httptest.NewRecorder()
	observe(http.HandlerFunc(accept)).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	if w.Code != http.StatusNoContent {
		t.Errorf("answered %d", w.Code)
	}
	for name, next := range map[string]http.Handler{"nil": nil, "nil func": http.HandlerFunc(nil)} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic at wiring", name)
				}
			}()
			observe(next)
		}()
	}
}
