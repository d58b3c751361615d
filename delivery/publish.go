package delivery

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/registry"
)

// Published is what became of an event.
type Published struct {
	// EventID is the event's ID, given or made.
	EventID string
	// Deliveries is how many subscriptions it goes to.
	Deliveries int
}

// Publish stores a delivery of each event for each subscription that wants it
// and returns when they are durable. Nothing is stored unless every event is
// well formed; an *[Error] names the first that is not. Up to MaxBatch
// deliveries are stored all or none; more are stored in steps, and an error may
// then leave some of them stored. Publishing again with the same IDs is always
// right: an event that the store remembers is answered as the first time and
// sends nothing new.
func (e *Engine) Publish(ctx context.Context, events ...Event) ([]Published, error) {
	return e.PublishIn(ctx, own{e}, events...)
}

// An Outbox is a transaction of the caller's: what is published there is
// delivered if it commits. Stores on SQL databases make one.
type Outbox interface {
	// Match and Get are as in [registry.Registry], as the transaction sees it.
	Match(ctx context.Context, t registry.Topic) ([]registry.Subscription, error)
	Get(ctx context.Context, id string) (registry.Subscription, error)
	// Event is as in [Browser].
	Event(ctx context.Context, eventID string) (n int, known bool, err error)
	// Enqueue stores deliveries with the transaction, MaxBatch at most.
	Enqueue(ctx context.Context, ds ...Delivery) error
}

// PublishIn is [Engine.Publish] into an outbox: nothing is durable, or sent,
// before its transaction commits. Call [Engine.Wake] then, so that it is sent at
// once.
func (e *Engine) PublishIn(ctx context.Context, o Outbox, events ...Event) ([]Published, error) {
	begin := time.Now()
	ctx = e.trace.publishStart(ctx, events)
	out, err := e.publish(ctx, o, events)
	e.trace.publishDone(ctx, PublishDone{Published: out, Took: time.Since(begin), Err: err})
	return out, err
}

// own is the outbox of the engine's own store.
type own struct{ *Engine }

func (o own) Match(ctx context.Context, t registry.Topic) ([]registry.Subscription, error) {
	return o.reg.Match(ctx, t)
}

func (o own) Get(ctx context.Context, id string) (registry.Subscription, error) {
	return o.reg.Get(ctx, id)
}

func (o own) Event(ctx context.Context, eventID string) (int, bool, error) {
	if b, ok := o.store.(Browser); ok {
		return b.Event(ctx, eventID)
	}
	return 0, false, nil // delivery IDs alone make a repeat harmless
}

func (o own) Enqueue(ctx context.Context, ds ...Delivery) error {
	return o.store.Enqueue(ctx, time.Time{}, ds...)
}

