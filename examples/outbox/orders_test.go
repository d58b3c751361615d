package main_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every order that was accepted is told of once, signed, over both drivers.
func TestEveryOrderIsToldOfOnce(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.start(t)
	r := receive(t, p)
	const customers, each = 4, 25
	var wg sync.WaitGroup
	for c := range customers {
		wg.Go(func() {
			for i := range each {
				p.order(t, fmt.Sprintf("c%d-%d", c, i))
			}
		})
	}
	wg.Wait()
	eventually(t, "every order's event", func() bool { return len(r.all(t)) >= customers*each })
	first := s.rows(t)["c0-0"]
	p.cancel(t, first.ID, http.StatusOK)
	eventually(t, "the cancellation", func() bool { return len(r.all(t)) > customers*each })
	p.stop(t)

	all := r.all(t)
	if want := customers*each + 1; len(all) != want || r.attempts() != want {
		t.Errorf("%d events in %d attempts, want %d", len(all), r.attempts(), want)
	}
	told, _ := r.created(t)
	if diff := cmp.Diff(s.rows(t), told); diff != "" {
		t.Errorf("orders and events differ (-table +events):\n%s", diff)
	}
	if last := all[len(all)-1]; last.kind != "order.cancelled" || last.order != first {
		t.Errorf("the cancellation is %+v, want order %+v", last, first)
	}
}

// What the database refuses did not happen: no row, and no event either, though
// the event was published before the constraint that refused the order.
func TestRefusedOrderIsNotToldOf(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	p := s.start(t)
	r := receive(t, p)
	for range 3 {
		p.post(t, "/orders", order{Reference: "greedy", Item: "cup", Quantity: 4}, http.StatusConflict)
	}
	p.post(t, "/orders", order{Reference: "strange", Item: "spoon", Quantity: 1}, http.StatusUnprocessableEntity)
	p.post(t, "/orders", order{Reference: "none", Item: "tea"}, http.StatusUnprocessableEntity)
	good := p.order(t, "good")
	again := decode[order](t, p.post(t, "/orders", order{Reference: "good", Item: "tea", Quantity: 9}, http.StatusOK))
	if again != good {
		t.Errorf("placed again, the order is %+v, was %+v", again, good)
	}
	p.cancel(t, good.ID, http.StatusOK)
	p.cancel(t, good.ID, http.StatusConflict)
	p.cancel(t, good.ID+1000, http.StatusConflict)
	eventually(t, "two events", func() bool { return len(r.all(t)) >= 2 })
	p.stop(t)

	var kinds []string
	for _, a := range r.all(t) {
		kinds = append(kinds, a.kind)
	}
	if diff := cmp.Diff([]string{"order.created", "order.cancelled"}, kinds); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]order{"good": good}, s.rows(t)); diff != "" {
		t.Errorf("orders (-want +got):\n%s", diff)
	}
}
