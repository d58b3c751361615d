package receivers_test

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

// 410 with a backlog: all of it is dead, the application is told once, and
// nothing leaves any more, also not after a restart.
func TestB53Gone(t *testing.T) {
	t.Parallel()
	backlog := rig.Size(10_000, 2_500, 600) // more than is given up in one step
	s := newScene(t, rig.Listen(t), sick, well)
	all := make(chan struct{})
	s.rc.Handle("/"+sick, rig.InTurn(rig.Answer{Status: 410, After: all}))
	s.start(t)
	s.backlog(t, sick, "e", backlog)
	s.rc.Wait(t, "a full lane", func(rs []rig.Request) bool { return len(rs) == laneCap })
	close(all) // several say so at the same time
	s.settled(t)
	s.publish(t, well, "w1")
	s.rc.WaitAccepted(t, 1)
	s.p.Await(t, "notice endpoint_disabled")
	s.stop(t)
	told := s.p.Words("notice endpoint_disabled")
	if len(told) != 1 || told[0] != sick+" "+delivery.ReasonGone {
		t.Errorf("told %q", told)
	}
	if n := len(s.p.Words("notice")); n > laneCap { // and of the other attempts that ended so
		t.Errorf("%d notices", n)
	}
	s.start(t)
	s.publish(t, sick, "late") // to a disabled one: there is nothing to deliver
	s.publish(t, well, "w2")
	s.rc.WaitAccepted(t, 2)
	s.stop(t)
	s.acked = slices.DeleteFunc(s.acked, func(id string) bool { return id == "late" })
	ev := s.evidence(t)
	ev.Check(t, rig.Allow{})
	if n := ev.Ledger.Count(delivery.Dead); n != backlog {
		t.Errorf("%d of %d dead", n, backlog)
	}
	for id, e := range ev.Ledger {
		if strings.HasPrefix(id, "e-") && (e.State != delivery.Dead || e.Reason != delivery.ReasonGone) {
			t.Fatalf("%s is %s, %q", id, e.State, e.Reason)
		}
	}
	if n := len(rig.OfPath(ev.Requests, "/"+sick)); n != laneCap {
		t.Errorf("%d requests, want the %d that were under way", n, laneCap)
	}
}

// An endpoint that fails every second time is served all the same.
func TestB54Flaps(t *testing.T) {
	t.Parallel()
	events := rig.Size(3_000, 400, 200)
	s := newScene(t, rig.Listen(t), sick)
	s.rc.Handle("/"+sick, func(n int, _ rig.Request) rig.Answer { return rig.Answer{Status: 200 + n%2*300} })
	s.start(t)
	s.backlog(t, sick, "e", events)
	s.settled(t)
	s.stop(t)
	ev := s.evidence(t)
	ev.Check(t, rig.Allow{})
	if n := ev.Ledger.Count(delivery.Delivered); n != events || len(ev.Requests) > 2*events {
		t.Errorf("%d of %d delivered by %d requests", n, events, len(ev.Requests))
	}
}

// An ordering key's first event is poisoned: only that key waits, until it is
// dead, and what follows keeps its order.
func TestB59PoisonedKey(t *testing.T) {
	t.Parallel()
	s := newScene(t, rig.Listen(t), sick)
	s.spec.Pauses = s.spec.Pauses[:4]
	last := make(chan struct{}) // lets the last attempt fail
	var tries atomic.Int32
	s.rc.Handle("/"+sick, func(_ int, r rig.Request) rig.Answer {
		if r.ID != "a0" {
			return rig.Answer{}
		}
		if tries.Add(1) == 5 {
			return rig.Answer{Status: 500, After: last}
		}
		return rig.Answer{Status: 500}
	})
	s.start(t)
	ids := strings.Fields("a0 a1 a2 a3 a4 a5 a6 a7 a8 a9")
	s.p.Send(t, "keyed", sick, "a", strings.Join(ids, " "))
	s.p.Send(t, "keyed", sick, "b", "b0 b1 b2 b3 b4 b5 b6 b7 b8 b9")
	s.p.Send(t, "publish", sick, "c0 c1 c2 c3 c4 c5 c6 c7 c8 c9")
	s.rc.WaitAccepted(t, 20)
	for _, r := range s.rc.Requests() {
		if r.ID[0] == 'a' && r.ID != "a0" {
			t.Errorf("%s overtook the first of its key", r.ID)
		}
	}
	close(last)
	s.settled(t)
	s.stop(t)
	ev := s.evidence(t)
	ev.Check(t, rig.Allow{})
	var order []string
	for i := range ev.Requests {
		if r := &ev.Requests[i]; r.Accepted() && r.ID[0] == 'a' {
			order = append(order, r.ID)
		}
	}
	if got := strings.Join(order, " "); got != strings.Join(ids[1:], " ") {
		t.Errorf("order %s", got)
	}
	if e, _ := ev.Ledger.Get("a0", sick); e.State != delivery.Dead || e.Attempts != 5 {
		t.Errorf("the poisoned one is %s after %d attempts", e.State, e.Attempts)
	}
}

// A dialect panics over an event, an answer, or for a subscription: what it
// panics over is dead after its tries, and the engine lives.
func TestB60Panics(t *testing.T) {
	t.Parallel()
	const boom = "sub_boom"
	s := newScene(t, rig.Listen(t), sick, well, boom)
	s.spec.Pauses = s.spec.Pauses[:3]
	s.rc.Handle("/"+sick, func(_ int, r rig.Request) rig.Answer {
		if r.ID == "answer" {
			return rig.Answer{Header: map[string][]string{"X-Boom": {"1"}}}
		}
		return rig.Answer{}
	})
	s.rc.Handle("/"+boom, rig.InTurn(rig.Answer{Status: 500}, rig.Answer{})) // then its schedule is asked for
	s.start(t)
	s.publish(t, sick, "boom1", "boom2", "answer", "e1", "e2")
	s.publish(t, boom, "s1")
	s.publish(t, well, "w1", "w2")
	s.settled(t)
	s.stop(t)
	ev := s.evidence(t)
	for _, r := range ev.Requests {
		if strings.HasPrefix(r.ID, "boom") {
			t.Errorf("%s left", r.ID)
		}
	}
	for _, v := range ev.Violations(rig.Allow{Repeats: 3}) { // a 200 that was not judged comes again
		if !strings.Contains(v, "no row in the attempt log") {
			t.Error(v)
		}
	}
	for id, want := range map[string]struct {
		sub, text string
		state     delivery.State
		attempts  int
	}{
		"boom1":  {sick, "the request of boom1", delivery.Dead, 4},
		"boom2":  {sick, "the request of boom2", delivery.Dead, 4},
		"answer": {sick, "the answer", delivery.Dead, 4},
		"e1":     {sick, "", delivery.Delivered, 1},
		"e2":     {sick, "", delivery.Delivered, 1},
		"s1":     {boom, "", delivery.Delivered, 2},
		"w1":     {well, "", delivery.Delivered, 1},
		"w2":     {well, "", delivery.Delivered, 1},
	} {
		e, _ := ev.Ledger.Get(id, want.sub)
		if e.State != want.state || e.Attempts != want.attempts || !strings.Contains(e.Reason, want.text) {
			t.Errorf("%s is %s after %d attempts, %q", id, e.State, e.Attempts, e.Reason)
		}
	}
	if e, _ := ev.Ledger.Get("s1", boom); len(e.Log) > 0 && (e.Log[0].Class != "internal" || e.Log[0].Status != 500) {
		t.Errorf("the attempt whose schedule panicked is %+v", e.Log[0])
	}
}
