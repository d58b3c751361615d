package delivery

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/ringback-go/ringback/registry"
)

// registryPause is how long a delivery waits when its subscription cannot be
// read.
const registryPause = time.Second

// dialectPause is how long one waits whose dialect this engine does not have.
const dialectPause = time.Minute

// attempt makes one attempt and decides what becomes of the delivery.
func (r *run) attempt(ctx context.Context, s *slot) outcome {
	l := s.Lease
	o := outcome{Outcome: Outcome{ID: l.ID, Receipt: l.Receipt}, slot: s}
	if l.Expired {
		o.giveUp(ReasonExpired)
		return r.farewellSettled(o)
	}
	if r.cfg.Dialects[l.Dialect] == nil { // an engine of a newer version has it, or one of another kind on the same store
		r.strange(ctx, l)
		o.Result, o.RetryIn = Release, dialectPause
		return o
	}
	sub, err := r.reg.Get(ctx, l.SubscriptionID)
	switch {
	case errors.Is(err, registry.ErrNotFound):
		r.log.LogAttrs(ctx, slog.LevelWarn, "delivery: given up, the registry does not have its subscription",
			slog.String("delivery_id", l.ID), slog.String("event_id", l.EventID), slog.String("endpoint", l.SubscriptionID))
		o.giveUp(ReasonRemoved)
		return o
	case err != nil && ctx.Err() != nil: // cut off by the drain, nothing was sent
		o.Result = Release
		return o
	case err != nil:
		r.log.LogAttrs(ctx, slog.LevelError, "delivery: cannot read the subscription",
			slog.String("delivery_id", l.ID), slog.String("event_id", l.EventID), slog.String("endpoint", l.SubscriptionID), slog.Any("error", err))
		o.Result, o.RetryIn = Release, registryPause
		return o
	}
	if stop := r.stops(ctx, &o, sub); stop {
		return r.farewellSettled(o)
	}

	traced := r.trace.attemptStart(ctx, l, &sub)
	a := r.sender.attempt(traced, l.Delivery, sub, r.trace.request)
	o.Attempt = &a
	switch {
	case a.Status == 0 && ctx.Err() != nil: // cut off by the drain: nobody knows
		a.Class, a.Error = "unknown", "cut off by a shutdown before an answer"
		o.Result = Release
	default:
		r.judge(traced, &o, sub)
		o = r.farewellSettled(o)
	}
	r.trace.attemptDone(traced, l, &sub, o.Outcome)
	if a.Verdict != VerdictAccepted && o.Result != Release {
		level, dead := slog.LevelInfo, o.Result == GiveUp
		then := slog.Duration("retry_in", o.RetryIn)
		if dead {
			level, then = slog.LevelWarn, slog.Attr{}
		}
		r.log.LogAttrs(traced, level, "delivery: attempt failed",
			slog.String("delivery_id", l.ID), slog.String("event_id", l.EventID), slog.String("endpoint", l.SubscriptionID),
			slog.Int("attempt", a.Number), slog.Int("status", a.Status), slog.String("error_class", a.Class), slog.String("error", a.Error),
			slog.Bool("dead", dead), then)
	}
	return o
}

// strange tells of a dialect that the engine does not have, once while a delivery
// of it waits.
func (r *run) strange(ctx context.Context, l *Lease) {
	now := time.Now()
	r.mu.Lock()
	told := now.Sub(r.told[l.Dialect]) < dialectPause
	if !told {
		if r.told == nil {
			r.told = map[string]time.Time{}
		}
		r.told[l.Dialect] = now
	}
	r.mu.Unlock()
	if !told {
		r.log.LogAttrs(ctx, slog.LevelError, "delivery: this engine does not have the dialect: its deliveries are left for an engine that has",
			slog.String("dialect", l.Dialect), slog.String("delivery_id", l.ID))
	}
}

