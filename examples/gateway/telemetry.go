package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/contrib/exporters/autoexport"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/stdout/stdoutmetric"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/otelx"
	"github.com/ringback-go/ringback/registry"
)

// telemetry is OpenTelemetry as the standard OTEL_* variables want it. The zero
// value is off.
type telemetry struct {
	traces *sdktrace.TracerProvider // nil is off
	meters *sdkmetric.MeterProvider // nil is off
}

// newTelemetry reads OTEL_* and starts what they name. "console" prints to
// console, everything else is up to autoexport.
func newTelemetry(ctx context.Context, console io.Writer) (t telemetry, err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, t.shutdown(ctx))
		}
	}()
	traces, err := exporterOf("TRACES", "otlp", "console")
	if err != nil {
		return t, err
	}
	metrics, err := exporterOf("METRICS", "otlp", "console", "prometheus")
	if err != nil || traces == "" && metrics == "" {
		return t, err
	}
	about, err := resource.New(ctx, resource.WithAttributes(semconv.ServiceName("ringback-gateway")), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return t, fmt.Errorf("%w: OTEL_RESOURCE_ATTRIBUTES: %w", errConfig, err)
	}
	if traces != "" {
		exporter, err := spanExporter(ctx, traces, console)
		if err != nil {
			return t, fmt.Errorf("OTEL_TRACES_EXPORTER=%s: %w", traces, err)
		}
		t.traces = sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	}
	if metrics != "" {
		reader, err := metricReader(ctx, metrics, console)
		if err != nil {
			return t, fmt.Errorf("OTEL_METRICS_EXPORTER=%s: %w", metrics, err)
		}
		t.meters = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader), sdkmetric.WithResource(about))
	}
	return t, nil
}

// exporterOf returns the exporter that the variables name for a signal, or an
// empty name. An endpoint alone means otlp.
func exporterOf(signal string, known ...string) (string, error) {
	name := strings.TrimSpace(os.Getenv("OTEL_" + signal + "_EXPORTER"))
	switch {
	case strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true"), name == "none":
		return "", nil
	case name == "":
		if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || os.Getenv("OTEL_EXPORTER_OTLP_"+signal+"_ENDPOINT") != "" {
			return "otlp", nil
		}
		return "", nil
	}
	if slices.Contains(known, name) {
		return name, nil
	}
	return "", fmt.Errorf("%w: OTEL_%s_EXPORTER takes one of %s, none", errConfig, signal, strings.Join(known, ", "))
}

func spanExporter(ctx context.Context, name string, console io.Writer) (sdktrace.SpanExporter, error) {
	if name == "console" { // autoexport's is standard output, which belongs to the line "listening"
		return stdouttrace.New(stdouttrace.WithWriter(console))
	}
	return autoexport.NewSpanExporter(ctx)
}

func metricReader(ctx context.Context, name string, console io.Writer) (sdkmetric.Reader, error) {
	if name != "console" {
		return autoexport.NewMetricReader(ctx)
	}
	exporter, err := stdoutmetric.New(stdoutmetric.WithWriter(console))
	if err != nil {
		return nil, err
	}
	return sdkmetric.NewPeriodicReader(exporter), nil
}

func (t telemetry) on() bool { return t.traces != nil || t.meters != nil }

// options say where otelx is to report to.
func (t telemetry) options() (opts []otelx.Option) {
	if t.traces != nil {
		opts = append(opts, otelx.WithTracerProvider(t.traces))
	}
	if t.meters != nil {
		opts = append(opts, otelx.WithMeterProvider(t.meters))
	}
	return opts
}

// logs adds trace ids to what is logged. What goes wrong in exporters is logged,
// too.
func (t telemetry) logs(h slog.Handler) *slog.Logger {
	if !t.on() {
		return slog.New(h)
	}
	log := slog.New(otelx.Logs(h))
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.LogAttrs(context.Background(), slog.LevelWarn, "gateway: telemetry", slog.Any("error", err))
	}))
	return log
}

// sending observes attempts and publishes.
func (t telemetry) sending() delivery.Trace {
	if !t.on() {
		return delivery.Trace{}
	}
	return otelx.Trace(t.options()...)
}

// receiving observes what is called, but for /healthz: who asks for that does so
// all the time.
func (t telemetry) receiving(next http.Handler, listen string) http.Handler {
	if !t.on() {
		return next
	}
	name := listen
	if strings.HasPrefix(listen, ":") {
		name = "localhost" + listen // not what a stranger's Host says
	}
	observed := otelx.Middleware(append(t.options(), otelx.WithServerName(name))...)(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" {
			next.ServeHTTP(w, r)
			return
		}
		observed.ServeHTTP(w, r)
	})
}

// watch reports how much waits until stop is called.
func (t telemetry) watch(s store, reg registry.Registry) (stop func() error, err error) {
	if t.meters == nil {
		return func() error { return nil }, nil
	}
	return otelx.Observe(otelx.Backlog{Store: s, Registry: reg}, t.options()...)
}

// flushTimeout bounds the wait for a collector at the end.
const flushTimeout = 5 * time.Second

// shutdown sends what is left.
func (t telemetry) shutdown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
	defer cancel()
	var errs []error
	if t.traces != nil {
		errs = append(errs, t.traces.Shutdown(ctx))
	}
	if t.meters != nil {
		errs = append(errs, t.meters.Shutdown(ctx))
	}
	return errors.Join(errs...)
}
