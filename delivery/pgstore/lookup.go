package pgstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/internal/rowcodec"
)

// Attempts implements [delivery.Browser].
func (b browser) Attempts(ctx context.Context, id string) ([]delivery.Attempt, error) {
	out, err := b.attempts(ctx, id)
	if err != nil && !errors.Is(err, delivery.ErrNotFound) {
		return nil, fmt.Errorf("pgstore: attempts: %w", err)
	}
	return out, err
}

func (b browser) attempts(ctx context.Context, id string) ([]delivery.Attempt, error) {
	if !storable(id) {
		return nil, delivery.ErrNotFound
	}
	known := false
	out := []delivery.Attempt{}
	err := b.query(ctx, b.sql.attempts, []any{id, inboxDelivery}, func(rs pgx.Rows) error {
		var state pgtype.Int8
		var outcome []byte
		var before [][]byte
		if err := rs.Scan(&state, &outcome, &before); err != nil || state.Int64 == stateMarker {
			return err
		}
		known = true
		for _, data := range before {
			a, err := rowcodec.Attempt(data)
			if err != nil {
				return err
			}
			out = append(out, a)
		}
		_, last, err := rowcodec.Outcome(outcome)
		if last != nil {
			out = append(out, *last)
		}
		return err
	})
	if err == nil && !known {
		err = delivery.ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Counts implements [delivery.Browser].
func (b browser) Counts(ctx context.Context) (c delivery.Counts, err error) {
	err = b.query(ctx, b.sql.counts, []any{inboxDelivery}, func(rs pgx.Rows) error {
		return rs.Scan(&c.Pending, &c.Delivered, &c.Dead)
	})
	if err != nil {
		return delivery.Counts{}, fmt.Errorf("pgstore: counts: %w", err)
	}
	return c, nil
}

// Event implements [delivery.Browser].
func (b browser) Event(ctx context.Context, eventID string) (n int, known bool, err error) {
	if !storable(eventID) {
		return 0, false, nil
	}
	all, markers := 0, 0
	err = b.query(ctx, b.sql.event, []any{eventID, eventID + ".", eventID + "/", inboxDelivery}, func(rs pgx.Rows) error {
		return rs.Scan(&all, &markers)
	})
	if err != nil {
		return 0, false, fmt.Errorf("pgstore: event: %w", err)
	}
	return all - markers, all > 0, nil
}

// Oldest implements [delivery.Elder]. It looks at one delivery for each engine,
// and at those that were settled since the engines last gave a sign of life.
func (b browser) Oldest(ctx context.Context) (oldest time.Time, err error) {
	err = b.query(ctx, b.sql.oldest, []any{inboxDelivery}, func(rs pgx.Rows) error {
		var id string
		var data []byte
		if err := rs.Scan(&id, &data); err != nil {
			return err
		}
		d, _, err := rowcodec.Delivery(id, data)
		if err != nil {
			return err
		}
		if oldest.IsZero() || d.PublishedAt.Before(oldest) {
			oldest = d.PublishedAt
		}
		return nil
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("pgstore: oldest: %w", err)
	}
	return oldest, nil
}
