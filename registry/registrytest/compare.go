package registrytest

import (
	"maps"
	"slices"
	"strings"

	"github.com/ringback-go/ringback/registry"
)

// same reports each field in which got is not want.
func (b *bench) same(what string, got, want registry.Subscription) {
	b.Helper()
	if fields := differences(got, want); len(fields) > 0 {
		b.Errorf("%s differs in %s:\n got %s\nwant %s", what, strings.Join(fields, ", "), show(got), show(want))
	}
}

// differences names the fields that differ. Times are compared as instants,
// nil and empty are the same.
func differences(a, b registry.Subscription) []string {
	var fields []string
	for _, f := range []struct {
		name string
		same bool
	}{
		{"ID", a.ID == b.ID},
		{"Dialect", a.Dialect == b.Dialect},
		{"Tenant", a.Tenant == b.Tenant},
		{"Scope", a.Scope == b.Scope},
		{"Slot", a.Slot == b.Slot},
		{"Label", a.Label == b.Label},
		{"URL", a.URL == b.URL},
		{"Types", slices.Equal(a.Types, b.Types)},
		{"Secrets", slices.Equal(a.Secrets, b.Secrets)},
		{"TLS", a.TLS == b.TLS},
		{"Headers", slices.Equal(a.Headers, b.Headers)},
		{"Limits", a.Limits == b.Limits},
		{"Meta", maps.Equal(a.Meta, b.Meta)},
		{"State", a.State == b.State},
		{"Reason", a.Reason == b.Reason},
		{"Since", a.Since.Equal(b.Since)},
		{"ExpiresAt", a.ExpiresAt.Equal(b.ExpiresAt)},
		{"CreatedAt", a.CreatedAt.Equal(b.CreatedAt)},
		{"Revision", a.Revision == b.Revision},
	} {
		if !f.same {
			fields = append(fields, f.name)
		}
	}
	return fields
}

// wantIDs checks the IDs of subs, in order.
func (b *bench) wantIDs(what string, subs []registry.Subscription, want ...string) {
	b.Helper()
	got := make([]string, len(subs))
	for i, s := range subs {
		got[i] = s.ID
	}
	if !slices.Equal(got, want) {
		b.Errorf("%s: got IDs %q, want %q", what, got, want)
	}
}
