package main

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/registry/egress/probelimit"
)

// readProbeLimit reads "outbound.probe_limit"; limits.md describes it.
func readProbeLimit(v value) (cfg probelimit.Config) {
	if !v.set {
		return cfg
	}
	v.keys("per_tenant", "per_host", "per_address", "concurrent", "slot")
	count := func(name string) int { return int(v.get(name).integer(0, 1, 1_000_000)) }
	cfg.PerTenant, cfg.PerHost, cfg.PerAddress = count("per_tenant"), count("per_host"), count("per_address")
	cfg.Concurrent = count("concurrent")
	cfg.Slot = v.get("slot").duration(0)
	if v.doc.err == nil && cfg.PerTenant == 0 && cfg.PerHost == 0 && cfg.PerAddress == 0 && cfg.Concurrent == 0 {
		v.fail("takes at least one of per_tenant, per_host, per_address and concurrent")
	}
	return cfg
}

// newProber is the client as all registrations of the process use it.
func (g *gateway) newProber() (probelimit.Client, error) {
	limiter, err := probelimit.New(g.cfg.probes)
	return probelimit.Client{Client: g.client, Limiter: limiter}, err
}

// limiter counts as "rate_limit" says; an error says that it cannot.
func (l limit) limiter() (*middleware.LocalLimiter, error) {
	requests, per := int(l.perSecond), time.Second
	if float64(requests) != l.perSecond {
		most := float64(math.MaxInt64 / 2) // fits, and is longer than any limiter counts
		requests, per = 1, time.Duration(min(float64(time.Second)/l.perSecond, most))
	}
	return middleware.NewLocalLimiter(middleware.LocalLimiterConfig{Requests: requests, Per: per, Burst: l.burst})
}

// tooMany answers an error that says that a limit was met.
func tooMany(w http.ResponseWriter, err error) bool {
	wait, limited := egress.TooMany(err)
	if limited {
		w.Header().Set("Retry-After", strconv.FormatInt(int64(math.Ceil(wait.Seconds())), 10))
		problem(w, http.StatusTooManyRequests, "")
	}
	return limited
}

// capped bounds how many different URLs a tenant of a dialect may have; 0 is no
// bound. Several gateways on one store may let some more pass at the same moment.
func capped(r registry.Registry, urls int) registry.Registry {
	if urls == 0 {
		return r
	}
	return versioned(&cappedRegistry{Registry: r, urls: urls}, r)
}

type cappedRegistry struct {
	registry.Registry

	urls int
	mu   sync.Mutex // between looking and setting
}

// fullError says that a tenant may not have another URL.
type fullError struct{}

func (fullError) Error() string       { return egress.ErrTooMany.Error() }
func (fullError) Unwrap() error       { return egress.ErrTooMany }
func (fullError) Wait() time.Duration { return time.Minute } // until somebody removed one

// Set refuses what would give a tenant another URL beyond the bound. What he has
// may be changed, also when the bound was lowered.
func (c *cappedRegistry) Set(ctx context.Context, subs ...registry.Subscription) ([]registry.Subscription, error) {
	type owner struct{ dialect, tenant string }
	c.mu.Lock()
	defer c.mu.Unlock()
	judged := map[owner]bool{}
	for _, s := range subs {
		o := owner{s.Dialect, s.Tenant}
		if judged[o] {
			continue
		}
		judged[o] = true
		before, after, err := c.count(ctx, o.dialect, o.tenant, subs)
		if err != nil {
			return nil, err
		}
		if after > c.urls && after > before {
			return nil, fullError{}
		}
	}
	return c.Registry.Set(ctx, subs...)
}

// count counts a tenant's URLs as they stand and as they would with subs set.
func (c *cappedRegistry) count(ctx context.Context, dialect, tenant string, subs []registry.Subscription) (before, after int, err error) {
	type place struct{ scope, slot string }
	ids, places, now, then := map[string]bool{}, map[place]bool{}, map[string]bool{}, map[string]bool{}
	for _, s := range subs {
		if s.Dialect != dialect || s.Tenant != tenant {
			continue
		}
		ids[s.ID] = true
		if s.Slot != "" {
			places[place{s.Scope, s.Slot}] = true
		}
		if s.State != registry.Removed {
			then[s.URL] = true
		}
	}
	for s, err := range c.List(ctx, registry.Filter{Dialect: dialect, Tenant: tenant, States: present}) {
		if err != nil {
			return 0, 0, err
		}
		now[s.URL] = true
		if !ids[s.ID] && (s.Slot == "" || !places[place{s.Scope, s.Slot}]) {
			then[s.URL] = true
		}
	}
	return len(now), len(then), nil
}
