package main_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// quickly lets a successor take over soon after a kill.
var quickly = []string{"-expiry", "500ms"}

// A kill between the commit and the delivery loses nothing.
func TestKilledBetweenCommitAndDelivery(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.start(t, quickly...)
	r := receive(t, p)
	release := r.hang()
	const orders = 40 // more than one endpoint is sent at once
	for i := range orders {
		p.order(t, fmt.Sprintf("o%d", i))
	}
	eventually(t, "an attempt", func() bool { return r.attempts() > 0 })
	p.kill(t)
	eventually(t, "the end of the killed service's requests", func() bool { return r.held() == 0 })
	if n, begun := len(r.all(t)), r.attempts(); n != 0 || begun >= orders {
		t.Fatalf("%d events arrived, %d attempts began before the kill", n, begun)
	}
	release()

	p = s.start(t, quickly...)
	eventually(t, "every order's event", func() bool { return len(r.all(t)) >= orders })
	p.stop(t)
	told, repeats := r.created(t)
	if diff := cmp.Diff(s.rows(t), told); diff != "" || len(told) != orders || repeats != 0 {
		t.Errorf("%d events and %d repeats of %d orders (-table +events):\n%s", len(told), repeats, orders, diff)
	}
}

// However often the service is killed while orders are written, there is an
// event for each order and an order for each event.
func TestTwentyKills(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.start(t, quickly...)
	r := receive(t, p)
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)

	var running atomic.Pointer[process]
	running.Store(p)
	done := make(chan struct{})
	var asked atomic.Int64 // for orders, in vain or not
	var accepted sync.Map
	var wg sync.WaitGroup
	for customer := range 3 {
		wg.Go(func() { // places one order after another, and one that was not answered again
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for i := 0; ; {
				select {
				case <-done:
					return
				case <-tick.C:
				}
				asked.Add(1)
				o := order{Reference: fmt.Sprintf("c%d-%d", customer, i), Item: "tea", Quantity: 1}
				status, _, err := running.Load().try("/orders", o)
				if err == nil && (status == http.StatusCreated || status == http.StatusOK) {
					accepted.Store(o.Reference, true)
					i++
				}
			}
		})
	}
	const kills = 20
	between := 0 // orders whose events had not arrived when the service was killed
	for range kills {
		until := asked.Load() + random.Int64N(300)
		eventually(t, "orders", func() bool { return asked.Load() >= until })
		p.kill(t)
		told, _ := r.created(t)
		between += len(s.rows(t)) - len(told)
		p = s.start(t, quickly...)
		running.Store(p)
	}
	close(done)
	wg.Wait()

	eventually(t, "every order's event", func() bool {
		told, _ := r.created(t)
		return len(told) >= len(s.rows(t))
	})
	p.stop(t)
	rows := s.rows(t)
	told, repeats := r.created(t)
	if diff := cmp.Diff(rows, told); diff != "" {
		t.Errorf("orders and events differ (-table +events):\n%s", diff)
	}
	n := 0
	accepted.Range(func(reference, _ any) bool {
		n++
		if _, ok := rows[reference.(string)]; !ok {
			t.Errorf("%s was accepted and is not in the table", reference)
		}
		return true
	})
	t.Logf("%d orders, %d accepted, %d events late at kills, %d repeats", len(rows), n, between, repeats)
	if n < kills || between == 0 {
		t.Errorf("%d orders were accepted, %d events were late at kills: the kills hit nothing", n, between)
	}
	if slots := 16; repeats > kills*slots { // what one endpoint has at once
		t.Errorf("%d repeats after %d kills, %d are allowed for each", repeats, kills, slots)
	}
}
