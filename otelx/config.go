package otelx

import (
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// scope names this package to OpenTelemetry.
const scope = "github.com/ringback-go/ringback/otelx"

// An Option configures [Middleware] and [Transport]. A nil Option is ignored.
type Option interface{ apply(c *config) }

// config holds what the options say; nil and empty are "not said".
type config struct {
	tracers     trace.TracerProvider
	meters      metric.MeterProvider
	propagators propagation.TextMapPropagator
	serverName  string
}

func newConfig(opts []Option) config {
	var c config
	for _, o := range opts {
		if o != nil {
			o.apply(&c)
		}
	}
	return c
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

// WithMeterProvider says who makes the metrics of [Middleware]. Nil is
// ignored; without the option it is OpenTelemetry's global provider.
// [Transport] has no metrics and does not use it.
func WithMeterProvider(p metric.MeterProvider) Option {
	return optionFunc(func(c *config) {
		if p != nil {
			c.meters = p
		}
	})
}

// WithPropagators says how contexts travel. Nil is ignored.
//
// [Middleware] reads the sender's span context with p, for the link; without
// the option with OpenTelemetry's global propagator. [Transport] lets p write
// traceparent, and drops what else it writes; without the option it is
// [propagation.TraceContext]. An empty composite propagator turns either off.
func WithPropagators(p propagation.TextMapPropagator) Option {
	return optionFunc(func(c *config) {
		if p != nil {
			c.propagators = p
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
