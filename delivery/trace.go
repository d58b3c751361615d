package delivery

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/ringback-go/ringback/registry"
)

// A Trace is a set of functions that the engine calls as it works, for
// telemetry and tests. Each may be nil. They are called in the goroutine that
// does the work, several at a time: be quick and do not keep what is handed in,
// nor change it. What they do, a panic included, changes nothing the engine
// does, but for what Request adds.
type Trace struct {
	// PublishStart is called as Publish begins. The values of the context it
	// returns, not its end, are those of the publish from then on; nil adds none.
	PublishStart func(ctx context.Context, events []Event) context.Context
	// TraceParent is asked after PublishStart, with the publish's context, for
	// the TraceParent of the events that have none. What is longer than
	// Publish takes is left out.
	TraceParent func(ctx context.Context) string
	// PublishDone is called as Publish ends.
	PublishDone func(ctx context.Context, p PublishDone)
	// LeaseDone is called after each lease, also one that found nothing.
	LeaseDone func(ctx context.Context, l LeaseDone)
	// AttemptStart is called before each attempt. The values of the context it
	// returns are those of the attempt and of its request.
	AttemptStart func(ctx context.Context, a AttemptStart) context.Context
	// Request is called with an attempt's context and its request, before that is
	// sent. It may add to the header what carries the trace, and nothing else.
	Request func(ctx context.Context, req *http.Request)
	// AttemptDone is called after each attempt, once it is decided and before
	// it is durable.
	AttemptDone func(ctx context.Context, a AttemptDone)
	// SettleDone is called after each settle of a batch.
	SettleDone func(ctx context.Context, s SettleDone)
	// Noticed is called with what Config.Notify is told.
	Noticed func(ctx context.Context, n Notice)
}

// PublishDone is how a Publish ended.
type PublishDone struct {
	Published []Published
	// Took is from PublishStart on.
	Took time.Duration
	Err  error
}

// LeaseDone is how a lease ended.
type LeaseDone struct {
	// Asked and Got are numbers of deliveries.
	Asked, Got int
	Took       time.Duration
	Err        error
}

// AttemptStart is an attempt that begins.
type AttemptStart struct {
	Lease        *Lease
	Subscription registry.Subscription
}

// AttemptDone is an attempt that ended.
type AttemptDone struct {
	Lease        *Lease
	Subscription registry.Subscription
	// Outcome is what becomes of the delivery; its Attempt is not nil.
	Outcome Outcome
}

// SettleDone is how a settle ended.
type SettleDone struct {
	Outcomes []Outcome
	// Lost names the deliveries whose outcomes came too late.
	Lost []string
	Took time.Duration
	// Err is not nil where it will be tried again.
	Err error
}

// An Elder is a Store that knows what has been waiting longest, for those who
// watch a backlog.
type Elder interface {
	// Oldest returns when the delivery was published that was taken first of
	// those that are pending, and the zero time where none is. What it costs
	// does not grow with what waits.
	Oldest(ctx context.Context) (time.Time, error)
}

// tracer calls a Trace and survives it.
type tracer struct {
	Trace

	log *slog.Logger
}

func (t *tracer) recover(ctx context.Context, name string) {
	if p := recover(); p != nil {
		t.log.LogAttrs(ctx, slog.LevelError, "delivery: a function of Config.Trace panics",
			slog.String("function", name), slog.Any("error", panicked(p)))
	}
}

// valued is a context with the values that a Trace added, and nothing else of
// what it returned: it can neither end nor prolong the work.
type valued struct {
	context.Context

	values context.Context //nolint:containedctx // it is a context itself
}

func (v valued) Value(key any) any { return v.values.Value(key) }

func withValues(ctx, values context.Context) context.Context {
	if values == nil {
		return ctx
	}
	return valued{ctx, values}
}

func (t *tracer) publishStart(ctx context.Context, events []Event) context.Context {
	if t.PublishStart == nil {
		return ctx
	}
	return withValues(ctx, func() context.Context {
		defer t.recover(ctx, "PublishStart")
		return t.PublishStart(ctx, events)
	}())
}

// maxTraceParent bounds [Event.TraceParent]; the W3C's form takes 55 bytes.
const maxTraceParent = 64

// traceParent is for events without a TraceParent of their own.
func (t *tracer) traceParent(ctx context.Context) (field string) {
	if t.TraceParent == nil {
		return ""
	}
	defer t.recover(ctx, "TraceParent")
	if field = t.TraceParent(ctx); len(field) > maxTraceParent {
		return ""
	}
	return field
}

func (t *tracer) publishDone(ctx context.Context, p PublishDone) {
	if t.PublishDone != nil {
		defer t.recover(ctx, "PublishDone")
		t.PublishDone(ctx, p)
	}
}

func (t *tracer) leaseDone(ctx context.Context, l LeaseDone) {
	if t.LeaseDone != nil {
		defer t.recover(ctx, "LeaseDone")
		t.LeaseDone(ctx, l)
	}
}

func (t *tracer) attemptStart(ctx context.Context, l *Lease, sub *registry.Subscription) context.Context {
	if t.AttemptStart == nil {
		return ctx
	}
	return withValues(ctx, func() context.Context {
		defer t.recover(ctx, "AttemptStart")
		return t.AttemptStart(ctx, AttemptStart{l, *sub})
	}())
}

func (t *tracer) request(ctx context.Context, req *http.Request) {
	if t.Request != nil {
		defer t.recover(ctx, "Request")
		t.Trace.Request(ctx, req)
	}
}

func (t *tracer) attemptDone(ctx context.Context, l *Lease, sub *registry.Subscription, o Outcome) {
	if t.AttemptDone != nil {
		defer t.recover(ctx, "AttemptDone")
		t.AttemptDone(ctx, AttemptDone{l, *sub, o})
	}
}

func (t *tracer) settleDone(ctx context.Context, s SettleDone) {
	if t.SettleDone != nil {
		defer t.recover(ctx, "SettleDone")
		t.SettleDone(ctx, s)
	}
}

func (t *tracer) noticed(ctx context.Context, n Notice) {
	if t.Noticed != nil {
		defer t.recover(ctx, "Noticed")
		t.Trace.Noticed(ctx, n)
	}
}
