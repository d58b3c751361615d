package otelx_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	_ "modernc.org/sqlite" // registers the driver "sqlite"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
	"github.com/ringback-go/ringback/otelx"
	"github.com/ringback-go/ringback/registry"
)

// attempted checks the spans of an event that was refused twice and then
// accepted, and the requests that went out.
func (r *rig) attempted(parent bool) {
	r.Helper()
	handler := r.named("handler")[0].SpanContext()
	attempts := r.named("deliver order.paid")
	if len(attempts) != 3 || len(r.requests()) != 3 || len(r.spans.Ended()) != 5 {
		r.Fatalf("%d attempts, %d requests and %d spans, want 3, 3 and 5", len(attempts), len(r.requests()), len(r.spans.Ended()))
	}
	for i, span := range attempts {
		want := map[string]string{
			"messaging.system": "ringback", "messaging.operation.name": "deliver", "messaging.operation.type": "send",
			"messaging.destination.name": "order.paid", "messaging.message.id": "evt-1",
			"http.request.method": "POST", "url.scheme": "https", "server.address": "hooks.example.com", "server.port": "8443",
			"http.response.status_code": "503", "error.type": "503", "callback.outcome": "retry",
		}
		if i > 0 {
			want["http.request.resend_count"] = []string{"", "1", "2"}[i]
		}
		code := codes.Error
		if i == 2 {
			want["http.response.status_code"], want["callback.outcome"], code = "200", "accepted", codes.Unset
			delete(want, "error.type")
		}
		got := attributes(span)
		sub := got["callback.subscription.id"]
		if !strings.HasPrefix(sub, "sub_") || got["callback.delivery.id"] != delivery.DeliveryID("evt-1", sub) {
			r.Errorf("delivery %q of subscription %q", got["callback.delivery.id"], sub)
		}
		delete(got, "callback.subscription.id")
		delete(got, "callback.delivery.id")
		if diff := cmp.Diff(want, got); diff != "" {
			r.Errorf("attributes of attempt %d (-want +got)\n%s", i+1, diff)
		}
		if span.SpanKind() != trace.SpanKindClient || span.Status().Code != code {
			r.Errorf("attempt %d is a %v span, %v", i+1, span.SpanKind(), span.Status())
		}
		if parent {
			if len(span.Links()) != 0 || span.Parent().SpanID() != handler.SpanID() || span.SpanContext().TraceID() != handler.TraceID() {
				r.Errorf("attempt %d has the parent %v and %d links, want %v and none", i+1, span.Parent(), len(span.Links()), handler)
			}
		} else {
			links := span.Links()
			if span.Parent().IsValid() || span.SpanContext().TraceID() == handler.TraceID() {
				r.Errorf("attempt %d continues a trace", i+1)
			}
			if len(links) != 1 || links[0].SpanContext.SpanID() != handler.SpanID() || links[0].SpanContext.TraceID() != handler.TraceID() {
				r.Errorf("attempt %d has the links %v, want one to %v", i+1, links, handler)
			}
		}
		own := "00-" + span.SpanContext().TraceID().String() + "-" + span.SpanContext().SpanID().String() + "-01"
		sent := r.requests()[i]
		if sent.Get("Traceparent") != own || sent["Baggage"] != nil || sent["Tracestate"] != nil {
			r.Errorf("attempt %d sent traceparent %q, want %q; baggage %q", i+1, sent.Get("Traceparent"), own, sent["Baggage"])
		}
		holds(r.T, span, "hush", "/in", "tom", "acme")
	}
}

func TestTrace(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		opts   []otelx.Option
		parent bool
	}{
		{"linked", nil, false},
		{"children", []otelx.Option{otelx.WithParentFromPublish()}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.make(time.Minute, tt.opts...)
				r.answers = []int{503, 503, 200}
				stop := r.run()
				r.publish()
				pass(3 * time.Minute)
				stop()
				r.attempted(tt.parent)

				published := r.named("publish order.paid")[0]
				want := map[string]string{
					"messaging.system": "ringback", "messaging.operation.name": "publish", "messaging.operation.type": "create",
					"messaging.destination.name": "order.paid", "messaging.message.id": "evt-1", "callback.deliveries": "1",
				}
				if diff := cmp.Diff(want, attributes(published)); diff != "" {
					t.Errorf("attributes of the publish (-want +got)\n%s", diff)
				}
				if handler := r.named("handler")[0].SpanContext(); published.SpanKind() != trace.SpanKindProducer || published.Parent().SpanID() != handler.SpanID() {
					t.Errorf("publish is a %v span below %v, want below %v", published.SpanKind(), published.Parent(), handler)
				}
			})
		})
	}
}

