package registry

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Next returns what [Registry.Set] stores for in, which must be valid, given
// what has its ID and what fills its slot without being removed; each may be
// nil. It is for those who write a Registry: with it and [Matching] they only
// have to find rows and keep them.
//
// What fills the slot is replaced under its own ID, whatever ID in carries;
// else what has in's ID is replaced, and moves to in's slot. A tombstone never
// takes a slot from its successor: a removed in that has a known ID replaces
// that one. Removed is final: another state under the ID of a tombstone is
// ErrConflict, so that an old backlog never revives. With a Revision, in's ID,
// if given, must be the one that is replaced.
func Next(in Subscription, byID, bySlot *Subscription, now time.Time) (Subscription, error) {
	conflict := func(field string) (Subscription, error) {
		return Subscription{}, &Error{ID: in.ID, Field: field, Err: ErrConflict}
	}
	if in.State == "" {
		in.State = Active
	}
	old := byID
	if bySlot != nil && (byID == nil || in.State != Removed) {
		old = bySlot
	}
	if in.Revision != 0 && (old == nil || old.Revision != in.Revision || (in.ID != "" && in.ID != old.ID)) {
		return conflict("Revision")
	}
	if old != nil && old.State == Removed && in.State != Removed {
		return conflict("State")
	}

	next, now := in.Clone(), stamp(now)
	next.ExpiresAt = stamp(in.ExpiresAt)
	if in.State == Active {
		next.Reason = ""
	}
	if old == nil {
		if next.ID == "" {
			next.ID = NewID()
		}
		next.CreatedAt, next.Since, next.Revision = now, now, 1
		return next, nil
	}
	next.ID, next.CreatedAt, next.Revision = old.ID, old.CreatedAt, old.Revision+1
	next.Since = old.Since
	if next.State != old.State {
		next.Since = now
	}
	return next, nil
}

// stamp returns t as every store keeps it: UTC, in microseconds, without a
// monotonic reading. The zero time stays zero.
func stamp(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// Matching returns what [Registry.Match] returns out of candidates, which may
// hold more than that and are reordered in place: those that want t at now,
// less the ones without a scope that are overridden, in order of their IDs.
// An override counts only while it wants t itself, so a disabled or expired
// one gives the event back to the one without a scope.
func Matching(t Topic, now time.Time, candidates []Subscription) []Subscription {
	type filled struct{ tenant, slot string }
	var overrides map[filled]bool
	wanting := slices.DeleteFunc(candidates, func(s Subscription) bool { return !s.Wants(t, now) })
	if t.Scope != "" {
		for i := range wanting {
			if s := &wanting[i]; s.Scope != "" && s.Slot != "" {
				if overrides == nil {
					overrides = make(map[filled]bool)
				}
				overrides[filled{s.Tenant, s.Slot}] = true
			}
		}
	}
	if overrides != nil {
		wanting = slices.DeleteFunc(wanting, func(s Subscription) bool {
			return s.Scope == "" && s.Slot != "" && overrides[filled{s.Tenant, s.Slot}]
		})
	}
	slices.SortFunc(wanting, func(a, b Subscription) int { return strings.Compare(a.ID, b.ID) })
	return wanting
}

// Newest orders subscriptions as [Registry.List] yields them: by CreatedAt,
// the latest first, then by ID, the highest first.
func Newest(a, b Subscription) int {
	return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), strings.Compare(b.ID, a.ID))
}

// Chooses reports whether s passes the filter; Limit plays no part.
func (f Filter) Chooses(s Subscription) bool {
	return (f.Dialect == "" || f.Dialect == s.Dialect) &&
		(f.Tenant == "" || f.Tenant == s.Tenant) &&
		(f.Scope == "" || f.Scope == s.Scope) &&
		(len(f.States) == 0 || slices.Contains(f.States, s.State))
}
