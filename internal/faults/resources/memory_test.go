package resources_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

// A large backlog and little memory: the process stays small and starts
// quickly, whatever waits, while it sends and while it does not.
func TestB72LargeBacklog(t *testing.T) {
	t.Parallel()
	backlog := rig.Size(1_000_000, 33_333, 2_000)
	limit := int64(rig.Size(200, 200, 800)) << 20 // the race detector takes its own
	rc := rig.Listen(t)
	answer := make(chan struct{})
	rc.Handle("/"+sub, rig.InTurn(rig.Answer{After: answer}))
	spec := rig.WatchSpec{Memory: 128 << 20, Spec: rig.Spec{
		Path: filepath.Join(t.TempDir(), "store.db"), Pad: 500, Idle: true, Lanes: lanes.Config{MaxInFlight: 16},
		Endpoints: []rig.Endpoint{rc.Endpoint(sub), rc.Endpoint("sub_b")},
	}}
	p := start(t, spec)
	p.say(t, "ready")
	p.Send(t, "stuff", sub, "e", backlog)
	rig.Eventually(t, "all of it stored", func() bool { n, _, _ := p.counts(t); return n == backlog })
	p.say(t, "stuffed")
	p.stop(t)

	spec.Idle = false
	p = start(t, spec)
	ms, err := strconv.Atoi(p.say(t, "ready"))
	if err != nil {
		t.Fatal(err)
	}
	if most := rig.Size(2_000, 2_000, 10_000); ms > most {
		t.Errorf("the start took %d ms, want %d", ms, most)
	}
	rc.Wait(t, "a full lane", func(rs []rig.Request) bool { return len(rs) == 16 })
	p.Send(t, "publish", "sub_b", "other")
	rc.WaitAccepted(t, 17) // those that are not answered yet count, too
	held := p.usage(t)
	close(answer)
	rc.WaitAccepted(t, min(backlog/4, 3_000))
	sent := p.usage(t)
	t.Logf("start %d ms, %d MiB with the backlog, %d MiB at most", ms, held.Resident>>20, sent.Peak>>20)
	if sent.Peak > limit {
		t.Errorf("%d MiB resident, want %d", sent.Peak>>20, limit>>20)
	}
	p.stop(t)
}

// A memory store at its cap refuses, whole events only, loses nothing that it
// took, lists it, and has room again once something is settled.
func TestB76MemoryFull(t *testing.T) {
	t.Parallel()
	const room = 50
	rc := rig.Listen(t)
	store, err := memstore.Open(t.Context(), memstore.Config{MaxPending: room})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	e, err := rig.AssembleTuned(t.Context(), rig.Spec{Endpoints: []rig.Endpoint{rc.Endpoint(sub)}}, rig.Tune{Engine: func(cfg *delivery.Config) { cfg.Store = store }})
	if err != nil {
		t.Fatal(err)
	}
	var acked, refused []string
	for i := range room + 20 {
		id := fmt.Sprint("e", i)
		switch _, err := e.Publish(t.Context(), e.Event(sub, id)); {
		case err == nil:
			acked = append(acked, id)
		case errors.Is(err, delivery.ErrFull):
			refused = append(refused, id)
		default:
			t.Fatal(err)
		}
	}
	if len(acked) != room || len(refused) != 20 {
		t.Fatalf("%d taken and %d refused, there is room for %d", len(acked), len(refused), room)
	}
	ledger, err := rig.LedgerOf(t.Context(), store)
	if err != nil {
		t.Fatal(err)
	}
	rig.Evidence{Acked: acked, Refused: refused, Ledger: ledger}.Check(t, rig.Allow{Pending: true})
	if n := ledger.Count(delivery.Pending); n != room {
		t.Errorf("%d listed as undelivered", n)
	}
	stop := runIn(t, e)
	rc.WaitAccepted(t, room)
	rig.Eventually(t, "room again", func() bool {
		_, err := e.Publish(t.Context(), e.Event(sub, refused[0]))
		if err != nil && !errors.Is(err, delivery.ErrFull) {
			t.Fatal(err)
		}
		return err == nil
	})
	acked = append(acked, refused[0])
	rc.WaitAccepted(t, room+1)
	stop()
	if ledger, err = rig.LedgerOf(t.Context(), store); err != nil {
		t.Fatal(err)
	}
	rig.Evidence{Acked: acked, Refused: refused[1:], Requests: rc.Requests(), Ledger: ledger}.Check(t, rig.Allow{})
}

// One processor is offered more than it can do: what is taken is stored and
// sent, the rest waits at its caller, and the counts are to be had all the same.
func TestB74Overload(t *testing.T) {
	t.Parallel()
	rate := rig.Size(20_000, 5_000, 600)
	rc := rig.Listen(t)
	p := start(t, rig.WatchSpec{Procs: 1, Spec: rig.Spec{Endpoints: []rig.Endpoint{rc.Endpoint(sub), rc.Endpoint("sub_b")}}})
	p.say(t, "ready")
	p.Send(t, "offer", "e", 1000, rate, sub, "sub_b")
	var took []int // ms
	rig.Eventually(t, "the end of the offer", func() bool {
		p.Send(t, "timed")
		ms, err := strconv.Atoi(p.say(t, "timed"))
		if err != nil {
			t.Fatal(err)
		}
		took = append(took, ms)
		return len(p.Words("offered")) > 0
	})
	slices.Sort(took)
	if p90 := took[len(took)*9/10]; p90 >= int(rig.Within(100*time.Millisecond).Milliseconds()) {
		t.Errorf("9 of 10 of %d looks at the counts took up to %d ms", len(took), p90)
	}
	p.settled(t)
	p.stop(t)
	rig.Evidence{Acked: p.Words("acked"), Requests: rc.Requests(), Ledger: rig.ReadLedger(t, p.path)}.Check(t, rig.Allow{})
	if n := len(p.Words("acked")); n != rate {
		t.Errorf("%d of %d taken", n, rate)
	}
}
