package delivery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/ringback-go/ringback/registry"
)

// Retention says how long settled deliveries are remembered, with their
// attempts: their IDs may be published again afterwards. What is pending is
// never forgotten. The zero value keeps what was delivered for 7 days, what is
// dead for 30, and 1 GiB in all; a negative field is no bound.
type Retention struct {
	// Delivered and Dead are how long deliveries are kept from the moment they
	// were settled. Events without subscribers are kept as delivered ones.
	Delivered, Dead time.Duration
	// Bytes is about how much room the history may take in the store. Over it,
	// the oldest are forgotten, however young.
	Bytes int64
}

// Before returns the times before which delivered and dead ones were settled
// that are no longer kept. The zero time is no bound.
func (r Retention) Before(now time.Time) (delivered, dead time.Time) {
	if d := cmp.Or(r.Delivered, 7*24*time.Hour); d > 0 {
		delivered = now.Add(-d)
	}
	if d := cmp.Or(r.Dead, 30*24*time.Hour); d > 0 {
		dead = now.Add(-d)
	}
	return delivered, dead
}

// Room returns the bound on the history's size, math.MaxInt64 for none.
func (r Retention) Room() int64 {
	if r.Bytes < 0 {
		return math.MaxInt64
	}
	return cmp.Or(r.Bytes, 1<<30)
}

// A Pruner is a Store that can forget. Both methods do a bounded number in one
// call, MaxBatch deliveries at most, so that others get their turn in between,
// and never touch what is pending.
type Pruner interface {
	// Prune forgets settled deliveries that r does not keep, with their
	// attempts, oldest first. more says that another call would find more to do.
	Prune(ctx context.Context, now time.Time, r Retention) (more bool, err error)
	// Purge forgets the settled deliveries of a tenant, with their attempts.
	// more is as in Prune: once it is false, those that were settled before
	// that call are gone. An empty tenant is ErrInvalid.
	Purge(ctx context.Context, tenant string) (more bool, err error)
}

const (
	pruneEvery = time.Minute
	prunePause = 50 * time.Millisecond // at most between two steps, for deliveries to pass
)

// retain has the store forget, step by step, until ctx ends.
func (r *run) retain(ctx context.Context) {
	p, ok := r.store.(Pruner)
	if !ok {
		return
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		next, begin := pruneEvery, time.Now()
		more, err := p.Prune(ctx, time.Time{}, r.cfg.Retention)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			r.log.LogAttrs(ctx, slog.LevelError, "delivery: cannot prune", slog.Any("error", err))
		case more:
			next = min(prunePause, max(2*time.Since(begin), time.Millisecond))
		}
		timer.Reset(next)
	}
}

// Purge forgets a tenant: it deletes its subscriptions, without a farewell,
// gives up what waits for them and has the store forget every delivery of the
// tenant with its attempts. What is being attempted it waits for, if the store
// is a [Browser], so that an engine should run; when ctx ends before, an error
// says so and what is settled later stays until Purge is called again, which
// is always right. The tenant must not register or publish meanwhile. The IDs
// of its events that nobody had subscribed to are forgotten, too. An empty
// tenant is ErrInvalid; a store that is no [Pruner], errors.ErrUnsupported.
func (e *Engine) Purge(ctx context.Context, tenant string) (err error) {
	p, ok := e.store.(Pruner)
	if !ok {
		return fmt.Errorf("delivery: the store is no Pruner: %w", errors.ErrUnsupported)
	}
	if tenant == "" {
		return fmt.Errorf("%w: no tenant", ErrInvalid)
	}
	ended := map[string]bool{}
	defer func() { err = errors.Join(err, e.forgetLanes(context.WithoutCancel(ctx), ended)) }()
	for pause := prunePause; ; pause = min(2*pause, 5*time.Second) {
		begin := time.Now()
		if err := e.endSubscriptions(ctx, tenant, ended); err != nil {
			return err
		}
		pending, err := e.endPending(ctx, tenant, ended)
		if err != nil {
			return err
		}
		for more := true; more; {
			if more, err = p.Purge(ctx, tenant); err != nil {
				return err
			}
		}
		if pending == 0 {
			return nil
		}
		timer := time.NewTimer(max(pause, 4*time.Since(begin))) // looking costs, too
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("delivery: %d deliveries of the tenant are not settled: %w", pending, ctx.Err())
		}
	}
}

// endSubscriptions deletes a tenant's subscriptions and closes their lanes. In
// that order: should a crash come between, what waits is dead as soon as it is
// leased, and no start finds a removal to finish with a farewell.
func (e *Engine) endSubscriptions(ctx context.Context, tenant string, ended map[string]bool) error {
	e.states.Lock()
	defer e.states.Unlock()
	var lanes []LaneState
	for sub, err := range e.reg.List(ctx, registry.Filter{Tenant: tenant}) {
		if err != nil {
			return err
		}
		for _, lane := range []string{sub.ID, farewellLane(sub.ID)} {
			lanes = append(lanes, LaneState{Lane: lane, Mode: LaneClosed, Reason: ReasonRemoved})
		}
	}
	for i := 0; i < len(lanes); i += 2 {
		if err := e.reg.Delete(ctx, lanes[i].Lane); err != nil {
			return err
		}
		ended[lanes[i].Lane] = true
	}
	return e.setLanes(ctx, lanes)
}

// endPending counts a tenant's deliveries that are not settled. Those of
// subscriptions that were gone before are given up.
func (e *Engine) endPending(ctx context.Context, tenant string, ended map[string]bool) (pending int, err error) {
	b, ok := e.store.(Browser)
	if !ok {
		return 0, nil
	}
	var lost []string
	for st, err := range b.Deliveries(ctx, Filter{State: Pending}) {
		if err != nil {
			return pending, err
		}
		if st.Tenant != tenant {
			continue
		}
		pending++
		if !ended[st.SubscriptionID] {
			lost = append(lost, st.ID)
		}
	}
	op, ok := e.store.(Operator)
	if !ok {
		return pending, nil
	}
	for part := range slices.Chunk(lost, MaxBatch) {
		err := op.Cancel(ctx, time.Time{}, part...)
		if err != nil && !errors.Is(err, ErrSettled) && !errors.Is(err, ErrNotFound) {
			return pending, err
		}
	}
	return pending, nil
}

// forgetLanes deletes the state of lanes whose subscriptions are gone.
func (e *Engine) forgetLanes(ctx context.Context, subscriptions map[string]bool) error {
	e.states.Lock()
	defer e.states.Unlock()
	var lanes []LaneState
	for _, id := range slices.Sorted(maps.Keys(subscriptions)) {
		l := LaneState{Lane: id, Mode: LaneOpen, MaxInFlight: -1, PerSecond: -1, NotBeforeIn: -1, Health: HealthForget}
		farewell := l
		farewell.Lane = farewellLane(id)
		sub, err := e.reg.Get(ctx, id)
		switch {
		case err == nil: // registered again, under the same ID
			l = laneOf(sub)
		case !errors.Is(err, registry.ErrNotFound):
			return err
		}
		lanes = append(lanes, l, farewell)
	}
	return e.setLanes(ctx, lanes)
}

func (e *Engine) setLanes(ctx context.Context, lanes []LaneState) error {
	for part := range slices.Chunk(lanes, MaxBatch) {
		if err := e.store.SetLanes(ctx, time.Time{}, part...); err != nil {
			return err
		}
	}
	return nil
}
