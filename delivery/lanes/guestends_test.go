package lanes_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// TestGuestFails: what fails is the host's, and three in a row end the visit.
func TestGuestFails(t *testing.T) {
	t.Parallel()
	failed := lanes.Note{Left: true, Retry: true, Sign: delivery.SignFailing}
	unresolved := lanes.Note{Left: true, Retry: true, Sign: delivery.SignUnresolved}
	well := lanes.Note{Left: true, Retry: true, Sign: delivery.SignFailing, Well: true}
	quiet := lanes.Note{Left: true, Retry: true}
	given := lanes.Note{Sign: delivery.SignFailing}
	const done, retry, giveUp = delivery.Done, delivery.Retry, delivery.GiveUp
	type end struct {
		as    delivery.Result
		class string
	}
	for name, test := range map[string]struct {
		ends     []end
		notes    []lanes.Note
		failures int // as the host sees it
		over     bool
	}{
		"all goes well":             {[]end{{done, ""}, {done, ""}}, nil, 0, false},
		"one fails":                 {[]end{{retry, "timeout"}}, []lanes.Note{failed}, 1, false},
		"one fails by DNS":          {[]end{{retry, "dns"}}, []lanes.Note{unresolved}, 1, false},
		"one fails on our side":     {[]end{{retry, "internal"}}, []lanes.Note{quiet}, 0, false},
		"one fails for good":        {[]end{{giveUp, "status"}}, []lanes.Note{given}, 1, false},
		"one fails that would not":  {[]end{{done, ""}, {retry, "timeout"}, {retry, "timeout"}}, []lanes.Note{well, failed}, 2, false},
		"others go well in between": {[]end{{retry, "timeout"}, {retry, "timeout"}, {done, ""}, {retry, "timeout"}}, []lanes.Note{failed, failed, well}, 1, false},
		"three fail in a row":       {[]end{{retry, "timeout"}, {retry, "dns"}, {retry, "timeout"}}, []lanes.Note{failed, unresolved, failed}, 3, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stays(t, 4, func(t *testing.T, s *stay) {
				s.publish(s.guest, 4, delivery.Delivery{})
				for i, l := range s.leases(s.guest, 4)[:len(test.ends)] {
					s.settles(s.guest, test.ends[i].as, test.ends[i].class, l)
				}
				s.noted(test.notes...)
				if v := s.guest.store.Visits(false); len(v) != 1 || v[0].Over != test.over {
					t.Errorf("visits: %+v, want it over: %t", v, test.over)
				}
				s.publish(s.guest, 1, delivery.Delivery{})
				if over := len(s.inbox) > len(test.notes); over != test.over {
					t.Errorf("what comes then is left for the host: %t, want %t", over, test.over)
				}
				s.folds(s.host)
				s.publish(s.host, 1, delivery.Delivery{})
				got, err := s.host.store.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: 9})
				if err != nil || len(got) == 0 || got[0].Health.Failures != test.failures {
					t.Errorf("the host sees %+v, want %d failures; %v", got, test.failures, err)
				}
			})
		})
	}
}

// TestDepart: what waits is the host's, what is attempted ends by itself.
func TestDepart(t *testing.T) {
	t.Parallel()
	stays(t, 2, func(t *testing.T, s *stay) {
		s.publish(s.guest, 6, delivery.Delivery{})
		under := s.leases(s.guest, 2)
		if s.departs() {
			t.Error("the visit is forgotten while attempts are under way")
		}
		s.noted(lanes.Note{Left: true})
		s.leases(s.guest, 0)
		s.leases(s.host, 0)
		s.folds(s.host)
		s.leases(s.host, 4)
		s.settles(s.guest, delivery.Done, "", under[0])
		s.ok(s.guest.store.Settle(t.Context(), time.Time{}, delivery.Outcome{ID: under[1].ID, Receipt: under[1].Receipt, Result: delivery.Release}))
		s.leases(s.guest, 0) // given back, it waits
		if !s.departs() {
			t.Error("the visit is not forgotten when nothing is left of it")
		}
		s.noted(lanes.Note{Left: true})
		s.host.store.Lent("l", 0)
		s.folds(s.host)
		s.leases(s.host, 1)
		if got := s.guest.store.Visits(false); len(got) != 0 {
			t.Errorf("visits: %+v", got)
		}
	})
}

// TestNoteToAClosedLane: what a guest leaves there dies.
func TestNoteToAClosedLane(t *testing.T) {
	t.Parallel()
	stays(t, 2, func(t *testing.T, s *stay) {
		id := s.publish(s.guest, 1, delivery.Delivery{})[0]
		set(t, s.host.store, delivery.LaneState{Lane: "l", Mode: delivery.LaneClosed, Reason: "gone"})
		s.departs()
		if s.byID[id].settled {
			t.Error("it ended before the host heard of it")
		}
		s.folds(s.host)
		if how := s.byID[id].how; how != "gone" {
			t.Errorf("it ended by %q", how)
		}
	})
}

// TestNoteWhileALaneIsClosed: a note that comes while the lane's rows are killed,
// which is opened at once, is not lost.
func TestNoteWhileALaneIsClosed(t *testing.T) {
	t.Parallel()
	stays(t, 2, func(t *testing.T, s *stay) {
		var wg sync.WaitGroup
		set(t, s.host.store, delivery.LaneState{Lane: "l", Mode: delivery.LanePaused})
		s.publish(s.host, 1, delivery.Delivery{}) // for the kill
		s.publish(s.guest, 1, delivery.Delivery{})
		killing, killed := make(chan struct{}), make(chan struct{})
		s.host.killing = func() { close(killing); <-killed }
		wg.Go(func() { set(t, s.host.store, delivery.LaneState{Lane: "l", Mode: delivery.LaneClosed}) })
		<-killing
		s.departs()
		wg.Go(func() { s.folds(s.host) })
		time.Sleep(time.Second)
		wg.Go(func() { set(t, s.host.store, delivery.LaneState{Lane: "l", Mode: delivery.LaneOpen}) })
		time.Sleep(time.Second)
		s.host.killing = nil
		close(killed)
		wg.Wait()
		waits := 0
		for _, r := range s.rows {
			if !r.settled {
				waits++
			}
		}
		s.leases(s.host, waits)
	})
}