func (e *Engine) publish(ctx context.Context, o Outbox, events []Event) ([]Published, error) {
	now := e.cfg.Now()
	out := make([]Published, len(events))
	ds := make([]Delivery, 0, len(events))
	traceParent := e.trace.traceParent(ctx)
	for i := range events {
		ev := events[i]
		if ev.TraceParent == "" {
			ev.TraceParent = traceParent
		}
		given := ev.ID != ""
		if !given {
			ev.ID = NewEventID()
		}
		if ev.At.IsZero() {
			ev.At = now
		}
		if err := e.check(&ev); err != nil {
			err.Index = i
			return nil, err
		}
		out[i].EventID = ev.ID
		if given {
			n, known, err := remembered(ctx, o, ev.ID)
			if err != nil {
				return nil, err
			}
			if !known { // twice in one call?
				n, known = count(ds, ev.ID)
			}
			if known {
				out[i].Deliveries = n
				continue
			}
		}
		subs, err := subscribers(ctx, o, &ev)
		switch {
		case err != nil && ev.To != "":
			return nil, &Error{Index: i, Field: "To", Err: err}
		case err != nil:
			return nil, err
		}
		if ev.To == "" && ev.Tenant == "" && ev.Scope == "" && slices.ContainsFunc(subs, owned) {
			return nil, &Error{Index: i, Field: "Tenant", Err: errNobody}
		}
		if c, ok := e.cfg.Dialects[ev.Dialect].(EventChecker); ok && len(subs) == 0 {
			if err := c.Check(ev); err != nil { // nobody will encode it, but it must be well formed
				return nil, &Error{Index: i, Field: "Data", Err: err}
			}
		}
		inSteps := given && len(subs) > MaxBatch
		if inSteps {
			ds = append(ds, marker(stepsBegin(ev.ID), &ev, now))
		}
		for k := range subs {
			d, err := e.encode(&ev, subs[k], now)
			if err != nil {
				return nil, &Error{Index: i, Field: "Data", Err: err}
			}
			ds = append(ds, d)
		}
		if given && len(subs) == 0 {
			ds = append(ds, marker(ev.ID, &ev, now))
		}
		if inSteps {
			ds = append(ds, marker(stepsEnd(ev.ID), &ev, now))
		}
		out[i].Deliveries = len(subs)
	}
	for part := range steps(ds) {
		if err := o.Enqueue(ctx, part...); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (e *Engine) check(ev *Event) *Error {
	switch {
	case !ValidEventID(ev.ID):
		return invalid("ID", "1 to "+strconv.Itoa(MaxID)+" printable ASCII characters without a dot")
	case ev.Type == "" || len(ev.Type) > registry.MaxText:
		return invalid("Type", "1 to "+strconv.Itoa(registry.MaxText)+" bytes")
	case len(ev.Key) > MaxKey:
		return invalid("Key", strconv.Itoa(MaxKey)+" bytes at most")
	case len(ev.Data) > MaxData:
		return invalid("Data", strconv.Itoa(MaxData)+" bytes at most")
	case ev.ExpiresIn < 0:
		return invalid("ExpiresIn", "it is negative")
	case len(ev.TraceParent) > maxTraceParent:
		return invalid("TraceParent", strconv.Itoa(maxTraceParent)+" bytes at most")
	case e.cfg.Dialects[ev.Dialect] == nil:
		return &Error{Field: "Dialect", Err: unknownDialect(ev.Dialect)}
	}
	return nil
}

func invalid(field, rule string) *Error {
	return &Error{Field: field, Err: fmt.Errorf("%w: %s", ErrInvalid, rule)}
}

func unknownDialect(name string) error {
	return fmt.Errorf("%w: %q is not in Config.Dialects", ErrDialect, name[:min(len(name), registry.MaxText)])
}

func remembered(ctx context.Context, o Outbox, eventID string) (int, bool, error) {
	n, known, err := o.Event(ctx, eventID)
	if err != nil || !known || n < MaxBatch {
		return n, known, err
	}
	_, begun, err := o.Event(ctx, stepsBegin(eventID))
	if err != nil || !begun {
		return n, known, err
	}
	_, known, err = o.Event(ctx, stepsEnd(eventID)) // if not, some steps are missing
	return n, known, err
}

// marker has the store remember an ID.
func marker(id string, ev *Event, now time.Time) Delivery {
	return Delivery{ID: id, EventID: id, Tenant: ev.Tenant, PublishedAt: now}
}

// An event for more than MaxBatch subscriptions has a marker stored before its
// deliveries and one after them.
func stepsBegin(eventID string) string { return derivedEventID("steps begin", eventID) }
func stepsEnd(eventID string) string   { return derivedEventID("steps end", eventID) }

// steps cuts ds into batches. An event that fits in one is not torn apart.
func steps(ds []Delivery) iter.Seq[[]Delivery] {
	return func(yield func([]Delivery) bool) {
		for len(ds) > 0 {
			n := min(len(ds), MaxBatch)
			if n < len(ds) {
				start := n // of the event that the cut would tear
				for start > 0 && ds[start-1].EventID == ds[n].EventID {
					start--
				}
				if start > 0 {
					n = start
				}
			}
			if !yield(ds[:n:n]) {
				return
			}
			ds = ds[n:]
		}
	}
}

func count(ds []Delivery, eventID string) (n int, known bool) {
	for i := range ds {
		if ds[i].EventID == eventID {
			known = true
			if ds[i].SubscriptionID != "" {
				n++
			}
		}
	}
	return n, known
}

// errNobody refuses what would reach every tenant because a field was forgotten.
var errNobody = fmt.Errorf("%w: neither Tenant nor Scope, and tenants have subscribed to the type", ErrInvalid)

func owned(s registry.Subscription) bool { return s.Tenant != "" }

func subscribers(ctx context.Context, o Outbox, ev *Event) ([]registry.Subscription, error) {
	if ev.To == "" {
		return o.Match(ctx, registry.Topic{Dialect: ev.Dialect, Tenant: ev.Tenant, Scope: ev.Scope, Type: ev.Type})
	}
	sub, err := o.Get(ctx, ev.To)
	if err != nil {
		return nil, err
	}
	if sub.Dialect != ev.Dialect {
		return nil, fmt.Errorf("%w: subscription of another dialect", ErrInvalid)
	}
	return []registry.Subscription{sub}, nil
}

func (e *Engine) encode(ev *Event, sub registry.Subscription, now time.Time) (Delivery, error) {
	p, err := e.cfg.Dialects[ev.Dialect].Encode(*ev, sub)
	if err != nil {
		return Delivery{}, err
	}
	return Delivery{
		ID:             DeliveryID(ev.ID, sub.ID),
		EventID:        ev.ID,
		SubscriptionID: sub.ID,
		Key:            ev.Key,
		Dialect:        ev.Dialect,
		Type:           ev.Type,
		Tenant:         sub.Tenant,
		ContentType:    p.ContentType,
		Body:           p.Body,
		Meta:           p.Meta,
		TraceParent:    ev.TraceParent,
		PublishedAt:    now,
		Ahead:          ev.Ahead,
		ExpiresIn:      ev.ExpiresIn,
	}, nil
}
