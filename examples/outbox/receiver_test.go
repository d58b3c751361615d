package main_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/ringback-go/ringback/verify"
)

// arrival is an event that came to a receiver.
type arrival struct {
	id, body string
	kind     string
	order    order
}

// receiver is somebody who wants to hear of orders.
type receiver struct {
	url    string
	signed verify.Standard

	mu       sync.Mutex
	came     int           // requests
	holding  int           // requests that wait
	hold     chan struct{} // requests wait until it is closed, and are not accepted before
	arrivals []arrival
	bad      []string
}

// receive starts a receiver and has p register it.
func receive(t *testing.T, p *process) *receiver {
	t.Helper()
	r := &receiver{}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	r.url = server.URL + "/orders"
	secret := decode[struct{ Secret string }](t, p.post(t, "/callbacks", map[string]string{"url": r.url}, http.StatusCreated)).Secret
	var err error
	if r.signed, err = verify.NewStandard(0, verify.Key{Secret: []byte(secret)}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the service was killed while it sent
	}
	r.mu.Lock()
	r.came++
	hold := r.hold
	if hold != nil {
		r.holding++
	}
	r.mu.Unlock()
	if hold != nil && !r.wait(req, hold) {
		return // the service is gone
	}
	if _, err := r.signed.Verify(req.Context(), verify.FromRequest(req, body, time.Now())); err != nil {
		r.note(err.Error())
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.arrivals = append(r.arrivals, arrival{id: req.Header.Get("Webhook-Id"), body: string(body)})
}

func (r *receiver) wait(req *http.Request, hold chan struct{}) (released bool) {
	select {
	case <-hold:
		released = true
	case <-req.Context().Done():
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.holding--
	return released
}

func (r *receiver) note(bad string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bad = append(r.bad, bad)
}

// hang has requests wait, unaccepted, until release.
func (r *receiver) hang() (release func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	hold := make(chan struct{})
	r.hold = hold
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.hold = nil
		close(hold)
	}
}

// attempts returns how many requests came.
func (r *receiver) attempts() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.came
}

// held returns how many requests wait.
func (r *receiver) held() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.holding
}

// all returns what was accepted so far, in the order in which it was.
func (r *receiver) all(t *testing.T) []arrival {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.bad) > 0 {
		t.Fatalf("not verified: %q", r.bad)
	}
	for i := range r.arrivals {
		a := &r.arrivals[i]
		body := decode[struct {
			Type string
			Data order
		}](t, []byte(a.body))
		a.kind, a.order = body.Type, body.Data
	}
	return append([]arrival(nil), r.arrivals...)
}

// created returns the orders that were told of, by reference, and how many
// repeats there were. A repeat has the same ID and the same body.
func (r *receiver) created(t *testing.T) (orders map[string]order, repeats int) {
	t.Helper()
	orders = map[string]order{}
	seen := map[string]string{}
	for _, a := range r.all(t) {
		if a.kind != "order.created" {
			continue
		}
		body, again := seen[a.id]
		_, told := orders[a.order.Reference]
		switch {
		case again && body != a.body:
			t.Fatalf("the repeat of %s has another body: %s, %s", a.id, body, a.body)
		case again:
			repeats++
		case told:
			t.Fatalf("two events tell of %s", a.order.Reference)
		}
		seen[a.id], orders[a.order.Reference] = a.body, a.order
	}
	return orders, repeats
}
