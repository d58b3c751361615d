package otelx

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

// Trace returns what an engine calls, for [delivery.Config].Trace, to have
// spans and the metrics of the package's table, less those of [Observe].
//
// Publish is a producer span named "publish TYPE", or "publish" where the types
// of the events differ. An attempt is a client span named "deliver TYPE", the
// root of a trace of its own with a link to the event's TraceParent; see
// [WithParentFromPublish]. It has the ids of event, delivery and subscription,
// server.address, http.request.resend_count from the second attempt on,
// http.response.status_code, error.type, which is the attempt's class or the
// status, and callback.outcome. Put [Transport] around the client, so that
// requests carry its traceparent.
func Trace(opts ...Option) delivery.Trace {
	c := newConfig(opts)
	o := &observer{config: c, tracer: c.tracer(), instruments: newInstruments(c.meter())}
	return delivery.Trace{
		PublishStart: o.publishStart,
		PublishDone:  o.publishDone,
		LeaseDone:    o.leaseDone,
		AttemptStart: o.attemptStart,
		AttemptDone:  o.attemptDone,
		SettleDone:   o.settleDone,
	}
}

// TraceParent returns the span of ctx as [delivery.Event].TraceParent wants it,
// to which attempts will be linked. It is empty where there is no span.
func TraceParent(ctx context.Context) string {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return ""
	}
	m := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, m)
	return m[traceparent]
}

// creation returns the span context that a TraceParent names, if it is well
// formed.
func creation(field string) trace.SpanContext {
	if field == "" {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{traceparent: field})
	return trace.SpanContextFromContext(ctx)
}

type observer struct {
	*config
	*instruments

	tracer trace.Tracer
}

// Where the spans of this package are in a context: the plain one may be
// somebody else's, if there was none to start.
type (
	publishKey struct{}
	attemptKey struct{}
)

var (
	system   = semconv.MessagingSystemKey.String("ringback")
	creating = []attribute.KeyValue{system, semconv.MessagingOperationName("publish"), semconv.MessagingOperationTypeCreate}
	sending  = []attribute.KeyValue{system, semconv.MessagingOperationName("deliver"), semconv.MessagingOperationTypeSend}
)

const (
	subscriptionID = attribute.Key("callback.subscription.id")
	deliveryID     = attribute.Key("callback.delivery.id")
	deliveries     = attribute.Key("callback.deliveries")
)

// destination returns a type that may be a name, and "" for others: Publish has
// not looked at it yet.
func destination(eventType string) string {
	if len(eventType) > registry.MaxText || !utf8.ValidString(eventType) {
		return ""
	}
	return eventType
}

func named(operation, eventType string, attrs []attribute.KeyValue) (string, []attribute.KeyValue) {
	if eventType == "" {
		return operation, attrs
	}
	return operation + " " + eventType, append(attrs, semconv.MessagingDestinationName(eventType))
}

func (o *observer) publishStart(ctx context.Context, events []delivery.Event) context.Context {
	if o.untraced() {
		return nil
	}
	var eventType string
	for i := range events {
		if t := destination(events[i].Type); i == 0 {
			eventType = t
		} else if t != eventType {
			eventType = ""
			break
		}
	}
	attrs := append(make([]attribute.KeyValue, 0, 5), creating...)
	name, attrs := named("publish", eventType, attrs)
	if len(events) > 1 {
		attrs = append(attrs, semconv.MessagingBatchMessageCount(len(events)))
	}
	return o.start(ctx, publishKey{}, name, trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(attrs...))
}

// start returns a context with a new span, also under key, for publishDone or
// attemptDone to end, or nil if there is none.
func (o *observer) start(ctx context.Context, key any, name string, opts ...trace.SpanStartOption) context.Context {
	outside := trace.SpanContextFromContext(ctx)
	ctx, span := o.tracer.Start(ctx, name, opts...)
	if sc := span.SpanContext(); !sc.IsValid() || sc.Equal(outside) {
		span.End()
		return nil
	}
	return context.WithValue(ctx, key, span)
}

