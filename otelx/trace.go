package otelx

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
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
// of the events differ. Its traceparent is kept with the deliveries of the
// events that have no TraceParent; one that an event has is kept as it is, and
// the producer span is linked to it, or its child where the context of Publish
// has no span. An attempt is a client span named "deliver TYPE", the
// root of a trace of its own with a link to what was kept; see
// [WithParentFromPublish]. It has the ids of event, delivery and subscription,
// server.address, http.request.resend_count from the second attempt on,
// http.response.status_code, error.type, which is the attempt's class or the
// status, and callback.outcome. Its request carries its traceparent; the option
// [WithPropagator] turns that off.
func Trace(opts ...Option) delivery.Trace {
	c := newConfig(opts)
	o := &observer{
		config: c, tracer: c.tracer(), instruments: newInstruments(c.meter()),
		publishing: newOperation("publish", trace.SpanKindProducer, semconv.MessagingOperationTypeCreate),
		delivering: newOperation("deliver", trace.SpanKindClient, semconv.MessagingOperationTypeSend),
	}
	return delivery.Trace{
		PublishStart: o.publishStart,
		TraceParent:  TraceParent,
		PublishDone:  o.publishDone,
		LeaseDone:    o.leaseDone,
		AttemptStart: o.attemptStart,
		Request:      o.request,
		AttemptDone:  o.attemptDone,
		SettleDone:   o.settleDone,
	}
}

// TraceParent returns the span of ctx as [delivery.Event].TraceParent wants it,
// to which attempts will be linked. It is empty where there is no span. Events
// published with [Trace] need it only to name another span than the producer's.
func TraceParent(ctx context.Context) string {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return ""
	}
	traceID, spanID := sc.TraceID(), sc.SpanID()
	b := append(make([]byte, 0, 55), "00-"...)
	b = append(hex.AppendEncode(b, traceID[:]), '-')
	b = append(hex.AppendEncode(b, spanID[:]), '-')
	return string(hex.AppendEncode(b, []byte{byte(sc.TraceFlags() & (trace.FlagsSampled | trace.FlagsRandom))}))
}

// creation returns the span context that a TraceParent names, if it is well
// formed.
func creation(field string) trace.SpanContext {
	if sc := ours(field); sc.IsValid() {
		return sc
	}
	if field == "" || len(field) > 64 { // Publish, which refuses it, comes later
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), fieldCarrier(field))
	return trace.SpanContextFromContext(ctx)
}

// ours reads what [TraceParent] writes, and nothing else. It is quicker than what
// reads every version of the field.
func ours(field string) trace.SpanContext {
	if len(field) != 55 || field[:3] != "00-" || field[35] != '-' || field[52:54] != "-0" {
		return trace.SpanContext{}
	}
	traceID, err := trace.TraceIDFromHex(field[3:35])
	if err != nil {
		return trace.SpanContext{}
	}
	spanID, err := trace.SpanIDFromHex(field[36:52])
	if err != nil {
		return trace.SpanContext{}
	}
	flags := trace.TraceFlags(field[54] - '0')
	if flags > trace.FlagsSampled {
		return trace.SpanContext{}
	}
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: flags, Remote: true})
}

// fieldCarrier is a carrier of traceparent alone.
type fieldCarrier string

func (f fieldCarrier) Get(key string) string {
	if key == traceparent {
		return string(f)
	}
	return ""
}

func (fieldCarrier) Set(string, string) {}

func (fieldCarrier) Keys() []string { return []string{traceparent} }

type observer struct {
	*config
	*instruments

	tracer                 trace.Tracer
	publishing, delivering *operation
}

// publishKey is where the span of a publish is in a context: the plain one may
// be somebody else's, if there was none to start.
type publishKey struct{}

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

// operation is what spans of one kind have in common.
type operation struct {
	name  string
	attrs []attribute.KeyValue
	kind  trace.SpanStartOption

	mu    sync.RWMutex
	types map[string]*beginning
}

// beginning is how the spans of an operation on a type begin.
type beginning struct {
	name    string
	options []trace.SpanStartOption // not to be appended to in place
}

