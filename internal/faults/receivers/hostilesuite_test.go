package receivers_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

// hostileNames are what names mean to the engines here: "inside…" is an address
// that may not be called, "none…" is nothing, everything else is loopback.
type hostileNames struct{}

func (hostileNames) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	switch {
	case strings.HasPrefix(host, "inside"):
		return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
	case strings.HasPrefix(host, "none"):
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
}

// onSockets has a client dial as it does in production.
func onSockets(c *egress.Config) { c.Resolver, c.DialContext = hostileNames{}, nil }

// engineInside runs an engine of this process on a memory store, whose schedule
// is one more attempt after 10 ms, until stop is called.
func engineInside(t *testing.T, spec rig.Spec) (e *rig.Engine, stop func()) {
	t.Helper()
	if spec.Pauses == nil {
		spec.Pauses = []time.Duration{10 * time.Millisecond}
	}
	e, err := rig.AssembleTuned(t.Context(), spec, rig.Tune{Client: onSockets})
	if err != nil {
		t.Fatal(err)
	}
	return e, run(t, e)
}

// run runs an engine until stop is called.
func run(t *testing.T, e *rig.Engine) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the engine: %v", err)
		}
		e.Client.CloseIdleConnections()
		e.Store.Close()
	})
	t.Cleanup(stop)
	return stop
}

// ledgerWhenSettled waits until nothing is pending.
func ledgerWhenSettled(t *testing.T, e *rig.Engine) rig.Ledger {
	t.Helper()
	rig.Eventually(t, "nothing pending", func() bool {
		c, err := e.Store.Counts(t.Context())
		return err == nil && c.Pending == 0
	})
	l, err := rig.LedgerOf(t.Context(), e.Store)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// watch samples the process until its end is called.
func watch() (end func() (heap uint64, goroutines int)) {
	done, result := make(chan struct{}), make(chan [2]uint64, 1)
	go func() {
		var most [2]uint64
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most[0], most[1] = max(most[0], m.HeapAlloc), max(most[1], uint64(runtime.NumGoroutine()))
			select {
			case <-done:
				result <- most
				return
			case <-tick.C:
			}
		}
	}()
	return func() (uint64, int) {
		close(done)
		most := <-result
		return most[0], int(most[1])
	}
}

// judge compares what the log says of an endpoint with what it did.
func (b behavior) judge(t *testing.T, h *hostile, id string, e rig.Entry, found bool) {
	t.Helper()
	want, state := 1, delivery.Delivered
	if b.dead {
		state = delivery.Dead
		if !b.final {
			want = 2
		}
	}
	if !found || e.State != state || len(e.Log) != want || b.reason != "" && e.Reason != b.reason {
		t.Fatalf("found %v, %s (%s) after %d attempts, want %s after %d: %+v", found, e.State, e.Reason, len(e.Log), state, want, e.Log)
	}
	for _, a := range e.Log {
		if a.Class != b.class || a.Status != b.status || len(a.Response) > delivery.MaxResponse {
			t.Errorf("attempt %d: class %q, status %d, %d bytes kept, want %q, %d: %s", a.Number, a.Class, a.Status, len(a.Response), b.class, b.status, a.Error)
		}
		if b.slow && a.Duration > 10*patienceOfHostile {
			t.Errorf("attempt %d took %s", a.Number, a.Duration)
		}
		if strings.Contains(a.Error, "secret") || len(a.Error) > 300 {
			t.Errorf("attempt %d says too much: %q", a.Number, a.Error)
		}
	}
	if b.check != nil {
		b.check(t, h, id, e)
	}
}

