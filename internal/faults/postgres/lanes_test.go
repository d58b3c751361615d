//go:build unix

package postgres_test

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// So many lanes with a delivery each that waits for another hour: an engine is
// ready in bounded time and memory, serves others at once, and hands half of
// the lanes to a second one.
func TestB21B72ManyLanes(t *testing.T) {
	t.Parallel()
	n := rig.Size(1_000_000, 50_000, 20_000)
	s := newScene(t, pgtest.New(t).Database(t), 6)
	s.spec.Expiry = 0 // the default
	s.wait(t, n)
	s.start(t, 1)
	p := s.procs[0]
	p.Send(t, "first")
	started := s.first(t, p)
	served := s.delivers(t, "one")
	p.Send(t, "usage")
	u := rig.ParseUsage(t, p.Await(t, "usage"))
	t.Logf("%d lanes: all served after %d ms, 6 deliveries after another %v, %d MiB resident, %d at most",
		n, started, served, u.Resident>>20, u.Peak>>20)
	if most := int64(n)*1000 + 100<<20; u.Peak > most {
		t.Errorf("%d MiB, want %d at most", u.Peak>>20, most>>20)
	}
	begin := time.Now()
	s.start(t, 1)
	s.shared(t)
	t.Logf("shared with a second engine after %v", time.Since(begin))
	if served := s.delivers(t, "two"); served > 10*time.Second {
		t.Errorf("two engines took %v for 12 deliveries", served)
	}
	s.kill(t, 0)
	taken := s.takesOver(t)
	t.Logf("taken over after %v", taken)
	s.delivers(t, "three")
	s.procs[0].Signal(t, syscall.SIGTERM)
	if code := s.procs[0].Exit(t); code != 0 {
		t.Errorf("exit %d", code)
	}
	s.pending(t, n, 24)
}

// An engine's rights last for less time than it takes to read all lanes at once.
func TestB72ManyLanesShortRights(t *testing.T) {
	t.Parallel()
	n := rig.Size(200_000, 50_000, 20_000)
	s := newScene(t, pgtest.New(t).Database(t), 6)
	s.spec.Expiry = 500 * time.Millisecond
	s.wait(t, n)
	s.start(t, 1)
	p := s.procs[0]
	p.Send(t, "first")
	t.Logf("%d lanes: all served after %d ms", n, s.first(t, p))
	s.delivers(t, "one")
	p.Signal(t, syscall.SIGTERM)
	if code := p.Exit(t); code != 0 {
		t.Errorf("exit %d", code)
	}
	s.pending(t, n, 6)
}

// first waits until an engine has all shards, and returns after how many ms it
// had.
func (s *scene) first(t *testing.T, p *rig.Process) int {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); len(p.Words("first")) == 0; {
		if time.Now().After(deadline) || p.Exited() {
			t.Fatal("the engine never had all shards")
		}
		passes(t, 5*time.Millisecond)
	}
	ms, err := strconv.Atoi(p.Await(t, "first"))
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

func (s *scene) pending(t *testing.T, pending, delivered int) {
	t.Helper()
	counts, err := s.seen.Counts(t.Context())
	if want := (delivery.Counts{Pending: int64(pending), Delivered: int64(delivered)}); err != nil || counts != want {
		t.Errorf("%+v, want %+v: %v", counts, want, err)
	}
}

// wait has n deliveries wait on as many lanes.
func (s *scene) wait(t *testing.T, n int) {
	t.Helper()
	// One is stored as it should be, the others are like it.
	d := delivery.Delivery{
		ID: delivery.DeliveryID("ev_0000000", "to_0000000"), EventID: "ev_0000000", SubscriptionID: "to_0000000", Tenant: "none",
		Type: rig.EventType, Dialect: "standard", Body: []byte(`{}`), PublishedAt: time.Now(), DelayIn: time.Hour,
	}
	if err := s.seen.Enqueue(t.Context(), time.Time{}, d); err != nil {
		t.Fatal(err)
	}
	var data []byte
	err := s.pool.QueryRow(t.Context(), `DELETE FROM ringback.inbox RETURNING data`).Scan(&data)
	if err != nil {
		t.Fatal(err)
	}
	due := time.Now().Add(time.Hour).UnixMicro()
	rows := func(waiting bool) pgx.CopyFromSource {
		i := 0
		return pgx.CopyFromFunc(func() ([]any, error) {
			if i == n {
				return nil, nil
			}
			event, lane := fmt.Sprintf("ev_%07d", i), fmt.Sprintf("to_%07d", i)
			h := fnv.New32a()
			_, _ = h.Write([]byte(lane)) // cannot fail
			shard, seq := int16(h.Sum32()%64), int64(i+1)
			i++
			if waiting {
				return []any{seq, shard, lane, []byte{}, false, due, 0, 0, int64(0), false}, nil
			}
			own := bytes.ReplaceAll(bytes.ReplaceAll(data, []byte("ev_0000000"), []byte(event)), []byte("to_0000000"), []byte(lane))
			return []any{seq, delivery.DeliveryID(event, lane), shard, lane, due, int64(0), own}, nil
		})
	}
	tables := map[string][]string{
		"delivery": {"seq", "id", "shard", "lane", "due", "expires", "data"},
		"waiting":  {"seq", "shard", "lane", "key", "retry", "due", "attempts", "tries", "expires", "hidden"},
	}
	for name, columns := range tables {
		if _, err := s.pool.CopyFrom(t.Context(), pgx.Identifier{"ringback", name}, columns, rows(name == "waiting")); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{
		`SELECT setval('ringback.block', (SELECT max(seq) / 4096 + 1 FROM ringback.delivery))`,
		`INSERT INTO ringback.tally SELECT 0, -1, count(*), 0, 0 FROM ringback.delivery`,
	} {
		if _, err := s.pool.Exec(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
}
