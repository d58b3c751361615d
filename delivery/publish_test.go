package delivery_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

func TestPublishRefuses(t *testing.T) {
	t.Parallel()
	bad := errors.New("not this one")
	tests := map[string]struct {
		edit  func(*delivery.Event)
		field string
		err   error
	}{
		"id with a dot":    {func(e *delivery.Event) { e.ID = "a.b" }, "ID", delivery.ErrInvalid},
		"id too long":      {func(e *delivery.Event) { e.ID = strings.Repeat("a", delivery.MaxID+1) }, "ID", delivery.ErrInvalid},
		"no type":          {func(e *delivery.Event) { e.Type = "" }, "Type", delivery.ErrInvalid},
		"type too long":    {func(e *delivery.Event) { e.Type = strings.Repeat("t", registry.MaxText+1) }, "Type", delivery.ErrInvalid},
		"key too long":     {func(e *delivery.Event) { e.Key = strings.Repeat("k", delivery.MaxKey+1) }, "Key", delivery.ErrInvalid},
		"too much data":    {func(e *delivery.Event) { e.Data = make([]byte, delivery.MaxData+1) }, "Data", delivery.ErrInvalid},
		"negative expiry":  {func(e *delivery.Event) { e.ExpiresIn = -1 }, "ExpiresIn", delivery.ErrInvalid},
		"trace parent":     {func(e *delivery.Event) { e.TraceParent = strings.Repeat("0", 65) }, "TraceParent", delivery.ErrInvalid},
		"no dialect":       {func(e *delivery.Event) { e.Dialect = "" }, "Dialect", delivery.ErrDialect},
		"unknown dialect":  {func(e *delivery.Event) { e.Dialect = "latin" }, "Dialect", delivery.ErrDialect},
		"Encode refuses":   {func(e *delivery.Event) { e.Data = []byte("bad") }, "Data", bad},
		"nobody wants it":  {func(e *delivery.Event) { e.Type, e.Data = "unwanted", []byte("malformed") }, "Data", delivery.ErrInvalid},
		"to nobody":        {func(e *delivery.Event) { e.To = "nobody" }, "To", registry.ErrNotFound},
		"to another world": {func(e *delivery.Event) { e.To = "other" }, "To", delivery.ErrInvalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, func(r *rig) { r.cfg.Dialects["plain"], r.cfg.Dialects["other"] = &strict{&r.plain.plain}, r.plain })
				r.plain.encode = func(ev delivery.Event) error {
					if string(ev.Data) == "bad" {
						return bad
					}
					return nil
				}
				r.subscribe()
				r.subscribe(func(s *registry.Subscription) { s.ID, s.Dialect = "other", "other" })
				good := delivery.Event{ID: "good", Dialect: "plain", Tenant: "acme", Type: "t", Data: []byte("x")}
				ev := delivery.Event{ID: "event", Dialect: "plain", Tenant: "acme", Type: "t", Data: []byte("y")}
				tt.edit(&ev)
				out, err := r.engine.Publish(t.Context(), good, ev)
				if !errors.Is(err, tt.err) || out != nil {
					t.Fatalf("got %v, %v", out, err)
				}
				if e, ok := errors.AsType[*delivery.Error](err); ok {
					want(t, "index", e.Index, 1)
					want(t, "field", e.Field, tt.field)
				} else if tt.field != "" {
					t.Errorf("%v is no *Error", err)
				}
				want(t, "stored", r.states(), "")
			})
		})
	}
}

// strict is a dialect that looks at events nobody wants.
type strict struct{ *plain }

func (*strict) Check(ev delivery.Event) error {
	if string(ev.Data) == "malformed" {
		return fmt.Errorf("%w: malformed", delivery.ErrInvalid)
	}
	return nil
}

func TestPublishBoundsAreInclusive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.subscribe()
		out, err := r.engine.Publish(t.Context(), delivery.Event{
			ID: strings.Repeat("a", delivery.MaxID), Dialect: "plain", Tenant: "acme", Type: "t", Key: strings.Repeat("k", delivery.MaxKey),
			Data: make([]byte, delivery.MaxData), TraceParent: strings.Repeat("0", 64),
		})
		r.must(err)
		want(t, "deliveries", out[0].Deliveries, 1)
	})
}

