package smartbots

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

const (
	// storeTime bounds the storing of a registration. It goes on when the
	// caller hangs up: half of it would be a registration without callback_set.
	storeTime = 10 * time.Second
	// maxConflicts is how often others may be faster with the same
	// registration.
	maxConflicts = 16
)

// register stores the registration and its callback_set.
func (a *API) register(ctx context.Context, developer string, g Group, c call, u egress.URL) *refusal {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTime)
	defer cancel()
	sub, err := a.store(ctx, developer, g, c, u)
	if errors.Is(err, errCodeChanged) {
		return fail(textAccessDenied)
	}
	if err != nil {
		if f := tooMany(err); f != nil {
			return f
		}
		return unavailable(err)
	}
	// The code may have changed since it was checked. Who changed it removes
	// what was stored before; what is stored now is ours to remove.
	now, known, err := a.cfg.Groups.GroupByID(ctx, g.ID)
	if err != nil {
		return unavailable(err)
	}
	if !known || stale(sub, now) {
		if err := a.cfg.Engine.Unsubscribe(ctx, sub.ID, ReasonCodeChanged); err != nil && !errors.Is(err, registry.ErrNotFound) {
			return unavailable(err)
		}
		return fail(textAccessDenied)
	}
	_, err = a.cfg.Engine.Publish(ctx, delivery.Event{
		Dialect: Name, Tenant: developer, Scope: g.ID,
		Type: ActionCallbackSet, To: sub.ID, Ahead: true,
	})
	if err != nil {
		return unavailable(err)
	}
	a.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, "smartbots: callback set",
		slog.String("subscription", sub.ID), slog.String("developer", developer),
		slog.String("group", g.ID), slog.String("host", u.Host()))
	return nil
}

// errCodeChanged says that the group's code is no longer the one that was
// checked.
var errCodeChanged = errors.New("smartbots: the security code has changed")

// store writes the registration. What was made under another code is removed
// first, so that its backlog does not come to life under the new one.
func (a *API) store(ctx context.Context, developer string, g Group, c call, u egress.URL) (registry.Subscription, error) {
	var err error
	for range maxConflicts {
		// The code was checked a while ago. If it has changed, others may have
		// registered under the new one: that is not stale.
		now, known, groupErr := a.cfg.Groups.GroupByID(ctx, g.ID)
		if groupErr != nil {
			return registry.Subscription{}, groupErr
		}
		if !known || now.Code != g.Code {
			return registry.Subscription{}, errCodeChanged
		}
		if _, err = removeStale(ctx, a.cfg.Engine, g); err != nil {
			return registry.Subscription{}, err
		}
		var sub registry.Subscription
		if sub, err = a.present(ctx, developer, g.ID, c.appUUID); err != nil {
			return registry.Subscription{}, err
		}
		sub.Label, sub.URL, sub.Types = c.appName, u.String(), []string{ActionGroupChat}
		sub.Meta = map[string]string{metaCode: g.fingerprint(), metaGroupUUID: g.UUID, metaGroupName: g.Name}
		if sub.State != registry.Paused { // a pause is the operator's
			sub.State, sub.Reason = registry.Active, ""
		}
		var stored []registry.Subscription
		if stored, err = a.cfg.Engine.Subscribe(ctx, sub); err == nil {
			return stored[0], nil
		}
		if !errors.Is(err, registry.ErrConflict) {
			return registry.Subscription{}, err
		}
	}
	return registry.Subscription{}, err
}

// present returns the registration as it stands, or a new one.
func (a *API) present(ctx context.Context, developer, groupID, appUUID string) (registry.Subscription, error) {
	f := registry.Filter{Dialect: Name, Tenant: developer, Scope: groupID, States: connected}
	for sub, err := range a.cfg.Engine.Registry().List(ctx, f) {
		if err != nil {
			return registry.Subscription{}, err
		}
		if sub.Slot == appUUID {
			return sub.Clone(), nil
		}
	}
	return registry.Subscription{Dialect: Name, Tenant: developer, Scope: groupID, Slot: appUUID}, nil
}
