//go:build unix

package postgres_test

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// cut is what happens to commits of one kind.
type cut struct {
	name  string
	meets func(request) bool
	is    fate
}

func appends(r request) bool { return r.appends }
func settles(r request) bool { return r.settles }

var cuts = []cut{
	{"B16 nothing reached the server", appends, fate{cut: true}},
	{"B16 all but the end reached the server", appends, fate{cut: true, parts: allButLast}},
	{"B17 the answer was lost", appends, fate{cut: true, parts: whole}},
	{"B18 nothing of a result reached the server", settles, fate{cut: true}},
	{"B18 all but the end of a result reached the server", settles, fate{cut: true, parts: allButLast}},
	{"B18 the answer to a result was lost", settles, fate{cut: true, parts: whole}},
	{"B22 serialization failure", request.commits, fate{code: "40001"}},
	{"B22 deadlock", request.commits, fate{code: "40P01"}},
	{"B25 disk full", request.commits, fate{code: "53100"}},
	{"B24 no connections", request.commits, fate{code: "53300"}},
	{"CUT trickle", request.commits, fate{pause: 10 * time.Millisecond}},
}

// Every so many commits meet their fate; each event is there once in the end,
// and settled as it was delivered.
func TestB16B17B18B22B25CutCommits(t *testing.T) {
	t.Parallel()
	for _, c := range cuts {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			random := seeded(t)
			url := pgtest.New(t).Database(t)
			s := newScene(t, url, 4)
			p, through := newProxy(t, url)
			met := s.unreliable(t, p, through, random, c)
			if met == 0 {
				t.Error("no commit met it")
			}
		})
	}
}

// unreliable runs two engines, both through the proxy, while some commits meet
// their fate. It returns how many did.
func (s *scene) unreliable(t *testing.T, p *proxy, through string, random *rand.Rand, c cut) int {
	t.Helper()
	spec := s.spec
	spec.Postgres = through
	a, b := runHere(t, spec, rig.Tune{}), runHere(t, spec, rig.Tune{})
	s.delivered(t, "warm", a, b)
	var mu sync.Mutex
	met, last := 0, time.Time{}
	p.Rule(func(r request) *fate {
		mu.Lock()
		defer mu.Unlock()
		// The first one, and then not so often that no engine keeps its rights.
		if !c.meets(r) || met > 0 && (random.IntN(4) > 0 || time.Since(last) < 30*time.Millisecond) {
			return nil
		}
		met++
		last = time.Now()
		f := c.is
		return &f
	})
	a.traffic(t.Context(), "a", rig.Size(300, 150, 80), 6, s.tenants)
	b.traffic(t.Context(), "b", rig.Size(300, 150, 80), 6, s.tenants)
	passes(t, time.Duration(rig.Size(20, 2, 2))*time.Second)
	a.halt()
	b.halt()
	p.Rule(nil)
	s.delivered(t, "after", a, b)
	s.settled(t)
	a.end()
	b.end()
	ev := rig.Evidence{Acked: append(a.Acked(), b.Acked()...), Requests: s.rc.Requests()}
	mu.Lock()
	defer mu.Unlock()
	t.Logf("%d commits met it; told: %.200q", met, append(a.errs, b.errs...))
	faults := 0
	if c.meets(request{settles: true}) {
		faults = met
	}
	s.check(t, &ev, cost{faults: faults})
	return met
}

// delivered has engines of this process publish to all tenants, and waits.
func (s *scene) delivered(t *testing.T, prefix string, rs ...*running) {
	t.Helper()
	ids := map[string]bool{}
	for i, r := range rs {
		for _, tenant := range s.tenants {
			id := prefix + "_" + string(rune('a'+i)) + "_" + tenant
			ids[id] = true
			r.publish(t.Context(), r.Event(tenant, id))
		}
	}
	s.rc.Wait(t, "an event for each lane, from each engine", func(rs []rig.Request) bool {
		seen := map[string]bool{}
		for i := range rs {
			if ids[rs[i].ID] && rs[i].Accepted() {
				seen[rs[i].ID] = true
			}
		}
		return len(seen) == len(ids)
	})
}

// What a caller is told of an append whose connection was cut: nothing is
// stored, or nobody knows; and the same event again is stored once.
func TestB16B17ToldTheTruth(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		is      fate
		stored  bool
		unknown bool
	}{
		{"B16 nothing reached the server", fate{cut: true}, false, true},
		{"B16 all but the end reached the server", fate{cut: true, parts: allButLast}, false, true},
		{"B17 the answer was lost", fate{cut: true, parts: whole}, true, true},
		{"B25 the server refused", fate{code: "53100"}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.New(t).Database(t)
			s := newScene(t, url, 1)
			p, through := newProxy(t, url)
			spec := s.spec
			spec.Postgres = through
			e, err := rig.AssembleTuned(t.Context(), spec, rig.Tune{}) // it does not run
			if err != nil {
				t.Fatal(err)
			}
			defer e.Store.Close()
			met := p.Once(func(r request) bool { return contains(r, "INSERT INTO", "inbox") }, c.is)
			_, err = e.Publish(t.Context(), e.Event(s.tenants[0], "e"))
			<-met
			switch {
			case err == nil:
				t.Error("Publish returned no error")
			case isUnknown(err) != c.unknown:
				t.Errorf("unknown: %v, want %v: %v", isUnknown(err), c.unknown, err)
			}
			if n := s.inbox(t); n != 0 != c.stored {
				t.Errorf("%d are stored", n)
			}
			p.Rule(nil)
			if _, err := e.Publish(t.Context(), e.Event(s.tenants[0], "e")); err != nil {
				t.Fatal(err)
			}
			r := runHere(t, s.spec, rig.Tune{})
			s.settled(t)
			r.end()
			ev := rig.Evidence{Acked: []string{"e"}, Requests: s.rc.Requests()}
			s.check(t, &ev, cost{})
			if len(ev.Requests) != 1 || ev.Ledger.Count(delivery.Delivered) != 1 {
				t.Errorf("%d requests, %d delivered", len(ev.Requests), ev.Ledger.Count(delivery.Delivered))
			}
		})
	}
}

// All connections are cut, again and again, a while even for good: engines lose
// their rights, and get them again.
func TestB16NobodyReachesTheServer(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t).Database(t)
	s := newScene(t, url, 6)
	p, through := newProxy(t, url)
	s.spec.Postgres = through
	s.start(t, 1) // it alone goes through the proxy
	s.spec.Postgres = url
	s.start(t, 1)
	s.shared(t)
	s.traffic(t, "e", rig.Size(400, 200, 100))
	rounds := rig.Size(20, 2, 1)
	for range rounds {
		for range 5 {
			passes(t, 100*time.Millisecond)
			p.Break(false)
		}
		p.Break(true)
		passes(t, expiry+expiry/2) // the other takes over
		p.Break(false)
		s.shared(t)
	}
	s.halt(t)
	s.delivers(t, "after")
	s.judge(t, cost{faults: 6 * rounds})
}