func TestPublish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		first, second := r.subscribe(), r.subscribe()
		r.subscribe(func(s *registry.Subscription) { s.Types = []string{"other"} })
		r.subscribe(func(s *registry.Subscription) { s.Tenant = "emca" })
		if _, err := r.engine.Publish(t.Context(), delivery.Event{Dialect: "plain", Type: "t", Data: []byte("for whom?")}); !errors.Is(err, delivery.ErrInvalid) {
			t.Errorf("an event without a tenant goes to all of them: %v", err)
		}
		out := r.publish("a", "b")
		for _, p := range out {
			want(t, "deliveries", p.Deliveries, 2)
			if !strings.HasPrefix(p.EventID, "msg_") || !delivery.ValidEventID(p.EventID) {
				t.Errorf("made the ID %q", p.EventID)
			}
		}
		all := r.all()
		want(t, "stored", len(all), 4)
		want(t, "id", all[0].ID, delivery.DeliveryID(out[0].EventID, first.ID))
		want(t, "id", all[1].ID, delivery.DeliveryID(out[0].EventID, second.ID))
		want(t, "published", all[0].PublishedAt.Equal(r.start), true)

		to, err := r.engine.Publish(t.Context(), delivery.Event{Dialect: "plain", Type: "any", To: second.ID, Data: []byte("c")})
		r.must(err)
		want(t, "To", to[0].Deliveries, 1)
		want(t, "To", r.all()[4].SubscriptionID, second.ID)
		none, err := r.engine.Publish(t.Context())
		want(t, "no events", len(none), 0)
		r.must(err)

		r.pass(time.Hour) // nobody runs: all of it waits
		want(t, "sent", len(r.requests()), 0)
		r.engine = r.remake()
		r.run()
		r.pass(time.Second)
		want(t, "sent", len(r.requests()), 5)
		for _, s := range r.requests() {
			if s.eventID == "" || s.eventID != out[0].EventID && s.eventID != out[1].EventID && s.eventID != to[0].EventID {
				t.Errorf("sent the ID %q", s.eventID)
			}
		}
	})
}

func TestPublishAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		again := func(id, typ string) int {
			t.Helper()
			out, err := r.engine.Publish(t.Context(), delivery.Event{ID: id, Dialect: "plain", Tenant: "acme", Type: typ, Data: []byte(id)})
			r.must(err)
			return out[0].Deliveries
		}
		r.subscribe()
		r.subscribe()
		r.run()
		want(t, "first", again("e1", "t"), 2)
		want(t, "first without subscribers", again("e2", "u"), 0)
		r.pass(time.Minute)
		r.subscribe(func(s *registry.Subscription) { s.Types = []string{"t", "u"} }) // too late for both
		r.pass(2 * time.Second)
		want(t, "again", again("e1", "t"), 2)
		want(t, "again without subscribers", again("e2", "u"), 0)
		r.pass(time.Minute)
		want(t, "sent", r.bodies(), "e1 e1")

		ev := delivery.Event{ID: "e3", Dialect: "plain", Tenant: "acme", Type: "t", Data: []byte("e3")}
		nobody := delivery.Event{ID: "e4", Dialect: "plain", Type: "none"}
		out, err := r.engine.Publish(t.Context(), ev, nobody, ev, nobody)
		r.must(err)
		want(t, "twice in one call", fmt.Sprint(out), "[{e3 3} {e4 0} {e3 3} {e4 0}]")
		r.pass(time.Minute)
		want(t, "sent", r.bodies(), "e1 e1 e3 e3 e3")
	})
}

func TestPublishInSteps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		const n = 2*delivery.MaxBatch + 100
		subs := make([]registry.Subscription, n)
		for i := range subs {
			subs[i] = registry.Subscription{Dialect: "plain", Tenant: "acme", URL: "https://one.example/", Types: []string{"t"}}
		}
		_, err := r.engine.Subscribe(t.Context(), subs...)
		r.must(err)
		small := r.subscribe(func(s *registry.Subscription) { s.Types = []string{"small"} })
		events := []delivery.Event{
			{ID: "small", Dialect: "plain", Tenant: "acme", Type: "small", Data: []byte("s")},
			{ID: "big", Dialect: "plain", Tenant: "acme", Type: "t", Data: []byte("b")},
			{ID: "last", Dialect: "plain", Tenant: "acme", Type: "small", Data: []byte("l")},
		}
		// The disk goes away after the second step.
		away, steps := errors.New("disk away"), 0
		r.store.enqueue = func() error {
			if steps++; steps == 3 {
				return away
			}
			return nil
		}
		if _, err := r.engine.Publish(t.Context(), events...); !errors.Is(err, away) {
			t.Fatalf("got %v", err)
		}
		out, err := r.engine.Publish(t.Context(), events...)
		r.must(err)
		want(t, "again", fmt.Sprint(out), fmt.Sprintf("[{small 1} {big %d} {last 1}]", n))
		want(t, "stored", len(r.all()), n+2)
		before := steps
		out, err = r.engine.Publish(t.Context(), events...)
		r.must(err)
		want(t, "a third time", fmt.Sprint(out), fmt.Sprintf("[{small 1} {big %d} {last 1}]", n))
		want(t, "nothing new", steps, before)
		want(t, "the small one's", r.all()[0].SubscriptionID, small.ID)
	})
}

func TestPublishStopsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.subscribe()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.engine.Publish(ctx, delivery.Event{ID: "x", Dialect: "plain", Tenant: "acme", Type: "t"}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		want(t, "stored", r.states(), "")
	})
}
