package receivers_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringback-go/ringback/internal/faults/rig"
)

// Much falls due in the same moment after an outage of ours: every endpoint
// gets it at its own rate, and the others keep theirs.
func TestB55AllDueAtOnce(t *testing.T) {
	t.Parallel()
	const endpoints = 20
	each, rate := rig.Size(5_000, 166, 15), rig.Size(80, 50, 5)
	f := newField(t, rig.Listen(t), 4, 0)
	for i := range endpoints {
		ep := f.rc.Endpoint(fmt.Sprintf("sub_l%d", i))
		ep.PerSecond = float64(rate)
		f.spec.Endpoints = append(f.spec.Endpoints, ep)
	}
	f.start(t)
	without := f.offer(t, "a0")
	f.settled(t)
	f.stop(t)
	f.spec.Idle = true // the outage
	f.start(t)
	for _, ep := range f.spec.Endpoints[4:] {
		f.backlog(t, ep.ID, "e-"+ep.ID, each)
	}
	f.stop(t)
	f.spec.Idle = false
	f.start(t)
	ratio := 0.0
	for i := 0; i < 3 && ratio < share; i++ { // the best of three: the machine is not ours alone
		ratio = max(ratio, float64(f.offer(t, fmt.Sprintf("b%d", i)))/float64(max(without, 1)))
	}
	if ratio < share {
		t.Errorf("the others keep %.2f of their rate, want %.2f", ratio, share)
	}
	rig.Eventually(t, "nothing pending", func() bool { return f.pending(t) == 0 })
	f.stop(t)
	ev := f.evidence(t)
	ev.Check(t, rig.Allow{})
	for _, ep := range f.spec.Endpoints[4:] {
		rs := rig.OfPath(ev.Requests, "/"+ep.ID)
		if len(rs) != each {
			t.Fatalf("%d requests to %s, want %d", len(rs), ep.ID, each)
		}
		span := rs[len(rs)-1].At.Sub(rs[0].At).Seconds()
		if got := float64(each-1) / span; got > 1.1*float64(rate) {
			t.Errorf("%s got %.0f a second, may have %d", ep.ID, got, rate)
		}
	}
}

// A receiver returns and has a backlog: it sees no more than its cap, an event
// that goes ahead is not behind the backlog, and the others keep their rate.
func TestB56Returns(t *testing.T) {
	t.Parallel()
	backlog := rig.Size(50_000, 1_667, 400)
	f := newField(t, rig.Listen(t), 6, 0)
	f.spec.Endpoints = append(f.spec.Endpoints, f.rc.Endpoint(sick))
	f.spec.Pauses = patient(200 * time.Millisecond)
	var back atomic.Bool
	var served atomic.Int64
	gate := make(chan struct{})
	f.rc.Handle("/"+sick, func(int, rig.Request) rig.Answer {
		switch {
		case !back.Load():
			return rig.Answer{Drop: true}
		case served.Add(1) > 100:
			return rig.Answer{After: gate}
		}
		return rig.Answer{}
	})
	f.start(t)
	f.backlog(t, sick, "e", backlog)
	without := f.offer(t, "a0")
	f.peak(t, sick)
	back.Store(true)
	with := func() int { return f.offer(t, "b0") }()
	f.rc.Wait(t, "a full lane", func([]rig.Request) bool { return served.Load() == 100+laneCap })
	f.p.Send(t, "ahead", sick, "fresh")
	f.p.Await(t, "acked fresh")
	close(gate)
	ratio := float64(max(with, f.offer(t, "b1"), f.offer(t, "b2"))) / float64(max(without, 1))
	if ratio < share {
		t.Errorf("the others keep %.2f of their rate, want %.2f", ratio, share)
	}
	f.settled(t)
	if peak, _ := f.peak(t, sick); peak > laneCap {
		t.Errorf("%d attempts at once, want %d", peak, laneCap)
	}
	f.stop(t)
	ev := f.evidence(t)
	ev.Check(t, rig.Allow{})
	before := 0
	for i := range ev.Requests {
		r := &ev.Requests[i]
		if r.ID == "fresh" {
			break
		}
		if r.Path == "/"+sick && r.Accepted() {
			before++
		}
	}
	if before > 100+laneCap {
		t.Errorf("%d of the backlog of %d went before what goes ahead", before, backlog)
	}
}

// One tenant has a huge backlog, 99 have an event a second: those do not wait.
func TestB57HugeTenant(t *testing.T) {
	t.Parallel()
	const small = 99
	backlog, ms := rig.Size(1_000_000, 33_333, 3_000), rig.Size(30_000, 2_000, 1_000)
	s := newScene(t, rig.Listen(t), sick)
	var tenants []string
	for i := range small {
		tenants = append(tenants, fmt.Sprintf("sub_t%d", i))
	}
	s.start(t)
	s.ask(t, "many", "sub_t", small, s.rc.URL(""))
	s.p.Send(t, "stuff", sick, "e", backlog)
	s.say(t, "stuffed")
	s.p.Send(t, "offer", "f", ms, small, strings.Join(tenants, " "))
	s.say(t, "offered")
	left := s.pending(t)
	want := small * ms / 1000
	var ages []time.Duration
	s.rc.Wait(t, "the others' events", func(rs []rig.Request) bool {
		ages = ages[:0]
		for i := range rs {
			if rs[i].Path != "/"+sick {
				ages = append(ages, age(t, &rs[i]))
			}
		}
		return len(ages) == want
	})
	slices.Sort(ages)
	limit := time.Duration(rig.Size(2, 8, 10)) * time.Second
	if p99 := ages[len(ages)*99/100]; p99 > limit {
		t.Errorf("p99 of the age is %s, want %s", p99, limit)
	}
	if left == 0 {
		t.Error("the backlog was gone before the end")
	}
	t.Logf("p50 %s, p99 %s, %d of %d waiting", ages[len(ages)/2], ages[len(ages)*99/100], left, backlog)
	s.stop(t)
}

// age is how long ago an event was published when it came.
func age(t *testing.T, r *rig.Request) time.Duration {
	t.Helper()
	var m struct{ Timestamp time.Time }
	if err := json.Unmarshal(r.Body, &m); err != nil {
		t.Fatal(err)
	}
	return r.At.Sub(m.Timestamp)
}
