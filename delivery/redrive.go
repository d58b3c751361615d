package delivery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ringback-go/ringback/registry"
)

// Redrive has the dead deliveries that f chooses, whatever its State, tried
// again from the start of their schedules, with the same IDs and bodies, and
// returns how many. Those whose subscription is disabled or gone stay dead. It
// goes on in steps until all are done: that may take a while, and is best done
// in a goroutine of one's own; [Engine.Estimate] says how many there are. If it
// is cut off, what is dead still can be redriven by another call. One goes on at
// a time in an engine; its IDs are in memory meanwhile, some 100 bytes each.
func (e *Engine) Redrive(ctx context.Context, f Filter) (int, error) {
	f.State = Dead
	return e.again(ctx, f)
}

// Replay has the settled deliveries that f chooses, delivered and dead ones,
// sent again, like Redrive. It wants a subscription in f, and usually From and
// To. Deliveries published after it began are left out.
func (e *Engine) Replay(ctx context.Context, f Filter) (int, error) {
	f, err := e.replayed(f)
	if err != nil {
		return 0, err
	}
	return e.again(ctx, f)
}

// Estimate says how many deliveries Redrive would try again at this moment, or,
// if f names a subscription and replay is set, Replay.
func (e *Engine) Estimate(ctx context.Context, f Filter, replay bool) (int, error) {
	f.State = Dead
	if replay {
		var err error
		if f, err = e.replayed(f); err != nil {
			return 0, err
		}
	}
	return e.settledOnes(ctx, f, func([]string) error { return nil })
}

func (e *Engine) replayed(f Filter) (Filter, error) {
	if f.SubscriptionID == "" {
		return f, fmt.Errorf("%w: a replay is of one subscription", ErrInvalid)
	}
	f.State = ""
	if now := e.cfg.Now(); f.To.IsZero() || f.To.After(now) {
		f.To = now
	}
	return f, nil
}

// again has what f chooses tried again, in steps, oldest first.
func (e *Engine) again(ctx context.Context, f Filter) (int, error) {
	select { // another one would list what this one revives
	case e.redriving <- struct{}{}:
		defer func() { <-e.redriving }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	op, ok := e.store.(Operator)
	if !ok {
		return 0, fmt.Errorf("delivery: the store is no Operator: %w", errors.ErrUnsupported)
	}
	return e.settledOnes(ctx, f, func(ids []string) error {
		err := op.RetryNow(ctx, time.Time{}, ids...)
		if errors.Is(err, ErrNotFound) { // forgotten meanwhile
			return nil
		}
		return err
	})
}

// Cancel makes the waiting deliveries that f chooses dead with
// [ReasonCancelled], in steps, and returns how many it gave up. Those being
// attempted are not tried again if their attempt fails. The IDs are in memory
// meanwhile, some 100 bytes each.
func (e *Engine) Cancel(ctx context.Context, f Filter) (n int, err error) {
	b, canList := e.store.(Browser)
	op, canCancel := e.store.(Operator)
	if !canList || !canCancel {
		return 0, fmt.Errorf("delivery: the store is no Browser or no Operator: %w", errors.ErrUnsupported)
	}
	f.State = Pending
	var ids []string
	for st, err := range b.Deliveries(ctx, f) {
		if err != nil {
			return 0, err
		}
		ids = append(ids, st.ID)
	}
	for part := range slices.Chunk(ids, redriveStep) {
		err := op.Cancel(ctx, time.Time{}, part...)
		if err != nil && !errors.Is(err, ErrSettled) && !errors.Is(err, ErrNotFound) {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// redriveStep is how many deliveries come back in one step: others are sent and
// stored in between.
const redriveStep = 200

// settledOnes calls each with the IDs of the settled deliveries that f chooses
// and whose subscriptions can be sent to, in steps.
func (e *Engine) settledOnes(ctx context.Context, f Filter, each func(ids []string) error) (n int, err error) {
	b, ok := e.store.(Browser)
	if !ok {
		return 0, fmt.Errorf("delivery: the store is no Browser: %w", errors.ErrUnsupported)
	}
	limit := f.Limit
	f.Limit = 0 // pending ones do not count
	var ids []string
	for st, err := range b.Deliveries(ctx, f) {
		if err != nil {
			return n, err
		}
		if st.State == Pending {
			continue
		}
		sendable, err := e.sendable(ctx, &st)
		if err != nil {
			return n, err
		}
		if !sendable {
			continue
		}
		if ids = append(ids, st.ID); len(ids) == limit {
			break
		}
	}
	slices.Reverse(ids) // of an ordering key, the oldest goes first
	for part := range slices.Chunk(ids, redriveStep) {
		if err := each(part); err != nil {
			return n, err
		}
		n += len(part)
	}
	return n, nil
}

// sendable reports whether a delivery would be sent if it were due.
func (e *Engine) sendable(ctx context.Context, st *Status) (bool, error) {
	sub, err := e.reg.Get(ctx, st.SubscriptionID)
	if errors.Is(err, registry.ErrNotFound) {
		return false, nil
	}
	return err == nil && (sub.State == registry.Active || sub.State == registry.Paused), err
}