func (o *observer) publishDone(ctx context.Context, p delivery.PublishDone) {
	span, ok := ctx.Value(publishKey{}).(trace.Span)
	if !ok {
		return
	}
	defer span.End()
	if !span.IsRecording() {
		return
	}
	if p.Err != nil {
		fail(span, publishClass(p.Err))
		return
	}
	n := 0
	for i := range p.Published {
		n += p.Published[i].Deliveries
	}
	span.SetAttributes(deliveries.Int(n))
	if len(p.Published) == 1 {
		span.SetAttributes(semconv.MessagingMessageID(p.Published[0].EventID))
	}
}

var publishClasses = []struct {
	err   error
	class string
}{
	{delivery.ErrUnknown, "unknown"},
	{delivery.ErrFull, "full"},
	{delivery.ErrDialect, "dialect"},
	{delivery.ErrInvalid, "invalid"},
	{delivery.ErrClosed, "closed"},
	{delivery.ErrOwned, "owned"},
	{registry.ErrNotFound, "subscription"},
	{context.DeadlineExceeded, "timeout"},
	{context.Canceled, "canceled"},
}

func publishClass(err error) string {
	for _, c := range publishClasses {
		if errors.Is(err, c.err) {
			return c.class
		}
	}
	if _, ok := errors.AsType[*delivery.Error](err); ok { // a dialect's own
		return "invalid"
	}
	return "store"
}

func (o *observer) attemptStart(ctx context.Context, a delivery.AttemptStart) context.Context {
	o.inFlight.Add(ctx, 1)
	if o.untraced() {
		return nil
	}
	l := a.Lease
	attrs := append(make([]attribute.KeyValue, 0, 8), sending...)
	name, attrs := named("deliver", destination(l.Type), attrs)
	attrs = append(attrs, semconv.MessagingMessageID(l.EventID), deliveryID.String(l.ID), subscriptionID.String(l.SubscriptionID))
	if l.Attempts > 0 {
		attrs = append(attrs, semconv.HTTPRequestResendCount(l.Attempts))
	}
	opts := append(make([]trace.SpanStartOption, 0, 4), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
	from := creation(l.TraceParent)
	switch {
	case from.IsValid() && o.parent:
		ctx = trace.ContextWithRemoteSpanContext(ctx, from)
	case from.IsValid():
		opts = append(opts, trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: from}))
	default:
		opts = append(opts, trace.WithNewRoot())
	}
	ctx = o.start(ctx, attemptKey{}, name, opts...)
	if ctx == nil {
		return nil
	}
	if span := trace.SpanFromContext(ctx); span.IsRecording() {
		if u, err := url.Parse(a.Subscription.URL); err == nil { // if not, the attempt says so
			span.SetAttributes(server(nil, u)...)
		}
	}
	return ctx
}

func (o *observer) attemptDone(ctx context.Context, a delivery.AttemptDone) {
	o.inFlight.Add(ctx, -1)
	o.measure(ctx, a)
	span, ok := ctx.Value(attemptKey{}).(trace.Span)
	if !ok {
		return
	}
	defer span.End()
	if !span.IsRecording() {
		return
	}
	tried := a.Outcome.Attempt
	span.SetAttributes(outcomeKey.String(outcome(a.Outcome.Result)))
	if tried.Status != 0 {
		span.SetAttributes(semconv.HTTPResponseStatusCode(tried.Status))
	}
	class := tried.Class
	if class == "status" {
		class = strconv.Itoa(tried.Status)
	}
	if class != "" {
		fail(span, class)
	}
}

// fail marks the span. The error's text stays away: a client that is not
// egress's may have the URL in it.
func fail(span trace.Span, class string) {
	span.SetAttributes(semconv.ErrorTypeKey.String(class))
	span.SetStatus(codes.Error, class)
}
