package registry

import (
	"context"
	"errors"
)

const (
	resealBatch = 100 // subscriptions in one Set
	resealTries = 5   // of one that others change meanwhile
)

// Reseal sets every subscription again as it stands, which seals what is secret
// in it by the first key of the registry's [Sealer], and returns how many it
// set. It is the middle of a rotation:
//
//  1. Every process gets the new key first and the old one second: both open.
//     (If they cannot restart together, the new key goes second first.)
//  2. Reseal, once, anywhere.
//  3. Every process gets the new key alone.
//
// It may run while the registry is in use: each Set is a compare-and-set, and
// one that loses is tried again as what then stands. Only Revision changes. After
// an error, or in doubt, it is run again from the start. Copies of the database
// made before still hold what the old key opens.
func Reseal(ctx context.Context, r Registry) (n int, err error) {
	batch := make([]Subscription, 0, resealBatch)
	flush := func() error {
		done, err := reseal(ctx, r, batch)
		n += done
		batch = batch[:0]
		return err
	}
	for s, err := range r.List(ctx, Filter{}) {
		if err != nil {
			return n, err
		}
		if batch = append(batch, s); len(batch) < resealBatch {
			continue
		}
		if err := flush(); err != nil {
			return n, err
		}
	}
	return n, flush()
}

func reseal(ctx context.Context, r Registry, batch []Subscription) (n int, err error) {
	if len(batch) == 0 {
		return 0, nil
	}
	stored, err := r.Set(ctx, batch...)
	if !errors.Is(err, ErrConflict) {
		return len(stored), err
	}
	for _, s := range batch { // one of them was changed: each on its own
		switch err := resealOne(ctx, r, s); {
		case errors.Is(err, ErrNotFound): // deleted meanwhile
		case err != nil:
			return n, err
		default:
			n++
		}
	}
	return n, nil
}

func resealOne(ctx context.Context, r Registry, s Subscription) error {
	var err error
	for range resealTries {
		if _, err = r.Set(ctx, s); !errors.Is(err, ErrConflict) {
			return err
		}
		var getErr error
		if s, getErr = r.Get(ctx, s.ID); getErr != nil {
			return getErr
		}
	}
	return err
}
