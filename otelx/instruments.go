package otelx

import (
	"context"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/ringback-go/ringback/delivery"
)

// The attributes of this package's metrics.
const (
	dialectKey = attribute.Key("callback.dialect")
	outcomeKey = attribute.Key("callback.outcome")
	reasonKey  = attribute.Key("callback.reason")
	gateKey    = attribute.Key("callback.gate")
	stateKey   = attribute.Key("callback.endpoint.state")
)

// instruments are those of Trace.
type instruments struct {
	attempts     metric.Int64Counter
	attemptTime  metric.Float64Histogram
	deliveryTime metric.Float64Histogram
	inFlight     metric.Int64UpDownCounter
	dead         metric.Int64Counter
	leaseTime    metric.Float64Histogram
	leaseSize    metric.Int64Histogram
	settleTime   metric.Float64Histogram
	settleSize   metric.Int64Histogram

	sets prepared
}

var (
	quick = metric.WithExplicitBucketBoundaries(.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10)
	tried = metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20, 30, 60)
	days  = metric.WithExplicitBucketBoundaries(.01, .05, .1, .5, 1, 5, 15, 60, 300, 900, 3600, 4*3600, 12*3600, 24*3600, 3*24*3600)
	sizes = metric.WithExplicitBucketBoundaries(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
)

func newInstruments(m metric.Meter) *instruments {
	return &instruments{
		attempts: made(m.Int64Counter("callback.delivery.attempts", metric.WithUnit("{attempt}"),
			metric.WithDescription("Attempts that ended."))),
		attemptTime: made(m.Float64Histogram("callback.delivery.attempt.duration", metric.WithUnit("s"), tried,
			metric.WithDescription("Time of an attempt until the end of its answer."))),
		deliveryTime: made(m.Float64Histogram("callback.delivery.duration", metric.WithUnit("s"), days,
			metric.WithDescription("Time from publish until accepted."))),
		inFlight: made(m.Int64UpDownCounter("callback.delivery.in_flight", metric.WithUnit("{attempt}"),
			metric.WithDescription("Attempts under way."))),
		dead: made(m.Int64Counter("callback.delivery.dead_letters", metric.WithUnit("{delivery}"),
			metric.WithDescription("Deliveries given up."))),
		leaseTime: made(m.Float64Histogram("callback.store.lease.duration", metric.WithUnit("s"), quick,
			metric.WithDescription("Time of a lease, also of one that found nothing."))),
		leaseSize: made(m.Int64Histogram("callback.store.lease.size", metric.WithUnit("{delivery}"), sizes,
			metric.WithDescription("Deliveries of a lease that found some."))),
		settleTime: made(m.Float64Histogram("callback.store.settle.duration", metric.WithUnit("s"), quick,
			metric.WithDescription("Time of a settle."))),
		settleSize: made(m.Int64Histogram("callback.store.settle.size", metric.WithUnit("{delivery}"), sizes,
			metric.WithDescription("Outcomes of a settle."))),
	}
}

// made tells OpenTelemetry's error handler what an SDK has against an
// instrument, such as another of the same name; the instrument is usable then.
func made[T any](instrument T, err error) T {
	if err != nil {
		otel.Handle(err)
	}
	return instrument
}

// labels are the values of attributes; empty ones are left out.
type labels struct{ dialect, outcome, class, reason string }

// options are what a measurement with certain labels takes.
type options struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

// prepared remembers the options for labels, so that a measurement makes none.
// There are few: dialects are configured and the rest are words of this module.
type prepared struct {
	mu   sync.RWMutex
	sets map[labels]options
}

func (p *prepared) of(l labels) options {
	p.mu.RLock()
	o, ok := p.sets[l]
	p.mu.RUnlock()
	if ok {
		return o
	}
	var attrs []attribute.KeyValue
	for _, a := range [...]struct {
		key   attribute.Key
		value string
	}{{dialectKey, l.dialect}, {outcomeKey, l.outcome}, {semconv.ErrorTypeKey, l.class}, {reasonKey, l.reason}} {
		if a.value != "" {
			attrs = append(attrs, a.key.String(a.value))
		}
	}
	set := metric.WithAttributeSet(attribute.NewSet(attrs...))
	o = options{[]metric.AddOption{set}, []metric.RecordOption{set}}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sets == nil {
		p.sets = make(map[labels]options)
	}
	p.sets[l] = o
	return o
}

// The words for what became of a delivery.
const (
	accepted = "accepted"
	again    = "retry"
	givenUp  = "dead"
	released = "released"
)

func outcome(r delivery.Result) string {
	switch r {
	case delivery.Done:
		return accepted
	case delivery.Retry:
		return again
	case delivery.GiveUp:
		return givenUp
	case delivery.Release:
	}
	return released
}

// unlinked is for measurements that no trace explains: an SDK keeps exemplars of
// what is measured in a span, which takes longer than to count it.
var unlinked = context.Background()

func (i *instruments) measure(ctx context.Context, a delivery.AttemptDone) {
	if i.attempts.Enabled(ctx) || i.attemptTime.Enabled(ctx) {
		o := i.sets.of(labels{dialect: a.Lease.Dialect, outcome: outcome(a.Outcome.Result), class: a.Outcome.Attempt.Class})
		i.attempts.Add(unlinked, 1, o.add...)
		i.attemptTime.Record(ctx, a.Outcome.Attempt.Duration.Seconds(), o.record...)
	}
	if a.Outcome.Result == delivery.Done && i.deliveryTime.Enabled(ctx) {
		took := a.Outcome.Attempt.At.Add(a.Outcome.Attempt.Duration).Sub(a.Lease.PublishedAt)
		i.deliveryTime.Record(ctx, max(took, 0).Seconds(), i.sets.of(labels{dialect: a.Lease.Dialect}).record...)
	}
}

// stored measures a call of the store.
func (i *instruments) stored(ctx context.Context, h metric.Float64Histogram, took time.Duration, err error) {
	if !h.Enabled(ctx) {
		return
	}
	var l labels
	if err != nil {
		l.class = "store"
	}
	h.Record(ctx, took.Seconds(), i.sets.of(l).record...)
}

func (i *instruments) leaseDone(ctx context.Context, l delivery.LeaseDone) {
	i.stored(ctx, i.leaseTime, l.Took, l.Err)
	if l.Got > 0 {
		i.leaseSize.Record(ctx, int64(l.Got))
	}
}

func (i *instruments) settleDone(ctx context.Context, s delivery.SettleDone) {
	i.stored(ctx, i.settleTime, s.Took, s.Err)
	i.settleSize.Record(ctx, int64(len(s.Outcomes)))
	if s.Err != nil || !i.dead.Enabled(ctx) {
		return
	}
	for k := range s.Outcomes {
		if o := &s.Outcomes[k]; o.Result == delivery.GiveUp && !slices.Contains(s.Lost, o.ID) {
			i.dead.Add(ctx, 1, i.sets.of(labels{reason: reason(o)}).add...)
		}
	}
}

// reason is the word for why a delivery is dead. Its own reason may be any
// text.
func reason(o *delivery.Outcome) string {
	switch o.Reason {
	case delivery.ReasonRemoved:
		return "removed"
	case delivery.ReasonGone:
		return "gone"
	case delivery.ReasonExpired:
		return "expired"
	case delivery.ReasonCancelled:
		return "cancelled"
	case delivery.ReasonFailing:
		return "failing"
	}
	if o.Attempt == nil {
		return "disabled"
	}
	return "failed"
}
