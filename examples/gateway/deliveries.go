package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

type deliveryOut struct {
	ID             string  `json:"id"`
	EventID        string  `json:"event_id"`
	Type           string  `json:"type"`
	SubscriptionID string  `json:"subscription_id"`
	URL            *string `json:"url"`
	State          string  `json:"state"`
	Attempts       int     `json:"attempts"`
	LastStatus     *int    `json:"last_status"`
	LastError      *string `json:"last_error"`
	NextAttemptAt  *string `json:"next_attempt_at"`
}

func (g *gateway) listDeliveries(w http.ResponseWriter, r *http.Request) {
	limit, ok := limitOf(w, r)
	if !ok {
		return
	}
	state, ok := parameter(w, r, "state", "")
	if !ok {
		return
	}
	f := delivery.Filter{State: delivery.State(state), Limit: limit}
	switch f.State {
	case "", delivery.Pending, delivery.Delivered, delivery.Dead:
	default:
		problem(w, http.StatusBadRequest, "state takes pending, delivered or dead")
		return
	}
	out := []deliveryOut{}
	for d, err := range g.store.Deliveries(r.Context(), f) {
		if err != nil {
			g.failed(w, r, err)
			return
		}
		item := deliveryOut{
			ID: d.ID, EventID: d.EventID, Type: d.Type, SubscriptionID: d.SubscriptionID, State: string(d.State), Attempts: d.Attempts,
			LastStatus: orNull(d.LastStatus), LastError: orNull(d.LastError), NextAttemptAt: timeOrNull(d.NextAttemptAt),
		}
		if d.State == delivery.Dead {
			item.LastError = orNull(d.Reason)
		}
		switch sub, err := g.engine.Registry().Get(r.Context(), d.SubscriptionID); {
		case err == nil:
			item.URL = &sub.URL
		case !errors.Is(err, registry.ErrNotFound):
			g.failed(w, r, err)
			return
		}
		out = append(out, item)
	}
	answer(w, http.StatusOK, out)
}

type attemptOut struct {
	Number     int     `json:"number"`
	At         *string `json:"at"`
	DurationMS float64 `json:"duration_ms"`
	Status     *int    `json:"status"`
	Error      *string `json:"error"`
	Response   string  `json:"response"`
}

func (g *gateway) listAttempts(w http.ResponseWriter, r *http.Request) {
	attempts, err := g.store.Attempts(r.Context(), r.PathValue("id"))
	if err != nil {
		g.failed(w, r, err)
		return
	}
	out := make([]attemptOut, len(attempts))
	for i, a := range attempts {
		out[i] = attemptOut{
			Number: a.Number, At: timeOrNull(a.At), DurationMS: float64(a.Duration.Microseconds()) / 1000,
			Status: orNull(a.Status), Error: orNull(a.Error), Response: string(a.Response),
		}
	}
	answer(w, http.StatusOK, out)
}

// status finds one delivery.
func (g *gateway) status(ctx context.Context, id string) (delivery.Status, error) {
	for d, err := range g.store.Deliveries(ctx, delivery.Filter{ID: id, Limit: 1}) {
		return d, err
	}
	return delivery.Status{}, delivery.ErrNotFound
}

func (g *gateway) retryDelivery(w http.ResponseWriter, r *http.Request) {
	ctx, id := r.Context(), r.PathValue("id")
	d, err := g.status(ctx, id)
	if err != nil {
		g.failed(w, r, err)
		return
	}
	sub, err := g.engine.Registry().Get(ctx, d.SubscriptionID)
	switch {
	case errors.Is(err, registry.ErrNotFound), err == nil && sub.State == registry.Removed:
		problem(w, http.StatusConflict, "its registration is gone")
		return
	case err == nil && sub.State == registry.Disabled:
		problem(w, http.StatusConflict, "its registration is disabled: enable that first")
		return
	}
	if err == nil {
		err = g.store.RetryNow(ctx, time.Time{}, id)
	}
	if err == nil { // "now" goes over an endpoint's Retry-After, which it may repeat
		err = g.store.SetLanes(ctx, time.Time{}, delivery.LaneState{Lane: d.LaneName(), NotBeforeIn: -1})
	}
	if err != nil {
		g.failed(w, r, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (g *gateway) cancelDelivery(w http.ResponseWriter, r *http.Request) {
	ctx, id := r.Context(), r.PathValue("id")
	err := g.store.Cancel(ctx, time.Time{}, id)
	if errors.Is(err, delivery.ErrSettled) {
		d, lookErr := g.status(ctx, id)
		switch {
		case lookErr != nil:
			err = lookErr
		case d.State == delivery.Dead:
			err = nil // it is what was asked for
		default:
			problem(w, http.StatusConflict, "it was delivered already")
			return
		}
	}
	if err != nil {
		g.failed(w, r, err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (g *gateway) stats(w http.ResponseWriter, r *http.Request) {
	c, err := g.store.Counts(r.Context())
	if err != nil {
		g.failed(w, r, err)
		return
	}
	endpoints := 0
	for _, err := range g.engine.Registry().List(r.Context(), registry.Filter{States: present}) {
		if err != nil {
			g.failed(w, r, err)
			return
		}
		endpoints++
	}
	answer(w, http.StatusOK, map[string]int64{
		"pending": c.Pending, "delivered": c.Delivered, "dead": c.Dead, "endpoints": int64(endpoints),
	})
}
