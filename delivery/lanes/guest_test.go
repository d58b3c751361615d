package lanes_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// stay is a lane's host and a guest, over rows that nothing happens to.
type stay struct {
	*testing.T
	*common

	host, guest *partner
	serial      int
}

// stays has a host of a lane with 8 attempts at a time, and a guest of so many of
// them.
func stays(t *testing.T, slots int, do func(t *testing.T, s *stay)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stay{T: t, common: newCommon(1, []string{"l"})}
		s.calm = true
		defer time.Sleep(time.Second) // virtual: reads in the background end
		s.host, s.guest = s.opens("host"), s.opens("guest")
		s.gains(s.host)
		if slots > 0 {
			s.lends(s.guest, slots)
		}
		do(t, s)
		s.audit()
	})
}

func (s *stay) opens(name string) *partner {
	s.Helper()
	p, err := s.join(s.Context(), name, lanes.Config{MaxInFlight: 8})
	s.ok(err)
	return p
}

func (s *stay) ok(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stay) gains(p *partner) { s.Helper(); s.ok(p.gain(s.Context(), s.names)) }

func (s *stay) folds(p *partner) { s.Helper(); s.ok(p.fold(s.Context())) }

func (s *stay) lends(to *partner, slots int) {
	s.Helper()
	if !s.host.store.Lent("l", slots) {
		s.Fatal("the host has more under way than are left")
	}
	s.table[visitor{"l", to}] = &guestRow{slots: slots}
	to.store.Visit("l", slots)
}

func (s *stay) audit() {
	s.Helper()
	for _, p := range []*partner{s.host, s.guest} {
		if _, _, _, err := p.store.Audit(false); err != nil {
			s.Error(err)
		}
	}
	if s.wrong != nil {
		s.Error(s.wrong)
	}
}

// publish stores n deliveries for the lane; as says what is special about them.
func (s *stay) publish(by *partner, n int, as delivery.Delivery) (ids []string) {
	s.Helper()
	ds := make([]delivery.Delivery, n)
	for i := range ds {
		s.serial++
		ds[i] = as
		ds[i].ID = fmt.Sprintf("d%03d", s.serial)
		ds[i].EventID, ds[i].SubscriptionID, ds[i].Lane = ds[i].ID, "l", "l"
		ids = append(ids, ds[i].ID)
	}
	s.ok(by.store.Enqueue(s.Context(), time.Time{}, ds...))
	return ids
}

// leases takes what a store has at this moment.
func (s *stay) leases(p *partner, want int) []delivery.Lease {
	s.Helper()
	got, err := p.store.Lease(s.Context(), time.Time{}, delivery.LeaseRequest{Max: 100})
	s.ok(err)
	if len(got) != want {
		s.Fatalf("%s leases %d, want %d", p.name, len(got), want)
	}
	return got
}

func (s *stay) settles(p *partner, as delivery.Result, class string, leases ...delivery.Lease) {
	s.Helper()
	for _, l := range leases {
		out := delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: as, Attempt: &delivery.Attempt{Number: 1, Class: class}}
		s.ok(p.store.Settle(s.Context(), time.Time{}, out))
	}
}

// departs has the guest leave and returns whether it may forget the visit.
func (s *stay) departs() bool {
	s.Helper()
	s.ok(s.guest.store.Depart(s.Context(), "l"))
	return s.guest.store.Forget("l")
}

// notes are those that wait in the inbox.
func (s *stay) notes() (notes []lanes.Note) {
	for _, l := range s.inbox {
		if l.note != nil {
			n := *l.note
			n.Due = 0
			notes = append(notes, n)
		}
	}
	return notes
}

func (s *stay) noted(want ...lanes.Note) {
	s.Helper()
	for i := range want {
		want[i].Lane = "l"
	}
	if got := s.notes(); !slices.Equal(got, want) {
		s.Errorf("notes: %+v, want %+v", got, want)
	}
}

func TestLend(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before func(s *stay)
		lent   int
		want   int
	}{
		"half":                     {nil, 0, 4},
		"half of what is left":     {nil, 4, 2},
		"nothing less than two":    {nil, 5, 0},
		"as the lane's cap says":   {func(s *stay) { set(s.T, s.host.store, delivery.LaneState{Lane: "l", MaxInFlight: 5}) }, 0, 2},
		"nothing of a small cap":   {func(s *stay) { set(s.T, s.host.store, delivery.LaneState{Lane: "l", MaxInFlight: 3}) }, 0, 0},
		"nothing of a paused lane": {func(s *stay) { set(s.T, s.host.store, delivery.LaneState{Lane: "l", Mode: delivery.LanePaused}) }, 0, 0},
		"nothing of a held lane":   {func(s *stay) { set(s.T, s.host.store, delivery.LaneState{Lane: "l", NotBeforeIn: time.Hour}) }, 0, 0},
		"nothing of a lane with a rate": {func(s *stay) {
			set(s.T, s.host.store, delivery.LaneState{Lane: "l", PerSecond: 100})
		}, 0, 0},
		"nothing where one goes ahead": {func(s *stay) { s.publish(s.host, 1, delivery.Delivery{Ahead: true}) }, 0, 0},
		"nothing of one that fails": {func(s *stay) {
			s.publish(s.host, delivery.ThrottleAfter, delivery.Delivery{})
			s.settles(s.host, delivery.Retry, "timeout", s.leases(s.host, delivery.ThrottleAfter)...)
		}, 0, 0},
		"nothing of another's lane": {func(s *stay) { s.ok(s.host.leave(s.Context(), s.names)) }, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stays(t, 0, func(t *testing.T, s *stay) {
				if test.before != nil {
					test.before(s)
				}
				s.host.store.Lent("l", test.lent)
				if n := s.host.store.Lend("l"); n != test.want {
					t.Errorf("lends %d, want %d", n, test.want)
				}
			})
		})
	}
}

