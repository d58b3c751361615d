package registry

import (
	"log/slog"
	"maps"
	"slices"
	"time"
)

// A Subscription says that one customer wants some events posted to one URL.
// It is plain data: a copy may be changed freely and takes effect when it is
// given to [Registry.Set]. The zero value is not valid; see [Registry.Set] for
// what must be filled in.
type Subscription struct {
	// ID names the subscription for ever; deliveries refer to it. Set gives a
	// new one ("sub_…") when it is empty.
	ID string
	// Dialect is the wire name of the platform's way to talk ("smartbots",
	// "tencentchat", "edna", "standard").
	Dialect string
	// Tenant owns the subscription: a developer, an app, an account.
	Tenant string
	// Scope narrows the events to one group or channel of the tenant. Empty
	// means all of them.
	Scope string
	// Slot is what the subscription fills in its scope. Not empty, then
	// (Dialect, Tenant, Scope, Slot) is the natural key: Set replaces what
	// fills the slot, and Match prefers the slot with a scope over the same
	// slot without one. Empty: the ID alone is the key.
	Slot string
	// Label is shown to people. It is the customer's text: escape it.
	Label string
	// URL is where callbacks go, in the canonical spelling of
	// [github.com/ringback-go/ringback/registry/egress.Policy.Check].
	URL string
	// Types are the event types wanted, each compared exactly: there are no
	// wildcards.
	Types []string
	// Secrets sign or accompany the requests, the first one first. They are
	// sealed at rest.
	Secrets []Secret
	// TLS is the endpoint's own: a client certificate, roots. Sealed at rest.
	TLS TLS
	// Headers are sent with every request, unless the dialect sends one of the
	// same name itself. The values are sealed at rest.
	Headers []Header
	// Limits bound what is sent to the URL.
	Limits Limits
	// Meta is a small map of the dialect's own ("code": a fingerprint, say).
	// It is stored in the clear: digests may stand here, secrets may not.
	Meta map[string]string

	// State says whether deliveries are sent. The zero value is taken as
	// [Active].
	State State
	// Reason says why a subscription is not active ("gone", "removed by
	// user"); empty for an active one.
	Reason string
	// Since is when State last changed. Set fills it in.
	Since time.Time
	// ExpiresAt, when not zero, ends the subscription: it matches nothing from
	// then on.
	ExpiresAt time.Time
	// CreatedAt is when the subscription was first set. Set fills it in.
	CreatedAt time.Time
	// Revision counts the changes. Set with 0 takes whatever stands there;
	// with another value it is a compare-and-set. Set fills in the new one.
	Revision int64
}

// Limits bound the deliveries of one subscription. The zero value is the
// engine's defaults.
type Limits struct {
	// MaxInFlight is how many attempts may run at once; 0 is the default.
	MaxInFlight int
	// PerSecond is how many attempts may start in a second; 0 is no limit.
	PerSecond float64
	// Timeout bounds one attempt; 0 is the client's default.
	Timeout time.Duration
}

// State is what may happen to a subscription's deliveries.
type State string

const (
	// Active subscriptions match events and are delivered to.
	Active State = "active"
	// Paused subscriptions match events; their deliveries wait.
	Paused State = "paused"
	// Disabled subscriptions match nothing; what waited is dead.
	Disabled State = "disabled"
	// Removed subscriptions are tombstones: they match nothing and keep the
	// URL until the farewell, if the dialect has one, is settled.
	Removed State = "removed"
)

// Valid reports whether s is one of the four states.
func (s State) Valid() bool {
	switch s {
	case Active, Paused, Disabled, Removed:
		return true
	}
	return false
}

// Clone returns a copy that shares nothing with s.
func (s Subscription) Clone() Subscription {
	s.Types = slices.Clone(s.Types)
	s.Secrets = slices.Clone(s.Secrets)
	s.Headers = slices.Clone(s.Headers)
	s.Meta = maps.Clone(s.Meta)
	return s
}

// Wants reports whether the subscription matches t at now: an active or paused
// state, not expired, the same dialect and type, the tenant unless t leaves it
// open, and t's scope or none.
func (s Subscription) Wants(t Topic, now time.Time) bool {
	return (s.State == Active || s.State == Paused) &&
		s.Dialect == t.Dialect &&
		(t.Tenant == "" || s.Tenant == t.Tenant) &&
		(s.Scope == t.Scope || s.Scope == "") &&
		(s.ExpiresAt.IsZero() || now.Before(s.ExpiresAt)) &&
		slices.Contains(s.Types, t.Type)
}

// LogValue keeps secrets, URLs, headers and metadata out of logs.
func (s Subscription) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("id", s.ID),
		slog.String("dialect", s.Dialect),
		slog.String("tenant", s.Tenant),
		slog.String("state", string(s.State)),
	)
}

// A Topic is what an event is about, as far as matching goes.
type Topic struct {
	// Dialect and Type are compared exactly.
	Dialect, Type string
	// Tenant empty matches the subscriptions of every tenant; that is for
	// dialects whose events belong to a scope, as SmartBots groups do.
	Tenant string
	// Scope matches subscriptions of that scope and those without one.
	Scope string
}
