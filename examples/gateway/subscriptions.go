package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/smartbots"
	"github.com/ringback-go/ringback/dialect/standardwebhooks"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

const maxAdminBody = 64 << 10

// present are the states of subscriptions that are shown.
var present = []registry.State{registry.Active, registry.Paused, registry.Disabled}

type subscriptionOut struct {
	ID        string   `json:"id"`
	Dialect   string   `json:"dialect"`
	Tenant    string   `json:"tenant"`
	Scope     string   `json:"scope"`
	Slot      string   `json:"slot"`
	Label     string   `json:"label"`
	URL       string   `json:"url"`
	Types     []string `json:"types"`
	State     string   `json:"state"`
	CreatedAt *string  `json:"created_at"`
}

func (g *gateway) listSubscriptions(w http.ResponseWriter, r *http.Request) {
	limit, ok := limitOf(w, r)
	if !ok {
		return
	}
	out := []subscriptionOut{}
	for s, err := range g.engine.Registry().List(r.Context(), registry.Filter{States: present, Limit: limit}) {
		if err != nil {
			g.failed(w, r, err)
			return
		}
		out = append(out, subscriptionOut{
			ID: s.ID, Dialect: s.Dialect, Tenant: s.Tenant, Scope: s.Scope, Slot: s.Slot, Label: s.Label, URL: s.URL,
			Types: s.Types, State: string(s.State), CreatedAt: timeOrNull(s.CreatedAt),
		})
	}
	answer(w, http.StatusOK, out)
}

func (g *gateway) postSubscription(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r, maxAdminBody)
	if !ok {
		return
	}
	var in struct {
		Dialect string   `json:"dialect"`
		Tenant  string   `json:"tenant"`
		URL     string   `json:"url"`
		Types   []string `json:"types"`
	}
	if err := strictObject(body, &in); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	switch {
	case in.Dialect != standardwebhooks.Name:
		problem(w, http.StatusBadRequest, "dialect takes "+standardwebhooks.Name+"; the others have calls of their own")
		return
	case in.Tenant == "":
		problem(w, http.StatusBadRequest, "tenant is missing")
		return
	case len(in.Types) == 0:
		problem(w, http.StatusBadRequest, "types takes a list of event types")
		return
	}
	u, err := g.client.Check(in.URL)
	if err != nil {
		reason := "syntax"
		if e, is := errors.AsType[*egress.Error](err); is {
			reason = string(e.Reason)
		}
		problem(w, http.StatusBadRequest, "url is refused: "+reason)
		return
	}
	if err := g.prober.Resolve(egress.WithTenant(r.Context(), in.Dialect+":"+in.Tenant), u.String()); err != nil {
		if tooMany(w, err) {
			return
		}
		problem(w, http.StatusBadRequest, "url is not available")
		return
	}
	sub, secret := standardwebhooks.NewSubscription(in.Tenant, u.String(), in.Types...)
	stored, err := g.engine.Subscribe(r.Context(), sub)
	if bad, is := errors.AsType[*registry.Error](err); is {
		problem(w, http.StatusBadRequest, strings.TrimSpace(strings.ToLower(bad.Field)+": "+bad.Detail))
		return
	}
	if err != nil && tooMany(w, err) {
		return
	}
	if err != nil {
		g.failed(w, r, err)
		return
	}
	answer(w, http.StatusCreated, map[string]string{"id": stored[0].ID, "secret": secret})
}

func (g *gateway) deleteSubscription(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	sub, err := g.engine.Registry().Get(r.Context(), id)
	if err == nil && sub.State == registry.Removed {
		err = registry.ErrNotFound
	}
	if err == nil {
		reason := "removed by the operator"
		if sub.Dialect == smartbots.Name {
			reason = smartbots.ReasonRemovedByUser
		}
		err = g.engine.Unsubscribe(r.Context(), id, reason)
	}
	if err != nil {
		g.failed(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (g *gateway) changeState(change func(context.Context, string) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := change(r.Context(), r.PathValue("id")); err != nil {
			g.failed(w, r, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

type appOut struct {
	SubscriptionID string  `json:"subscription_id"`
	AppName        string  `json:"app_name"`
	URLHost        string  `json:"url_host"`
	Since          *string `json:"since"`
	LastSuccessAt  *string `json:"last_success_at"`
}

func (g *gateway) listApps(w http.ResponseWriter, r *http.Request) {
	id, ok := parameter(w, r, "group_id", "")
	if !ok {
		return
	}
	if id == "" {
		problem(w, http.StatusBadRequest, "group_id is missing")
		return
	}
	if !g.hasGroup(w, r, id) {
		return
	}
	apps, err := smartbots.Apps(r.Context(), g.engine.Registry(), id)
	if err != nil {
		g.failed(w, r, err)
		return
	}
	out := []appOut{}
	for _, a := range apps {
		at, err := g.lastSuccess(r.Context(), a.SubscriptionID)
		if err != nil {
			g.failed(w, r, err)
			return
		}
		out = append(out, appOut{a.SubscriptionID, a.Name, a.URLHost, timeOrNull(a.Since), timeOrNull(at)})
	}
	answer(w, http.StatusOK, out)
}

// hasGroup reports whether there is such a group, or answers why not.
func (g *gateway) hasGroup(w http.ResponseWriter, r *http.Request, id string) bool {
	_, known, err := g.groups.GroupByID(r.Context(), id)
	switch {
	case err != nil:
		g.failed(w, r, err)
	case !known:
		problem(w, http.StatusNotFound, "unknown group")
	}
	return known && err == nil
}

// lastSuccess looks at the latest deliveries: the last to be published need not
// be the last to be accepted.
func (g *gateway) lastSuccess(ctx context.Context, id string) (last time.Time, err error) {
	f := delivery.Filter{SubscriptionID: id, State: delivery.Delivered, Limit: 100}
	for d, err := range g.store.Deliveries(ctx, f) {
		if err != nil {
			return last, err
		}
		if d.SettledAt.After(last) {
			last = d.SettledAt
		}
	}
	return last, nil
}

func (g *gateway) postCode(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r, maxAdminBody)
	if !ok {
		return
	}
	var in struct {
		GroupID      string `json:"group_id"`
		SecurityCode string `json:"security_code"`
	}
	if err := strictObject(body, &in); err != nil {
		problem(w, http.StatusBadRequest, err.Error())
		return
	}
	if in.SecurityCode == "" {
		problem(w, http.StatusBadRequest, "security_code is missing")
		return
	}
	if !g.hasGroup(w, r, in.GroupID) {
		return
	}
	ctx := context.WithoutCancel(r.Context()) // half a change is no change
	if err := g.groups.setCode(ctx, in.GroupID, in.SecurityCode); err != nil {
		g.failed(w, r, err)
		return
	}
	n, err := smartbots.CodeChanged(ctx, g.engine, g.groups, in.GroupID)
	if err != nil {
		g.failed(w, r, err)
		return
	}
	answer(w, http.StatusOK, map[string]int{"removed": n})
}
