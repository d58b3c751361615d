package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/ringback-go/ringback/internal/ids"
)

var (
	// ErrNotFound says that there is no such subscription.
	ErrNotFound = errors.New("registry: subscription not found")
	// ErrConflict says that a compare-and-set lost: the revision given is not
	// the one that stands.
	ErrConflict = errors.New("registry: revision conflict")
	// ErrInvalid says that a subscription lacks a field or is out of bounds.
	ErrInvalid = errors.New("registry: invalid subscription")
)

// Counter is implemented by a [Registry] that counts its subscriptions without
// reading each of them, as metrics do again and again.
type Counter interface {
	// Count returns how many subscriptions there are in each state. A state that
	// none is in may be missing.
	Count(ctx context.Context) (map[State]int, error)
}

// A Registry keeps subscriptions. Implementations are safe for concurrent use,
// copy in and out, and return once the change is durable (or say in their
// type's first sentence that they are not). The package registrytest checks
// an implementation against these rules.
type Registry interface {
	// Set stores subscriptions, all or none, and returns them as stored. One
	// with a Slot replaces what fills (Dialect, Tenant, Scope, Slot) and is not
	// removed, keeping its ID and CreatedAt; one without replaces what has its
	// ID. Revision 0 takes whatever stands there, another value must be the one
	// that stands (ErrConflict). An ID that is given and not known is taken as
	// it is. ErrInvalid names the field; see [Validate].
	Set(ctx context.Context, subs ...Subscription) ([]Subscription, error)
	// Get returns one subscription, whatever its state, or ErrNotFound.
	Get(ctx context.Context, id string) (Subscription, error)
	// Delete forgets a subscription altogether; one that is not there is no
	// error. To end one that deliveries may wait for, remove it through
	// the delivery engine, which leaves a tombstone until the farewell is settled.
	Delete(ctx context.Context, id string) error
	// List yields subscriptions, newest first. An error ends the sequence as
	// its last pair.
	List(ctx context.Context, f Filter) iter.Seq2[Subscription, error]
	// Match returns the subscriptions that want an event now, in order of
	// their IDs: those for which [Subscription.Wants] holds, less the ones
	// without a scope whose non-empty slot is filled, for the same tenant, by
	// one that has the topic's scope. They are as whole as Get returns them,
	// because a [Cache] answers Get with them; who wraps one wraps both.
	Match(ctx context.Context, t Topic) ([]Subscription, error)
}

// A Filter chooses subscriptions for [Registry.List]. Empty fields choose all.
type Filter struct {
	Dialect, Tenant, Scope string
	// States chooses those in one of the states; empty is every state.
	States []State
	// Limit ends the list after so many; 0 is no limit.
	Limit int
}

// An Error says which field of which subscription was refused.
type Error struct {
	ID    string // may be empty
	Field string // Go name of the field; of TLS, "TLS.Certificate", "TLS.Key" or "TLS.Roots"
	// Detail says what the field takes, or what is wrong with it, in fixed words:
	// nothing of the subscription is in it. It may be empty.
	Detail string
	Err    error // ErrInvalid or another sentinel of this package
}

func (e *Error) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("%v: %s", e.Err, e.Field)
	}
	return fmt.Sprintf("%v: %s: %s", e.Err, e.Field, e.Detail)
}

// Unwrap returns the sentinel.
func (e *Error) Unwrap() error { return e.Err }

// Bounds of a subscription's fields, in bytes or elements.
const (
	MaxText    = 512   // ID, Dialect, Tenant, Scope, Slot, Label, Reason, each type
	MaxURL     = 8192  // URL
	MaxTypes   = 256   // Types
	MaxSecrets = 16    // Secrets
	MaxSecret  = 4096  // each secret
	MaxMeta    = 16384 // keys and values of Meta together
) // those of TLS and Headers stand with their types

