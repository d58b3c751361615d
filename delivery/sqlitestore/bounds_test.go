package sqlitestore_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
)

// fillPaused opens a store at path and stores n deliveries of so many bytes in a
// paused lane.
func fillPaused(t *testing.T, path string, n, size int) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(t.Context(), sqlitestore.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.SetLanes(t.Context(), time.Time{}, delivery.LaneState{Lane: "l", Mode: delivery.LanePaused}); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		id := fmt.Sprint("e", i)
		d := delivery.Delivery{ID: id, EventID: id, SubscriptionID: "l", Body: make([]byte, size)}
		if err := s.Enqueue(t.Context(), time.Time{}, d); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// A read of large rows ends when it has so many bytes of bodies, as far as it
// brings more than what memory has already; the next row says when to go on.
func TestReadIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	const size = 256 << 10
	s := fillPaused(t, filepath.Join(t.TempDir(), "store.db"), 20, size)
	now := time.Now().Add(time.Minute).UnixMicro()
	for _, c := range []struct {
		name   string
		want   lanes.Want
		rows   int
		goesOn bool
	}{
		{"by bytes", lanes.Want{Lane: "l", Limit: 20, Bytes: 2*size + 1}, 3, true},
		{"a little for each, even without room", lanes.Want{Lane: "l", Limit: 20, Bytes: 1}, 1, true},
		{"more than is known", lanes.Want{Lane: "l", Limit: 20, Bytes: 1, Known: 5}, 6, true},
		{"by number", lanes.Want{Lane: "l", Limit: 4, Bytes: 100 * size}, 4, true},
		{"all", lanes.Want{Lane: "l", Limit: 100, Bytes: 100 * size}, 20, false},
		{"the other class", lanes.Want{Lane: "l", Retry: true, Limit: 100, Bytes: 100 * size}, 0, false},
	} {
		found, err := s.Refill(t.Context(), now, c.want)
		if err != nil {
			t.Fatal(err)
		}
		if n := len(found[0].Rows); n != c.rows || (found[0].NextDue != 0) != c.goesOn {
			t.Errorf("%s: %d rows, next due %d; want %d rows, more: %t", c.name, n, found[0].NextDue, c.rows, c.goesOn)
		}
	}
}

// The log is copied into the file beside the commits, long before the writer's
// own limit of 24 MiB would have a commit do it.
func TestLogIsCopiedBesideTheCommits(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "store.db")
	const size = 128 << 10
	s := fillPaused(t, path, 100, size) // 12.5 MiB
	s.Checkpointed()
	info, err := os.Stat(path)
	if err != nil || info.Size() < 4<<20 {
		t.Errorf("after 12.5 MiB the file has %d bytes, the log the rest; %v", info.Size(), err)
	}
}
