package registrytest

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ringback-go/ringback/registry"
)

// show prints s without what its own methods would hide, secrets excepted.
func show(s registry.Subscription) string {
	type plain registry.Subscription // without LogValue; Secret prints "***"
	return fmt.Sprintf("%+v", plain(s))
}

var setCases = []ruleCase{
	{"set fills in", "Set gives a new subscription an ID, the state active, CreatedAt and Since of now and revision 1.", func(b *bench) {
		before := time.Now().Add(-time.Minute)
		got := b.set1(sub())
		if !strings.HasPrefix(got.ID, "sub_") {
			b.Errorf("ID is %q", got.ID)
		}
		if got.State != registry.Active || got.Revision != 1 {
			b.Errorf("state is %q, revision %d", got.State, got.Revision)
		}
		if got.CreatedAt.Before(before) || got.CreatedAt.After(time.Now().Add(time.Minute)) || !got.Since.Equal(got.CreatedAt) {
			b.Errorf("CreatedAt is %v, Since %v", got.CreatedAt, got.Since)
		}
		if other := b.set1(sub()); other.ID == got.ID {
			b.Error("two subscriptions have one ID")
		}
		b.same("Get after Set", b.get(got.ID), got)
	}},
	{"set keeps all", "Set stores every field that is the caller's, in any language, and takes an ID that is not known as it is.", func(b *bench) {
		want := b.full()
		got := b.set1(want)
		want.Since, want.CreatedAt, want.Revision = got.Since, got.CreatedAt, 1
		b.same("result of Set", got, want)
		b.same("Get", b.get("sub_mine"), want)
		b.same("List", b.one("List", b.list(registry.Filter{})), want)
		b.same("Match", b.one("Match", b.match(registry.Topic{Dialect: "edna", Tenant: "tenant", Scope: "channel", Type: "é"})), want)
	}},
	{"set ends TLS and headers", "What is set without TLS material and headers has none, whatever it replaces.", func(b *bench) {
		s := b.set1(b.full())
		s.TLS, s.Headers, s.Revision = registry.TLS{}, nil, 0
		got := b.set1(s)
		if !got.TLS.IsZero() || len(got.Headers) != 0 {
			b.Errorf("set: %s", show(got))
		}
		b.same("Get", b.get(s.ID), got)
	}},
	{"set own clock", "Since, CreatedAt and Revision of a new subscription are the registry's, whatever the caller filled in.", func(b *bench) {
		past := time.Unix(1e9, 0)
		s := sub(func(s *registry.Subscription) { s.Since, s.CreatedAt = past, past })
		if got := b.set1(s); got.Since.Equal(past) || got.CreatedAt.Equal(past) {
			b.Errorf("Since is %v, CreatedAt %v", got.Since, got.CreatedAt)
		}
	}},
	{"active has no reason", "An active subscription has no reason.", func(b *bench) {
		got := b.set1(sub(func(s *registry.Subscription) { s.State, s.Reason = registry.Active, "stale" }))
		if got.Reason != "" || b.get(got.ID).Reason != "" {
			b.Errorf("Reason is %q", got.Reason)
		}
	}},
	{"set by slot", "A subscription with a slot replaces what fills it, keeping ID and CreatedAt and counting the revision up.", func(b *bench) {
		first := b.set1(slotted("channel", "status"))
		for _, id := range []string{"", first.ID, "sub_other"} {
			next := slotted("channel", "status")
			next.ID, next.URL = id, "https://example.com/"+id
			before := b.get(first.ID)
			got := b.set1(next)
			want := before
			want.URL, want.Revision = next.URL, before.Revision+1
			b.same("replaced with ID "+id, got, want)
			b.same("Get", b.get(first.ID), want)
		}
		b.wantIDs("List", b.list(registry.Filter{}), first.ID)
	}},
	{"slots are apart", "Dialect, tenant, scope and slot together are the natural key.", func(b *bench) {
		base := slotted("channel", "status")
		other := []registry.Subscription{base, base, base, base, base}
		other[0].Dialect = "tencentchat"
		other[1].Tenant = "tenant2"
		other[2].Scope = "channel2"
		other[3].Slot = "matcher"
		other[4].Scope = ""
		b.set1(base)
		b.set(other...)
		if n := len(b.list(registry.Filter{})); n != 6 {
			b.Errorf("%d subscriptions, want 6", n)
		}
		// Parts of the key must not run into each other.
		b.set1(sub(func(s *registry.Subscription) { s.Scope, s.Slot = "a", "b/c" }))
		b.set1(sub(func(s *registry.Subscription) { s.Scope, s.Slot = "a/b", "c" }))
		if n := len(b.list(registry.Filter{})); n != 8 {
			b.Errorf("%d subscriptions, want 8", n)
		}
	}},
	{"set by ID", "A subscription without a slot replaces what has its ID, and natural keys play no part.", func(b *bench) {
		first := b.set1(sub())
		second := b.set1(sub())
		first.URL, first.Types, first.Revision = "https://example.com/2", []string{"other"}, 0
		got := b.set1(first)
		want := first
		want.Revision = 2
		b.same("replaced", got, want)
		b.same("the other one", b.get(second.ID), second)
		if n := len(b.list(registry.Filter{})); n != 2 {
			b.Errorf("%d subscriptions, want 2", n)
		}
	}},
	{"move to a slot", "What has the ID moves to a slot that is free; the slot it had is free then.", func(b *bench) {
		first := b.set1(slotted("channel", "status"))
		moved := first
		moved.Slot, moved.Revision = "matcher", 0
		if got := b.set1(moved); got.ID != first.ID || got.Slot != "matcher" || got.Revision != 2 {
			b.Errorf("moved: %s", show(got))
		}
		if again := b.set1(slotted("channel", "status")); again.ID == first.ID {
			b.Error("the old slot is still filled")
		}
		if again := b.set1(slotted("channel", "matcher")); again.ID != first.ID {
			b.Error("the new slot is not filled")
		}
	}},
	{"since", "Since changes when the state changes and only then.", func(b *bench) {
		first := b.set1(sub())
		first.Label, first.Revision = "changed", 0
		second := b.set1(first)
		if !second.Since.Equal(first.Since) {
			b.Errorf("Since went from %v to %v in the same state", first.Since, second.Since)
		}
		for begin := time.Now(); time.Since(begin) < 5*time.Millisecond; { // another time, on a coarse clock too
			b.get(first.ID)
		}
		second.State, second.Reason, second.Revision = registry.Disabled, "gone", 0
		third := b.set1(second)
		if !third.Since.After(first.Since) || third.Reason != "gone" || !third.CreatedAt.Equal(first.CreatedAt) {
			b.Errorf("disabled: %s", show(third))
		}
		b.same("Get", b.get(first.ID), third)
	}},
	{"tombstone", "A removed subscription does not hold its slot: registering again makes a new ID and leaves the tombstone.", func(b *bench) {
		first := b.set1(slotted("channel", "status"))
		first.State, first.Reason = registry.Removed, "removed by user"
		grave := b.set1(first)
		if grave.ID != first.ID || grave.State != registry.Removed || grave.Revision != 2 {
			b.Fatalf("tombstone: %s", show(grave))
		}
		again := b.set1(slotted("channel", "status"))
		if again.ID == first.ID || again.Revision != 1 {
			b.Errorf("registered again: %s", show(again))
		}
		b.same("tombstone", b.get(first.ID), grave)
		// The tombstone can be set again, and that does not hit its successor.
		grave.Reason, grave.Revision = "farewell sent", 0
		if got := b.set1(grave); got.ID != first.ID || got.Reason != "farewell sent" {
			b.Errorf("tombstone set again: %s", show(got))
		}
		b.same("successor", b.get(again.ID), again)
	}},
	{"removed by slot", "A removed subscription without an ID removes what fills its slot.", func(b *bench) {
		first := b.set1(slotted("channel", "status"))
		end := slotted("channel", "status")
		end.State = registry.Removed
		if got := b.set1(end); got.ID != first.ID || got.State != registry.Removed {
			b.Errorf("removed: %s", show(got))
		}
	}},
	{"nothing to set", "Set of nothing stores nothing and is no error.", func(b *bench) {
		b.set()
		b.wantIDs("List", b.list(registry.Filter{}))
	}},
	{"twice in one set", "Subscriptions of one Set take effect in order, so the last one of a slot stands.", func(b *bench) {
		first, second := slotted("channel", "status"), slotted("channel", "status")
		second.URL = "https://example.com/second"
		got := b.set(first, second)
		if got[0].ID != got[1].ID || got[1].Revision != 2 {
			b.Errorf("set twice: %s, %s", show(got[0]), show(got[1]))
		}
		b.same("Get", b.get(got[0].ID), got[1])
	}},
	{"concurrent sets", "Concurrent Sets of one natural key leave one subscription and count every revision.", func(b *bench) {
		const callers, rounds = 8, 5
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range rounds {
					if _, err := b.reg.Set(b.ctx, slotted("channel", "status")); err != nil {
						b.Errorf("Set: %v", err)
					}
				}
			})
		}
		wg.Wait()
		if got := b.one("List", b.list(registry.Filter{})); got.Revision != callers*rounds {
			b.Errorf("revision is %d after %d Sets", got.Revision, callers*rounds)
		}
	}},
	{"concurrent compare-and-set", "Of concurrent Sets with one revision exactly one wins, the others get ErrConflict.", func(b *bench) {
		const callers = 8
		first := b.set1(sub())
		errs := make([]error, callers)
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				mine := first.Clone()
				mine.Label = strconv.Itoa(i)
				_, errs[i] = b.reg.Set(b.ctx, mine)
			})
		}
		wg.Wait()
		won := b.oneWinner(errs)
		if got := b.get(first.ID); got.Label != strconv.Itoa(won) || got.Revision != 2 {
			b.Errorf("caller %d won, but stored is %s", won, show(got))
		}
	}},
}
