package otelx

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/ringback-go/ringback/delivery"
)

// attempt is the context of an attempt, with its span. What the span is to say
// is collected here and said at once, as it ends.
type attempt struct {
	context.Context //nolint:containedctx // it is a context itself

	span    trace.Span
	url     string      // the subscription's
	attrs   *attributes // nil until something is sent
	carried bool        // the request has the span's traceparent
}

// attributes are collected in memory that is used again: a span copies them.
type attributes struct{ list []attribute.KeyValue }

// maxAttrs is how many attributes there are at most.
const maxAttrs = 11

var collected = sync.Pool{New: func() any { return &attributes{make([]attribute.KeyValue, 0, maxAttrs)} }}

func newAttributes() *attributes {
	c, _ := collected.Get().(*attributes)
	return c
}

func (c *attributes) release() {
	clear(c.list)
	c.list = c.list[:0]
	collected.Put(c)
}

type attemptKey struct{}

// Value implements [context.Context].
func (a *attempt) Value(key any) any {
	if key == (attemptKey{}) {
		return a
	}
	return a.Context.Value(key)
}

// request notes what is sent, and has it carry the span's traceparent.
func (o *observer) request(ctx context.Context, req *http.Request) {
	if o.untraced() {
		return
	}
	a, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok {
		return
	}
	if a.attrs == nil && a.span.IsRecording() {
		_, method := methodOf(req)
		a.attrs = newAttributes()
		a.attrs.list = server(append(a.attrs.list, method), req.URL)
	}
	header := &carrier{req: req, owned: req.Header != nil}
	o.inject(ctx, header)
	a.carried = header.written
}

var newRoot = trace.WithNewRoot()

func (o *observer) attemptStart(ctx context.Context, a delivery.AttemptStart) context.Context {
	o.inFlight.Add(unlinked, 1)
	if o.untraced() {
		return nil
	}
	begin := o.delivering.of(destination(a.Lease.Type))
	from := creation(a.Lease.TraceParent)
	opts := begin.options
	switch {
	case from.IsValid() && o.parent:
		ctx = trace.ContextWithRemoteSpanContext(ctx, from)
	case from.IsValid():
		opts = append(opts, newRoot, trace.WithLinks(trace.Link{SpanContext: from}))
	default:
		opts = append(opts, newRoot)
	}
	ctx, span := o.start(ctx, begin.name, opts)
	if span == nil {
		return nil
	}
	return &attempt{Context: ctx, span: span, url: a.Subscription.URL}
}

func (o *observer) attemptDone(ctx context.Context, d delivery.AttemptDone) {
	o.inFlight.Add(unlinked, -1)
	o.measure(ctx, d)
	a, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok {
		return
	}
	defer a.span.End()
	if !a.span.IsRecording() {
		return
	}
	collector := a.attrs
	if a.attrs = nil; collector == nil { // no request was made
		collector = newAttributes()
		if u, err := url.Parse(a.url); err == nil { // if not, the attempt says so
			collector.list = server(collector.list, u)
		}
	}
	attrs := collector.list
	l, tried := d.Lease, d.Outcome.Attempt
	attrs = append(attrs, semconv.MessagingMessageID(l.EventID), deliveryID.String(l.ID), subscriptionID.String(l.SubscriptionID), outcomes[d.Outcome.Result])
	if l.Attempts > 0 {
		attrs = append(attrs, semconv.HTTPRequestResendCount(l.Attempts))
	}
	if tried.Status != 0 {
		attrs = append(attrs, semconv.HTTPResponseStatusCode(tried.Status))
	}
	class := tried.Class
	if class == "status" {
		class = strconv.Itoa(tried.Status)
	}
	if class != "" {
		attrs = append(attrs, semconv.ErrorTypeKey.String(class))
		a.span.SetStatus(codes.Error, class)
	}
	a.span.SetAttributes(attrs...)
	collector.list = attrs
	collector.release()
}

// outcomes are the attributes for what became of a delivery.
var outcomes = map[delivery.Result]attribute.KeyValue{
	delivery.Done: outcomeKey.String(accepted), delivery.Retry: outcomeKey.String(again),
	delivery.GiveUp: outcomeKey.String(givenUp), delivery.Release: outcomeKey.String(released),
}
