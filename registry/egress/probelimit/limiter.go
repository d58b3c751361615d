package probelimit

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/ringback-go/ringback/registry/egress"
)

// Config makes a [Limiter]. The zero value limits nothing.
type Config struct {
	// PerTenant is how many probes a tenant may make in a minute, and at once when it was idle; 0 is any
	// number. The tenant is that of egress.WithTenant.
	PerTenant int
	// PerHost is how many probes a host may get in a minute from all tenants; 0 is any number.
	PerHost int
	// PerAddress is the same for an address, or a /64 of IPv6; 0 is PerHost, negative any number. Many
	// honest names may stand for one address.
	PerAddress int
	// Concurrent is how many probes are under way at once over all tenants; 0 is any number.
	Concurrent int
	// Slot is the time of which refusals take a multiple. 0 is 6 s, more than a probe takes; negative
	// is no wait. Without any limit there is none either.
	Slot time.Duration
}

const (
	defaultSlot = 6 * time.Second
	maxWaiting  = 8 // calls of one tenant that wait for their turn
)

// Limiter bounds probes. Make one with [New]; nil and the zero value limit nothing.
type Limiter struct {
	on   bool
	slot time.Duration
	all  chan struct{} // nil: no cap

	mu        sync.Mutex
	tenants   *buckets[string]
	hosts     *buckets[string]
	addresses *buckets[netip.Prefix]
	turns     map[string]*turn
}

// turn is a tenant's; it lives as long as somebody holds it or waits for it.
type turn struct {
	free  chan struct{} // holds one while nobody probes
	calls int
}

// ErrConfig is in every error of [New].
var ErrConfig = errors.New("probelimit: config")

// New makes a Limiter. A negative number of probes is [ErrConfig].
func New(cfg Config) (*Limiter, error) {
	if cfg.PerTenant < 0 || cfg.PerHost < 0 || cfg.Concurrent < 0 {
		return nil, fmt.Errorf("%w: a negative number of probes", ErrConfig)
	}
	perAddress := cfg.PerAddress
	if perAddress == 0 {
		perAddress = cfg.PerHost
	}
	l := &Limiter{
		on:        cfg.PerTenant > 0 || cfg.PerHost > 0 || perAddress > 0 || cfg.Concurrent > 0,
		slot:      cfg.Slot,
		tenants:   newBuckets[string](cfg.PerTenant),
		hosts:     newBuckets[string](cfg.PerHost),
		addresses: newBuckets[netip.Prefix](perAddress),
		turns:     map[string]*turn{},
	}
	if l.slot == 0 {
		l.slot = defaultSlot
	}
	if cfg.Concurrent > 0 {
		l.all = make(chan struct{}, cfg.Concurrent)
	}
	return l, nil
}

// Error says which limit a probe met. It matches egress.ErrTooMany.
type Error struct {
	// Limit is "tenant", "host", "address", "concurrent" or "waiting".
	Limit string
	// After is when another try may pass.
	After time.Duration
}

func (e *Error) Error() string { return egress.ErrTooMany.Error() + ": " + e.Limit }

// Unwrap returns egress.ErrTooMany.
func (*Error) Unwrap() error { return egress.ErrTooMany }

// Wait is After, for egress.TooMany.
func (e *Error) Wait() time.Duration { return e.After }

// do makes a probe of a URL that passed as text, within the limits.
func (l *Limiter) do(ctx context.Context, u egress.URL, probe func(context.Context) error) error {
	if l == nil || !l.on {
		return probe(ctx)
	}
	begin := time.Now()
	tenant := egress.TenantOf(ctx)
	if err := l.spend(tenant, u, begin); err != nil {
		return err
	}
	leave, err := l.enter(ctx, tenant)
	if err != nil {
		return err
	}
	defer leave()
	if l.all != nil {
		select {
		case l.all <- struct{}{}:
		default:
			return &Error{Limit: "concurrent", After: time.Second}
		}
	}
	err = l.run(egress.WithAim(ctx, l.aimed), probe)
	if err != nil && l.slot > 0 {
		pad(ctx, begin, l.slot)
	}
	return err
}

// run makes the probe and frees its slot, whatever happens: the wait after a refusal needs none.
func (l *Limiter) run(ctx context.Context, probe func(context.Context) error) error {
	if l.all != nil {
		defer func() { <-l.all }()
	}
	return probe(ctx)
}

// spend takes a token of the tenant and one of the host, or none.
func (l *Limiter) spend(tenant string, u egress.URL, now time.Time) error {
	host := u.Host()
	if u.Literal().IsValid() {
		host = u.Literal().String() // one spelling
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if wait := l.tenants.wait(tenant, now); wait > 0 {
		return &Error{Limit: "tenant", After: wait}
	}
	if wait := l.hosts.wait(host, now); wait > 0 {
		return &Error{Limit: "host", After: wait}
	}
	l.tenants.spend(tenant, now)
	l.hosts.spend(host, now)
	return nil
}

// aimed takes a token of each address that the probe may connect to, or none.
func (l *Limiter) aimed(addrs []netip.Addr) error {
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	keys := make([]netip.Prefix, 0, len(addrs))
	for _, addr := range addrs {
		bits := 32
		if addr = addr.Unmap(); addr.Is6() {
			bits = 64
		}
		key := netip.PrefixFrom(addr, bits).Masked()
		if slices.Contains(keys, key) {
			continue
		}
		if wait := l.addresses.wait(key, now); wait > 0 {
			return &Error{Limit: "address", After: wait}
		}
		keys = append(keys, key)
	}
	for _, key := range keys {
		l.addresses.spend(key, now)
	}
	return nil
}

// enter waits for the tenant's turn.
func (l *Limiter) enter(ctx context.Context, tenant string) (leave func(), err error) {
	l.mu.Lock()
	t := l.turns[tenant]
	switch {
	case t == nil && len(l.turns) >= maxKeys:
		l.mu.Unlock()
		return nil, &Error{Limit: "concurrent", After: time.Second}
	case t == nil:
		t = &turn{free: make(chan struct{}, 1)}
		t.free <- struct{}{}
		l.turns[tenant] = t
	case t.calls > maxWaiting: // one holds it
		l.mu.Unlock()
		return nil, &Error{Limit: "waiting", After: time.Second}
	}
	t.calls++
	l.mu.Unlock()
	gone := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if t.calls--; t.calls == 0 {
			delete(l.turns, tenant)
		}
	}
	select {
	case <-t.free:
		return func() { t.free <- struct{}{}; gone() }, nil
	case <-ctx.Done():
		gone()
		return nil, ctx.Err()
	}
}

// pad waits until a whole number of slots has passed since begin, or nobody waits for the answer.
func pad(ctx context.Context, begin time.Time, slot time.Duration) {
	passed := time.Since(begin)
	rest := slot - passed%slot
	if rest == slot && passed > 0 { // it was a whole number
		return
	}
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
