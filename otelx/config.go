package otelx

import (
	"reflect"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// scope names this package to OpenTelemetry.
const scope = "github.com/ringback-go/ringback/otelx"

// An Option configures a function of this package. A nil Option is ignored, and
// so is one that says nothing to the function.
type Option interface{ apply(c *config) }

// config holds what the options say. serverName empty is "not said".
type config struct {
	tracers    trace.TracerProvider
	meters     metric.MeterProvider
	propagator propagation.TextMapPropagator
	serverName string
	parent     bool

	// Of the globals, what stands there until the application sets one.
	noTracers trace.TracerProvider
	noMeters  metric.MeterProvider
}

func newConfig(opts []Option) *config {
	c := &config{
		tracers:    otel.GetTracerProvider(),
		meters:     otel.GetMeterProvider(),
		propagator: propagation.TraceContext{},
	}
	for _, o := range opts {
		if o != nil {
			o.apply(c)
		}
	}
	if placeholder(c.tracers) {
		c.noTracers = c.tracers
	}
	if placeholder(c.meters) {
		c.noMeters = c.meters
	}
	return c
}

func (c *config) tracer() trace.Tracer {
	return c.tracers.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))
}

func (c *config) meter() metric.Meter {
	return c.meters.Meter(scope, metric.WithSchemaURL(semconv.SchemaURL))
}

// untraced reports whether nobody makes spans, as far as that is known without
// making one.
func (c *config) untraced() bool {
	return c.noTracers != nil && otel.GetTracerProvider() == c.noTracers
}

func (c *config) unmeasured() bool {
	return c.noMeters != nil && otel.GetMeterProvider() == c.noMeters
}

// placeholder reports whether provider is what the API has for a global before
// it is set. Taken for another one, it costs time and nothing else.
func placeholder(provider any) bool {
	t := reflect.TypeOf(provider)
	return t.Kind() == reflect.Pointer && t.Elem().PkgPath() == "go.opentelemetry.io/otel/internal/global"
}

type optionFunc func(c *config)

func (f optionFunc) apply(c *config) { f(c) }

// WithTracerProvider says who makes the spans. Nil is ignored; without the
// option it is OpenTelemetry's global provider.
func WithTracerProvider(p trace.TracerProvider) Option {
	return optionFunc(func(c *config) {
		if p != nil {
			c.tracers = p
		}
	})
}

// WithMeterProvider says who makes the metrics. Nil is ignored; without the
// option it is OpenTelemetry's global provider. [Transport] has no metrics.
func WithMeterProvider(p metric.MeterProvider) Option {
	return optionFunc(func(c *config) {
		if p != nil {
			c.meters = p
		}
	})
}

// WithPropagator says how contexts travel. Nil is ignored; without the option
// it is [propagation.TraceContext].
//
// [Middleware] reads the sender's span context with p, for the link, and
// nothing else. [Trace] and [Transport] let p write traceparent, and drop what
// else it writes. An empty composite propagator turns either off.
func WithPropagator(p propagation.TextMapPropagator) Option {
	return optionFunc(func(c *config) {
		if p != nil {
			c.propagator = p
		}
	})
}

// WithServerName gives the public host[:port] of the receiver, for
// server.address and server.port of [Middleware]'s spans and metrics. Empty is
// ignored. Without the option they are taken from the Host header, and then a
// stranger can make as many time series as the SDK's cardinality limit lets
// him: set it, with the port, on receivers that answer to any Host.
func WithServerName(hostport string) Option {
	return optionFunc(func(c *config) {
		if hostport != "" {
			c.serverName = hostport
		}
	})
}

// WithParentFromPublish has [Trace] make the attempts children of the event's
// TraceParent. Without the option each attempt begins a trace of its own that
// is linked to it: retries go on for days, and a trace that lasts as long is
// more than most backends and tail samplers put up with.
func WithParentFromPublish() Option {
	return optionFunc(func(c *config) { c.parent = true })
}
