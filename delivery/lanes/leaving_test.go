package lanes_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// leaving is a backend whose lanes are another's from the end of some commit on.
type leaving struct {
	away

	gone  atomic.Bool
	upon  func(*lanes.Batch) bool
	kills int
}

func (l *leaving) HoldsAll() bool { return false }

func (l *leaving) Owns(string) bool { return !l.gone.Load() }

// Commit kills what may be killed at once, twice.
func (l *leaving) Commit(ctx context.Context, b *lanes.Batch) error {
	for _, k := range b.Kill {
		if l.kills++; l.kills < 3 {
			k.Killed = k.Limit
		}
	}
	if l.upon(b) {
		l.gone.Store(true)
	}
	return l.away.Commit(ctx, b)
}

// TestCloseOfALaneThatLeaves: closing is done when all that waited is dead, and
// who cannot know that says whose the lane is.
func TestCloseOfALaneThatLeaves(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		upon  func(*lanes.Batch) bool
		want  error
		kills int
	}{
		"it stays":                    {func(*lanes.Batch) bool { return false }, nil, 3},
		"once it is closed":           {func(b *lanes.Batch) bool { return len(b.Lanes) > 0 }, lanes.ErrElsewhere, 0},
		"between two steps of a kill": {func(b *lanes.Batch) bool { return len(b.Kill) > 0 }, lanes.ErrElsewhere, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &leaving{upon: c.upon}
			s, err := lanes.Open(t.Context(), l, lanes.Config{})
			if err != nil {
				t.Fatal(err)
			}
			err = s.SetLanes(t.Context(), time.Time{}, delivery.LaneState{Lane: "l", Mode: delivery.LaneClosed, Reason: "gone"})
			if !errors.Is(err, c.want) || err == nil && c.want != nil || l.kills != c.kills {
				t.Errorf("%v after %d steps, want %v after %d", err, l.kills, c.want, c.kills)
			}
		})
	}
}
