package egress_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/registry/internal/keypairtest"
)

// eventually waits for what another goroutine does.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(10 * time.Second)
	for !done() {
		select {
		case <-end:
			t.Fatalf("no %s", what)
		case <-tick.C:
		}
	}
}

func (v *vault) opened() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.open
}

// Only so many identities are kept: the one not used for longest goes, its idle
// connections are closed, and a request of its that is under way is finished.
func TestIdentitiesAreBounded(t *testing.T) {
	t.Parallel()
	for _, http1 := range []bool{false, true} {
		t.Run(fmt.Sprintf("HTTP1Only=%v", http1), func(t *testing.T) {
			t.Parallel()
			v := newVault(t, nil)
			client := newClient(t, loopback(egress.Config{RootCAs: v.root.Pool(), HTTP1Only: http1, MaxIdentities: 3}))
			identities := make([]egress.Identity, 12)
			for i := range identities {
				pair := named(t, v.root, fmt.Sprint("client ", i))
				identities[i] = egress.NewIdentity(fmt.Sprint("sub_", i), pair.Certificate, pair.Key, "")
			}
			ctx, cancel := context.WithCancel(egress.WithIdentity(t.Context(), identities[0]))
			defer cancel()
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, v.URL+"/slow", http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			slow, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer slow.Body.Close()
			for i, identity := range identities[1:] {
				if got, err := as(t.Context(), t, client, identity, v.URL); err != nil || got != fmt.Sprint("client ", i+1) {
					t.Fatalf("%d: %q, %v", i, got, err)
				}
				if got, err := as(t.Context(), t, client, identities[1], v.URL); err != nil || got != "client 1" { // used all the time
					t.Fatalf("%q, %v", got, err)
				}
			}
			if n := client.Identities(); n != 3 {
				t.Errorf("%d identities are kept, want 3", n)
			}
			eventually(t, "end of all but the kept and the slow connection", func() bool { return v.opened() == 4 })
			v.mu.Lock()
			ones := 0
			for _, names := range v.shown {
				if names[0] == "client 1" {
					ones++
				}
			}
			v.mu.Unlock()
			if ones != 1 {
				t.Errorf("the identity that was used all the time had %d connections", ones)
			}
			if slow.StatusCode != http.StatusOK || ctx.Err() != nil {
				t.Errorf("the request under way: %d", slow.StatusCode)
			}
			if transport, err := client.TransportOf(identities[0]); err != nil || transport == nil {
				t.Errorf("what was evicted does not come back: %v", err)
			}
			slow.Body.Close()
			client.CloseIdleConnections()
			eventually(t, "end of all connections", func() bool { return v.opened() == 0 })
		})
	}
}

// The material is read once, and one look-up of it allocates nothing.
func TestIdentityIsReadOnce(t *testing.T) { // not parallel: AllocsPerRun
	root := keypairtest.Authority(t)
	ann := named(t, root, "ann")
	client := newClient(t, egress.Config{})
	identity := egress.NewIdentity("sub", ann.Certificate, ann.Key, root.Certificate)
	first, err := client.TransportOf(identity)
	if err != nil {
		t.Fatal(err)
	}
	allocs := testing.AllocsPerRun(100, func() {
		again, err := client.TransportOf(identity)
		if err != nil || again != first {
			t.Fatal("another transport")
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}

func TestIdentityDoesNotShow(t *testing.T) {
	t.Parallel()
	i := egress.NewIdentity("sub", "hunter2", "hunter2", "hunter2")
	ctx := egress.WithIdentity(t.Context(), i)
	for _, text := range []string{fmt.Sprint(i, &i, ctx), fmt.Sprintf("%+v %#v %s %q %x %d", i, i, i, i, i, i), i.String(), i.LogValue().String()} {
		if strings.Contains(text, "hunter2") || strings.Contains(text, "68756e") {
			t.Errorf("shown: %s", text)
		}
	}
	if !egress.NewIdentity("sub", "", "", "").IsZero() || i.IsZero() || egress.WithIdentity(t.Context(), egress.Identity{}) != t.Context() {
		t.Error("an endpoint without material has an identity, or one with has none")
	}
	if !newClient(t, egress.Config{}).TakesIdentity() {
		t.Error("the client does not say that it takes one")
	}
}
