package smartbots

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

// connected are the states of registrations that are not removed.
var connected = []registry.State{registry.Active, registry.Paused, registry.Disabled}

// An App is connected to a group, as the customer may see it.
type App struct {
	// SubscriptionID is what [Remove] takes.
	SubscriptionID string
	// Name is the developer's text: escape it.
	Name string
	// URLHost is the host that the callbacks go to. The rest of the URL is the
	// developer's own.
	URLHost string
	// Since is when the app was connected.
	Since time.Time
	// State says whether it gets callbacks.
	State registry.State
}

// Apps returns the apps that are connected to a group, newest first. When the
// last callback got through is known to the delivery store. It is safe for
// concurrent use.
func Apps(ctx context.Context, r registry.Registry, groupID string) ([]App, error) {
	if groupID == "" {
		return nil, nil // the empty scope of a filter is every group
	}
	var apps []App
	for sub, err := range r.List(ctx, registry.Filter{Dialect: Name, Scope: groupID, States: connected}) {
		if err != nil {
			return nil, err
		}
		u, err := url.Parse(sub.URL)
		if err != nil { // its text would quote the URL
			return nil, fmt.Errorf("%w: URL of %s", registry.ErrInvalid, sub.ID)
		}
		apps = append(apps, App{SubscriptionID: sub.ID, Name: sub.Label, URLHost: u.Hostname(), Since: sub.CreatedAt, State: sub.State})
	}
	return apps, nil
}

// Remove disconnects an app because the customer wants it so. When it returns,
// what waited is dead and nothing more is sent but callback_removed with the
// reason [ReasonRemovedByUser]. An ID of another dialect is as unknown as any:
// [registry.ErrNotFound].
func Remove(ctx context.Context, e *delivery.Engine, subscriptionID string) error {
	sub, err := e.Registry().Get(ctx, subscriptionID)
	if err != nil {
		return err
	}
	if sub.Dialect != Name {
		return registry.ErrNotFound
	}
	return e.Unsubscribe(ctx, subscriptionID, ReasonRemovedByUser)
}

// CodeChanged removes every registration of a group that was made under
// another code than the group has now, and returns how many they were. Call it
// after the new code is stored and groups tells it: from that moment on
// deliveries are held back anyway, and CodeChanged makes them dead and sends
// callback_removed with the reason [ReasonCodeChanged]. Calling it again
// finishes what failed. A group that is not known has no valid registration.
func CodeChanged(ctx context.Context, e *delivery.Engine, groups Groups, groupID string) (int, error) {
	if groupID == "" {
		return 0, nil // the empty scope of a filter is every group
	}
	g, known, err := groups.GroupByID(ctx, groupID)
	if err != nil {
		return 0, err
	}
	if !known {
		g = Group{ID: groupID} // no registration was made under the zero digest
	}
	g.ID = groupID
	return removeStale(ctx, e, g)
}

func removeStale(ctx context.Context, e *delivery.Engine, g Group) (int, error) {
	var found []string
	for sub, err := range e.Registry().List(ctx, registry.Filter{Dialect: Name, Scope: g.ID, States: connected}) {
		if err != nil {
			return 0, err
		}
		if stale(sub, g) {
			found = append(found, sub.ID)
		}
	}
	removed := 0
	var errs []error
	for _, id := range found {
		switch err := e.Unsubscribe(ctx, id, ReasonCodeChanged); {
		case err == nil:
			removed++
		case !errors.Is(err, registry.ErrNotFound): // else somebody was faster
			errs = append(errs, err)
		}
	}
	return removed, errors.Join(errs...)
}
