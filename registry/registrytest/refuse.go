package registrytest

import (
	"context"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/ringback-go/ringback/registry"
)

// oneWinner checks that one error is nil and the others conflicts, and returns
// the index of the one.
func (b *bench) oneWinner(errs []error) int {
	b.Helper()
	won := -1
	for i, err := range errs {
		switch {
		case err == nil && won >= 0:
			b.Errorf("callers %d and %d both won", won, i)
		case err == nil:
			won = i
		case !errors.Is(err, registry.ErrConflict):
			b.Errorf("caller %d: %v, want ErrConflict", i, err)
		}
	}
	if won < 0 {
		b.Fatal("nobody won")
	}
	return won
}

// refused checks that Set refuses subs with want, and changes nothing.
func (b *bench) refused(what string, want error, subs ...registry.Subscription) {
	b.Helper()
	before := b.list(registry.Filter{})
	stored, err := b.reg.Set(b.ctx, subs...)
	if !errors.Is(err, want) {
		b.Errorf("%s: error is %v, want %v", what, err, want)
	}
	if len(stored) != 0 {
		b.Errorf("%s: returned %d subscriptions with an error", what, len(stored))
	}
	after := b.list(registry.Filter{})
	if !slices.EqualFunc(before, after, func(x, y registry.Subscription) bool { return len(differences(x, y)) == 0 }) {
		b.Errorf("%s: %d subscriptions before, %d after, or changed ones", what, len(before), len(after))
	}
}

func header(name string) registry.Header {
	return registry.Header{Name: name, Value: registry.NewSecret("value")}
}

// headers returns n of the longest.
func headers(n int) (all []registry.Header) {
	for i := range n {
		name := strings.Repeat("n", registry.MaxHeaderName-1) + string(rune('A'+i))
		all = append(all, registry.Header{Name: name, Value: registry.NewSecret(strings.Repeat("<", registry.MaxHeaderValue))})
	}
	return all
}

