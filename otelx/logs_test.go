package otelx_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/otelx"
)

func TestLogs(t *testing.T) {
	t.Parallel()
	_, provider := recorder()
	ctx, span := provider.Tracer("app").Start(t.Context(), "x")
	defer span.End()
	trace, id := span.SpanContext().TraceID().String(), span.SpanContext().SpanID().String()
	for _, tt := range []struct {
		name string
		with func(*slog.Logger) *slog.Logger
		want map[string]any
	}{
		{"plain", func(l *slog.Logger) *slog.Logger { return l }, map[string]any{"n": 1.0}},
		{"attributes", func(l *slog.Logger) *slog.Logger { return l.With("a", 1) }, map[string]any{"a": 1.0, "n": 1.0}},
		{"group", func(l *slog.Logger) *slog.Logger { return l.WithGroup("g") }, map[string]any{"g": map[string]any{"n": 1.0}}},
		{"group of nothing", func(l *slog.Logger) *slog.Logger { return l.WithGroup("") }, map[string]any{"n": 1.0}},
		{"all of it", func(l *slog.Logger) *slog.Logger {
			return l.With("a", 1).WithGroup("g").With("b", 2).WithGroup("h")
		}, map[string]any{"a": 1.0, "g": map[string]any{"b": 2.0, "h": map[string]any{"n": 1.0}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			l := tt.with(slog.New(otelx.Logs(slog.NewJSONHandler(&out, nil))))
			l.InfoContext(ctx, "m", "n", 1)
			l.InfoContext(t.Context(), "m", "n", 1) // no span
			dec := json.NewDecoder(&out)
			for _, spanned := range []bool{true, false} {
				var got map[string]any
				if err := dec.Decode(&got); err != nil {
					t.Fatal(err)
				}
				for _, key := range []string{"time", "level", "msg"} {
					delete(got, key)
				}
				if spanned && (got["trace_id"] != trace || got["span_id"] != id) {
					t.Errorf("trace_id %v, span_id %v, want %s, %s", got["trace_id"], got["span_id"], trace, id)
				}
				if spanned {
					delete(got, "trace_id")
					delete(got, "span_id")
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("with a span %v: attributes (-want +got)\n%s", spanned, diff)
				}
			}
		})
	}
}

// Two loggers made of one do not see each other's attributes.
func TestLogsSiblings(t *testing.T) {
	t.Parallel()
	_, provider := recorder()
	ctx, span := provider.Tracer("app").Start(t.Context(), "x")
	defer span.End()
	var out bytes.Buffer
	base := slog.New(otelx.Logs(slog.NewJSONHandler(&out, nil))).WithGroup("g").With("a", 1).With("b", 2)
	one, _ := base.With("c", 1), base.With("c", 2)
	one.InfoContext(ctx, "m")
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"a": 1.0, "b": 2.0, "c": 1.0}, got["g"]); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestLogsRules(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		out.Reset()
		return otelx.Logs(slog.NewJSONHandler(&out, nil))
	}, func(t *testing.T) map[string]any {
		var m map[string]any
		if err := json.NewDecoder(io.Reader(&out)).Decode(&m); err != nil {
			t.Fatal(err)
		}
		return m
	})
}

func TestLogsNil(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic for a nil handler")
		}
	}()
	otelx.Logs(nil)
}

// What an engine logs of an attempt has the keys that operators search for, and
// the ids of the attempt's own span.
func TestLogsOfAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var out bytes.Buffer
		r.logs = otelx.Logs(slog.NewJSONHandler(&out, nil))
		r.make(time.Minute)
		r.answers = []int{503, 404}
		stop := r.run()
		r.publish()
		pass(2 * time.Minute)
		stop()
		attempts := r.named("deliver order.paid")
		dec := json.NewDecoder(&out)
		for i, status := range []float64{503, 404} {
			var got map[string]any
			if err := dec.Decode(&got); err != nil {
				t.Fatal(err)
			}
			span := attempts[i].SpanContext()
			sub := attributes(attempts[i])["callback.subscription.id"]
			want := map[string]any{
				"level": []string{"INFO", "WARN"}[i], "msg": "delivery: attempt failed", "time": got["time"],
				"delivery_id": delivery.DeliveryID("evt-1", sub), "event_id": "evt-1", "endpoint": sub, "attempt": float64(i + 1),
				"status": status, "error_class": "status", "error": fmt.Sprint("answered ", status), "dead": i == 1,
				"trace_id": span.TraceID().String(), "span_id": span.SpanID().String(),
			}
			if i == 0 {
				want["retry_in"] = got["retry_in"]
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		}
		if dec.More() {
			t.Errorf("more: %s", &out)
		}
	})
}
