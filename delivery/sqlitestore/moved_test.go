package sqlitestore_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
)

// Whatever is asked of a store whose file is gone, it says so.
func TestFileThatIsGone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"Enqueue": func() error {
			return s.Enqueue(ctx, time.Time{}, delivery.Delivery{ID: "a", EventID: "a", SubscriptionID: "l"})
		},
		"SetLanes": func() error {
			return s.SetLanes(ctx, time.Time{}, delivery.LaneState{Lane: "l", Mode: delivery.LanePaused})
		},
		"RetryNow": func() error { return s.RetryNow(ctx, time.Time{}, "a") },
		"Counts":   func() error { _, err := s.Counts(ctx); return err },
		"Event":    func() error { _, _, err := s.Event(ctx, "a"); return err },
		"Attempts": func() error { _, err := s.Attempts(ctx, "a"); return err },
		"Prune":    func() error { _, err := s.Prune(ctx, time.Time{}, delivery.Retention{}); return err },
		"Purge":    func() error { _, err := s.Purge(ctx, "acme"); return err },
	} {
		if err := call(); !errors.Is(err, sqlitestore.ErrMoved) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