// TestGuestGains: who gains a lane that it visits goes on with what it has of it.
func TestGuestGains(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before func(s *stay, under []delivery.Lease) // what the host does
		sends  int                                   // of 4 that wait and 2 under way that are given back
	}{
		"all is sent": {nil, 6},
		"but what was canceled": {func(s *stay, under []delivery.Lease) {
			s.ok(s.host.store.Cancel(s.Context(), time.Time{}, under[0].ID))
		}, 5},
		"or what waited and was": {func(s *stay, _ []delivery.Lease) { s.ok(s.host.store.Cancel(s.Context(), time.Time{}, "d006")) }, 5},
		"nothing of a lane closed": {func(s *stay, _ []delivery.Lease) {
			set(s.T, s.host.store, delivery.LaneState{Lane: "l", Mode: delivery.LaneClosed})
		}, 0},
		"what a third has is not used": {func(s *stay, _ []delivery.Lease) { s.lends(s.opens("third"), 3) }, 5},
		"one at a time where it failed": {func(s *stay, _ []delivery.Lease) {
			s.publish(s.host, delivery.ThrottleAfter, delivery.Delivery{})
			s.settles(s.host, delivery.GiveUp, "timeout", s.leases(s.host, delivery.ThrottleAfter)...)
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stays(t, 2, func(t *testing.T, s *stay) {
				s.publish(s.guest, 6, delivery.Delivery{})
				under := s.leases(s.guest, 2)
				if test.before != nil {
					test.before(s, under)
				}
				s.ok(s.host.leave(t.Context(), s.names))
				s.gains(s.guest)
				if v := s.guest.store.Visits(false); len(v) != 0 {
					t.Errorf("visits: %+v", v)
				}
				for _, l := range under {
					s.ok(s.guest.store.Settle(t.Context(), time.Time{}, delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: delivery.Release}))
				}
				for _, l := range s.leases(s.guest, test.sends) {
					if s.byID[l.ID].settled {
						t.Errorf("%s is leased, which ended by %q", l.ID, s.byID[l.ID].how)
					}
				}
				if test.sends == 0 {
					for _, r := range s.rows {
						if !r.settled {
							t.Errorf("%s waits in a lane that is closed", r.Delivery.ID)
						}
					}
				}
			})
		})
	}
}

// TestVisitOfALaneThatLeaves: a visit that is granted before the Store knows that
// it has left the lane begins when it does.
func TestVisitOfALaneThatLeaves(t *testing.T) {
	t.Parallel()
	stays(t, 0, func(t *testing.T, s *stay) {
		s.host, s.guest = s.guest, s.host
		s.ok(s.guest.store.Leave(t.Context(), lanes.Part{
			Has: func(string) bool { return true },
			Own: func(own bool) { s.guest.own.Store("l", own) },
			Free: func(context.Context) error {
				delete(s.owners, "l")
				s.gains(s.host)
				s.lends(s.guest, 2)
				return nil
			},
		}))
		if len(s.guest.store.Visits(false)) == 0 { // the next look sees to that
			s.guest.store.Visit("l", 2)
		}
		s.publish(s.guest, 10, delivery.Delivery{})
		s.leases(s.guest, 2)
		s.departs()
		s.leases(s.guest, 0)
	})
}

// TestGuestEdits: an operator's wish for what a guest has.
func TestGuestEdits(t *testing.T) {
	t.Parallel()
	stays(t, 2, func(t *testing.T, s *stay) {
		ids := s.publish(s.guest, 2, delivery.Delivery{})
		under := s.leases(s.guest, 2)
		s.ok(s.host.store.RetryNow(t.Context(), time.Time{}, ids[0]))
		s.leases(s.host, 0)
		s.ok(s.host.store.Cancel(t.Context(), time.Time{}, ids[1]))
		s.settles(s.guest, delivery.Retry, "timeout", under...)
		s.folds(s.host)
		if again := s.leases(s.host, 1); again[0].ID != ids[0] {
			t.Errorf("%s is attempted again, want the one that was not canceled", again[0].ID)
		}
	})
}

// TestGuestDies: the host hears of what it had.
func TestGuestDies(t *testing.T) {
	t.Parallel()
	stays(t, 2, func(t *testing.T, s *stay) {
		s.publish(s.guest, 4, delivery.Delivery{})
		s.leases(s.guest, 2)
		s.guest.bury()
		s.noted(lanes.Note{Left: true})
		s.host.store.Lent("l", 0)
		s.folds(s.host)
		s.leases(s.host, 4)
	})
}

// TestGuestLosesSight: a visit that is bounded starts nothing after that.
func TestGuestLosesSight(t *testing.T) {
	t.Parallel()
	stays(t, 2, func(t *testing.T, s *stay) {
		s.publish(s.guest, 4, delivery.Delivery{})
		s.guest.store.Stay(time.Second)
		time.Sleep(time.Second - time.Millisecond)
		s.settles(s.guest, delivery.Done, "", s.leases(s.guest, 2)...)
		time.Sleep(time.Millisecond)
		s.leases(s.guest, 0)
		s.guest.store.Stay(time.Second)
		s.leases(s.guest, 2)
	})
}