// TestLentIsFree: what is lent is a guest's once the host has no more under way
// than what is left, and from when it is asked to lend it starts no more than that.
func TestLentIsFree(t *testing.T) {
	t.Parallel()
	stays(t, 0, func(t *testing.T, s *stay) {
		s.publish(s.host, 20, delivery.Delivery{})
		under := s.leases(s.host, 8)
		if s.host.store.Lent("l", 4) {
			t.Error("4 of 8 are said to be free while 8 are under way")
		}
		s.settles(s.host, delivery.Done, "", under[:3]...)
		s.leases(s.host, 0)
		if s.host.store.Lent("l", 4) {
			t.Error("4 of 8 are said to be free while 5 are under way")
		}
		s.settles(s.host, delivery.Done, "", under[3:6]...)
		if !s.host.store.Lent("l", 4) {
			t.Error("4 of 8 are said not to be free while 2 are under way")
		}
		s.leases(s.host, 2)
		if !s.host.store.Lent("l", 0) {
			t.Error("none are lent, and it is said that too few are left")
		}
		s.leases(s.host, 4)
	})
}

func TestHosts(t *testing.T) {
	t.Parallel()
	stays(t, 4, func(t *testing.T, s *stay) {
		is := func(stay, pressed bool) {
			t.Helper()
			if a, b := s.host.store.Hosts("l"); a != stay || b != pressed {
				t.Errorf("guests may stay: %t, it is at its limit: %t; want %t and %t", a, b, stay, pressed)
			}
		}
		is(true, false)
		s.publish(s.host, 4, delivery.Delivery{})
		s.leases(s.host, 4)
		is(true, false) // nothing waits
		s.publish(s.host, 1, delivery.Delivery{})
		is(true, true)
		set(t, s.host.store, delivery.LaneState{Lane: "l", Mode: delivery.LanePaused})
		is(false, false)
	})
}

func TestGuestTakes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		as    delivery.Delivery
		here  bool
		count int // by Sent, of a store that is no guest
	}{
		"a first try":         {delivery.Delivery{}, true, 1},
		"not one with a key":  {delivery.Delivery{Key: "k"}, false, 0},
		"not one to be ahead": {delivery.Delivery{Ahead: true}, false, 0},
		"not one for later":   {delivery.Delivery{DelayIn: time.Second}, false, 0},
		"not a second try":    {delivery.Delivery{Attempts: 1}, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stays(t, 4, func(t *testing.T, s *stay) {
				third := s.opens("third")
				s.publish(third, 1, test.as)
				if n := third.store.Sent()["l"]; n != test.count {
					t.Errorf("%d sent, want %d", n, test.count)
				}
				s.inbox = nil
				s.publish(s.guest, 1, test.as)
				if n := s.guest.store.Sent()["l"]; n != 0 {
					t.Errorf("a guest counts %d that it sent", n)
				}
				if test.here {
					s.settles(s.guest, delivery.Done, "", s.leases(s.guest, 1)...)
					if len(s.inbox) != 0 {
						t.Error("the host was sent something")
					}
					return
				}
				if s.leases(s.guest, 0); len(s.inbox) != 1 {
					t.Errorf("%d in the inbox, want the one", len(s.inbox))
				}
			})
		})
	}
}

// TestGuestSlots: a guest has no more under way than it was lent, and no more
// waiting than it can soon attempt.
func TestGuestSlots(t *testing.T) {
	t.Parallel()
	stays(t, 2, func(t *testing.T, s *stay) {
		const queue = 64 * 2
		s.publish(s.guest, queue+10, delivery.Delivery{})
		if len(s.inbox) != 10 {
			t.Errorf("%d of %d are left for the host, want what is over %d", len(s.inbox), queue+10, queue)
		}
		under := s.leases(s.guest, 2)
		s.leases(s.guest, 0)
		s.settles(s.guest, delivery.Done, "", under[0])
		s.leases(s.guest, 1)
		if v := s.guest.store.Visits(true); len(v) != 1 || v[0] != (lanes.Visit{Lane: "l", Most: 2, Waiting: queue - 3}) {
			t.Errorf("visits: %+v", v)
		}
	})
}

// TestHeedElsewhere: a note is for who serves the lane.
func TestHeedElsewhere(t *testing.T) {
	t.Parallel()
	stays(t, 0, func(t *testing.T, s *stay) {
		if err := s.guest.store.Heed(t.Context(), lanes.Note{Lane: "l"}); !errors.Is(err, lanes.ErrElsewhere) {
			t.Errorf("Heed: %v", err)
		}
	})
}
