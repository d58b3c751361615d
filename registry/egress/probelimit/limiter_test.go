package probelimit_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/registry/egress/probelimit"
)

// world is what lies behind the client: names and endpoints.
type world struct {
	addrs   map[string]string        // by host; 8.8.8.8 for those that are not there, "" is no address
	takes   map[string]time.Duration // how long an answer takes, by host
	silent  map[string]bool          // never answers
	status  int
	now     atomic.Int32
	most    atomic.Int32
	lookups atomic.Int32
	dials   atomic.Int32
}

func (w *world) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	w.lookups.Add(1)
	addr, known := w.addrs[strings.TrimSuffix(host, ".")]
	switch {
	case !known:
		addr = "8.8.8.8"
	case addr == "":
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}
	return []netip.Addr{netip.MustParseAddr(addr)}, nil
}

func (w *world) dial(context.Context, string, string) (net.Conn, error) {
	w.dials.Add(1)
	ours, theirs := net.Pipe()
	go w.answer(theirs)
	return ours, nil
}

func (w *world) answer(conn net.Conn) {
	defer conn.Close()
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	now := w.now.Add(1)
	defer w.now.Add(-1)
	for most := w.most.Load(); now > most && !w.most.CompareAndSwap(most, now); most = w.most.Load() {
	}
	host := request.URL.Query().Get("as")
	if host == "" {
		host = request.Host
	}
	if w.silent[host] {
		io.Copy(io.Discard, conn)
		return
	}
	<-time.After(w.takes[host])
	fmt.Fprintf(conn, "HTTP/1.1 %d \r\nConnection: close\r\n\r\n", max(w.status, 200))
}

func (w *world) client(t *testing.T, cfg probelimit.Config) probelimit.Client {
	t.Helper()
	client, err := egress.New(egress.Config{Policy: egress.Policy{AllowHTTP: true}, Resolver: w, DialContext: w.dial})
	if err != nil {
		t.Fatal(err)
	}
	limiter, err := probelimit.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return probelimit.Client{Client: client, Limiter: limiter}
}

// limitOf names the limit that an error is of, "" for none.
func limitOf(t *testing.T, err error) string {
	t.Helper()
	e, ok := errors.AsType[*probelimit.Error](err)
	if wait, limited := egress.TooMany(err); limited != ok || ok && wait < time.Second {
		t.Errorf("TooMany(%v) = %s, %v", err, wait, limited)
	}
	if !ok {
		return ""
	}
	return e.Limit
}

// A-FLOOD-17: a tenant has so many probes a minute; others have theirs.
func TestPerTenant(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{}
		c := w.client(t, probelimit.Config{PerTenant: 6})
		acme := egress.WithTenant(t.Context(), "acme")
		for i := range 6 {
			if err := c.Probe(acme, fmt.Sprintf("http://h%d.example.com/", i)); err != nil {
				t.Fatal(err)
			}
		}
		begin := time.Now()
		err := c.Probe(acme, "http://h7.example.com/")
		if limitOf(t, err) != "tenant" || time.Since(begin) != 0 || w.dials.Load() != 6 {
			t.Errorf("%v after %s, %d dials", err, time.Since(begin), w.dials.Load())
		}
		if wait, _ := egress.TooMany(err); wait != 10*time.Second {
			t.Errorf("wait %s, want the time of one token", wait)
		}
		if err := c.Resolve(acme, "http://h7.example.com/"); limitOf(t, err) != "tenant" {
			t.Errorf("a look-up counts as well: %v", err)
		}
		for _, other := range []context.Context{egress.WithTenant(t.Context(), "zeta"), t.Context()} {
			if err := c.Probe(other, "http://h7.example.com/"); err != nil {
				t.Errorf("another tenant: %v", err)
			}
		}
		<-time.After(10 * time.Second)
		if err := c.Probe(acme, "http://h7.example.com/"); err != nil {
			t.Errorf("after the wait: %v", err)
		}
		if err := c.Probe(acme, "http://h7.example.com/"); limitOf(t, err) != "tenant" {
			t.Errorf("one token, two probes: %v", err)
		}
	})
}

// A-FLOOD-18: a host has so many probes a minute over all tenants, and a refusal by it costs the tenant
// nothing.
func TestPerHost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{addrs: map[string]string{"other.example.com": "1.1.1.1"}}
		c := w.client(t, probelimit.Config{PerTenant: 2, PerHost: 3})
		for i := range 3 {
			if err := c.Probe(egress.WithTenant(t.Context(), fmt.Sprint(i)), "http://victim.example.com/"); err != nil {
				t.Fatal(err)
			}
		}
		last := egress.WithTenant(t.Context(), "last")
		for _, url := range []string{"http://victim.example.com/", "http://VICTIM.example.com/x?y", "https://victim.example.com:8443/"} {
			for range 4 {
				if err := c.Probe(last, url); limitOf(t, err) != "host" {
					t.Errorf("%s: %v", url, err)
				}
			}
		}
		for range 2 {
			if err := c.Probe(last, "http://other.example.com/"); err != nil {
				t.Errorf("another host: %v", err)
			}
		}
	})
}

