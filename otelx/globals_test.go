package otelx_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/otelx"
	"github.com/ringback-go/ringback/registry"
)

var lease = &delivery.Lease{Delivery: delivery.Delivery{ID: "evt-1.7", EventID: "evt-1", SubscriptionID: "sub_7", Dialect: "plain", Type: "order.paid", TraceParent: senderField}}

// attempt does what an engine does around an attempt.
func attempt(ctx context.Context, hooks delivery.Trace, a *delivery.Attempt) {
	if inside := hooks.AttemptStart(ctx, delivery.AttemptStart{Lease: lease, Subscription: registry.Subscription{URL: "https://a.example/"}}); inside != nil {
		ctx = inside
	}
	hooks.AttemptDone(ctx, delivery.AttemptDone{Lease: lease, Outcome: delivery.Outcome{Result: delivery.Done, Attempt: a}})
}

func TestNoProvider(t *testing.T) { // AllocsPerRun stands no parallel tests
	hooks := otelx.Trace()
	client := otelx.Transport(empty)
	req := request(t, t.Context(), "POST", "https://a.example/")
	handler := otelx.Middleware()(http.HandlerFunc(accept))
	r, w := httptest.NewRequest(http.MethodPost, "/", nil), httptest.NewRecorder()
	deny := otelx.Deny("Own", func(http.ResponseWriter, *http.Request, error) {})
	ok := &delivery.Attempt{Status: 200}
	events := []delivery.Event{{Type: "order.paid", TraceParent: senderField}}
	for name, f := range map[string]func(){
		"Publish": func() {
			if hooks.PublishStart(t.Context(), events) != nil || hooks.TraceParent(t.Context()) != "" {
				t.Error("a span without a provider")
			}
			hooks.PublishDone(t.Context(), delivery.PublishDone{})
		},
		"Trace":      func() { attempt(t.Context(), hooks, ok) },
		"Middleware": func() { handler.ServeHTTP(w, r) },
		"Deny":       func() { deny(w, r, middleware.ErrMethod) },
		"Transport": func() {
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		},
	} {
		want := 0.0
		if name == "Transport" {
			want = 1 // the response
		}
		if got := testing.AllocsPerRun(100, f); got > want {
			t.Errorf("%s: %v allocations, want %v", name, got, want)
		}
	}
}

// Globals that are set after everything was made are used from then on. They
// are the process's, hence another process.
func TestGlobals(t *testing.T) {
	t.Parallel()
	const inside = "OTELX_TEST_GLOBALS"
	if os.Getenv(inside) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestGlobals$")
		cmd.Env = append(os.Environ(), inside+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	hooks := otelx.Trace()
	client := otelx.Transport(empty)
	handler := otelx.Middleware()(http.HandlerFunc(accept))
	deny := otelx.Deny("Own", nil)
	all := func() {
		hooks.PublishDone(pick(t.Context(), hooks.PublishStart(t.Context(), []delivery.Event{{Type: "order.paid"}})), delivery.PublishDone{})
		attempt(t.Context(), hooks, &delivery.Attempt{Status: 200})
		resp, err := client.Do(request(t, t.Context(), "POST", "https://a.example/"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		handler.ServeHTTP(httptest.NewRecorder(), r)
		deny(httptest.NewRecorder(), r, middleware.ErrMethod)
	}
	all()
	reader := metric.NewManualReader()
	otel.SetMeterProvider(metric.NewMeterProvider(metric.WithReader(reader)))
	all()
	var got metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &got); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, s := range got.ScopeMetrics {
		for _, m := range s.Metrics {
			names[m.Name] = true
		}
	}
	for _, name := range []string{"callback.delivery.attempts", "callback.requests.denied", "http.server.request.duration"} {
		if !names[name] {
			t.Errorf("no %s among %v", name, names)
		}
	}
	spans, provider := recorder()
	otel.SetTracerProvider(provider)
	all()
	if got := len(spans.Ended()); got != 4 {
		t.Errorf("%d spans, want 4", got)
	}
}

func pick(outside, inside context.Context) context.Context {
	if inside == nil {
		return outside
	}
	return inside
}
