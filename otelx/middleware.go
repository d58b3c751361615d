package otelx

import (
	"context"
	"net"
	"net/http"
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/ringback-go/ringback/middleware"
)

// Middleware returns a middleware that makes a server span and the metrics
// http.server.request.duration and http.server.{request,response}.body.size of
// each request, refused ones included. What a gate inside refuses is counted in
// callback.requests.denied by the gate's type and the reason, and is the event
// callback.denied of the span. Put it outside of all gates.
//
// The span is named "METHOD pattern" once an [http.ServeMux] outside or
// directly inside has set r.Pattern, and "METHOD" otherwise. It is the root of
// a new trace, linked to the sender's span if the request names one: a
// receiver of callbacks is open to everybody. The handler's context carries
// the span, and none of the sender's baggage.
//
// The middleware panics when it is given a nil handler.
func Middleware(opts ...Option) middleware.Middleware {
	c := newConfig(opts)
	traced := otelhttp.NewMiddleware("",
		otelhttp.WithTracerProvider(c.tracers),
		otelhttp.WithMeterProvider(c.meters),
		otelhttp.WithPropagators(linkOnly{c.propagator}),
		otelhttp.WithServerName(c.serverName),
		otelhttp.WithPublicEndpointFn(func(*http.Request) bool { return true }),
	)
	denied := newDenials(c.meter())
	return func(next http.Handler) http.Handler {
		if f, isFunc := next.(http.HandlerFunc); next == nil || isFunc && f == nil {
			panic("otelx: Middleware: the next handler is nil, pass the gates and the handler to observe")
		}
		observed := traced(amend{next, denied})
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.untraced() && c.unmeasured() { // otelhttp collects attributes all the same
				next.ServeHTTP(w, r)
				return
			}
			seen := &refusals{Context: r.Context(), host: r.Host}
			r = r.WithContext(middleware.WithRefusals(seen, seen.remember))
			if len(r.Host) > maxHost { // no name, and metrics would keep it
				r.Host = ""
			}
			observed.ServeHTTP(w, r)
		})
	}
}

// amend sets right, inside of otelhttp, what it records otherwise, and notes
// what a gate refused.
type amend struct {
	next   http.Handler
	denied *denials
}

func (a amend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	span := trace.SpanFromContext(ctx)
	if span.IsRecording() {
		if len(r.Header["X-Forwarded-For"]) > 0 { // otelhttp believes it
			span.SetAttributes(semconv.ClientAddress(peer(r.RemoteAddr)))
		}
		span.SetAttributes(shortened(r)...)
	}
	seen, ok := ctx.Value(refusalsKey{}).(*refusals)
	outside, next := r.Pattern, a.next
	if ok && seen.host != r.Host { // r is otelhttp's own, which looks at it afterwards, too
		r.Host = seen.host
		next = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() { r.Host = "" }()
			a.next.ServeHTTP(w, r)
		})
	}
	next.ServeHTTP(w, r)
	if ok {
		if last := seen.last.Load(); last != nil {
			a.denied.note(last.in, last.gate, last.err)
		}
	}
	if slash := strings.IndexByte(r.Pattern, '/'); slash >= 0 && span.IsRecording() {
		route := r.Pattern[slash:]
		if r.Pattern != outside { // otelhttp renames the span, but leaves the route out
			span.SetAttributes(semconv.HTTPRoute(route))
		}
		if strings.Contains(route, "{") { // what stands there may be a token
			span.SetAttributes(semconv.URLPath(route))
		}
	}
}

// Bounds of what strangers send, in bytes: spans wait in memory to be exported.
const (
	maxHost      = 262 // a name and a port
	maxPath      = 1024
	maxUserAgent = 256
	maxMethod    = 32
)

// shortened are the attributes that otelhttp makes longer than is good.
func shortened(r *http.Request) (attrs []attribute.KeyValue) {
	cut := func(text string, limit int, attr func(string) attribute.KeyValue) {
		if len(text) > limit {
			attrs = append(attrs, attr(strings.ToValidUTF8(text[:limit], "")))
		}
	}
	cut(r.URL.Path, maxPath, semconv.URLPath)
	cut(r.UserAgent(), maxUserAgent, semconv.UserAgentOriginal)
	cut(r.Method, maxMethod, semconv.HTTPRequestMethodOriginal)
	return attrs
}

func peer(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		return host
	}
	return remote // set by a middleware that knows the proxy, without a port
}

// linkOnly takes the sender's span context out of a request, for the link, and
// nothing else: a stranger's baggage would travel on to our own systems.
type linkOnly struct{ propagation.TextMapPropagator }

func (l linkOnly) Extract(ctx context.Context, carrier propagation.TextMapCarrier) context.Context {
	found := trace.SpanContextFromContext(l.TextMapPropagator.Extract(ctx, carrier))
	if !found.IsValid() || found.Equal(trace.SpanContextFromContext(ctx)) {
		return ctx
	}
	return trace.ContextWithRemoteSpanContext(ctx, found)
}