// maxTypes bounds what is remembered of types, which are the application's.
const maxTypes = 1000

func newOperation(name string, kind trace.SpanKind, operationType attribute.KeyValue) *operation {
	return &operation{
		name:  name,
		attrs: []attribute.KeyValue{semconv.MessagingSystemKey.String("ringback"), semconv.MessagingOperationName(name), operationType},
		kind:  trace.WithSpanKind(kind),
		types: make(map[string]*beginning),
	}
}

// of returns the beginning for a type, which may be empty.
func (o *operation) of(eventType string) *beginning {
	o.mu.RLock()
	b := o.types[eventType]
	o.mu.RUnlock()
	if b != nil {
		return b
	}
	b = &beginning{name: o.name}
	attrs := slices.Clone(o.attrs)
	if eventType != "" {
		b.name += " " + eventType
		attrs = append(attrs, semconv.MessagingDestinationName(eventType))
	}
	b.options = slices.Clip([]trace.SpanStartOption{o.kind, trace.WithAttributes(attrs...)})
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.types) < maxTypes {
		o.types[eventType] = b
	}
	return b
}

func (o *observer) publishStart(ctx context.Context, events []delivery.Event) context.Context {
	if o.untraced() {
		return nil
	}
	begin := o.publishing.of(commonType(events))
	opts := begin.options
	outside := trace.SpanContextFromContext(ctx)
	switch given := creations(events, outside); {
	case len(given) == 1 && !outside.IsValid():
		ctx = trace.ContextWithRemoteSpanContext(ctx, given[0].SpanContext)
	case len(given) > 0:
		opts = append(opts, trace.WithLinks(given...))
	}
	if len(events) > 1 {
		opts = append(opts, trace.WithAttributes(semconv.MessagingBatchMessageCount(len(events))))
	}
	ctx, span := o.start(ctx, begin.name, opts)
	if span == nil {
		return nil
	}
	return context.WithValue(ctx, publishKey{}, span)
}

// commonType is the type of all events, or empty.
func commonType(events []delivery.Event) string {
	if len(events) == 0 {
		return ""
	}
	for i := range events {
		if events[i].Type != events[0].Type {
			return ""
		}
	}
	return destination(events[0].Type)
}

// maxCreations bounds the links of a publish.
const maxCreations = 16

// creations returns what the events' TraceParents name, each once, outside not
// among them.
func creations(events []delivery.Event, outside trace.SpanContext) (links []trace.Link) {
	before := ""
	for i := range events {
		field := events[i].TraceParent
		if field == before {
			continue
		}
		before = field
		from := creation(field)
		if !from.IsValid() || same(from, outside) || slices.ContainsFunc(links, func(l trace.Link) bool { return same(l.SpanContext, from) }) {
			continue
		}
		if links = append(links, trace.Link{SpanContext: from}); len(links) == maxCreations {
			break
		}
	}
	return links
}

func same(a, b trace.SpanContext) bool { return a.TraceID() == b.TraceID() && a.SpanID() == b.SpanID() }

// start returns a context with a new span, which is to be ended, and the span,
// or nil if there is none.
func (o *observer) start(ctx context.Context, name string, opts []trace.SpanStartOption) (context.Context, trace.Span) {
	outside := trace.SpanContextFromContext(ctx)
	ctx, span := o.tracer.Start(ctx, name, opts...)
	if sc := span.SpanContext(); !sc.IsValid() || sc.Equal(outside) {
		span.End()
		return ctx, nil
	}
	return ctx, span
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
	attrs := append(make([]attribute.KeyValue, 0, 2), deliveries.Int(n))
	if len(p.Published) == 1 {
		attrs = append(attrs, semconv.MessagingMessageID(p.Published[0].EventID))
	}
	span.SetAttributes(attrs...)
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

// fail marks the span. The error's text stays away: a client that is not
// egress's may have the URL in it.
func fail(span trace.Span, class string) {
	span.SetAttributes(semconv.ErrorTypeKey.String(class))
	span.SetStatus(codes.Error, class)
}
