package egress

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"
)

// ErrTooMany says that a limit on registering was met, such as those of package probelimit. It says
// nothing about the URL. Registration APIs answer it with 429; see [TooMany].
var ErrTooMany = errors.New("egress: too many probes or callback URLs")

// TooMany reports whether err matches [ErrTooMany], and how long to wait before the next try: at
// least a second.
func TooMany(err error) (wait time.Duration, limited bool) {
	if !errors.Is(err, ErrTooMany) {
		return 0, false
	}
	type waits interface {
		error
		Wait() time.Duration
	}
	if e, ok := errors.AsType[waits](err); ok {
		wait = e.Wait()
	}
	return max(wait, time.Second), true
}

type tenantKey struct{}

// WithTenant says on whose behalf probes under the context are made, for limits by tenant.
func WithTenant(ctx context.Context, tenant string) context.Context {
	return context.WithValue(ctx, tenantKey{}, tenant)
}

// TenantOf returns what [WithTenant] set; without it the tenant is empty, one for all who have none.
func TenantOf(ctx context.Context) string {
	tenant, _ := ctx.Value(tenantKey{}).(string)
	return tenant
}

type aimKey struct{}

// WithAim has judge called with the addresses that a probe under the context may connect to, judged
// and distinct, before it does. An error of it ends the probe. Names cost nothing, so who limits
// probes by target has to look at the addresses, too.
func WithAim(ctx context.Context, judge func([]netip.Addr) error) context.Context {
	return context.WithValue(ctx, aimKey{}, judge)
}

// aim tells who wants to know where a probe goes: the addresses that the dialer would try.
func aim(ctx context.Context, u URL, addrs []netip.Addr) error {
	judge, ok := ctx.Value(aimKey{}).(func([]netip.Addr) error)
	if !ok {
		return nil
	}
	if u.literal.IsValid() {
		return judge([]netip.Addr{u.literal})
	}
	targets := make([]netip.Addr, 0, maxTries)
	for _, addr := range addrs {
		if addr = addr.Unmap(); len(targets) < maxTries && !slices.Contains(targets, addr) {
			targets = append(targets, addr)
		}
	}
	return judge(targets)
}