// The link survives the process that published.
func TestTraceRestart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	path := filepath.Join(t.TempDir(), "callbacks.db")
	open := func() *sqlitestore.Store {
		t.Helper()
		store, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		r.store = store
		r.make(time.Millisecond)
		return store
	}
	store := open()
	r.answers = []int{503, 503, 200}
	r.publish()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	store = open()
	stop := r.run()
	select {
	case <-r.accepted:
	case <-t.Context().Done():
		t.Fatal("not accepted")
	}
	stop()
	if err := store.Close(); err != nil {
		t.Error(err)
	}
	r.attempted(false)
}

func TestTracePublish(t *testing.T) {
	t.Parallel()
	paid := delivery.Event{Dialect: "plain", Type: "order.paid", Tenant: "acme"}
	with := func(edit func(*delivery.Event)) delivery.Event {
		ev := paid
		edit(&ev)
		return ev
	}
	for _, tt := range []struct {
		name   string
		events []delivery.Event
		span   string
		class  string
		count  string
	}{
		{"several of a type", []delivery.Event{paid, paid}, "publish order.paid", "", "2"},
		{"of several types", []delivery.Event{paid, with(func(e *delivery.Event) { e.Type = "order.sent" })}, "publish", "", "2"},
		{"none", nil, "publish", "", ""},
		{"unknown dialect", []delivery.Event{with(func(e *delivery.Event) { e.Dialect = "hush" })}, "publish order.paid", "dialect", ""},
		{"bad id", []delivery.Event{with(func(e *delivery.Event) { e.ID = "hush hush" })}, "publish order.paid", "invalid", ""},
		{"no such subscription", []delivery.Event{with(func(e *delivery.Event) { e.To = "hush" })}, "publish order.paid", "subscription", ""},
		{"endless type", []delivery.Event{with(func(e *delivery.Event) { e.Type = strings.Repeat("hush", 1000) })}, "publish", "invalid", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			_, err := r.engine.Publish(t.Context(), tt.events...)
			span := one(t, r.spans)
			got := attributes(span)
			if (err == nil) != (tt.class == "") || got["error.type"] != tt.class || (span.Status().Code == codes.Error) != (err != nil) {
				t.Errorf("Publish = %v, error.type %q, status %v", err, got["error.type"], span.Status())
			}
			if span.Name() != tt.span || got["messaging.batch.message_count"] != tt.count {
				t.Errorf("span %q of %q messages, want %q of %q", span.Name(), got["messaging.batch.message_count"], tt.span, tt.count)
			}
			holds(t, span, "hush")
		})
	}
}

// A sender without Transport still has a span for each attempt.
func TestTraceAlone(t *testing.T) {
	t.Parallel()
	spans, provider := recorder()
	hooks := otelx.Trace(otelx.WithTracerProvider(provider))
	for _, tt := range []struct {
		name        string
		lease       delivery.Lease
		url         string
		attempt     delivery.Attempt
		span, class string
		server      string
		links       int
	}{
		{"no type", delivery.Lease{}, "https://a.example/", delivery.Attempt{Class: "timeout"}, "deliver", "timeout", "a.example", 0},
		{"not linked", delivery.Lease{Delivery: delivery.Delivery{Type: "t", TraceParent: "nonsense"}}, "https://a.example/", delivery.Attempt{Status: 302, Class: "status"}, "deliver t", "302", "a.example", 0},
		{"linked", delivery.Lease{Delivery: delivery.Delivery{Type: "t", TraceParent: senderField}}, ":", delivery.Attempt{Class: "bad_url"}, "deliver t", "bad_url", "", 1},
	} {
		before := len(spans.Ended())
		ctx := hooks.AttemptStart(t.Context(), delivery.AttemptStart{Lease: &tt.lease, Subscription: registry.Subscription{URL: tt.url}})
		hooks.AttemptDone(ctx, delivery.AttemptDone{Lease: &tt.lease, Outcome: delivery.Outcome{Result: delivery.Retry, Attempt: &tt.attempt}})
		if len(spans.Ended()) != before+1 {
			t.Fatalf("%s: %d spans", tt.name, len(spans.Ended())-before)
		}
		span := spans.Ended()[before]
		got := attributes(span)
		if span.Name() != tt.span || got["error.type"] != tt.class || got["server.address"] != tt.server || len(span.Links()) != tt.links {
			t.Errorf("%s: span %q, %v, %d links", tt.name, span.Name(), got, len(span.Links()))
		}
	}
}