var refuseCases = []ruleCase{
	{"compare-and-set", "A revision that is given must be the one that stands, of the subscription that is replaced, else ErrConflict.", func(b *bench) {
		first := b.set1(slotted("channel", "status"))
		next := first.Clone()
		next.Label = "second"
		second := b.set1(next) // revision 1 stands
		if second.Revision != 2 {
			b.Errorf("revision is %d", second.Revision)
		}
		b.refused("an old revision", registry.ErrConflict, next)
		ahead := second.Clone()
		ahead.Revision = 7
		b.refused("a revision to come", registry.ErrConflict, ahead)
		none := sub()
		none.Revision = 1
		b.refused("a revision of nothing", registry.ErrConflict, none)
		none.ID = "sub_unknown"
		b.refused("a revision of an unknown ID", registry.ErrConflict, none)
		other := second.Clone()
		other.ID = "sub_other"
		b.refused("a revision under another ID than the slot's", registry.ErrConflict, other)
		byKey := second.Clone()
		byKey.ID = ""
		if got := b.set1(byKey); got.ID != first.ID || got.Revision != 3 {
			b.Errorf("by natural key and revision: %s", show(got))
		}
	}},
	{"removed is final", "Another state under the ID of a tombstone is ErrConflict: what is registered again has a new ID.", func(b *bench) {
		for _, s := range []registry.Subscription{sub(), slotted("channel", "status")} {
			grave := b.set1(s)
			grave.State, grave.Revision = registry.Removed, 0
			grave = b.set1(grave)
			for _, revision := range []int64{0, grave.Revision} {
				back := grave.Clone()
				back.State, back.Revision = registry.Active, revision
				b.refused("a tombstone made active", registry.ErrConflict, back)
			}
		}
	}},
	{"all or none, invalid", "Set of several stores nothing when one is invalid.", func(b *bench) {
		stands := b.set1(slotted("channel", "status"))
		change := stands.Clone()
		change.Label, change.Revision = "changed", 0
		b.refused("invalid last", registry.ErrInvalid, sub(), change, registry.Subscription{})
		b.refused("invalid first", registry.ErrInvalid, registry.Subscription{}, change, sub())
	}},
	{"all or none, conflict", "Set of several stores nothing when one conflicts.", func(b *bench) {
		stands := b.set1(slotted("channel", "status"))
		change := stands.Clone()
		change.Label, change.Revision = "changed", 0
		conflict := sub()
		conflict.Revision = 9
		twice := change.Clone()
		twice.Label, twice.Slot, twice.Types = "again", "matcher", []string{"other"}
		b.refused("conflict last", registry.ErrConflict, sub(), change, slotted("", "status"), twice, conflict)
		b.refused("conflict first", registry.ErrConflict, conflict, change)
		b.wantIDs("Match", b.match(registry.Topic{Dialect: "edna", Scope: "channel", Type: "message"}), stands.ID)
		b.wantIDs("Match", b.match(registry.Topic{Dialect: "edna", Scope: "channel", Type: "other"}))
		if got := b.set1(slotted("channel", "matcher")); got.ID == stands.ID {
			b.Error("the slot of a refused Set is filled")
		}
	}},
	{"invalid names the field", "An invalid subscription is refused with a *registry.Error that wraps ErrInvalid and names the field.", func(b *bench) {
		long := strings.Repeat("x", registry.MaxText+1)
		for _, c := range []struct {
			field string
			spoil func(*registry.Subscription)
		}{
			{"Dialect", func(s *registry.Subscription) { s.Dialect = "" }},
			{"URL", func(s *registry.Subscription) { s.URL = "" }},
			{"URL", func(s *registry.Subscription) { s.URL = strings.Repeat("x", registry.MaxURL+1) }},
			{"Types", func(s *registry.Subscription) { s.Types = nil }},
			{"Types", func(s *registry.Subscription) { s.Types = []string{"a", ""} }},
			{"Types", func(s *registry.Subscription) { s.Types = slices.Repeat([]string{"a"}, registry.MaxTypes+1) }},
			{"ID", func(s *registry.Subscription) { s.ID = long }},
			{"Tenant", func(s *registry.Subscription) { s.Tenant = long }},
			{"Scope", func(s *registry.Subscription) { s.Scope = "a\x00b" }},
			{"Slot", func(s *registry.Subscription) { s.Slot = "\xff" }},
			{"Label", func(s *registry.Subscription) { s.Label = long }},
			{"Reason", func(s *registry.Subscription) { s.Reason = long }},
			{"State", func(s *registry.Subscription) { s.State = "asleep" }},
			{"Revision", func(s *registry.Subscription) { s.Revision = -1 }},
			{"Limits", func(s *registry.Subscription) { s.Limits.MaxInFlight = -1 }},
			{"Limits", func(s *registry.Subscription) { s.Limits.PerSecond = math.NaN() }},
			{"Secrets", func(s *registry.Subscription) { s.Secrets = make([]registry.Secret, 1) }},
			{"Meta", func(s *registry.Subscription) {
				s.Meta = map[string]string{"k": strings.Repeat("x", registry.MaxMeta)}
			}},
			{"ExpiresAt", func(s *registry.Subscription) { s.ExpiresAt = time.Unix(1<<60, 0) }},
			{"TLS.Key", func(s *registry.Subscription) { s.TLS.Certificate = b.pair.Certificate }},
			{"TLS.Key", func(s *registry.Subscription) {
				s.TLS = registry.TLS{Certificate: b.pair.Certificate, Key: registry.NewSecret(b.root.Key)}
			}},
			{"TLS.Certificate", func(s *registry.Subscription) { s.TLS.Key = registry.NewSecret(b.pair.Key) }},
			{"TLS.Roots", func(s *registry.Subscription) { s.TLS.Roots = "roots" }},
			{"TLS.Roots", func(s *registry.Subscription) {
				s.TLS.Roots = b.root.Certificate + strings.Repeat("\n", registry.MaxTLS)
			}},
			{"Headers", func(s *registry.Subscription) { s.Headers = []registry.Header{{Name: "X", Value: registry.Secret{}}} }},
			{"Headers", func(s *registry.Subscription) { s.Headers = []registry.Header{header("Host")} }},
			{"Headers", func(s *registry.Subscription) { s.Headers = []registry.Header{header("X-A"), header("x-a")} }},
			{"Headers", func(s *registry.Subscription) { s.Headers = headers(registry.MaxHeaders + 1) }},
		} {
			s := sub(c.spoil)
			_, err := b.reg.Set(b.ctx, s)
			e, ok := errors.AsType[*registry.Error](err)
			if !ok || !errors.Is(err, registry.ErrInvalid) || e.Field != c.field || e.ID != s.ID {
				b.Errorf("%s: error is %#v", c.field, err)
			}
		}
		b.wantIDs("List", b.list(registry.Filter{}))
	}},
	{"largest", "A subscription at its bounds is stored.", func(b *bench) {
		want := sub(func(s *registry.Subscription) {
			s.ID = strings.Repeat("i", registry.MaxText)
			s.URL = strings.Repeat("u", registry.MaxURL)
			s.Types = nil
			for i := range registry.MaxTypes {
				s.Types = append(s.Types, strings.Repeat("t", registry.MaxText-1)+string(rune('A'+i%32)))
			}
			for range registry.MaxSecrets {
				s.Secrets = append(s.Secrets, registry.NewSecret(strings.Repeat("s", registry.MaxSecret)))
			}
			s.Meta = map[string]string{"k": strings.Repeat("m", registry.MaxMeta-1)}
			s.Headers = headers(registry.MaxHeaders)
			s.TLS = registry.TLS{Certificate: b.pair.Certificate, Key: registry.NewSecret(b.pair.Key), Roots: b.root.Certificate}
			s.TLS.Roots += strings.Repeat("\n", registry.MaxTLS-len(s.TLS.Certificate)-len(b.pair.Key)-len(s.TLS.Roots))
		})
		got := b.set1(want)
		want.State, want.Revision, want.Since, want.CreatedAt = registry.Active, 1, got.Since, got.CreatedAt
		b.same("Get", b.get(want.ID), want)
		b.wantIDs("Match", b.match(registry.Topic{Dialect: want.Dialect, Type: want.Types[255]}), want.ID)
	}},
	{"canceled", "A canceled context gives its error, and Set and Delete then change nothing.", func(b *bench) {
		stands := b.set1(sub())
		ctx, cancel := context.WithCancel(b.ctx)
		cancel()
		check := func(what string, err error) {
			if !errors.Is(err, context.Canceled) {
				b.Errorf("%s: error is %v, want context.Canceled", what, err)
			}
		}
		_, err := b.reg.Set(ctx, sub())
		check("Set", err)
		_, err = b.reg.Get(ctx, stands.ID)
		check("Get", err)
		check("Delete", b.reg.Delete(ctx, stands.ID))
		_, err = b.reg.Match(ctx, registry.Topic{Dialect: stands.Dialect, Type: "message"})
		check("Match", err)
		err = nil
		for _, err = range b.reg.List(ctx, registry.Filter{}) { // the last pair counts
		}
		check("List", err)
		b.wantIDs("List", b.list(registry.Filter{}), stands.ID)
	}},
}
