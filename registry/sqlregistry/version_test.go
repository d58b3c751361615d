package sqlregistry_test

import (
	"context"
	"testing"
	"time"

	"github.com/ringback-go/ringback/registry"
)

func version(t testing.TB, h *handle) int64 {
	t.Helper()
	v, err := h.Version(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Every change of a subscription changes the version, whoever makes it.
func TestVersion(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		h := b.registry(t)
		other := b.registry(t)
		stored := set(t, h, subscription(nil), subscription(nil))
		last := version(t, h)
		for _, c := range []struct {
			name    string
			changes bool
			do      func()
		}{
			{"nothing", false, func() {}},
			{"Set", true, func() { set(t, h, subscription(nil)) }},
			{"Set again", true, func() { stored[0] = set(t, h, stored[0])[0] }},
			{"Set by another", true, func() { set(t, other, subscription(nil)) }},
			{"refused", false, func() {
				wrong := stored[0]
				wrong.Revision = 77
				if _, err := h.Set(t.Context(), subscription(nil), wrong); err == nil {
					t.Error("a conflict was set")
				}
			}},
			{"reads", false, func() {
				if _, err := h.Get(t.Context(), stored[0].ID); err != nil {
					t.Error(err)
				}
			}},
			{"Delete", true, func() {
				if err := other.Delete(t.Context(), stored[1].ID); err != nil {
					t.Error(err)
				}
			}},
			{"UPDATE", true, func() { h.exec(t, "UPDATE @subscription SET label = 'by hand'") }},
			{"DELETE", true, func() { h.exec(t, "DELETE FROM @subscription WHERE id = ?", stored[0].ID) }},
			{"INSERT", true, func() {
				h.exec(t, "INSERT INTO @subscription (id, dialect, tenant, scope, slot, label, url, types, secrets,"+
					" max_in_flight, per_second, timeout, meta, state, reason, since, expires_at, created_at, revision)"+
					" SELECT 'copy', dialect, tenant, scope, slot, label, url, types, secrets,"+
					" max_in_flight, per_second, timeout, meta, state, reason, since, expires_at, created_at, revision FROM @subscription LIMIT 1")
			}},
			{"Set after all that", true, func() { set(t, h, subscription(nil)) }},
		} {
			c.do()
			now := version(t, other)
			if (now != last) != c.changes || now < last {
				t.Errorf("%s: version %d after %d", c.name, now, last)
			}
			last = now
		}
	})
}

// One change counts once in PostgreSQL, however many statements it takes: the
// versions of a row that one transaction makes are all in each other's way.
func TestVersionCountsOnce(t *testing.T) {
	t.Parallel()
	for _, fl := range flavors[1:] {
		t.Run(fl.name, func(t *testing.T) {
			t.Parallel()
			h := fl.make(t).registry(t)
			before := version(t, h)
			set(t, h, subscription(nil), subscription(nil), subscription(nil))
			if now := version(t, h); now != before+1 {
				t.Errorf("version %d after %d", now, before)
			}
		})
	}
}

// A change by another process is seen through a Cache within its time to live.
func TestCacheSeesOthers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		const ttl = 20 * time.Millisecond
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		h, other := b.registry(t), b.registry(t)
		cache := registry.NewCache(h, ttl)
		s := set(t, other, subscription(nil))[0]
		for range 20 {
			var err error
			if s, err = other.Get(ctx, s.ID); err != nil {
				t.Fatal(err)
			}
			s.Limits.MaxInFlight++
			s = set(t, other, s)[0]
			changed := time.Now()
			for {
				began := time.Now()
				got, err := cache.Get(ctx, s.ID)
				if err != nil {
					t.Fatal(err)
				}
				if got.Revision == s.Revision {
					break
				}
				if late := began.Sub(changed); late >= ttl {
					t.Fatalf("revision %d is there %v after it was replaced", got.Revision, late)
				}
			}
		}
	})
}
