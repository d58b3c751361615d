package otelx

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

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

	span  trace.Span
	url   string // the subscription's
	attrs []attribute.KeyValue
}

// maxAttrs is how many attributes there are at most.
const maxAttrs = 11

type attemptKey struct{}

// Value implements [context.Context].
func (a *attempt) Value(key any) any {
	if key == (attemptKey{}) {
		return a
	}
	return a.Context.Value(key)
}

// sent notes what a [Transport] sends; the first request is the attempt's.
func (a *attempt) sent(req *http.Request) {
	if a.attrs != nil || !a.span.IsRecording() {
		return
	}
	_, method := methodOf(req)
	a.attrs = server(append(make([]attribute.KeyValue, 0, maxAttrs), method), req.URL)
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
	attrs := a.attrs
	if attrs == nil { // no Transport, or no request
		attrs = make([]attribute.KeyValue, 0, maxAttrs)
		if u, err := url.Parse(a.url); err == nil { // if not, the attempt says so
			attrs = server(attrs, u)
		}
	}
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
}

// outcomes are the attributes for what became of a delivery.
var outcomes = map[delivery.Result]attribute.KeyValue{
	delivery.Done: outcomeKey.String(accepted), delivery.Retry: outcomeKey.String(again),
	delivery.GiveUp: outcomeKey.String(givenUp), delivery.Release: outcomeKey.String(released),
}
