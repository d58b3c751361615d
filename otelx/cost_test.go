package otelx_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/metric"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
	"github.com/ringback-go/ringback/dialect/standardwebhooks"
	"github.com/ringback-go/ringback/otelx"
	"github.com/ringback-go/ringback/registry"
)

// load publishes n events to 20 endpoints, each in a call of its own, and
// returns how long it took until all were accepted over HTTP.
func load(b *testing.B, store delivery.Store, n int, trace delivery.Trace) time.Duration {
	b.Helper()
	left, done := atomic.Int64{}, make(chan struct{})
	left.Store(int64(n))
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusNoContent)
		if left.Add(-1) == 0 {
			close(done)
		}
	}))
	defer receiver.Close()
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	engine, err := delivery.New(delivery.Config{
		Store: store, Registry: &registry.Memory{}, Client: &http.Client{Transport: transport}, Trace: trace,
		Dialects: map[string]delivery.Dialect{standardwebhooks.Name: &standardwebhooks.Dialect{}},
		Logger:   slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	const endpoints = 20
	for i := range endpoints {
		sub, _ := standardwebhooks.NewSubscription("t"+strconv.Itoa(i), receiver.URL+"/"+strconv.Itoa(i), "load")
		if _, err := engine.Subscribe(ctx, sub); err != nil {
			b.Fatal(err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	body := []byte(`{"note":"` + strconv.Itoa(n) + `"}`)
	begin := time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				ev := delivery.Event{Dialect: standardwebhooks.Name, Tenant: "t" + strconv.Itoa(int(i%endpoints)), Type: "load", Data: body}
				if _, err := engine.Publish(ctx, ev); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	<-done
	took := time.Since(begin)
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
	return took
}

// stores open what the engines of a benchmark run on.
var stores = []struct {
	name string
	open func(b *testing.B) (store delivery.Store, end func())
}{
	{"memory", func(b *testing.B) (delivery.Store, func()) {
		b.Helper()
		s, err := memstore.Open(b.Context(), memstore.Config{})
		if err != nil {
			b.Fatal(err)
		}
		return s, s.Close
	}},
	{"sqlite", func(b *testing.B) (delivery.Store, func()) {
		b.Helper()
		s, err := sqlitestore.Open(b.Context(), sqlitestore.Config{Path: filepath.Join(b.TempDir(), "bench.db")})
		if err != nil {
			b.Fatal(err)
		}
		return s, func() {
			if err := s.Close(); err != nil {
				b.Error(err)
			}
		}
	}},
}

// BenchmarkEngine is what telemetry takes of an engine's rate: without a
// provider, and with the SDK that measures all and exports every span in batches,
// to nobody or over OTLP to a collector in this process. Each iteration runs the bare engine first; the figures are medians:
// of the nanoseconds that a delivery takes, and of the rates as parts of the bare
// engine's in the same iteration.
func BenchmarkEngine(b *testing.B) {
	const n = 4000
	for _, kind := range stores {
		b.Run(kind.name, func(b *testing.B) {
			var exported atomic.Int64
			collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				size, _ := io.Copy(io.Discard, r.Body)
				exported.Add(size)
			}))
			defer collector.Close()
			exporter, err := otlptracehttp.New(b.Context(), otlptracehttp.WithEndpointURL(collector.URL))
			if err != nil {
				b.Fatal(err)
			}
			// Nothing is dropped: what is would cost nothing.
			traces := sdk.NewTracerProvider(sdk.WithBatcher(exporter, sdk.WithMaxQueueSize(1<<16)))
			unsent := sdk.NewTracerProvider(sdk.WithBatcher(tracetest.NewNoopExporter(), sdk.WithMaxQueueSize(1<<16)))
			meters := metric.NewMeterProvider(metric.WithReader(metric.NewManualReader()))
			run := func(hooks delivery.Trace) float64 {
				store, end := kind.open(b)
				defer end()
				return float64(load(b, store, n, hooks)) / n
			}
			observed := func(opts ...otelx.Option) float64 {
				return run(otelx.Trace(opts...))
			}
			run(delivery.Trace{}) // warms up
			figures := map[string][]float64{}
			note := func(unit string, v float64) { figures[unit] = append(figures[unit], v) }
			for b.Loop() {
				bare := run(delivery.Trace{})
				without := observed()
				sdks := observed(otelx.WithTracerProvider(unsent), otelx.WithMeterProvider(meters))
				with := observed(otelx.WithTracerProvider(traces), otelx.WithMeterProvider(meters))
				for _, p := range []*sdk.TracerProvider{unsent, traces} {
					if err := p.ForceFlush(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				note("bare-ns", bare)
				note("noProvider-ns", without)
				note("noProvider-rate", bare/without)
				note("sdk-ns", sdks)
				note("sdk-rate", bare/sdks)
				note("otlp-ns", with)
				note("otlp-rate", bare/with)
			}
			for _, p := range []*sdk.TracerProvider{unsent, traces} {
				if err := p.Shutdown(b.Context()); err != nil {
					b.Error(err)
				}
			}
			if exported.Load() == 0 {
				b.Error("nothing was exported")
			}
			b.ReportMetric(0, "ns/op")
			for unit, v := range figures {
				b.ReportMetric(median(v), unit)
			}
		})
	}
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
