package receivers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/verify"
)

// A subscription is changed while a full lane is under way and a backlog waits:
// what is under way ends, and all that starts after goes by the new state.
func TestB61Changed(t *testing.T) {
	t.Parallel()
	const events = 100
	fresh := verify.GenerateSecret()
	for _, tt := range []struct {
		name, command string
		later         string // path of what follows; none if nothing does
		secret        string
		reason        string
	}{
		{name: "moved", command: "move " + sick + " URL/new", later: "/new", secret: rig.Secret},
		{name: "rotated", command: "rotate " + sick + " " + fresh, later: "/" + sick, secret: fresh},
		{name: "deleted", command: "unsubscribe " + sick, reason: delivery.ReasonRemoved},
		{name: "disabled", command: "disable " + sick, reason: "asked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, rig.Listen(t), sick, well)
			end := make(chan struct{})
			s.rc.Handle("/"+sick, func(n int, _ rig.Request) rig.Answer {
				if n < laneCap {
					return rig.Answer{Status: 200 + n%2*300, After: end} // half of them would be repeated
				}
				return rig.Answer{}
			})
			s.start(t)
			s.backlog(t, sick, "e", events)
			s.rc.Wait(t, "a full lane", func(rs []rig.Request) bool { return len(rs) == laneCap })
			s.p.Send(t, strings.Replace(tt.command, "URL", s.rc.URL(""), 1))
			s.say(t, "ok "+strings.Fields(tt.command)[0])
			changed := time.Now()
			if n := s.pending(t); tt.later == "" && n != laneCap {
				t.Errorf("%d pending once it is %s, want those under way", n, tt.name)
			}
			close(end)
			s.settled(t)
			s.publish(t, well, "w1") // a turn later
			s.rc.Wait(t, "the other endpoint", func(rs []rig.Request) bool { return len(rig.OfPath(rs, "/"+well)) == 1 })
			s.stop(t)

			ev := s.evidence(t)
			after := 0
			for i, r := range ev.Requests {
				if r.At.Before(changed) || r.Path == "/"+well {
					continue
				}
				if after++; r.Path != tt.later {
					t.Errorf("a request to %s after the change", r.Path)
				}
				v, err := verify.NewStandard(0, verify.Key{Secret: []byte(tt.secret)})
				if tt.secret == "" || err != nil {
					continue // it is an error already
				}
				if _, err := v.Verify(t.Context(), verify.Message{Header: r.Header, Body: r.Body, At: r.At}); err != nil {
					t.Errorf("request %d: %v", i, err)
				}
				ev.Requests[i].Path = "/" + sick // where the checker looks
			}
			ev.Check(t, rig.Allow{})
			wantAfter, wantDead := events-laneCap/2, 0
			if tt.later == "" {
				wantAfter, wantDead = 0, events-laneCap/2
			}
			if n := ev.Ledger.Count(delivery.Dead); after != wantAfter || n != wantDead {
				t.Errorf("%d requests after the change and %d dead, want %d and %d", after, n, wantAfter, wantDead)
			}
			for id, e := range ev.Ledger {
				if e.State == delivery.Dead && e.Reason != tt.reason {
					t.Errorf("%s is dead for %q", id, e.Reason)
				}
			}
		})
	}
}

// A receiver's certificate changes to a bad one and back.
func TestB62Certificate(t *testing.T) {
	t.Parallel()
	rc, shown := rig.ListenSwap(t)
	rc.Handle("/"+sick, rig.InTurn(rig.Answer{Close: true}, rig.Answer{})) // a restart ends what is pooled
	s := newScene(t, rc, sick)
	s.start(t)
	s.publish(t, sick, "e1")
	rc.WaitAccepted(t, 1)
	shown.Bad()
	_, _, open := rc.Connections()
	rig.Eventually(t, "closed connections", func() bool { _, _, open = rc.Connections(); return open == 0 })
	before, _, _ := rc.Connections()
	s.publish(t, sick, "e2")
	rc.Wait(t, "some tries", func([]rig.Request) bool { n, _, _ := rc.Connections(); return n >= before+3 })
	if n := len(rc.Requests()); n != 1 {
		t.Errorf("%d requests went to a bad certificate", n-1)
	}
	shown.Good()
	rc.WaitAccepted(t, 2)
	s.settled(t)
	s.stop(t)
	ev := s.evidence(t)
	ev.Check(t, rig.Allow{})
	e, _ := ev.Ledger.Get("e2", sick)
	if c := classes(e); c["tls"] < 2 || len(c) != 1 {
		t.Errorf("the failures are %v", c)
	}
	if !strings.Contains(e.Log[0].Error, "certificate") {
		t.Errorf("the log says %q", e.Log[0].Error)
	}
}

// No name can be looked up, and one has lapsed: nobody is disabled for it, and
// deliveries go on once the names are back. An endpoint that refuses as long is
// disabled.
func TestB58Names(t *testing.T) {
	t.Parallel()
	const lapsed, refusing = "sub_lapsed", "sub_refusing"
	rc := rig.Listen(t)
	s := newScene(t, rc, sick, well, lapsed, refusing)
	port := rc.URL("")[strings.LastIndexByte(rc.URL(""), ':')+1:]
	var number uint16
	if _, err := fmt.Sscan(port, &number); err != nil {
		t.Fatal(err)
	}
	s.spec.Ports = []uint16{number}
	s.spec.DisableAfter = 600 * time.Millisecond
	for i, host := range []string{"hooks.example.com", "127.0.0.1", "lapsed.example.com"} {
		ep := &s.spec.Endpoints[i]
		ep.URL = "http://" + host + ":" + port + "/" + ep.ID
	}
	s.spec.Endpoints[3].URL = closedPort(t) + "/" + refusing
	rc.Handle("/"+sick, rig.InTurn(rig.Answer{Close: true}, rig.Answer{})) // nothing stays pooled
	s.start(t)
	s.publish(t, sick, "e0")
	rc.WaitAccepted(t, 1)
	_, _, open := rc.Connections()
	rig.Eventually(t, "closed connections", func() bool { _, _, open = rc.Connections(); return open == 0 })
	s.ask(t, "names", "down")
	s.backlog(t, sick, "e", 30)
	s.backlog(t, lapsed, "l", 3)
	s.backlog(t, refusing, "r", 10)
	s.publish(t, well, "w1") // an address needs no look-up
	rc.WaitAccepted(t, 2)
	s.p.Await(t, "notice endpoint_disabled "+refusing)
	s.peak(t, sick)
	rig.Eventually(t, "a failure after that time", func() bool { _, n := s.peak(t, sick); return n > 1 })
	s.ask(t, "names", "up")
	rc.WaitAccepted(t, 32)
	rig.Eventually(t, "nothing pending but for the lapsed name", func() bool { return s.pending(t) == 3 })
	s.stop(t)
	for _, n := range s.p.Words("notice endpoint_disabled") {
		if !strings.HasPrefix(n, refusing) {
			t.Errorf("disabled: %s", n)
		}
	}
	ev := s.evidence(t)
	ev.Check(t, rig.Allow{Pending: true})
	for id, e := range ev.Ledger {
		want := delivery.Delivered
		switch e.SubscriptionID {
		case lapsed:
			want = delivery.Pending
		case refusing:
			want = delivery.Dead
		}
		if e.State != want {
			t.Errorf("%s is %s, want %s", id, e.State, want)
		}
		for class := range classes(e) {
			if class != "dns" && e.SubscriptionID != refusing {
				t.Errorf("%s failed by %q", id, class)
			}
		}
	}
}