// Without spans of our own, those of others are not touched.
func TestTraceLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	_, unsampled := recorder(sdk.WithSampler(sdk.NeverSample()))
	for name, opts := range map[string][]otelx.Option{
		"no provider": nil, "not sampled": {otelx.WithTracerProvider(unsampled)}, "noop": {otelx.WithTracerProvider(noop.NewTracerProvider())},
	} {
		spans, provider := recorder()
		outside, span := provider.Tracer("app").Start(t.Context(), "run")
		hooks := otelx.Trace(opts...)
		in := func(ctx context.Context) context.Context {
			if ctx == nil {
				return outside // as the engine does
			}
			return ctx
		}
		lease := &delivery.Lease{}
		hooks.PublishDone(in(hooks.PublishStart(outside, []delivery.Event{{}})), delivery.PublishDone{Err: errors.New("hush")})
		hooks.AttemptDone(in(hooks.AttemptStart(outside, delivery.AttemptStart{Lease: lease})), delivery.AttemptDone{Lease: lease, Outcome: delivery.Outcome{Attempt: &delivery.Attempt{Class: "conn"}}})
		if len(spans.Ended()) != 0 {
			t.Errorf("%s: somebody else's span was ended", name)
		}
		span.End()
		if got := one(t, spans); len(got.Attributes()) != 0 || got.Status().Code != codes.Unset {
			t.Errorf("%s: somebody else's span was changed: %v", name, got.Attributes())
		}
	}
}

func TestTraceParent(t *testing.T) {
	t.Parallel()
	if got := otelx.TraceParent(t.Context()); got != "" {
		t.Errorf("without a span: %q", got)
	}
	_, provider := recorder()
	ctx, span := provider.Tracer("app").Start(t.Context(), "x")
	defer span.End()
	want := "00-" + span.SpanContext().TraceID().String() + "-" + span.SpanContext().SpanID().String() + "-01"
	if got := otelx.TraceParent(ctx); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// A provider that makes no spans hands back those of the context: requests must
// not carry them as if they were the attempts'.
func TestTraceNoop(t *testing.T) {
	t.Parallel()
	ctx := propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{"traceparent": senderField})
	hooks := otelx.Trace(otelx.WithTracerProvider(noop.NewTracerProvider()))
	if hooks.PublishStart(ctx, []delivery.Event{{}}) != nil || hooks.AttemptStart(ctx, delivery.AttemptStart{Lease: &delivery.Lease{}}) != nil {
		t.Error("somebody else's span was taken for ours")
	}
}

// What events say of where they come from is the producer span's parent or its
// links.
func TestTraceGiven(t *testing.T) {
	t.Parallel()
	given := func(n int) string { return fmt.Sprintf("00-%032x-%016x-01", n, n) }
	many := make([]string, 40)
	for i := range many {
		many[i] = given(i + 1)
	}
	for _, tt := range []struct {
		name   string
		inside bool // of a span
		given  []string
		parent bool
		links  int
	}{
		{"nothing", false, []string{""}, false, 0},
		{"one", false, []string{given(1)}, true, 0},
		{"one several times", false, []string{given(1), "", given(1)}, true, 0},
		{"one in a span", true, []string{given(1)}, false, 1},
		{"the span itself", true, []string{"itself"}, false, 0},
		{"two", false, []string{given(1), given(2), given(1)}, false, 2},
		{"two in a span", true, []string{given(1), "itself", given(2)}, false, 2},
		{"very many", false, many, false, 16},
		{"malformed", false, []string{"hush", given(0), strings.Repeat("0", 1<<20)}, false, 0},
	} {
		spans, provider := recorder()
		ctx := t.Context()
		outside := trace.SpanContext{}
		if tt.inside {
			c, span := provider.Tracer("app").Start(ctx, "handler")
			ctx, outside = c, span.SpanContext()
		}
		var events []delivery.Event
		for _, g := range tt.given {
			if g == "itself" {
				g = otelx.TraceParent(ctx)
			}
			events = append(events, delivery.Event{Type: "t", TraceParent: g})
		}
		hooks := otelx.Trace(otelx.WithTracerProvider(provider))
		began := hooks.PublishStart(ctx, events)
		field := hooks.TraceParent(began)
		hooks.PublishDone(began, delivery.PublishDone{})
		span := one(t, spans)
		if want := otelx.TraceParent(trace.ContextWithSpanContext(t.Context(), span.SpanContext())); field != want {
			t.Errorf("%s: TraceParent %q, want the producer's %q", tt.name, field, want)
		}
		if len(span.Links()) != tt.links {
			t.Errorf("%s: %d links, want %d", tt.name, len(span.Links()), tt.links)
		}
		parent := span.Parent()
		switch {
		case tt.parent && (parent.TraceID().String() != tt.given[0][3:35] || !parent.IsRemote()),
			!tt.parent && parent.SpanID() != outside.SpanID():
			t.Errorf("%s: below %v", tt.name, parent)
		}
	}
}

// Types are the application's: what is remembered of them is bounded, and right
// beyond that.
func TestTraceManyTypes(t *testing.T) {
	t.Parallel()
	spans, provider := recorder()
	hooks := otelx.Trace(otelx.WithTracerProvider(provider))
	for i := range 1200 {
		name := fmt.Sprint("t", i%1100)
		hooks.PublishDone(hooks.PublishStart(t.Context(), []delivery.Event{{Type: name}}), delivery.PublishDone{})
		if got := spans.Ended()[i]; got.Name() != "publish "+name || attributes(got)["messaging.destination.name"] != name {
			t.Fatalf("span %q of %q", got.Name(), name)
		}
	}
}
