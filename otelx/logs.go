package otelx

import (
	"context"
	"log/slog"
	"slices"

	"go.opentelemetry.io/otel/trace"
)

// Logs returns a handler that passes records on to next, with trace_id and
// span_id of the context's span, if it has one. They stand outside of all
// groups. Give the logger to the gates and the engine: both pass contexts on.
//
// Logs panics when next is nil.
func Logs(next slog.Handler) slog.Handler {
	if next == nil {
		panic("otelx: Logs: the handler is nil, pass the one that writes")
	}
	return &logs{Handler: next, root: next}
}

// logs is Handler, which is root with what was added since the first group was
// opened.
type logs struct {
	slog.Handler

	root  slog.Handler
	since []func(slog.Handler) slog.Handler
}

// Handle implements [slog.Handler].
func (l *logs) Handle(ctx context.Context, r slog.Record) error {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return l.Handler.Handle(ctx, r)
	}
	ids := []slog.Attr{slog.String("trace_id", span.TraceID().String()), slog.String("span_id", span.SpanID().String())}
	if len(l.since) == 0 {
		r = r.Clone()
		r.AddAttrs(ids...)
		return l.Handler.Handle(ctx, r)
	}
	h := l.root.WithAttrs(ids)
	for _, add := range l.since {
		h = add(h)
	}
	return h.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (l *logs) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(l.since) == 0 {
		return Logs(l.Handler.WithAttrs(attrs))
	}
	return l.with(func(h slog.Handler) slog.Handler { return h.WithAttrs(attrs) })
}

// WithGroup implements [slog.Handler].
func (l *logs) WithGroup(name string) slog.Handler {
	if name == "" {
		return l
	}
	return l.with(func(h slog.Handler) slog.Handler { return h.WithGroup(name) })
}

func (l *logs) with(add func(slog.Handler) slog.Handler) slog.Handler {
	return &logs{Handler: add(l.Handler), root: l.root, since: append(slices.Clip(l.since), add)}
}
