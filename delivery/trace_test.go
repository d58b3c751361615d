package delivery_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

// diary is a trace that writes down what it sees.
type diary struct {
	mu    sync.Mutex
	lines []string
}

func (d *diary) add(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, fmt.Sprintf(format, args...))
}

func (d *diary) read() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.lines, "\n")
}

type traceKey struct{}

func (d *diary) trace() delivery.Trace {
	return delivery.Trace{
		PublishStart: func(ctx context.Context, events []delivery.Event) context.Context {
			d.add("publish %s", events[0].Data)
			return context.WithValue(ctx, traceKey{}, "publish of "+string(events[0].Data))
		},
		PublishDone: func(ctx context.Context, p delivery.PublishDone) {
			d.add("%v done: %d, %v", ctx.Value(traceKey{}), len(p.Published), p.Err)
		},
		LeaseDone: func(_ context.Context, l delivery.LeaseDone) {
			if l.Got > 0 {
				d.add("leased %d", l.Got)
			}
		},
		AttemptStart: func(ctx context.Context, a delivery.AttemptStart) context.Context {
			d.add("attempt %d of %s for %s", a.Lease.Attempts+1, a.Lease.Body, a.Subscription.Tenant)
			return context.WithValue(ctx, traceKey{}, "attempt of "+string(a.Lease.Body))
		},
		Request: func(ctx context.Context, req *http.Request) { req.Header.Set("Trace", ctx.Value(traceKey{}).(string)) },
		AttemptDone: func(ctx context.Context, a delivery.AttemptDone) {
			d.add("%v done: %d, dead %v", ctx.Value(traceKey{}), a.Outcome.Attempt.Status, a.Outcome.Result == delivery.GiveUp)
		},
		SettleDone: func(_ context.Context, s delivery.SettleDone) { d.add("settled %d, %v", len(s.Outcomes), s.Err) },
		Noticed:    func(_ context.Context, n delivery.Notice) { d.add("notice %s", n.Kind) },
	}
}

func TestTrace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var d diary
		r := newRig(t, func(r *rig) { r.cfg.Trace = d.trace() })
		var carried any
		r.answer = func(n int, req *http.Request, _ string) (*http.Response, error) {
			carried = req.Context().Value(traceKey{})
			want[any](t, "the request's header", req.Header.Get("Trace"), carried)
			if n == 0 {
				return answer(500), nil
			}
			return answer(404), nil
		}
		r.subscribe()
		r.run()
		r.publish("a")
		r.pass(2 * time.Minute)
		want(t, "the trace", d.read(), strings.Join([]string{
			"publish a", "publish of a done: 1, <nil>",
			"leased 1", "attempt 1 of a for acme", "attempt of a done: 500, dead false", "settled 1, <nil>",
			"leased 1", "attempt 2 of a for acme", "attempt of a done: 404, dead true", "settled 1, <nil>",
			"notice dead_letter",
		}, "\n"))
		want[any](t, "the request's context", carried, "attempt of a")
	})
}

func TestTraceChangesNothing(t *testing.T) {
	t.Parallel()
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	for _, c := range []struct {
		name  string
		trace delivery.Trace
	}{
		{"panics", delivery.Trace{
			PublishStart: func(context.Context, []delivery.Event) context.Context { panic(1) },
			PublishDone:  func(context.Context, delivery.PublishDone) { panic(2) },
			LeaseDone:    func(context.Context, delivery.LeaseDone) { panic(3) },
			AttemptStart: func(context.Context, delivery.AttemptStart) context.Context { panic(4) },
			Request:      func(context.Context, *http.Request) { panic(8) },
			AttemptDone:  func(context.Context, delivery.AttemptDone) { panic(5) },
			SettleDone:   func(context.Context, delivery.SettleDone) { panic(6) },
			Noticed:      func(context.Context, delivery.Notice) { panic(7) },
		}},
		{"returns no context", delivery.Trace{
			PublishStart: func(context.Context, []delivery.Event) context.Context { return nil },
			AttemptStart: func(context.Context, delivery.AttemptStart) context.Context { return nil },
		}},
		{"returns a context that is over", delivery.Trace{
			PublishStart: func(context.Context, []delivery.Event) context.Context { return canceled },
			AttemptStart: func(context.Context, delivery.AttemptStart) context.Context { return canceled },
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(r *rig) { r.cfg.Trace = c.trace })
				r.answer = func(n int, req *http.Request, _ string) (*http.Response, error) {
					if err := req.Context().Err(); err != nil {
						return nil, err
					}
					if n == 0 {
						return answer(500), nil
					}
					return answer(200), nil
				}
				r.subscribe(func(s *registry.Subscription) { s.Limits.Timeout = time.Second })
				stop := r.run()
				r.publish("a")
				r.pass(2 * time.Minute)
				want(t, "state", r.states(), "a=delivered")
				want(t, "attempts", len(r.requests()), 2)
				if err := stop(); err != nil {
					t.Errorf("Run: %v", err)
				}
			})
		})
	}
}

// What the Trace says is kept with the deliveries of events that say nothing
// themselves.
func TestTraceParent(t *testing.T) {
	t.Parallel()
	const own, producer = "00-11111111111111111111111111111111-2222222222222222-01", "00-33333333333333333333333333333333-4444444444444444-01"
	for _, c := range []struct {
		name  string
		hook  func(ctx context.Context) string
		event string
		want  string
	}{
		{"the producer's", func(ctx context.Context) string { return ctx.Value(traceKey{}).(string) }, "", producer},
		{"the event's own", func(context.Context) string { return producer }, own, own},
		{"none", func(context.Context) string { return "" }, "", ""},
		{"no hook", nil, "", ""},
		{"too long", func(context.Context) string { return strings.Repeat("0", 65) }, "", ""},
		{"a panic", func(context.Context) string { panic(1) }, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(r *rig) {
					r.cfg.Trace = delivery.Trace{
						PublishStart: func(ctx context.Context, _ []delivery.Event) context.Context {
							return context.WithValue(ctx, traceKey{}, producer)
						},
						TraceParent: c.hook,
					}
				})
				r.subscribe()
				if _, err := r.engine.Publish(t.Context(), delivery.Event{Dialect: "plain", Tenant: "acme", Type: "t", Data: []byte("x"), TraceParent: c.event}); err != nil {
					t.Fatal(err)
				}
				n := 0
				for st, err := range r.engine.Store().(delivery.Browser).Deliveries(t.Context(), delivery.Filter{}) {
					if err != nil {
						t.Fatal(err)
					}
					want(t, "the delivery's", st.TraceParent, c.want)
					n++
				}
				want(t, "deliveries", n, 1)
			})
		})
	}
}

// odd is a context that cannot be compared.
type odd struct {
	context.Context

	_ []int
}

func TestTraceMeetsAnOddContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, func(r *rig) {
			r.cfg.Trace.PublishStart = func(ctx context.Context, _ []delivery.Event) context.Context { return ctx }
		})
		r.subscribe()
		if _, err := r.engine.Publish(odd{Context: t.Context()}, delivery.Event{Dialect: "plain", Tenant: "acme", Type: "t", Data: []byte("x")}); err != nil {
			t.Error(err)
		}
	})
}