// Every behavior at once against one engine: each is told by the right class,
// memory, goroutines and connections stay within bounds, nothing is left over.
// Not parallel: it measures the process.
func TestHostileEndpoints(t *testing.T) { //nolint:paralleltest // see above
	h := &hostile{over: make(chan struct{}), byPath: map[string]behavior{}, seen: map[string][]http.Header{}, raw: map[net.Conn][]byte{}}
	elsewhere := raw(t, func(c net.Conn) {
		if take(c) {
			h.strays.Add(1)
		}
	})
	// Each endpoint has a name of its own, so that none is handed a connection
	// that another has spoiled.
	_, port, err := net.SplitHostPort(raw(t, h.serve))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(h.over) })
	all := behaviors(elsewhere)
	runtime.GC()
	before := runtime.NumGoroutine()
	var start runtime.MemStats
	runtime.ReadMemStats(&start)

	e, stop := engineInside(t, rig.Spec{MaxInFlight: 32, Pauses: []time.Duration{100 * time.Millisecond}})
	h.engine = e
	var ids []string
	for i, b := range all {
		id := fmt.Sprintf("h%02d", i)
		ids, h.byPath[id] = append(ids, id), b
		ep := rig.Endpoint{ID: id, Tenant: id, URL: "http://" + id + ".example.com:" + port + "/" + id, Timeout: 10 * time.Second}
		if b.slow {
			ep.Timeout = patienceOfHostile
		}
		if _, err := e.Subscribe(t.Context(), ep.Subscription()); err != nil {
			t.Fatal(err)
		}
	}
	end := watch()
	for _, id := range ids {
		if _, err := e.Publish(t.Context(), e.Event(id, "e-"+id)); err != nil {
			t.Fatal(err)
		}
	}
	ledger := ledgerWhenSettled(t, e)
	heap, goroutines := end()
	for _, id := range ids {
		b := h.byPath[id]
		t.Run(b.row, func(t *testing.T) {
			entry, found := ledger.Get("e-"+id, id)
			b.judge(t, h, id, entry, found)
			if n := len(h.headers(id)); n != len(entry.Log) {
				t.Errorf("%d requests came, %d attempts are in the log", n, len(entry.Log))
			}
		})
	}
	if n := h.strays.Load(); n != 0 {
		t.Errorf("%d requests went to where an answer pointed", n)
	}
	// 32 slots: two goroutines of the transport and one of ours each, the server's
	// own, and the engine's few.
	if grown := int64(heap) - int64(start.HeapAlloc); grown > 48<<20 || goroutines > before+32*8+64 || h.most.Load() > 64 {
		t.Errorf("the heap grew by %d MiB, %d goroutines, %d connections", grown>>20, goroutines-before, h.most.Load())
	}
	t.Logf("heap +%d MiB, goroutines +%d, connections %d", (int64(heap)-int64(start.HeapAlloc))>>20, goroutines-before, h.most.Load())
	stop()
	rig.Eventually(t, "no connection left", func() bool { return h.open.Load() == 0 })
	rig.Eventually(t, "no goroutine left", func() bool { return runtime.NumGoroutine() <= before+1 })
}

