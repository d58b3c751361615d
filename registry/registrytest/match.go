package registrytest

import (
	"slices"
	"time"

	"github.com/ringback-go/ringback/registry"
)

var matchCases = []ruleCase{
	{"match none", "Match without a subscription that wants the event returns none and no error.", func(b *bench) {
		b.wantIDs("Match", b.match(registry.Topic{Dialect: "edna", Type: "message"}))
		b.set1(sub())
		b.wantIDs("another dialect", b.match(registry.Topic{Dialect: "edna", Type: "message"}))
		b.wantIDs("another tenant", b.match(registry.Topic{Dialect: "standard", Tenant: "t", Type: "message"}))
	}},
	{"match types", "Types are compared exactly, byte for byte.", func(b *bench) {
		s := b.set1(sub(func(s *registry.Subscription) { s.Types = []string{"message.in", "Status", "é", "message.in"} }))
		for typ, want := range map[string]bool{
			"message.in": true, "Status": true, "é": true,
			"message": false, "message.in.x": false, "status": false, "message%": false, "message_in": false,
			"e\u0301": false, "": false, "*": false, "Status ": false,
		} {
			var ids []string
			if want {
				ids = []string{s.ID}
			}
			b.wantIDs(typ, b.match(registry.Topic{Dialect: "standard", Tenant: "tenant", Type: typ}), ids...)
		}
	}},
	{"match changed types", "Match goes by what was set last.", func(b *bench) {
		s := b.set1(sub())
		s.Types, s.Dialect, s.Tenant, s.Scope, s.Revision = []string{"other"}, "smartbots", "b", "x", 0
		b.set1(s)
		b.wantIDs("before", b.match(registry.Topic{Dialect: "standard", Type: "message"}))
		b.wantIDs("after", b.match(registry.Topic{Dialect: "smartbots", Tenant: "b", Scope: "x", Type: "other"}), s.ID)
	}},
	{"match tenant open", "A topic without a tenant matches those of every tenant, in order of their IDs.", func(b *bench) {
		var ids []string
		for _, tenant := range []string{"b", "", "a", "c"} {
			ids = append(ids, b.set1(sub(func(s *registry.Subscription) { s.Tenant = tenant })).ID)
		}
		early := b.set1(sub(func(s *registry.Subscription) { s.ID = "SUB" })).ID // byte order: before "sub_"
		b.wantIDs("open", b.match(registry.Topic{Dialect: "standard", Type: "message"}), slices.Concat([]string{early}, ids)...)
		b.wantIDs("tenant a", b.match(registry.Topic{Dialect: "standard", Tenant: "a", Type: "message"}), ids[2])
	}},
	{"match scope", "A topic matches subscriptions of its scope and those without one.", func(b *bench) {
		all := b.set1(sub()).ID
		x := b.set1(sub(func(s *registry.Subscription) { s.Scope = "x" })).ID
		y := b.set1(sub(func(s *registry.Subscription) { s.Scope = "y" })).ID
		topic := registry.Topic{Dialect: "standard", Tenant: "tenant", Type: "message"}
		b.wantIDs("no scope", b.match(topic), all)
		topic.Scope = "x"
		b.wantIDs("scope x", b.match(topic), all, x)
		topic.Scope = "y"
		b.wantIDs("scope y", b.match(topic), all, y)
		topic.Scope = "z"
		b.wantIDs("scope z", b.match(topic), all)
	}},
	{"match overrides", "A slot filled in the topic's scope hides the same slot without a scope, for the same tenant only.", func(b *bench) {
		tenant, channel := b.set1(slotted("", "status")).ID, b.set1(slotted("channel", "status")).ID
		matcher := b.set1(slotted("", "matcher")).ID
		other := slotted("", "status")
		other.Tenant = "other"
		otherID := b.set1(other).ID
		topic := registry.Topic{Dialect: "edna", Tenant: "tenant", Scope: "channel", Type: "message"}
		b.wantIDs("the channel", b.match(topic), channel, matcher)
		topic.Tenant = ""
		b.wantIDs("the channel, every tenant", b.match(topic), channel, matcher, otherID)
		topic.Tenant, topic.Scope = "tenant", "channel2"
		b.wantIDs("another channel", b.match(topic), tenant, matcher)
		topic.Scope = ""
		b.wantIDs("no channel", b.match(topic), tenant, matcher)
	}},
	{"match no override", "Without a slot nothing is hidden: both match.", func(b *bench) {
		all := b.set1(slotted("", "")).ID
		channel := b.set1(slotted("channel", "")).ID
		b.wantIDs("Match", b.match(registry.Topic{Dialect: "edna", Scope: "channel", Type: "message"}), all, channel)
	}},
	{"match override that ended", "A slot in the topic's scope that does not want the event hides nothing.", func(b *bench) {
		tenant, channel := b.set1(slotted("", "status")), b.set1(slotted("channel", "status"))
		topic := registry.Topic{Dialect: "edna", Tenant: "tenant", Scope: "channel", Type: "message"}
		for what, change := range map[string]func(*registry.Subscription){
			"disabled":   func(s *registry.Subscription) { s.State = registry.Disabled },
			"expired":    func(s *registry.Subscription) { s.ExpiresAt = time.Now().Add(-time.Hour) },
			"other type": func(s *registry.Subscription) { s.Types = []string{"other"} },
		} {
			s := slotted("channel", "status")
			change(&s)
			b.set1(s)
			b.wantIDs(what, b.match(topic), tenant.ID)
			b.set1(slotted("channel", "status"))
			b.wantIDs("after "+what, b.match(topic), channel.ID)
		}
		channel.State, channel.Revision = registry.Removed, 0
		b.set1(channel)
		b.wantIDs("removed", b.match(topic), tenant.ID)
	}},
	{"match states", "Active and paused subscriptions match, disabled and removed ones do not.", func(b *bench) {
		s := b.set1(sub())
		topic := registry.Topic{Dialect: "standard", Tenant: "tenant", Type: "message"}
		for _, c := range []struct {
			state registry.State
			want  []string
		}{
			{registry.Active, []string{s.ID}},
			{registry.Disabled, nil},
			{registry.Paused, []string{s.ID}},
			{registry.Active, []string{s.ID}},
			{registry.Removed, nil},
		} {
			s.State, s.Revision = c.state, 0
			b.set1(s)
			b.wantIDs(string(c.state), b.match(topic), c.want...)
		}
	}},
	{"match expiry", "A subscription matches until it expires; without an expiry, for ever.", func(b *bench) {
		never := b.set1(sub()).ID
		b.set1(sub(func(s *registry.Subscription) { s.ExpiresAt = time.Now().Add(-time.Hour) }))
		later := b.set1(sub(func(s *registry.Subscription) { s.ExpiresAt = time.Now().Add(time.Hour) })).ID
		b.wantIDs("Match", b.match(registry.Topic{Dialect: "standard", Type: "message"}), never, later)
	}},
}

var durableCases = []ruleCase{
	{"reopen", "What Set, Delete and compare-and-set did is there after the registry was closed and opened again.", func(b *bench) {
		kept := b.set1(b.full())
		gone := b.set1(sub())
		grave := b.set1(slotted("", "status"))
		grave.State, grave.Revision = registry.Removed, 0
		grave = b.set1(grave)
		if err := b.reg.Delete(b.ctx, gone.ID); err != nil {
			b.Fatalf("Delete: %v", err)
		}
		b.reg = b.cfg.Reopen(b.T, b.reg)
		b.same("Get", b.get(kept.ID), kept)
		b.same("tombstone", b.get(grave.ID), grave)
		b.wantIDs("List", b.list(registry.Filter{}), grave.ID, kept.ID)
		b.wantIDs("Match", b.match(registry.Topic{Dialect: "edna", Scope: "channel", Type: "message"}), kept.ID)
		kept.Label = "after"
		next := b.set1(kept)
		if next.ID != kept.ID || next.Revision != 2 {
			b.Errorf("set again: %s", show(next))
		}
		b.reg = b.cfg.Reopen(b.T, b.reg)
		b.same("Get after the second time", b.get(kept.ID), next)
	}},
}
