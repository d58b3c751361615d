package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

// Subscribe stores subscriptions, all or none, and serves their lanes by their
// states and limits. It counts for deliveries that wait already. Once begun it
// goes on when ctx ends, since half of it would leave lanes behind. What the
// endpoints did before counts no more for their health. It returns them as
// stored, with their IDs.
//
// To change one, a secret say, start from what stands: Get of [Engine.Registry],
// then Clone. Its Revision has a change that came between refused, and its State
// keeps a paused one paused, where an empty one is Active.
//
// A dialect that the engine does not have is [ErrDialect]; of an active one, a URL
// that its Client would not send to is [ErrInvalid], and so is what its dialect
// could not send to ([SubscriptionChecker]); all in an [*Error] with the place.
func (e *Engine) Subscribe(ctx context.Context, subs ...registry.Subscription) ([]registry.Subscription, error) {
	for i := range subs {
		if err := e.takes(&subs[i]); err != nil {
			err.Index = i
			return nil, err
		}
	}
	return e.subscribe(ctx, HealthForget, subs...)
}

// takes refuses what could never be sent, as far as it shows beforehand.
func (e *Engine) takes(sub *registry.Subscription) *Error {
	dialect := e.cfg.Dialects[sub.Dialect]
	if dialect == nil {
		return &Error{Field: "Dialect", Err: unknownDialect(sub.Dialect)}
	}
	if sub.State != "" && sub.State != registry.Active {
		return nil
	}
	if c, ok := e.cfg.Client.(interface {
		Check(rawURL string) (egress.URL, error)
	}); ok {
		if _, err := c.Check(sub.URL); err != nil {
			return &Error{Field: "URL", Err: fmt.Errorf("%w: %w", ErrInvalid, err)}
		}
	}
	if c, ok := dialect.(SubscriptionChecker); ok {
		if err := c.CheckSubscription(*sub); err != nil {
			refused := &Error{Err: fmt.Errorf("%w: %w", ErrInvalid, err)}
			if named, ok := errors.AsType[*Error](err); ok {
				refused.Field, refused.Err = named.Field, fmt.Errorf("%w: %w", ErrInvalid, named.Err)
			}
			return refused
		}
	}
	return nil
}

func (e *Engine) subscribe(ctx context.Context, h HealthChange, subs ...registry.Subscription) ([]registry.Subscription, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	stored, removed, err := e.set(ctx, h, subs)
	if err == nil && len(removed) > 0 { // that is final, and may have many to give up
		err = e.store.SetLanes(ctx, time.Time{}, removed...)
	}
	return stored, err
}

// set stores subscriptions and serves the lanes of all but the removed ones.
func (e *Engine) set(ctx context.Context, h HealthChange, subs []registry.Subscription) (stored []registry.Subscription, removed []LaneState, err error) {
	e.states.Lock()
	defer e.states.Unlock()
	if stored, err = e.reg.Set(ctx, subs...); err != nil {
		return nil, nil, err
	}
	var lanes []LaneState
	for i := range stored {
		if stored[i].State == registry.Removed {
			removed = append(removed, laneOf(stored[i]))
		} else {
			l := laneOf(stored[i])
			if l.Health = h; h == HealthForget {
				l.NotBeforeIn = -1 // what the old endpoint asked for
			}
			lanes = append(lanes, l)
		}
	}
	if len(lanes) > 0 {
		err = e.store.SetLanes(ctx, time.Time{}, lanes...)
	}
	if _, shared := e.store.(Runner); shared && err == nil {
		err = e.follow(ctx, stored)
	}
	return stored, removed, err
}

// follow serves lanes anew whose subscriptions another process changed since
// they were stored: it may have set them before this one did. Who comes last
// finds nothing newer.
func (e *Engine) follow(ctx context.Context, stored []registry.Subscription) error {
	for _, sub := range stored {
		for {
			e.reg.Forget(sub.ID)
			now, err := e.reg.Get(ctx, sub.ID)
			if errors.Is(err, registry.ErrNotFound) || err == nil && now.Revision == sub.Revision {
				break
			}
			if err == nil {
				err = e.store.SetLanes(ctx, time.Time{}, laneOf(now))
			}
			if err != nil {
				return err
			}
			sub = now
		}
	}
	return nil
}

