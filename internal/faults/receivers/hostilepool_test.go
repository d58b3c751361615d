package receivers_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/verify"
)

// pool is a server that takes many requests on a connection and decides about
// the n-th, from 1: false ends the connection.
func pool(t *testing.T, answer func(c net.Conn, r *http.Request, body []byte, n int) bool) (address string, conns *atomic.Int32) {
	t.Helper()
	conns = &atomic.Int32{}
	return raw(t, func(c net.Conn) {
		conns.Add(1)
		br := bufio.NewReader(c)
		for n := 1; ; n++ {
			r, err := http.ReadRequest(br)
			if err != nil {
				return
			}
			body, err := io.ReadAll(r.Body)
			if err != nil || !answer(c, r, body, n) {
				return
			}
		}
	}), conns
}

const thanks = ok + "Content-Length: 0\r\n\r\n"

func publishAll(t *testing.T, e *rig.Engine, tenant string, n int) {
	t.Helper()
	for i := range n {
		if _, err := e.Publish(t.Context(), e.Event(tenant, fmt.Sprintf("%s-%d", tenant, i))); err != nil {
			t.Fatal(err)
		}
	}
}

// A-RESP-20, A-RESP-48: a connection that is used again and then closed without
// an answer: each attempt in the log is one request, none goes out by itself.
func TestNoHiddenRepeats(t *testing.T) {
	t.Parallel()
	const events = 20
	for name, late := range map[string]bool{"closed instead of the second answer": false, "closed as soon as it is idle": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			seen := map[string]int{}
			address, conns := pool(t, func(c net.Conn, r *http.Request, _ []byte, n int) bool {
				mu.Lock()
				seen[r.Header.Get(delivery.HeaderID)]++
				mu.Unlock()
				if late || n == 1 {
					io.WriteString(c, thanks)
				}
				return !late && n == 1
			})
			e, _ := engineInside(t, rig.Spec{Pauses: patient(20 * time.Millisecond), Endpoints: []rig.Endpoint{{ID: "s1", Tenant: "t1", URL: "http://" + address + "/", MaxInFlight: 1}}})
			publishAll(t, e, "t1", events)
			ledger := ledgerWhenSettled(t, e)
			attempts := 0
			for i := range events {
				entry, _ := ledger.Get(fmt.Sprintf("t1-%d", i), "s1")
				attempts += len(entry.Log)
				if n := seen[fmt.Sprintf("t1-%d", i)]; entry.State != delivery.Delivered || n > len(entry.Log) || !late && n != len(entry.Log) {
					t.Errorf("event %d is %s after %d attempts, %d requests came", i, entry.State, len(entry.Log), n)
				}
				for _, a := range entry.Log {
					if a.Class != "" && a.Class != "conn" {
						t.Errorf("event %d: %q: %s", i, a.Class, a.Error)
					}
				}
			}
			if n := int(conns.Load()); n > attempts {
				t.Errorf("%d connections for %d attempts", n, attempts)
			}
		})
	}
}

// A-RESP-19: an answer that comes before the body was read counts: it is the
// receiver's word.
func TestAnswerBeforeTheBody(t *testing.T) {
	t.Parallel()
	address := raw(t, func(c net.Conn) {
		if _, err := http.ReadRequest(bufio.NewReaderSize(c, 16)); err != nil {
			return
		}
		io.WriteString(c, thanks)
		io.Copy(io.Discard, c)
	})
	e, _ := engineInside(t, rig.Spec{Pad: 200 << 10, Endpoints: []rig.Endpoint{{ID: "s1", Tenant: "t1", URL: "http://" + address + "/"}}})
	publishAll(t, e, "t1", 1)
	if entry, _ := ledgerWhenSettled(t, e).Get("t1-0", "s1"); entry.State != delivery.Delivered || len(entry.Log) != 1 || entry.Log[0].Status != 200 {
		t.Errorf("%s: %+v", entry.State, entry.Log)
	}
}

// A-RESP-45: an endpoint that keeps every connection open gets no more of them
// than it has attempts under way.
func TestConnectionsStayFlat(t *testing.T) {
	t.Parallel()
	address, conns := pool(t, func(c net.Conn, _ *http.Request, _ []byte, _ int) bool {
		io.WriteString(c, thanks)
		return true
	})
	e, _ := engineInside(t, rig.Spec{Endpoints: []rig.Endpoint{{ID: "s1", Tenant: "t1", URL: "http://" + address + "/", MaxInFlight: 4}}})
	publishAll(t, e, "t1", 300)
	if l := ledgerWhenSettled(t, e); l.Count(delivery.Delivered) != 300 {
		t.Errorf("%d delivered", l.Count(delivery.Delivered))
	}
	if n := conns.Load(); n > 8 { // those of 4, and a dial that lost the race for an idle one
		t.Errorf("%d connections for 4 at a time", n)
	}
}

// A-RESP-46: two tenants at one host share connections, and nothing else: each
// request is signed with its own tenant's secret and no other.
func TestTenantsAtOneHostKeepTheirSecrets(t *testing.T) {
	t.Parallel()
	secrets := map[string]string{
		"t1": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"t2": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
	}
	keys := map[string]verify.Standard{}
	for tenant, secret := range secrets {
		v, err := verify.NewStandard(0, verify.Key{Secret: []byte(secret)})
		if err != nil {
			t.Fatal(err)
		}
		keys[tenant] = v
	}
	var wrong atomic.Int32
	address, _ := pool(t, func(c net.Conn, r *http.Request, body []byte, _ int) bool {
		tenant := strings.TrimPrefix(r.URL.Path, "/")
		for name, v := range keys {
			_, err := v.Verify(t.Context(), verify.Message{Method: r.Method, Host: r.Host, Path: r.URL.Path, Header: r.Header, Body: body, At: time.Now()})
			if (err == nil) != (name == tenant) || !strings.Contains(string(body), `"`+tenant+"-") {
				wrong.Add(1)
			}
		}
		io.WriteString(c, thanks)
		return true
	})
	var endpoints []rig.Endpoint
	for tenant, secret := range secrets {
		endpoints = append(endpoints, rig.Endpoint{ID: "s-" + tenant, Tenant: tenant, URL: "http://" + address + "/" + tenant, Secret: secret})
	}
	e, _ := engineInside(t, rig.Spec{Endpoints: endpoints})
	var wg sync.WaitGroup
	for tenant := range secrets {
		wg.Go(func() { publishAll(t, e, tenant, 100) })
	}
	wg.Wait()
	if l := ledgerWhenSettled(t, e); l.Count(delivery.Delivered) != 200 || wrong.Load() != 0 {
		t.Errorf("%d delivered, %d with a signature or body of the other tenant's", l.Count(delivery.Delivered), wrong.Load())
	}
}
