package receivers_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/registry/egress"
)

// A-FLOOD-22: an event over 256 KiB is refused where it is published, and nothing
// of its batch is stored.
func TestHugeEventIsRefused(t *testing.T) {
	t.Parallel()
	rc := rig.Listen(t)
	e, _ := engineInside(t, rig.Spec{Endpoints: []rig.Endpoint{rc.Endpoint("s1")}})
	small, huge := e.Event("s1", "small"), e.Event("s1", "huge")
	huge.Data = fmt.Appendf(nil, "%q", make([]byte, 10<<20))
	if _, err := e.Publish(t.Context(), small, huge); err == nil {
		t.Error("10 MB are published")
	}
	if c, err := e.Store.Counts(t.Context()); err != nil || c.Pending+c.Delivered+c.Dead != 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

// A-FLOOD-21, A-FLOOD-23: what one endpoint answers for ever with 500 is dead when
// its schedule ends, however much of it there is; the others are served first.
func TestEndlessFailureEnds(t *testing.T) {
	t.Parallel()
	rc := rig.Listen(t)
	rc.Handle("/sick", rig.Status(500))
	const backlog, attempts = 200, 4
	e, _ := engineInside(t, rig.Spec{
		Endpoints: []rig.Endpoint{rc.Endpoint("sick"), rc.Endpoint("well")},
		Pauses:    []time.Duration{time.Millisecond, time.Millisecond, time.Millisecond},
	})
	publishAll(t, e, "sick", backlog)
	publishAll(t, e, "well", 1)
	rc.Wait(t, "the healthy endpoint's", func(rs []rig.Request) bool { return len(rig.OfPath(rs, "/well")) == 1 })
	before := len(rig.OfPath(rc.Requests(), "/sick"))
	ledger := ledgerWhenSettled(t, e)
	if n := ledger.Count(delivery.Dead); n != backlog {
		t.Errorf("%d are dead", n)
	}
	if n := len(rig.OfPath(rc.Requests(), "/sick")); n != backlog*attempts || before > n/2 {
		t.Errorf("%d requests, %d of them before the healthy endpoint's; want %d in all", n, before, backlog*attempts)
	}
}

// A-FLOOD-24: the operator's own addresses are refused, although their network
// is opened: callbacks cannot be made to call ourselves.
func TestOwnAddressesAreDenied(t *testing.T) {
	t.Parallel()
	var reached atomic.Int32
	address := raw(t, func(net.Conn) { reached.Add(1) })
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		url      string
		attempts int
	}{
		"by its address": {"http://" + address + "/", 1},
		"by a name":      {"http://us.example.com:" + port + "/", 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := rig.AssembleTuned(t.Context(), rig.Spec{Pauses: []time.Duration{10 * time.Millisecond}}, rig.Tune{Client: func(c *egress.Config) {
				onSockets(c)
				c.Policy.DenyNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
			}})
			if err != nil {
				t.Fatal(err)
			}
			run(t, e)
			if err := errors.Join(e.Client.Resolve(t.Context(), tt.url), e.Client.Probe(t.Context(), tt.url)); !errors.Is(err, egress.ErrAddress) {
				t.Errorf("registration: %v", err)
			}
			sub := rig.Endpoint{ID: "s1", Tenant: "t1", URL: tt.url}.Subscription()
			if _, err := e.Subscribe(t.Context(), sub); (err != nil) != (tt.attempts == 1) { // a name is not looked up
				t.Fatal(err)
			}
			if _, err := e.Registry.Set(t.Context(), sub); err != nil { // as from before the network was denied
				t.Fatal(err)
			}
			publishAll(t, e, "t1", 1)
			entry, _ := ledgerWhenSettled(t, e).Get("t1-0", "s1")
			if entry.State != delivery.Dead || len(entry.Log) != tt.attempts || entry.Log[0].Class != "addr_denied" || reached.Load() != 0 {
				t.Errorf("%s: %+v, %d connections", entry.State, entry.Log, reached.Load())
			}
		})
	}
}

// A-HDR-20: payloads are no templates: what looks like one arrives as it is, and
// the same bytes at each attempt.
func TestPayloadsAreNoTemplates(t *testing.T) {
	t.Parallel()
	rc := rig.Listen(t)
	rc.Handle("/s1", rig.InTurn(rig.Answer{Status: 500}, rig.Answer{}))
	e, _ := engineInside(t, rig.Spec{Endpoints: []rig.Endpoint{rc.Endpoint("s1")}})
	event := e.Event("s1", "e1")
	event.Data = []byte(`{"a":"{{.Secret}} ${HOME} $(id) <%= 1 %> %s\u003c"}`)
	if _, err := e.Publish(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	rs := rc.WaitAccepted(t, 1)
	if len(rs) != 2 || rs[0].Sum != rs[1].Sum || !bytes.Contains(rs[0].Body, event.Data) {
		t.Errorf("%d requests, the body is %s", len(rs), rs[0].Body)
	}
}
