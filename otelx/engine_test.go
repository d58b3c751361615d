package otelx_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/otelx"
	"github.com/ringback-go/ringback/registry"
)

// plain is a dialect whose body is the event's data.
type plain struct{ pause time.Duration }

func (plain) Encode(ev delivery.Event, _ registry.Subscription) (delivery.Payload, error) {
	return delivery.Payload{ContentType: "text/plain", Body: ev.Data}, nil
}

func (plain) Request(ctx context.Context, d delivery.Delivery, sub registry.Subscription, _ time.Time) (*http.Request, error) {
	return delivery.NewRequest(ctx, d, sub.URL)
}

func (plain) Judge(status int, _ http.Header, _ []byte) delivery.Verdict {
	return delivery.Judge(status)
}

func (p plain) Schedule(registry.Subscription) delivery.Backoff { return every(p.pause) }

type every time.Duration

func (e every) Delay(int) (time.Duration, bool) { return time.Duration(e), true }

// endpointURL has what must not be seen.
const endpointURL = "https://tom:hush@hooks.example.com:8443/in/hush?token=hush"

// rig is an engine that is observed, and the endpoint that it sends to.
type rig struct {
	*testing.T
	store  delivery.Store
	reg    *registry.Memory
	engine *delivery.Engine
	spans  *tracetest.SpanRecorder
	traces *sdk.TracerProvider
	reader *metric.ManualReader
	meters *metric.MeterProvider
	// answers are the statuses to answer, the last one for ever.
	answers []int
	takes   time.Duration
	// logs takes what the engines log; nil is nobody.
	logs slog.Handler
	// accepted is closed by the first 200, refused by the first other answer.
	accepted, refused chan struct{}

	mu   sync.Mutex
	sent []http.Header
}

func newRig(t *testing.T, opts ...sdk.TracerProviderOption) *rig {
	t.Helper()
	store, err := memstore.Open(t.Context(), memstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(store.Close)
	r := &rig{T: t, store: store, reg: &registry.Memory{}, spans: tracetest.NewSpanRecorder(), reader: metric.NewManualReader(), answers: []int{200}, accepted: make(chan struct{}), refused: make(chan struct{})}
	r.traces = sdk.NewTracerProvider(append(opts, sdk.WithSpanProcessor(r.spans))...)
	r.meters = metric.NewMeterProvider(metric.WithReader(r.reader))
	r.make(time.Minute)
	if _, err := r.engine.Subscribe(t.Context(), registry.Subscription{Dialect: "plain", Tenant: "acme", URL: endpointURL, Types: []string{"order.paid"}}); err != nil {
		t.Fatal(err)
	}
	return r
}

// make makes an engine of the rig's parts, as a start of the process would.
func (r *rig) make(pause time.Duration, opts ...otelx.Option) {
	r.Helper()
	opts = append(opts, otelx.WithTracerProvider(r.traces), otelx.WithMeterProvider(r.meters))
	logs := r.logs
	if logs == nil {
		logs = slog.DiscardHandler
	}
	engine, err := delivery.New(delivery.Config{
		Store: r.store, Registry: r.reg,
		Client:   clientFunc(r.do),
		Dialects: map[string]delivery.Dialect{"plain": plain{pause}},
		Trace:    otelx.Trace(opts...),
		Logger:   slog.New(logs),
	})
	if err != nil {
		r.Fatal(err)
	}
	r.engine = engine
}

func (r *rig) do(req *http.Request) (*http.Response, error) {
	if r.takes > 0 {
		<-time.After(r.takes)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	status := r.answers[min(len(r.sent), len(r.answers)-1)]
	r.sent = append(r.sent, req.Header.Clone())
	first := r.refused
	if status == http.StatusOK {
		first = r.accepted
	}
	select {
	case <-first:
	default:
		close(first)
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("hush"))}, nil
}

func (r *rig) requests() []http.Header {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent
}

// publish publishes from inside of a span, as a handler would.
func (r *rig) publish(edits ...func(*delivery.Event)) {
	r.Helper()
	ctx, span := r.traces.Tracer("app").Start(r.Context(), "handler")
	defer span.End()
	ev := delivery.Event{ID: "evt-1", Dialect: "plain", Type: "order.paid", Tenant: "acme", Data: []byte("hush"), TraceParent: otelx.TraceParent(ctx)}
	for _, edit := range edits {
		edit(&ev)
	}
	if _, err := r.engine.Publish(ctx, ev); err != nil {
		r.Fatal(err)
	}
}

// run runs the engine until stop is called, in a context with all that must
// not get to the attempts.
func (r *rig) run() (stop func()) {
	ctx, cancel := context.WithCancel(propagation.TraceContext{}.Extract(withBaggage(r.Context(), r.T),
		propagation.MapCarrier{"traceparent": senderField, "tracestate": "vendor=hush"}))
	done := make(chan error, 1)
	go func() { done <- r.engine.Run(ctx) }()
	return func() {
		r.Helper()
		cancel()
		if err := <-done; err != nil {
			r.Errorf("Run: %v", err)
		}
	}
}

// pass lets the bubble's time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// named returns the spans of a name, in order of their ends.
func (r *rig) named(name string) (spans []sdk.ReadOnlySpan) {
	for _, s := range r.spans.Ended() {
		if s.Name() == name {
			spans = append(spans, s)
		}
	}
	return spans
}

// metrics collects what otelx made, by name.
func (r *rig) metrics() map[string]metricdata.Metrics {
	r.Helper()
	var all metricdata.ResourceMetrics
	if err := r.reader.Collect(r.Context(), &all); err != nil {
		r.Fatal(err)
	}
	found := map[string]metricdata.Metrics{}
	for _, s := range all.ScopeMetrics {
		if strings.HasSuffix(s.Scope.Name, "/otelx") {
			for _, m := range s.Metrics {
				found[m.Name] = m
			}
		}
	}
	return found
}