// A refused literal and a bad URL are dead at once; a refused resolved address
// and a name that is not there are tried again, without a socket. A-DIAL-20: the
// registry holds what a direct edit of its database put there.
func TestRefusedAddresses(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	address := raw(t, func(c net.Conn) { reached.Add(1) })
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		url, class string
		attempts   int
	}{
		"literal":              {"http://10.0.0.1/", "addr_denied", 1},
		"metadata":             {"http://169.254.169.254/latest/", "addr_denied", 1},
		"literal of IPv6":      {"http://[::1]:" + port + "/", "addr_denied", 1},
		"mapped literal":       {"http://[::ffff:127.0.0.1]:" + port + "/", "addr_denied", 1},
		"number spelling":      {"http://2130706433:" + port + "/", "bad_url", 1},
		"short spelling":       {"http://127.1:" + port + "/", "bad_url", 1},
		"localhost":            {"http://localhost:" + port + "/", "bad_url", 1},
		"single label":         {"http://gateway:" + port + "/", "bad_url", 1},
		"userinfo":             {"http://u:p@" + address + "/", "bad_url", 1},
		"another scheme":       {"gopher://" + address + "/", "bad_url", 1},
		"not a URL":            {"http://[", "bad_url", 1},
		"resolved address":     {"http://inside.example.com/", "addr_denied", 2},
		"port of a name":       {"http://inside.example.com:" + port + "/", "addr_denied", 2},
		"name without address": {"http://none.example.com/", "dns", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, _ := engineInside(t, rig.Spec{})
			sub := rig.Endpoint{ID: "s1", Tenant: "t1", URL: tt.url}.Subscription()
			if _, err := e.Registry.Set(t.Context(), sub); err != nil {
				t.Fatal(err)
			}
			if _, err := e.Publish(t.Context(), e.Event("t1", "e1")); err != nil {
				t.Fatal(err)
			}
			entry, found := ledgerWhenSettled(t, e).Get("e1", "s1")
			if !found || entry.State != delivery.Dead || len(entry.Log) != tt.attempts || entry.Reason == "" {
				t.Fatalf("%s (%s) after %d attempts, want %d", entry.State, entry.Reason, len(entry.Log), tt.attempts)
			}
			for _, a := range entry.Log {
				if a.Class != tt.class || a.Status != 0 {
					t.Errorf("%q, %d: %s", a.Class, a.Status, a.Error)
				}
			}
		})
	}
	t.Cleanup(func() {
		if n := reached.Load(); n != 0 {
			t.Errorf("%d connections", n)
		}
	})
}

// A registration that expired gets no more attempts: what waits is dead with the
// reason "expired" when it comes due, what is published matches nothing. Set
// again, it goes on under its ID.
func TestExpiredRegistrationIsRenewed(t *testing.T) {
	t.Parallel()
	rc := rig.Listen(t)
	e, _ := engineInside(t, rig.Spec{Pauses: patient(20 * time.Millisecond)})
	var failing atomic.Bool
	failing.Store(true)
	rc.Handle("/s1", func(int, rig.Request) rig.Answer {
		if failing.Load() {
			return rig.Answer{Status: 500}
		}
		return rig.Answer{}
	})
	set := func(id string, expires time.Time) registry.Subscription {
		sub := rc.Endpoint("s1").Subscription()
		sub.ID, sub.Slot, sub.ExpiresAt = id, "orders", expires
		stored, err := e.Subscribe(t.Context(), sub)
		if err != nil {
			t.Fatal(err)
		}
		return stored[0]
	}
	publish := func(id string, want int) {
		p, err := e.Publish(t.Context(), e.Event("s1", id))
		if err != nil || p[0].Deliveries != want {
			t.Fatalf("%+v, %v, want %d deliveries", p, err, want)
		}
	}
	old := set("s1", time.Now().Add(time.Hour))
	publish("e1", 1)
	rc.Wait(t, "an attempt", func(rs []rig.Request) bool { return len(rs) > 1 })
	set("", time.Now())
	entry, _ := ledgerWhenSettled(t, e).Get("e1", "s1")
	if entry.State != delivery.Dead || entry.Reason != delivery.ReasonExpired || len(entry.Log) == 0 {
		t.Errorf("%s (%s) after %d attempts", entry.State, entry.Reason, len(entry.Log))
	}
	sent := len(rc.Requests())
	publish("e2", 0)

	failing.Store(false)
	renewed := set("", time.Now().Add(time.Hour))
	if renewed.ID != old.ID || renewed.Revision != old.Revision+2 || !renewed.CreatedAt.Equal(old.CreatedAt) {
		t.Errorf("%+v, was %+v", renewed, old)
	}
	publish("e3", 1)
	ledger := ledgerWhenSettled(t, e)
	if entry, _ := ledger.Get("e3", "s1"); entry.State != delivery.Delivered {
		t.Errorf("renewed: %s (%s)", entry.State, entry.Reason)
	}
	if entry, _ := ledger.Get("e1", "s1"); entry.State != delivery.Dead || len(rc.Requests()) != sent+1 {
		t.Errorf("what was dead is %s; %d requests, want one more than %d", entry.State, len(rc.Requests()), sent)
	}
}
