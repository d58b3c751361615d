package registrytest

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ringback-go/ringback/registry"
)

var readCases = []ruleCase{
	{"get unknown", "Get of an ID that is not known is ErrNotFound.", func(b *bench) {
		for _, id := range []string{"sub_unknown", "", "sub_'; --", "\xff\x00"} {
			if _, err := b.reg.Get(b.ctx, id); !errors.Is(err, registry.ErrNotFound) {
				b.Errorf("Get(%q): %v, want ErrNotFound", id, err)
			}
		}
	}},
	{"unstorable text", "Text that Set would refuse finds nothing, and to delete it is no error.", func(b *bench) {
		s := b.set1(sub())
		for _, text := range []string{"\xff", "\x00", "tenant\x00"} {
			if err := b.reg.Delete(b.ctx, text); err != nil {
				b.Errorf("Delete(%q): %v", text, err)
			}
			b.wantIDs("tenant", b.match(registry.Topic{Dialect: "standard", Tenant: text, Type: "message"}))
			b.wantIDs("dialect", b.match(registry.Topic{Dialect: text, Tenant: "tenant", Type: "message"}))
			b.wantIDs("type", b.match(registry.Topic{Dialect: "standard", Tenant: "tenant", Type: text}))
			b.wantIDs("List", b.list(registry.Filter{Tenant: text}))
			b.wantIDs("List of a state", b.list(registry.Filter{States: []registry.State{registry.State(text)}}))
			// A scope that nothing has is one like another.
			b.wantIDs("scope", b.match(registry.Topic{Dialect: "standard", Tenant: "tenant", Scope: text, Type: "message"}), s.ID)
		}
	}},
	{"get any state", "Get returns a subscription whatever its state.", func(b *bench) {
		for _, state := range []registry.State{registry.Active, registry.Paused, registry.Disabled, registry.Removed} {
			s := b.set1(sub(func(s *registry.Subscription) { s.State = state }))
			if got := b.get(s.ID); got.State != state {
				b.Errorf("state is %q, want %q", got.State, state)
			}
		}
	}},
	{"counts", "A registry that counts its subscriptions counts each under its state.", func(b *bench) {
		c, ok := b.reg.(registry.Counter)
		if !ok {
			return
		}
		want := map[registry.State]int{}
		check := func(when string) {
			b.Helper()
			got, err := c.Count(b.ctx)
			maps.DeleteFunc(got, func(_ registry.State, n int) bool { return n == 0 })
			if err != nil || !maps.Equal(got, want) {
				b.Errorf("%s: %v, %v, want %v", when, got, err, want)
			}
		}
		check("empty")
		var last registry.Subscription
		for n, state := range []registry.State{registry.Removed, registry.Active, registry.Paused, registry.Disabled} {
			for range n + 1 {
				last = b.set1(sub(func(s *registry.Subscription) { s.State = state }))
				want[state]++
			}
		}
		check("set")
		last.State = registry.Paused
		b.set1(last)
		want[registry.Disabled]--
		want[registry.Paused]++
		check("changed")
		if err := b.reg.Delete(b.ctx, last.ID); err != nil {
			b.Errorf("Delete: %v", err)
		}
		want[registry.Paused]--
		check("deleted")
	}},
	{"delete", "Delete forgets a subscription for every read and frees its slot; one that is not there is no error.", func(b *bench) {
		s, other := b.set1(slotted("channel", "status")), b.set1(slotted("channel", "matcher"))
		topic := registry.Topic{Dialect: "edna", Tenant: "tenant", Scope: "channel", Type: "message"}
		if n := len(b.match(topic)); n != 2 {
			b.Errorf("%d match before", n)
		}
		for range 2 {
			if err := b.reg.Delete(b.ctx, s.ID); err != nil {
				b.Errorf("Delete: %v", err)
			}
		}
		if _, err := b.reg.Get(b.ctx, s.ID); !errors.Is(err, registry.ErrNotFound) {
			b.Errorf("Get: %v, want ErrNotFound", err)
		}
		b.wantIDs("List", b.list(registry.Filter{}), other.ID)
		b.wantIDs("Match", b.match(topic), other.ID)
		if again := b.set1(slotted("channel", "status")); again.ID == s.ID || again.Revision != 1 {
			b.Errorf("set again: %s", show(again))
		}
	}},
	{"copies in", "Set copies what it is given: changing it afterwards changes nothing that is stored or returned.", func(b *bench) {
		given := b.full()
		stored := b.set1(given)
		want := stored.Clone()
		scribble(given)
		b.same("result of Set", stored, want)
		b.same("Get", b.get(want.ID), want)
		scribble(stored)
		b.same("Get after the result changed", b.get(want.ID), want)
		b.wantIDs("Match", b.match(registry.Topic{Dialect: "edna", Scope: "channel", Type: "message"}), want.ID)
	}},
	{copiesOut, "Get, List and Match return copies: changing them changes nothing that is stored.", func(b *bench) {
		want := b.set1(b.full()).Clone()
		topic := registry.Topic{Dialect: "edna", Scope: "channel", Type: "message"}
		scribble(b.get(want.ID))
		scribble(b.one("List", b.list(registry.Filter{})))
		for _, s := range b.match(topic) {
			scribble(s)
		}
		b.same("Get", b.get(want.ID), want)
		b.same("List", b.one("List", b.list(registry.Filter{})), want)
		b.same("Match", b.one("Match", b.match(topic)), want)
	}},
	{"list newest first", "List yields all subscriptions, newest first; changing one does not move it.", func(b *bench) {
		var ids []string
		for range 5 {
			ids = append(ids, b.set1(sub()).ID)
		}
		for _, s := range b.set(sub(), sub(), sub()) { // those of one Set in the order of their IDs
			ids = append(ids, s.ID)
		}
		slices.Reverse(ids)
		b.wantIDs("List", b.list(registry.Filter{}), ids...)
		changed := b.get(ids[6])
		changed.Label, changed.Revision = "changed", 0
		b.set1(changed)
		b.wantIDs("List", b.list(registry.Filter{}), ids...)
	}},
	{"list filters", "List yields what passes every field of the filter that is not empty.", func(b *bench) {
		var all []registry.Subscription
		for _, dialect := range []string{"edna", "smartbots"} {
			for _, tenant := range []string{"a", "b"} {
				for _, scope := range []string{"", "x"} {
					for _, state := range []registry.State{registry.Active, registry.Disabled, registry.Removed} {
						all = append(all, b.set1(sub(func(s *registry.Subscription) {
							s.Dialect, s.Tenant, s.Scope, s.State = dialect, tenant, scope, state
						})))
					}
				}
			}
		}
		slices.Reverse(all)
		for _, f := range []registry.Filter{
			{},
			{Dialect: "edna"},
			{Tenant: "b"},
			{Scope: "x"},
			{States: []registry.State{registry.Removed}},
			{States: []registry.State{registry.Active, registry.Disabled}},
			{Dialect: "smartbots", Tenant: "a", Scope: "x", States: []registry.State{registry.Disabled}},
			{Dialect: "EDNA"},
			{Tenant: "a' OR '1'='1"},
		} {
			var want []string
			for _, s := range all {
				if f.Chooses(s) {
					want = append(want, s.ID)
				}
			}
			b.wantIDs(fmt.Sprintf("%+v", f), b.list(f), want...)
			if f.Limit = 2; len(want) > 2 {
				b.wantIDs(fmt.Sprintf("%+v", f), b.list(f), want[:2]...)
			}
		}
	}},
	{"list many", "List yields each of many subscriptions once.", func(b *bench) {
		const n = 750
		many := make([]registry.Subscription, n)
		for i := range many {
			many[i] = sub()
		}
		var want []string
		for _, s := range b.set(many...) {
			want = append(want, s.ID)
		}
		slices.Sort(want)
		slices.Reverse(want)
		b.wantIDs("List", b.list(registry.Filter{}), want...)
		b.wantIDs("List with a limit", b.list(registry.Filter{Limit: n - 1}), want[:n-1]...)
	}},
	{"list in use", "A loop over List may stop early, run again, and use the registry inside.", func(b *bench) {
		for range 3 {
			b.set1(sub())
		}
		seq := b.reg.List(b.ctx, registry.Filter{})
		for range 2 {
			n := 0
			for s, err := range seq {
				if err != nil {
					b.Fatalf("List: %v", err)
				}
				s = b.get(s.ID)
				s.Label, s.Revision = "seen", 0
				b.set1(s)
				if n++; n == 2 {
					break
				}
			}
			if n != 2 {
				b.Errorf("%d rounds, want 2", n)
			}
		}
	}},
}

// scribble overwrites what s refers to.
func scribble(s registry.Subscription) {
	for i := range s.Types {
		s.Types[i] = "scribbled"
	}
	for i := range s.Secrets {
		s.Secrets[i] = registry.NewSecret("scribbled")
	}
	for i := range s.Headers {
		s.Headers[i].Name = "scribbled"
	}
	for k := range s.Meta {
		s.Meta[k] = "scribbled"
	}
}