// serve has a lane served as its subscription stands now.
func (e *Engine) serve(ctx context.Context, id string) error {
	e.states.Lock()
	defer e.states.Unlock()
	e.reg.Forget(id)
	sub, err := e.reg.Get(ctx, id)
	if errors.Is(err, registry.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	err = e.store.SetLanes(ctx, time.Time{}, laneOf(sub))
	if _, shared := e.store.(Runner); shared && err == nil {
		err = e.follow(ctx, []registry.Subscription{sub})
	}
	return err
}

// laneOf is how the lane of a subscription is to be served.
func laneOf(sub registry.Subscription) LaneState {
	l := LaneState{Lane: sub.ID, MaxInFlight: -1, PerSecond: -1}
	if sub.Limits.MaxInFlight > 0 {
		l.MaxInFlight = sub.Limits.MaxInFlight
	}
	if sub.Limits.PerSecond > 0 {
		l.PerSecond = sub.Limits.PerSecond
	}
	switch sub.State {
	case registry.Paused:
		l.Mode = LanePaused
	case registry.Disabled:
		l.Mode, l.Reason = LaneClosed, disabledReason(sub)
	case registry.Removed:
		l.Mode, l.Reason = LaneClosed, ReasonRemoved
	case registry.Active:
		l.Mode = LaneOpen
	}
	return l
}

func disabledReason(sub registry.Subscription) string {
	if sub.Reason != "" {
		return sub.Reason
	}
	return "disabled"
}

// Pause keeps a subscription's deliveries waiting; nothing is lost.
func (e *Engine) Pause(ctx context.Context, id string) error {
	return e.setState(ctx, id, registry.Paused, "", registry.Active)
}

// Resume ends a pause.
func (e *Engine) Resume(ctx context.Context, id string) error {
	return e.setState(ctx, id, registry.Active, "", registry.Paused)
}

// Enable ends a disabling or a pause. What was dead stays dead.
func (e *Engine) Enable(ctx context.Context, id string) error {
	return e.setState(ctx, id, registry.Active, "", registry.Disabled, registry.Paused)
}

// disable ends a subscription as it was read: one that was changed since is
// left alone, which done reports.
func (e *Engine) disable(ctx context.Context, sub registry.Subscription, reason string) (done bool, err error) {
	sub = sub.Clone()
	sub.State, sub.Reason = registry.Disabled, reason
	_, err = e.subscribe(ctx, HealthAsIs, sub)
	if errors.Is(err, registry.ErrConflict) || errors.Is(err, registry.ErrNotFound) {
		return false, nil
	}
	if err == nil {
		e.log.LogAttrs(ctx, slog.LevelWarn, "delivery: subscription disabled", slog.String("endpoint", sub.ID), slog.String("reason", reason))
	}
	return err == nil, err
}

// setState changes a subscription's state if it is one of from. It is no error
// if it is in that state already; ErrStateChange if it is in another.
func (e *Engine) setState(ctx context.Context, id string, to registry.State, reason string, from ...registry.State) error {
	return e.change(ctx, id, func(sub *registry.Subscription) (bool, error) {
		if sub.State == registry.Removed {
			return false, registry.ErrNotFound
		}
		if slices.Contains(from, sub.State) {
			sub.State, sub.Reason = to, reason
			return true, nil
		}
		if sub.State != to {
			return false, ErrStateChange
		}
		return false, nil
	})
}

// ErrStateChange says that a subscription's state does not allow the change.
var ErrStateChange = errors.New("delivery: the subscription's state does not allow this")

// change reads, edits and stores a subscription, again if somebody was faster.
func (e *Engine) change(ctx context.Context, id string, edit func(*registry.Subscription) (bool, error)) error {
	for {
		e.reg.Forget(id)
		sub, err := e.reg.Get(ctx, id)
		changed := false
		if err == nil {
			sub = sub.Clone()
			changed, err = edit(&sub)
		}
		if err != nil {
			return fmt.Errorf("%w (%q)", err, id[:min(len(id), registry.MaxText)])
		}
		if !changed { // the last call may have come no further than the registry
			return e.serve(ctx, id)
		}
		h := HealthAsIs
		if sub.State == registry.Active { // nothing was tried meanwhile
			h = HealthForget
		}
		_, err = e.subscribe(ctx, h, sub)
		if !errors.Is(err, registry.ErrConflict) {
			return err
		}
	}
}

// Unsubscribe removes a subscription for reason. When it returns, all that
// waited is dead with ReasonRemoved and nothing more is sent but, if the
// dialect has one, the farewell. The subscription is a tombstone until that is
// settled. Removing what is removed already finishes what was begun.
func (e *Engine) Unsubscribe(ctx context.Context, id, reason string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // half a removal is none
	err := e.change(ctx, id, func(sub *registry.Subscription) (bool, error) {
		if sub.State == registry.Removed {
			return false, nil
		}
		sub.State, sub.Reason = registry.Removed, reason
		return true, nil
	})
	if err != nil {
		return err
	}
	sub, err := e.reg.Get(ctx, id)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		return nil // an engine that starts this moment finished it already
	case err != nil:
		return err
	}
	return e.finishRemoval(ctx, sub)
}