// stops handles subscriptions that must not be sent to now.
func (r *run) stops(ctx context.Context, o *outcome, sub registry.Subscription) bool {
	farewell := isFarewell(o.slot.Lease)
	switch {
	case sub.State == registry.Removed && !farewell:
		o.giveUp(ReasonRemoved)
	case sub.State == registry.Disabled:
		o.giveUp(disabledReason(sub))
	case sub.State == registry.Paused:
		// Paused by another process, or this lease was older.
		if err := r.serve(ctx, sub.ID); err != nil {
			r.log.LogAttrs(ctx, slog.LevelError, "delivery: cannot pause a lane", slog.String("endpoint", sub.ID), slog.Any("error", err))
			o.RetryIn = registryPause
		}
		if o.slot.LaneName() != sub.ID { // another lane, which nobody paused
			o.RetryIn = registryPause
		}
		o.Result = Release
	case !sub.ExpiresAt.IsZero() && !r.cfg.Now().Before(sub.ExpiresAt):
		o.giveUp(ReasonExpired)
	default:
		return false
	}
	return true
}

func (o *outcome) giveUp(reason string) { o.Result, o.Reason = GiveUp, reason }

// judge turns the attempt's verdict into the lease's end.
func (r *run) judge(ctx context.Context, o *outcome, sub registry.Subscription) {
	a := o.Attempt
	switch a.Verdict {
	case VerdictAccepted:
		o.Result = Done
	case VerdictDead:
		o.giveUp(a.Error)
	case VerdictDisable:
		o.giveUp(ReasonGone)
		if sub.State == registry.Removed {
			return // there is nothing left to disable
		}
		var err error
		if o.disabled, err = r.disable(ctx, sub, ReasonGone); err != nil {
			r.log.LogAttrs(ctx, slog.LevelError, "delivery: cannot disable a subscription", slog.String("endpoint", sub.ID), slog.Any("error", err))
			o.Result, o.Reason, o.RetryIn = Retry, "", registryPause // it will say so again
		}
	case VerdictRetry:
		if a.RetryAfter > 0 && (a.Status == http.StatusTooManyRequests || a.Status == http.StatusServiceUnavailable) {
			err := r.store.SetLanes(ctx, time.Time{}, LaneState{Lane: o.slot.Lease.LaneName(), NotBeforeIn: a.RetryAfter})
			if err != nil {
				r.log.LogAttrs(ctx, slog.LevelError, "delivery: cannot hold a lane", slog.String("endpoint", sub.ID), slog.Any("error", err))
			}
		}
		pause, again := r.pause(a, sub, o.slot.Lease)
		if o.Result, o.RetryIn = Retry, max(pause, a.RetryAfter); !again {
			o.giveUp(a.Error)
		}
	}
	if a.Verdict != VerdictAccepted {
		r.fades(ctx, o, sub)
	}
}

// pause asks the dialect's schedule. If that panics or is none, the standard one
// goes on.
func (r *run) pause(a *Attempt, sub registry.Subscription, l *Lease) (pause time.Duration, again bool) {
	defer func() {
		if p := recover(); p != nil {
			a.fail(VerdictRetry, "internal", panicked(p).Error())
			pause, again = Standard().Delay(l.Try)
		}
	}()
	schedule := r.cfg.Dialects[l.Dialect].Schedule(sub)
	if schedule == nil {
		a.fail(VerdictRetry, "internal", "the dialect's Schedule returned nil")
		schedule = Standard()
	}
	return schedule.Delay(l.Try)
}

// farewellSettled has the tombstone deleted once its farewell is settled.
func (r *run) farewellSettled(o outcome) outcome {
	if !isFarewell(o.slot.Lease) || o.Result == Retry || o.Result == Release {
		return o
	}
	id := o.slot.Lease.SubscriptionID
	o.then = func(ctx context.Context) {
		if err := r.forgetTombstone(ctx, id); err != nil {
			r.log.LogAttrs(ctx, slog.LevelError, "delivery: cannot delete a tombstone", slog.String("endpoint", id), slog.Any("error", err))
		}
	}
	return o
}
