package otelx

import (
	"context"
	"net"
	"net/http"
	"strings"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/ringback-go/ringback/middleware"
)

// Middleware returns a middleware that makes a server span and the metrics
// http.server.request.duration and http.server.{request,response}.body.size of
// each request, refused ones included. Put it outside of all gates.
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
	return func(next http.Handler) http.Handler {
		if f, isFunc := next.(http.HandlerFunc); next == nil || isFunc && f == nil {
			panic("otelx: Middleware: the next handler is nil, pass the gates and the handler to observe")
		}
		observed := traced(amend{next})
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if c.untraced() && c.unmeasured() { // otelhttp collects attributes all the same
				next.ServeHTTP(w, r)
				return
			}
			observed.ServeHTTP(w, r)
		})
	}
}

// amend sets right, inside of otelhttp, what it records otherwise.
type amend struct{ next http.Handler }

func (a amend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	span := trace.SpanFromContext(r.Context())
	if !span.IsRecording() {
		a.next.ServeHTTP(w, r)
		return
	}
	if len(r.Header["X-Forwarded-For"]) > 0 { // otelhttp believes it
		span.SetAttributes(semconv.ClientAddress(peer(r.RemoteAddr)))
	}
	outside := r.Pattern
	a.next.ServeHTTP(w, r)
	if r.Pattern != outside { // otelhttp renames the span, but leaves the route out
		if slash := strings.IndexByte(r.Pattern, '/'); slash >= 0 {
			span.SetAttributes(semconv.HTTPRoute(r.Pattern[slash:]))
		}
	}
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
