package otelx_test

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/pgstore"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
	"github.com/ringback-go/ringback/internal/pgtest"
	"github.com/ringback-go/ringback/otelx"
)

// opener opens a store as a process that starts would, and closes it as one
// that ends.
type opener func(t *testing.T) (store delivery.Store, end func() error)

func openers(t *testing.T) map[string]opener {
	path := filepath.Join(t.TempDir(), "callbacks.db")
	url := pgtest.New(t).Database(t)
	return map[string]opener{
		"SQLite": func(t *testing.T) (delivery.Store, func() error) {
			t.Helper()
			s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			return s, s.Close
		},
		"PostgreSQL": func(t *testing.T) (delivery.Store, func() error) {
			t.Helper()
			pool, err := pgxpool.New(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			if err := pgstore.Migrate(t.Context(), pool, ""); err != nil {
				t.Fatal(err)
			}
			s, err := pgstore.Open(t.Context(), pgstore.Config{Pool: pool})
			if err != nil {
				t.Fatal(err)
			}
			return s, func() error { pool.Close(); return nil }
		},
	}
}

// An event that came without a traceparent is refused by one process and
// accepted in another: all attempts are linked to the span that published it,
// and all is counted.
func TestRestart(t *testing.T) {
	t.Parallel()
	for name, open := range openers(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.answers = []int{503, 503, 200}
			begin := func() (end func()) {
				t.Helper()
				store, closeStore := open(t)
				r.store = store
				r.make(300 * time.Millisecond)
				stopObserving, err := otelx.Observe(otelx.Backlog{Store: store.(delivery.Browser), Registry: r.reg}, otelx.WithMeterProvider(r.meters))
				if err != nil {
					t.Fatal(err)
				}
				return func() {
					t.Helper()
					if err := stopObserving(); err != nil {
						t.Error(err)
					}
					if err := closeStore(); err != nil {
						t.Error(err)
					}
				}
			}
			end := begin()
			stop := r.run()
			r.publish(func(ev *delivery.Event) { ev.TraceParent = "" })
			r.await(r.refused)
			stop()
			r.measured("callback.delivery.waiting", map[string]string{"": "1"})
			if age := r.metrics()["callback.delivery.waiting.oldest_age"]; points(t, age)[""] == "0" || age.Unit != "s" {
				t.Errorf("the oldest is %v %s old", points(t, age), age.Unit)
			}
			end()

			end = begin()
			stop = r.run()
			r.await(r.accepted)
			stop()
			r.measured("callback.delivery.waiting", map[string]string{"": "0"})
			r.measured("callback.delivery.waiting.oldest_age", map[string]string{"": "0"})
			end()
			r.spansOfRestart()
			r.metricsOfRestart()
		})
	}
}

// spansOfRestart checks the one that published and three attempts.
func (r *rig) spansOfRestart() {
	r.Helper()
	published, handler := r.named("publish order.paid"), r.named("handler")
	attempts := r.named("deliver order.paid")
	if len(published) != 1 || len(handler) != 1 || len(attempts) != 3 || len(r.requests()) != 3 || len(r.spans.Ended()) != 5 {
		r.Fatalf("%d published, %d attempts, %d requests, %d spans in all", len(published), len(attempts), len(r.requests()), len(r.spans.Ended()))
	}
	producer := published[0]
	if producer.SpanKind() != trace.SpanKindProducer || producer.Parent().SpanID() != handler[0].SpanContext().SpanID() || len(producer.Links()) != 0 {
		r.Errorf("publish is a %v span below %v with %d links", producer.SpanKind(), producer.Parent(), len(producer.Links()))
	}
	for i, span := range attempts {
		want := map[string]string{
			"messaging.system": "ringback", "messaging.operation.name": "deliver", "messaging.operation.type": "send",
			"messaging.destination.name": "order.paid", "messaging.message.id": "evt-1",
			"http.request.method": "POST", "url.scheme": "https", "server.address": "hooks.example.com", "server.port": "8443",
			"http.response.status_code": "503", "error.type": "503", "callback.outcome": "retry",
		}
		code := codes.Error
		if i > 0 {
			want["http.request.resend_count"] = []string{"", "1", "2"}[i]
		}
		if i == 2 {
			want["http.response.status_code"], want["callback.outcome"], code = "200", "accepted", codes.Unset
			delete(want, "error.type")
		}
		got := attributes(span)
		if got["callback.delivery.id"] != delivery.DeliveryID("evt-1", got["callback.subscription.id"]) {
			r.Errorf("delivery %q", got["callback.delivery.id"])
		}
		delete(got, "callback.delivery.id")
		delete(got, "callback.subscription.id")
		if diff := cmp.Diff(want, got); diff != "" {
			r.Errorf("attempt %d (-want +got)\n%s", i+1, diff)
		}
		links, from := span.Links(), producer.SpanContext()
		if len(links) != 1 || links[0].SpanContext.SpanID() != from.SpanID() || links[0].SpanContext.TraceID() != from.TraceID() {
			r.Errorf("attempt %d has the links %v, want one to %v", i+1, links, from)
		}
		if span.Parent().IsValid() || span.SpanContext().TraceID() == from.TraceID() || span.SpanKind() != trace.SpanKindClient || span.Status().Code != code {
			r.Errorf("attempt %d is a %v span below %v, %v", i+1, span.SpanKind(), span.Parent(), span.Status())
		}
		own := "00-" + span.SpanContext().TraceID().String() + "-" + span.SpanContext().SpanID().String() + "-01"
		if sent := r.requests()[i]; sent.Get("Traceparent") != own || sent["Baggage"] != nil || sent["Tracestate"] != nil {
			r.Errorf("attempt %d sent %q, want %q", i+1, sent.Get("Traceparent"), own)
		}
		holds(r.T, span, "hush", "/in", "tom", "acme")
	}
}

// metricsOfRestart checks what is counted, and how often something was measured
// whose value is the machine's.
func (r *rig) metricsOfRestart() {
	r.Helper()
	const retry, accepted = "callback.dialect=plain callback.outcome=retry error.type=status", "callback.dialect=plain callback.outcome=accepted"
	r.measured("callback.delivery.attempts", map[string]string{retry: "2", accepted: "1"})
	r.measured("callback.delivery.in_flight", map[string]string{"": "0"})
	r.measured("callback.store.settle.size", map[string]string{"": "3 of 3"})
	got := r.metrics()
	for name, want := range map[string]map[string]string{
		"callback.delivery.attempt.duration": {retry: "2", accepted: "1"},
		"callback.delivery.duration":         {"callback.dialect=plain": "1"},
		"callback.store.settle.duration":     {"": "3"},
	} {
		counts := points(r.T, got[name])
		for set, p := range counts {
			counts[set], _, _ = strings.Cut(p, " ")
		}
		if diff := cmp.Diff(want, counts); diff != "" {
			r.Errorf("%s (-want +got)\n%s", name, diff)
		}
		if got[name].Unit != "s" {
			r.Errorf("%s is in %q", name, got[name].Unit)
		}
	}
	if _, dead := got["callback.delivery.dead_letters"]; dead {
		r.Errorf("a dead letter among %q", slices.Sorted(maps.Keys(got)))
	}
}

// await waits for the endpoint.
func (r *rig) await(c <-chan struct{}) {
	r.Helper()
	select {
	case <-c:
	case <-time.After(30 * time.Second):
		r.Fatalf("not after 30 s: %d requests", len(r.requests()))
	}
}
