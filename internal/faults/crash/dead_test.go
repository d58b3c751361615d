//go:build unix

package crash_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/registry"
)

// registered reads a subscription out of the file of a dead process; ok is
// false if there is none.
func (s *scene) registered(t *testing.T, id string) (sub registry.Subscription, ok bool) {
	t.Helper()
	for _, r := range s.registry(t) {
		if r.ID == id {
			return r, true
		}
	}
	return sub, false
}

func (s *scene) registry(t *testing.T) (subs []registry.Subscription) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	store, err := sqlitestore.Open(ctx, sqlitestore.Config{Path: s.spec.Path})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	reg, err := rig.OpenRegistry(ctx, store.Writer(), store.Reader())
	if err != nil {
		t.Fatal(err)
	}
	for sub, err := range reg.List(ctx, registry.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		subs = append(subs, sub)
	}
	return subs
}

// Kills while a delivery is given up: it is dead or pending, and once it is
// dead nothing leaves.
func TestB10Dead(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		step string
		dead bool
	}{
		{"settle.before", false},
		{"settle.commit.before", false},
		{"settle.commit.after", true},
		{"settle.after", true},
	} {
		t.Run(tt.step, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, rig.Listen(t))
			s.rc.Handle("/"+sub, rig.Status(400))
			p := rig.Start(t, rig.EngineRole, s.spec)
			p.Await(t, "ready")
			p.Send(t, "arm", tt.step+":3")
			p.Await(t, "ok arm")
			counts := 0
			for i, e := range []string{"e1", "e2"} { // each in a settle of its own
				p.Send(t, "publish "+sub+" "+e)
				p.Await(t, "acked", i+1)
				counts = settledAfter(t, p, counts)
			}
			p.Send(t, "publish "+sub+" e3")
			p.Killed(t)
			s.acked = p.Words("acked")
			before := s.evidence(t)
			unlogged := 1
			if tt.dead {
				unlogged = 0
			}
			before.Check(t, rig.Allow{Pending: true, Unlogged: unlogged})
			wantDead := 2
			if tt.dead {
				wantDead = 3
			}
			if n := before.Ledger.Count(delivery.Dead); n != wantDead {
				t.Errorf("%d dead after the kill, want %d", n, wantDead)
			}
			s.recovers(t, func(p *rig.Process) { settled(t, p) }, "publish "+sub+" e1 e2 e3 e4 e5")
			ev := s.evidence(t)
			ev.Check(t, rig.Allow{Unlogged: unlogged})
			if n := ev.Ledger.Count(delivery.Dead); n != 5 || len(ev.Requests) != 5+unlogged {
				t.Errorf("%d dead, %d requests", n, len(ev.Requests))
			}
		})
	}
}

// Kills while 410 disables an endpoint with a backlog: half of it is never
// visible, and nothing leaves once it is committed.
func TestB10Gone(t *testing.T) {
	t.Parallel()
	const events = 20
	for _, tt := range []struct {
		step             string
		disabled, closed bool // committed at the kill
	}{
		{"regset.before", false, false},
		{"regset.commit.before", false, false},
		{"regset.commit.after", true, false},
		{"regset.after", true, false},
		{"setlanes.before", true, false},
		{"setlanes.commit.before", true, false},
		{"setlanes.commit.after", true, true},
		{"setlanes.after", true, true},
		{"settle.before", true, true},
		{"settle.commit.before", true, true},
		{"settle.commit.after", true, true},
	} {
		t.Run(tt.step, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, rig.Listen(t))
			let := make(chan struct{})
			s.rc.Handle("/"+sub, rig.InTurn(rig.Answer{Status: 410, After: let}, rig.Answer{Status: 410}))
			p := rig.Start(t, rig.EngineRole, s.spec)
			p.Await(t, "ready")
			for i := range events {
				p.Send(t, fmt.Sprintf("publish %s e%d", sub, i))
			}
			p.Await(t, "acked", events)
			s.rc.Wait(t, "the first request", func(rs []rig.Request) bool { return len(rs) == 1 })
			p.Send(t, "arm "+tt.step)
			p.Await(t, "ok arm")
			close(let)
			p.Killed(t)
			s.acked = p.Words("acked")

			before := s.evidence(t)
			before.Check(t, rig.Allow{Pending: true, Unlogged: 1})
			dead := before.Ledger.Count(delivery.Dead)
			switch {
			case !tt.closed && dead != 0,
				tt.closed && dead < events-1,
				tt.step == "settle.commit.after" && dead != events:
				t.Errorf("%d of %d dead after the kill", dead, events)
			}
			reg, ok := s.registered(t, sub)
			if want := map[bool]registry.State{true: registry.Disabled, false: registry.Active}[tt.disabled]; !ok || reg.State != want || len(reg.Secrets) != 1 {
				t.Errorf("the subscription is %q with %d secrets, want %q", reg.State, len(reg.Secrets), want)
			}

			s.recovers(t, func(p *rig.Process) { settled(t, p) })
			ev := s.evidence(t)
			ev.Check(t, rig.Allow{Unlogged: 1})
			requests := 1
			if !tt.disabled {
				requests = 2
			}
			if len(ev.Requests) != requests {
				t.Errorf("%d requests, want %d", len(ev.Requests), requests)
			}
			for id, e := range ev.Ledger {
				if e.State != delivery.Dead || e.Reason != delivery.ReasonGone {
					t.Errorf("%s is %s, %q", id, e.State, e.Reason)
				}
			}
			if reg, _ := s.registered(t, sub); reg.State != registry.Disabled || reg.Reason != delivery.ReasonGone {
				t.Errorf("the subscription is %q, %q", reg.State, reg.Reason)
			}
		})
	}
}
