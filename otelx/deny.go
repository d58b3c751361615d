package otelx

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/verify"
)

// Deny returns a DenyFunc for the field Deny of one gate: it counts the refusal
// in callback.requests.denied, adds the event callback.denied to the span of
// [Middleware], and has deny write the answer. Nil is [middleware.Problem].
//
// gate names the gate in both, such as "Signature". Inside of Middleware, which
// counts what a gate refuses under the name of its type, Deny is needed only to
// give a gate another name, for Recover, and for gates of your own. Deny panics when gate is empty. The
// reason is a word for the error's class, as "mismatch" or "rate_limited", never
// its text.
func Deny(gate string, deny middleware.DenyFunc, opts ...Option) middleware.DenyFunc {
	if gate == "" {
		panic("otelx: Deny: the gate has no name, pass that of its type")
	}
	if deny == nil {
		deny = middleware.Problem
	}
	d := newDenials(newConfig(opts).meter())
	return func(w http.ResponseWriter, r *http.Request, err error) {
		ctx := r.Context()
		if seen, ok := ctx.Value(refusalsKey{}).(*refusals); ok {
			seen.last.Store(nil) // it is counted here
		}
		d.note(ctx, gate, err)
		deny(w, r, err)
	}
}

// denials are the counter of what gates refuse.
type denials struct {
	counter metric.Int64Counter

	mu     sync.RWMutex
	counts map[denial][]metric.AddOption
}

// denial is a label: gates and reasons are words of this module or the
// application's.
type denial struct{ gate, reason string }

func newDenials(m metric.Meter) *denials {
	return &denials{
		counter: made(m.Int64Counter("callback.requests.denied", metric.WithUnit("{request}"),
			metric.WithDescription("Requests refused by a gate."))),
		counts: make(map[denial][]metric.AddOption),
	}
}

// note counts a refusal and puts it on the context's span.
func (d *denials) note(ctx context.Context, gate string, err error) {
	span, counted := trace.SpanFromContext(ctx), d.counter.Enabled(ctx)
	if !counted && !span.IsRecording() {
		return
	}
	label := denial{gate, refusal(err)}
	if counted {
		d.counter.Add(ctx, 1, d.options(label)...)
	}
	if span.IsRecording() {
		span.AddEvent("callback.denied", trace.WithAttributes(gateKey.String(gate), reasonKey.String(label.reason),
			semconv.HTTPResponseStatusCode(middleware.Status(err))))
	}
}

func (d *denials) options(label denial) []metric.AddOption {
	d.mu.RLock()
	o, ok := d.counts[label]
	d.mu.RUnlock()
	if ok {
		return o
	}
	o = []metric.AddOption{metric.WithAttributeSet(attribute.NewSet(gateKey.String(label.gate), reasonKey.String(label.reason)))}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[label] = o
	return o
}

type refusalsKey struct{}

// refusals are the context of a request that Middleware observes, where it
// remembers what a gate refuses until it is known whether a Deny counts it.
type refusals struct {
	context.Context //nolint:containedctx // it is a context itself

	host string                  // what the request says
	last atomic.Pointer[refused] // a handler that was given up may still run
}

type refused struct {
	in   context.Context //nolint:containedctx // the gate's, with the span
	gate string
	err  error
}

// Value implements [context.Context].
func (s *refusals) Value(key any) any {
	if key == (refusalsKey{}) {
		return s
	}
	return s.Context.Value(key)
}

func (s *refusals) remember(ctx context.Context, gate string, err error) {
	s.last.Store(&refused{ctx, gate, err})
}

const otherReason = "other"

// reasons in the order in which they count when several match, which is that of
// [middleware.Status].
var reasons = []struct {
	err  error
	word string
}{
	{middleware.ErrConfig, "config"},
	{middleware.ErrUnavailable, "unavailable"},
	{middleware.ErrInProgress, "in_progress"},
	{middleware.ErrFull, "full"},
	{middleware.ErrClaimLost, "claim_lost"},
	{middleware.ErrPanic, "panic"},
	{middleware.ErrConflict, "conflict"},
	{middleware.ErrOrigin, "origin"},
	{middleware.ErrChallenge, "challenge"},
	{middleware.ErrHandshake, "handshake"},
	{middleware.ErrRateLimited, "rate_limited"},
	{middleware.ErrMethod, "method"},
	{middleware.ErrQuery, "query"},
	{middleware.ErrBodySize, "body_size"},
	{middleware.ErrBodyRead, "body_read"},
	{middleware.ErrEncoding, "encoding"},
	{middleware.ErrMediaType, "media_type"},
	{middleware.ErrSyntax, "syntax"},
	{middleware.ErrInvalid, "invalid"},
	{verify.ErrLookup, "lookup"},
	{verify.ErrConfig, "config"},
	{verify.ErrEmptyKey, "config"},
	{verify.ErrMissing, "missing"},
	{verify.ErrMalformed, "malformed"},
	{verify.ErrRepeated, "repeated"},
	{verify.ErrUnknown, "unknown"},
	{verify.ErrMismatch, "mismatch"},
	{verify.ErrExpired, "expired"},
	{verify.ErrNotYet, "not_yet"},
}

func refusal(err error) string {
	for _, c := range reasons {
		if errors.Is(err, c.err) {
			return c.word
		}
	}
	return otherReason
}
