package delivery

import (
	"context"
	"log/slog"
	"time"

	"github.com/ringback-go/ringback/registry"
)

// ThrottleAfter is after how many failed attempts in a row an endpoint gets one
// attempt at a time. Each accepted one then doubles that, up to its cap.
const ThrottleAfter = 5

// Health is how an endpoint has been doing. Stores keep it with the lane, over
// restarts; the zero value is a healthy one.
type Health struct {
	// Failures counts the failed attempts since the last accepted one.
	Failures int
	// FailingFor is how long ago the first of them was; those by DNS alone do
	// not count. 0 if there is none.
	FailingFor time.Duration
	// Warned says that [LaneState] noted the warning since.
	Warned bool
}

// HealthChange is what a [LaneState] does to a lane's [Health].
type HealthChange int

const (
	// HealthAsIs leaves it. Opening a closed lane forgets it all the same.
	HealthAsIs HealthChange = iota
	// HealthForget makes the endpoint a healthy one.
	HealthForget
	// HealthWarned notes that the application was warned.
	HealthWarned
)

// A Sign is what an outcome tells of its endpoint's health.
type Sign int

const (
	// SignNone tells nothing: no attempt, or one that our own side ended.
	SignNone Sign = iota
	// SignWell is an accepted attempt.
	SignWell
	// SignFailing is a failed attempt.
	SignFailing
	// SignUnresolved is an attempt that failed by DNS.
	SignUnresolved
)

// Sign returns what o tells of the endpoint's health.
func (o *Outcome) Sign() Sign {
	switch {
	case o.Attempt == nil:
		return SignNone
	case o.Result == Done:
		return SignWell
	}
	switch o.Attempt.Class {
	case "", "unknown", "internal":
		return SignNone
	case "dns":
		return SignUnresolved
	}
	return SignFailing
}

// An Enduring is a Dialect some of whose subscriptions are never disabled for
// failing.
type Enduring interface {
	// Endures reports whether sub stays active however long it fails.
	Endures(sub registry.Subscription) bool
}

// ReasonFailing is that of a subscription that was disabled because nothing was
// accepted for [Config].DisableAfter, and of its backlog.
const ReasonFailing = "nothing accepted for too long"

// fades decides what a failed attempt means for a subscription that has been
// failing: it is disabled, or the application is warned that it will be.
func (r *run) fades(ctx context.Context, o *outcome, sub registry.Subscription) {
	after, h := r.cfg.DisableAfter, o.slot.Lease.Health
	if after < 0 || h.FailingFor < after/2 || h.Failures < ThrottleAfter || o.Sign() != SignFailing || sub.State != registry.Active || o.disabled {
		return
	}
	if d, ok := r.cfg.Dialects[sub.Dialect].(Enduring); ok && d.Endures(sub) {
		return
	}
	if !h.Warned { // never without a warning, however late
		r.warn(ctx, o, sub)
		return
	}
	if h.FailingFor < after {
		return
	}
	done, err := r.disable(ctx, sub, ReasonFailing)
	switch {
	case err != nil: // the next failure says so again
		r.log.LogAttrs(ctx, slog.LevelError, "delivery: cannot disable a subscription", slog.String("endpoint", sub.ID), slog.Any("error", err))
	case done:
		o.disabled = true
		o.giveUp(ReasonFailing)
	}
}

func (r *run) warn(ctx context.Context, o *outcome, sub registry.Subscription) {
	err := r.store.SetLanes(ctx, time.Time{}, LaneState{Lane: o.slot.Lease.LaneName(), Health: HealthWarned})
	if err != nil {
		r.log.LogAttrs(ctx, slog.LevelError, "delivery: cannot note a warning", slog.String("endpoint", sub.ID), slog.Any("error", err))
		return
	}
	r.notify(Notice{
		Kind: EndpointFailing, SubscriptionID: sub.ID, Dialect: sub.Dialect, Tenant: sub.Tenant,
		Reason: o.Attempt.Error, FailingFor: o.slot.Lease.Health.FailingFor,
	})
}