// Validate reports what [Registry.Set] would refuse, as an [*Error] that wraps
// ErrInvalid: no Dialect, URL or Types; a state that does not exist; a field
// over its bound; text that is not UTF-8 or contains NUL, which not every
// database keeps as it is (secrets may be any bytes); a limit that is not a
// number; an ExpiresAt outside the years 1 to 9999; TLS material that is not
// PEM, over 64 KiB, or whose key is encrypted or not the certificate's; a header
// that [Header.Check] refuses, one too many or the same twice. It does not judge
// the URL: that is the egress policy's work.
func Validate(s Subscription) error {
	invalid := func(field, detail string, numbers ...any) error {
		return &Error{ID: s.ID, Field: field, Detail: fmt.Sprintf(detail, numbers...), Err: ErrInvalid}
	}
	for _, f := range []struct {
		name, value string
		max         int
	}{
		{"ID", s.ID, MaxText},
		{"Dialect", s.Dialect, MaxText},
		{"Tenant", s.Tenant, MaxText},
		{"Scope", s.Scope, MaxText},
		{"Slot", s.Slot, MaxText},
		{"Label", s.Label, MaxText},
		{"Reason", s.Reason, MaxText},
		{"URL", s.URL, MaxURL},
	} {
		if len(f.value) > f.max || !storable(f.value) {
			return invalid(f.name, "takes %d bytes of UTF-8 without NUL at most", f.max)
		}
	}
	switch {
	case s.Dialect == "":
		return invalid("Dialect", "is needed")
	case s.URL == "":
		return invalid("URL", "is needed")
	case len(s.Types) == 0 || len(s.Types) > MaxTypes:
		return invalid("Types", "takes 1 to %d types", MaxTypes)
	case len(s.Secrets) > MaxSecrets:
		return invalid("Secrets", "takes %d secrets at most", MaxSecrets)
	case s.State != "" && !s.State.Valid():
		return invalid("State", "does not exist")
	case s.Revision < 0:
		return invalid("Revision", "is negative")
	case s.Limits.MaxInFlight < 0 || s.Limits.PerSecond < 0 || s.Limits.Timeout < 0,
		math.IsNaN(s.Limits.PerSecond), math.IsInf(s.Limits.PerSecond, 0):
		return invalid("Limits", "takes numbers of 0 and more")
	case !s.ExpiresAt.IsZero() && (s.ExpiresAt.UTC().Year() < 1 || s.ExpiresAt.UTC().Year() > 9999):
		return invalid("ExpiresAt", "takes a time in the years 1 to 9999")
	}
	for _, t := range s.Types {
		if t == "" || len(t) > MaxText || !storable(t) {
			return invalid("Types", "takes names of 1 to %d bytes of UTF-8 without NUL", MaxText)
		}
	}
	for _, k := range s.Secrets {
		if k.IsZero() || len(k.Reveal()) > MaxSecret {
			return invalid("Secrets", "takes secrets of 1 to %d bytes", MaxSecret)
		}
	}
	n := 0
	for k, v := range s.Meta {
		if !storable(k) || !storable(v) {
			return invalid("Meta", "takes UTF-8 without NUL")
		}
		n += len(k) + len(v)
	}
	if n > MaxMeta {
		return invalid("Meta", "takes %d bytes at most", MaxMeta)
	}
	if detail := checkHeaders(s.Headers); detail != "" {
		return &Error{ID: s.ID, Field: "Headers", Detail: detail, Err: ErrInvalid}
	}
	if field, detail := s.TLS.check(); field != "" {
		return &Error{ID: s.ID, Field: field, Detail: detail, Err: ErrInvalid}
	}
	return nil
}

func storable(text string) bool {
	return utf8.ValidString(text) && strings.IndexByte(text, 0) < 0
}

// NewID returns a new subscription ID, "sub_" and a UUIDv7 in 26 letters and
// digits that sort by time.
func NewID() string { return ids.New("sub") }

// CountStates returns how many subscriptions of r there are in each state: r says
// so itself if it is a [Counter], otherwise all are listed.
func CountStates(ctx context.Context, r Registry) (map[State]int, error) {
	if c, ok := r.(Counter); ok {
		return c.Count(ctx)
	}
	counts := map[State]int{}
	for s, err := range r.List(ctx, Filter{}) {
		if err != nil {
			return nil, err
		}
		counts[s.State]++
	}
	return counts, nil
}
