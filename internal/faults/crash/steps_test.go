//go:build unix

package crash_test

import (
	"strings"
	"testing"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

// Kills while an event is published. The caller has no nil and tries again
// with the same ID.
func TestPublishing(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id, step string
		stored   bool
	}{
		{"B01", "enqueue.before", false},
		{"B02", "enqueue.commit.before", false},
		{"B03 commit", "enqueue.commit.after", true},
		{"B03 return", "enqueue.after", true},
	} {
		t.Run(tt.id, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, rig.Listen(t))
			s.spec.Idle = true
			s.dies(t, tt.step+":2", "publish "+sub+" e1 e2")
			if len(s.acked) != 1 || s.acked[0] != "e1" {
				t.Fatalf("acknowledged: %q", s.acked)
			}
			ev := s.evidence(t)
			if e, ok := ev.Ledger.Get("e2", sub); ok != tt.stored || ok && e.State != delivery.Pending {
				t.Errorf("after the kill e2 is stored %t, %s", ok, e.State)
			}
			if !tt.stored {
				ev.Refused = []string{"e2"}
			}
			ev.Check(t, rig.Allow{Pending: true})

			s.spec.Idle = false
			s.recovers(t, func(p *rig.Process) {
				p.Await(t, "acked")
				settled(t, p)
			}, "publish "+sub+" e2")
			ev = s.evidence(t)
			ev.Check(t, rig.Allow{})
			if len(ev.Ledger) != 2 || len(ev.Requests) != 2 {
				t.Errorf("%d stored, %d requests", len(ev.Ledger), len(ev.Requests))
			}
		})
	}
}

// Kills while an event is sent, one event at a time: what may come twice is
// known exactly.
func TestSending(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id, step          string
		repeats, unlogged int // exactly
		cut               bool
		secure            bool
		pad               int
	}{
		{id: "B04 claimed", step: "lease.after:3"},
		{id: "B04 dial", step: "dial.before"},
		{id: "B05 connected", step: "tls.done", secure: true},
		{id: "B06", step: "write:6", cut: true, pad: 200 << 10, unlogged: 1},
		{id: "B07", step: "wrote:3", repeats: 1, unlogged: 1},
		{id: "B07 TLS", step: "wrote:3", secure: true, repeats: 1, unlogged: 1},
		{id: "B08 answer", step: "client.after:3", repeats: 1, unlogged: 1},
		{id: "B08 settling", step: "settle.before:3", repeats: 1, unlogged: 1},
		{id: "B08 commit", step: "settle.commit.before:3", repeats: 1, unlogged: 1},
		{id: "B09 commit", step: "settle.commit.after:3"},
		{id: "B09 return", step: "settle.after:3"},
	} {
		t.Run(tt.id, func(t *testing.T) {
			t.Parallel()
			rc := rig.Listen(t)
			if tt.secure {
				rc = rig.ListenTLS(t)
			}
			s := newScene(t, rc)
			s.spec.Pad = tt.pad
			p := s.dies(t, tt.step, "publish "+sub+" e1 e2 e3 e4 e5")
			if tt.repeats > 0 || tt.cut { // the receiver has until now to see it
				rc.Wait(t, "the last request before the kill", func(rs []rig.Request) bool {
					n := 0
					for i := range rs {
						if rs[i].Accepted() {
							n++
						}
					}
					return n >= 3 || tt.cut && len(rs) > 0 && rs[len(rs)-1].Cut
				})
			}
			before := s.evidence(t)
			before.Check(t, rig.Allow{Pending: true, Unlogged: tt.unlogged})
			if tt.secure && tt.repeats == 0 {
				if _, shaken, _ := rc.Connections(); shaken != 1 || len(before.Requests) != 0 {
					t.Errorf("%d handshakes, %d requests", shaken, len(before.Requests))
				}
			}
			s.recovers(t, func(p *rig.Process) { settled(t, p) }, "publish "+sub+" e1 e2 e3 e4 e5")
			ev := s.evidence(t)
			ev.Check(t, rig.Allow{Repeats: tt.repeats, PerEvent: 1, Unlogged: tt.unlogged})
			cut := 0
			for i := range ev.Requests {
				if ev.Requests[i].Cut {
					cut++
				}
			}
			if got := ev.Repeats(); got != tt.repeats || cut > 0 != tt.cut {
				t.Errorf("%d repeats and %d cut, want exactly %d and %t; the first process said %q", got, cut, tt.repeats, tt.cut, p.Lines())
			}
			if n := ev.Ledger.Count(delivery.Delivered); n != 5 {
				t.Errorf("%d of 5 delivered", n)
			}
			if tt.unlogged == 1 && strings.HasPrefix(tt.id, "B07") {
				unknownAnswer(t, ev)
			}
		})
	}
}

// unknownAnswer: an answer that nobody read is in no log: of the two requests
// of one event, one has a row.
func unknownAnswer(t *testing.T, ev rig.Evidence) {
	t.Helper()
	for id, e := range ev.Ledger {
		if len(e.Log) != 1 {
			t.Errorf("%s has %d rows", id, len(e.Log))
		}
	}
}