// A-FLOOD-18: many names for one address, and one address in many spellings, are one target.
func TestPerAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{addrs: map[string]string{
			"six1.example.com": "2606:4700:4700::1", "six2.example.com": "2606:4700:4700::2", "six3.example.com": "2606:4700:4700:1::2",
		}}
		c := w.client(t, probelimit.Config{PerHost: 2, Slot: -1})
		probe := func(url, want string) {
			t.Helper()
			dials := w.dials.Load()
			if err := c.Probe(t.Context(), url); limitOf(t, err) != want || (want == "") != (err == nil) {
				t.Errorf("%s: %v, want %q", url, err, want)
			}
			if want != "" && w.dials.Load() != dials {
				t.Errorf("%s was dialed", url)
			}
		}
		probe("http://a.example.com/", "")
		probe("http://b.example.com/", "")
		probe("http://c.example.com/", "address")
		probe("http://8.8.8.8/", "address")
		probe("http://six1.example.com/", "")
		probe("http://six2.example.com/", "")
		probe("http://six2.example.com/", "address")
		probe("http://six3.example.com/", "") // another /64
		probe("http://[2606:4700:4700:2:0:0:0:1]/", "")
		probe("http://[2606:4700:4700:2::1]/", "")
		probe("http://[2606:4700:4700:2::0001]/", "host")
		if err := c.Resolve(t.Context(), "http://d.example.com/"); err != nil {
			t.Errorf("who only looks up goes to nobody: %v", err)
		}

		w = &world{}
		c = w.client(t, probelimit.Config{PerHost: 2, PerAddress: -1})
		for i := range 9 {
			probe(fmt.Sprintf("http://n%d.example.com/", i), "")
		}
	})
}

// A-FLOOD-19: a tenant has one probe under way, whatever hangs, and a bounded number waiting; the others
// have the rest of the slots.
func TestOneProbeOfATenantAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{silent: map[string]bool{"hang.example.com": true}}
		c := w.client(t, probelimit.Config{Concurrent: 3})
		acme := egress.WithTenant(t.Context(), "acme")
		begin := time.Now()
		var mu sync.Mutex
		ends := map[string]int{} // by limit, or by the time
		var wg sync.WaitGroup
		for range 12 {
			wg.Go(func() {
				err := c.Probe(acme, "http://hang.example.com/")
				key := limitOf(t, err)
				if key == "" {
					key = time.Since(begin).String()
				}
				mu.Lock()
				defer mu.Unlock()
				ends[key]++
			})
		}
		synctest.Wait()
		if w.now.Load() != 1 || ends["waiting"] != 3 {
			t.Errorf("%d under way, %v", w.now.Load(), ends)
		}
		for _, tenant := range []string{"b", "c"} {
			wg.Go(func() {
				if err := c.Probe(egress.WithTenant(t.Context(), tenant), "http://hang.example.com/"); egress.Classify(err) != "timeout" {
					t.Errorf("%s: %v", tenant, err)
				}
			})
		}
		synctest.Wait()
		now := time.Now()
		if err := c.Probe(egress.WithTenant(t.Context(), "d"), "http://hang.example.com/"); limitOf(t, err) != "concurrent" || time.Since(now) != 0 {
			t.Errorf("no slot is left: %v", err)
		}
		wg.Wait()
		if w.most.Load() != 3 {
			t.Errorf("%d at once, want 3", w.most.Load())
		}
		// Each is refused after 5 s and answered after 6; the next one begins then.
		for i := 1; i <= 9; i++ {
			if key := (time.Duration(i) * 6 * time.Second).String(); ends[key] != 1 {
				t.Errorf("no end after %s: %v", key, ends)
			}
		}
		if err := c.Probe(acme, "http://fine.example.com/"); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

func TestCanceledWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{silent: map[string]bool{"hang.example.com": true}}
		c := w.client(t, probelimit.Config{PerTenant: 100})
		var wg sync.WaitGroup
		wg.Go(func() { c.Probe(t.Context(), "http://hang.example.com/") })
		synctest.Wait()
		for range 20 { // none of them stays in the row
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			if err := c.Probe(ctx, "http://fine.example.com/"); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
			cancel()
		}
		wg.Wait()
		if err := c.Probe(t.Context(), "http://fine.example.com/"); err != nil || c.Limiter.Turns() != 0 {
			t.Errorf("%v, %d turns", err, c.Limiter.Turns())
		}
	})
}

