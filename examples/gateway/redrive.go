package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

// background is what goes on after its request was answered, until the gateway
// closes.
type background struct {
	ctx context.Context //nolint:containedctx // of the gateway's life
	end context.CancelFunc
	wg  sync.WaitGroup
	n   atomic.Int32
}

// maxBackground bounds the redrives and replays that wait for one another.
const maxBackground = 16

func (b *background) open(ctx context.Context) {
	b.ctx, b.end = context.WithCancel(context.WithoutCancel(ctx))
}

func (b *background) close() error {
	b.end()
	b.wg.Wait()
	return nil
}

// selection is the body of a redrive or a replay.
type selection struct {
	SubscriptionID string  `json:"subscription_id"`
	Tenant         string  `json:"tenant"`
	Type           string  `json:"type"`
	From           instant `json:"from"`
	To             instant `json:"to"`
	DryRun         bool    `json:"dry_run"`
}

// instant is a time whose error names the key, as those of other types do.
type instant struct{ time.Time }

const instantForm = `a time such as "2026-01-31T12:00:00Z"`

// UnmarshalJSON implements [json.Unmarshaler].
func (i *instant) UnmarshalJSON(b []byte) error {
	if err := i.Time.UnmarshalJSON(b); err != nil {
		return &json.UnmarshalTypeError{Value: "text", Type: reflect.TypeFor[time.Time]()}
	}
	return nil
}

// again answers POST /admin/redrive and /admin/replay: how many deliveries will
// be sent again, which then goes on by itself.
func (g *gateway) again(replay bool) http.HandlerFunc {
	run := g.engine.Redrive
	if replay {
		run = g.engine.Replay
	}
	return func(w http.ResponseWriter, r *http.Request) {
		f, dry, ok := g.selected(w, r, replay)
		if !ok {
			return
		}
		n, err := g.engine.Estimate(r.Context(), f, replay)
		if err != nil {
			g.failed(w, r, err)
			return
		}
		count := map[string]int{"count": n}
		if dry {
			answer(w, http.StatusOK, count)
			return
		}
		if g.background.n.Add(1) > maxBackground {
			g.background.n.Add(-1)
			problem(w, http.StatusConflict, "many are under way already")
			return
		}
		g.background.wg.Go(func() {
			defer g.background.n.Add(-1)
			if done, err := run(g.background.ctx, f); err != nil {
				g.log.LogAttrs(g.background.ctx, slog.LevelError, "sending again was cut off",
					slog.Int("done", done), slog.Int("of", n), slog.Any("error", err))
			}
		})
		answer(w, http.StatusAccepted, count)
	}
}

// selected reads the body and answers what is wrong with it.
func (g *gateway) selected(w http.ResponseWriter, r *http.Request, replay bool) (f delivery.Filter, dry, ok bool) {
	body, ok := readBody(w, r, maxAdminBody)
	if !ok {
		return f, false, false
	}
	var in selection
	if err := strictObject([]byte(cmp.Or(string(body), "{}")), &in); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return f, false, false
	}
	switch {
	case replay && in.SubscriptionID == "":
		problem(w, http.StatusBadRequest, "subscription_id is missing")
		return f, false, false
	case !in.From.IsZero() && !in.To.IsZero() && in.To.Before(in.From.Time):
		problem(w, http.StatusBadRequest, "to is before from")
		return f, false, false
	}
	if in.SubscriptionID != "" {
		switch sub, err := g.engine.Registry().Get(r.Context(), in.SubscriptionID); {
		case errors.Is(err, registry.ErrNotFound), err == nil && sub.State == registry.Removed:
			problem(w, http.StatusNotFound, "no such subscription")
			return f, false, false
		case err == nil && sub.State == registry.Disabled:
			problem(w, http.StatusConflict, "its registration is disabled")
			return f, false, false
		case err != nil:
			g.failed(w, r, err)
			return f, false, false
		}
	}
	f = delivery.Filter{SubscriptionID: in.SubscriptionID, Tenant: in.Tenant, Type: in.Type, From: in.From.Time, To: in.To.Time}
	if f.To.IsZero() {
		f.To = time.Now() // what the answer counts, and nothing after
	}
	return f, in.DryRun, true
}

// noticed logs what the engine tells the application.
func (g *gateway) noticed(ctx context.Context, n delivery.Notice) {
	g.log.LogAttrs(ctx, slog.LevelWarn, "notice: "+string(n.Kind),
		slog.String("endpoint", n.SubscriptionID), slog.String("dialect", n.Dialect), slog.String("tenant", n.Tenant),
		slog.String("delivery_id", n.DeliveryID), slog.String("event_id", n.EventID),
		slog.String("reason", n.Reason), slog.Duration("failing_for", n.FailingFor))
}
