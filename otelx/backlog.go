package otelx

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

// A Backlog says what [Observe] looks at. Fields that are nil are not looked
// at; the zero value observes nothing.
type Backlog struct {
	// Store tells how many deliveries wait: one Counts per collection.
	Store delivery.Browser
	// Registry tells how many endpoints there are in each state: one Count per
	// collection if it is a [registry.Counter], as those of this module are, or
	// else one List, which yields them all.
	Registry registry.Registry
	// Oldest tells how long the oldest waiting delivery has been waiting, 0 if
	// none is. It is called once per collection. Nil asks the Store, if that is
	// a [delivery.Elder], as those of this module are.
	Oldest func(ctx context.Context) (time.Duration, error)
}

// Observe registers the metrics that are read from a store and a registry when
// the SDK collects. Several engines on one store all report the same: let one
// of them observe, or take the maximum. What cannot be read is reported to
// OpenTelemetry's error handler and left out of that collection.
//
// They are collected until stop is called. The error is the provider's.
func Observe(b Backlog, opts ...Option) (stop func() error, err error) {
	m := newConfig(opts).meter()
	if elder, ok := b.Store.(delivery.Elder); ok && b.Oldest == nil {
		b.Oldest = func(ctx context.Context) (time.Duration, error) { return ageOf(ctx, elder) }
	}
	var errs []error
	var all []metric.Observable
	register := func(o metric.Observable, err error) {
		all, errs = append(all, o), append(errs, err)
	}
	waiting, err := m.Int64ObservableGauge("callback.delivery.waiting", metric.WithUnit("{delivery}"),
		metric.WithDescription("Deliveries that wait or are being attempted."))
	register(waiting, err)
	oldest, err := m.Float64ObservableGauge("callback.delivery.waiting.oldest_age", metric.WithUnit("s"),
		metric.WithDescription("Age of the oldest delivery that waits."))
	register(oldest, err)
	endpoints, err := m.Int64ObservableGauge("callback.endpoints", metric.WithUnit("{endpoint}"),
		metric.WithDescription("Subscriptions by state."))
	register(endpoints, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	registration, err := m.RegisterCallback(func(ctx context.Context, o metric.Observer) error {
		var failed []error
		if b.Store != nil {
			counts, err := b.Store.Counts(ctx)
			if err == nil {
				o.ObserveInt64(waiting, counts.Pending)
			}
			failed = append(failed, err)
		}
		if b.Oldest != nil {
			age, err := b.Oldest(ctx)
			if err == nil {
				o.ObserveFloat64(oldest, max(age, 0).Seconds())
			}
			failed = append(failed, err)
		}
		if b.Registry != nil {
			failed = append(failed, observeEndpoints(ctx, o, endpoints, b.Registry))
		}
		return errors.Join(failed...)
	}, all...)
	if err != nil {
		return nil, err
	}
	return registration.Unregister, nil
}

func ageOf(ctx context.Context, elder delivery.Elder) (time.Duration, error) {
	at, err := elder.Oldest(ctx)
	if err != nil || at.IsZero() {
		return 0, err
	}
	return time.Since(at), nil
}

var states = [...]registry.State{registry.Active, registry.Paused, registry.Disabled, registry.Removed}

func observeEndpoints(ctx context.Context, o metric.Observer, endpoints metric.Int64Observable, reg registry.Registry) error {
	counts, err := registry.CountStates(ctx, reg)
	if err != nil {
		return err
	}
	for _, s := range states { // zeros too: a series that ends is not a zero
		o.ObserveInt64(endpoints, int64(counts[s]), metric.WithAttributes(stateKey.String(string(s))))
	}
	return nil
}