// A-FLOOD-17: what was found out cannot be told from how long it took; what needed no look-up is
// answered at once.
func TestSlot(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		url  string
		want time.Duration
	}{
		"good":            {"http://slow.example.com/", 2 * time.Second},
		"as text":         {"https://10.0.0.1/", 0},
		"no such name":    {"http://none.example.com/", 4 * time.Second},
		"inside address":  {"http://inside.example.com/", 4 * time.Second},
		"silent":          {"http://hang.example.com/", 8 * time.Second},
		"refusal at once": {"http://8.8.8.8/?as=bad", 4 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := &world{
					addrs:  map[string]string{"none.example.com": "", "inside.example.com": "10.0.0.1"},
					takes:  map[string]time.Duration{"slow.example.com": 2 * time.Second},
					silent: map[string]bool{"hang.example.com": true},
				}
				if strings.Contains(tt.url, "as=bad") {
					w.status = 404
				}
				c := w.client(t, probelimit.Config{PerTenant: 1, Slot: 4 * time.Second})
				begin := time.Now()
				err := c.Probe(t.Context(), tt.url)
				if (err == nil) != (name == "good") || time.Since(begin) != tt.want {
					t.Errorf("%v after %s, want %s", err, time.Since(begin), tt.want)
				}
				if name == "as text" {
					if err := c.Probe(t.Context(), "http://fine.example.com/"); err != nil {
						t.Errorf("a refusal as text costs nothing: %v", err)
					}
				}
			})
		})
	}
}

// What takes a slot to the moment waits for no other.
func TestSlotThatIsMet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{silent: map[string]bool{"hang.example.com": true}}
		c := w.client(t, probelimit.Config{PerTenant: 1, Slot: 5 * time.Second})
		begin := time.Now()
		if err := c.Probe(t.Context(), "http://hang.example.com/"); err == nil || time.Since(begin) != 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
	})
}

// Who hangs up is not waited for.
func TestSlotEndsWithTheCaller(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{addrs: map[string]string{"none.example.com": ""}}
		c := w.client(t, probelimit.Config{PerTenant: 10})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		if err := c.Resolve(ctx, "http://none.example.com/"); !errors.Is(err, egress.ErrResolve) || time.Since(begin) != time.Second {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
	})
}

// Without limits nothing is limited, and nothing waits.
func TestOffUnlessConfigured(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &world{addrs: map[string]string{"none.example.com": ""}}
		begin := time.Now()
		for _, c := range []probelimit.Client{w.client(t, probelimit.Config{}), {Client: w.client(t, probelimit.Config{}).Client, Limiter: &probelimit.Limiter{}}, {Client: w.client(t, probelimit.Config{}).Client}} {
			for range 100 {
				if err := c.Probe(t.Context(), "http://fine.example.com/"); err != nil {
					t.Fatal(err)
				}
				if err := c.Resolve(t.Context(), "http://none.example.com/"); !errors.Is(err, egress.ErrResolve) {
					t.Fatal(err)
				}
			}
		}
		if time.Since(begin) != 0 {
			t.Errorf("%s passed", time.Since(begin))
		}
	})
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, bad := range []probelimit.Config{{PerTenant: -1}, {PerHost: -1}, {Concurrent: -1}} {
		if _, err := probelimit.New(bad); !errors.Is(err, probelimit.ErrConfig) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if _, err := (probelimit.Client{}).Check("https://hooks.example.com/"); !errors.Is(err, probelimit.ErrConfig) {
		t.Error(err)
	}
	for _, err := range []error{(probelimit.Client{}).Probe(t.Context(), "https://hooks.example.com/"), (probelimit.Client{}).Resolve(t.Context(), "https://hooks.example.com/")} {
		if !errors.Is(err, probelimit.ErrConfig) {
			t.Error(err)
		}
	}
}

type panicky struct{}

func (panicky) Prove(context.Context, string) (egress.Proof, error) { panic("a prover's") }

// A prover that panics holds nothing afterwards.
func TestPanicFreesTheSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := (&world{}).client(t, probelimit.Config{Concurrent: 1})
		for range 3 {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("no panic")
					}
				}()
				c.Limit(panicky{}).Prove(t.Context(), "http://fine.example.com/")
			}()
		}
		if err := c.Probe(t.Context(), "http://fine.example.com/"); err != nil {
			t.Error(err)
		}
	})
}