// farewellLane is where a farewell waits: its subscription's lane is closed.
func farewellLane(subscriptionID string) string { return subscriptionID + farewellSuffix }

const farewellSuffix = "/farewell"

func isFarewell(l *Lease) bool {
	id, ok := strings.CutSuffix(l.Lane, farewellSuffix)
	return ok && id == l.SubscriptionID
}

// finishRemoval closes the lane of a tombstone and enqueues the farewell. Done
// twice, it does no harm.
func (e *Engine) finishRemoval(ctx context.Context, sub registry.Subscription) error {
	if err := e.store.SetLanes(ctx, time.Time{}, laneOf(sub)); err != nil {
		return err
	}
	f, ok := e.cfg.Dialects[sub.Dialect].(Fareweller)
	if !ok {
		return e.forgetTombstone(ctx, sub.ID)
	}
	ev, ok := f.Farewell(sub)
	if !ok {
		return e.forgetTombstone(ctx, sub.ID)
	}
	now := e.cfg.Now()
	ev.ID, ev.Dialect, ev.At, ev.Key, ev.Ahead = derivedEventID("farewell", sub.ID), sub.Dialect, now, "", false
	d, err := e.encode(&ev, sub, now)
	if err != nil {
		return err
	}
	d.Lane = farewellLane(sub.ID)
	if settled, err := e.settled(ctx, d.ID); err != nil {
		return err
	} else if settled { // and killed before the tombstone was deleted
		return e.forgetTombstone(ctx, sub.ID)
	}
	return e.store.Enqueue(ctx, time.Time{}, d)
}

func (e *Engine) settled(ctx context.Context, deliveryID string) (bool, error) {
	b, ok := e.store.(Browser)
	if !ok {
		return false, nil
	}
	for st, err := range b.Deliveries(ctx, Filter{ID: deliveryID, Limit: 1}) {
		return err == nil && st.State != Pending, err
	}
	return false, nil
}

// forgetTombstone deletes a removed subscription and the state of its lane.
func (e *Engine) forgetTombstone(ctx context.Context, id string) error {
	if err := e.reg.Delete(ctx, id); err != nil {
		return err
	}
	plain := LaneState{Lane: id, Mode: LaneOpen, MaxInFlight: -1, PerSecond: -1, NotBeforeIn: -1, Health: HealthForget}
	farewell := plain
	farewell.Lane = farewellLane(id)
	return e.store.SetLanes(ctx, time.Time{}, plain, farewell)
}

// reconcile finishes removals that a crash left half done, and has every lane
// served as its subscription says: a crash may have come between the two.
func (e *Engine) reconcile(ctx context.Context) error {
	removed, err := e.serveAll(ctx)
	if err != nil {
		return err
	}
	for _, sub := range removed {
		if err := e.finishRemoval(ctx, sub); err != nil {
			return err
		}
	}
	return nil
}

// serveAll has every lane served as its subscription stands now, but for the
// removed ones, which it returns.
func (e *Engine) serveAll(ctx context.Context) (removed []registry.Subscription, err error) {
	e.states.Lock()
	defer e.states.Unlock()
	var lanes []LaneState
	for sub, err := range e.reg.List(ctx, registry.Filter{}) {
		if err != nil {
			return nil, err
		}
		if sub.State == registry.Removed {
			removed = append(removed, sub)
			continue
		}
		lanes = append(lanes, laneOf(sub))
	}
	for part := range slices.Chunk(lanes, MaxBatch) {
		if err := e.store.SetLanes(ctx, time.Time{}, part...); err != nil {
			return nil, err
		}
	}
	return removed, nil
}
