package registrytest

import (
	"context"
	"testing"
	"time"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/internal/keypairtest"
)

// Config says how to make the registry under test. Open is required.
type Config struct {
	// Open returns an empty registry, ready to use. It is called once per
	// case, concurrently; what must be closed is closed by t.Cleanup.
	Open func(t *testing.T) registry.Registry
	// Reopen closes r, which Open or Reopen returned, and opens what it stored
	// again. Nil leaves out the cases about durability.
	Reopen func(t *testing.T, r registry.Registry) registry.Registry
	// SharedResults declares that results of Get and Match must not be modified,
	// as those of [registry.Cache]; only what goes into Set and comes from it
	// is then checked to be copied.
	SharedResults bool
}

// Run checks the registries that open returns. It is short for Config{Open: open}.Run(t).
func Run(t *testing.T, open func(t *testing.T) registry.Registry) {
	t.Helper()
	Config{Open: open}.Run(t)
}

// Run checks the registry that c describes, each case in a parallel subtest of t.
func (c Config) Run(t *testing.T) {
	t.Helper()
	for _, group := range [][]ruleCase{setCases, refuseCases, readCases, matchCases} {
		for _, rc := range group {
			if rc.name == copiesOut && c.SharedResults { // declared not to hold
				continue
			}
			t.Run(rc.name, func(t *testing.T) {
				t.Parallel()
				rc.run(start(t, c, rc.rule))
			})
		}
	}
	if c.Reopen == nil {
		return
	}
	for _, rc := range durableCases {
		t.Run(rc.name, func(t *testing.T) {
			t.Parallel()
			rc.run(start(t, c, rc.rule))
		})
	}
}

// copiesOut is the case that SharedResults leaves out.
const copiesOut = "copies out"

// A ruleCase is a rule of the contract and what shows that it is kept.
type ruleCase struct {
	name string
	rule string // a sentence, printed when it is broken
	run  func(*bench)
}

// A bench is what a case works with.
type bench struct {
	*testing.T
	cfg Config
	ctx context.Context
	reg registry.Registry
	// A client's certificate, and the root that signed it.
	pair, root keypairtest.Pair
}

func start(t *testing.T, c Config, rule string) *bench {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("broken rule: %s", rule)
		}
	})
	root := keypairtest.Authority(t)
	return &bench{T: t, cfg: c, ctx: ctx, reg: c.Open(t), root: root, pair: root.Issue(t, nil)}
}

// sub returns a valid subscription without a slot.
func sub(change ...func(*registry.Subscription)) registry.Subscription {
	s := registry.Subscription{
		Dialect: "standard",
		Tenant:  "tenant",
		URL:     "https://example.com/hook",
		Types:   []string{"message"},
	}
	for _, f := range change {
		f(&s)
	}
	return s
}

// slotted returns a valid subscription that fills a slot.
func slotted(scope, slot string) registry.Subscription {
	return sub(func(s *registry.Subscription) { s.Dialect, s.Scope, s.Slot = "edna", scope, slot })
}

// full returns one with every field that is the caller's filled in.
func (b *bench) full() registry.Subscription {
	return registry.Subscription{
		ID: "sub_mine", Dialect: "edna", Tenant: "tenant", Scope: "channel", Slot: "status",
		Label: "Łódź \u2028 \"label\" 🎈 <b>", URL: "https://example.com/%7Ehook?a=b&c=d",
		Types:   []string{"z", "message", "é", "a b"},
		Secrets: []registry.Secret{registry.NewSecret("first"), registry.NewSecret("\x00\xff bytes"), registry.NewSecret("third")},
		TLS:     registry.TLS{Certificate: b.pair.Certificate, Key: registry.NewSecret(b.pair.Key), Roots: b.root.Certificate},
		Headers: []registry.Header{
			{Name: "X-Key", Value: registry.NewSecret(`<a "b" \u0041 & 'c'>`)},
			{Name: "a.name", Value: registry.NewSecret("2")},
			{Name: "A-Name", Value: registry.NewSecret("1")},
		},
		Limits: registry.Limits{MaxInFlight: 3, PerSecond: 0.125, Timeout: 1500*time.Millisecond + 1},
		Meta:   map[string]string{"code": "0123", "": "empty key", "ключ": "значение", "empty": ""},
		State:  registry.Paused, Reason: "by operator",
		ExpiresAt: time.Date(2999, 12, 31, 23, 59, 59, 123456000, time.FixedZone("east", 3600)),
	}
}

func (b *bench) set(subs ...registry.Subscription) []registry.Subscription {
	b.Helper()
	stored, err := b.reg.Set(b.ctx, subs...)
	if err != nil {
		b.Fatalf("Set: %v", err)
	}
	if len(stored) != len(subs) {
		b.Fatalf("Set of %d returned %d", len(subs), len(stored))
	}
	return stored
}

func (b *bench) set1(s registry.Subscription) registry.Subscription {
	b.Helper()
	return b.set(s)[0]
}

func (b *bench) get(id string) registry.Subscription {
	b.Helper()
	s, err := b.reg.Get(b.ctx, id)
	if err != nil {
		b.Fatalf("Get(%q): %v", id, err)
	}
	return s
}

func (b *bench) list(f registry.Filter) []registry.Subscription {
	b.Helper()
	var subs []registry.Subscription
	for s, err := range b.reg.List(b.ctx, f) {
		if err != nil {
			b.Fatalf("List: %v", err)
		}
		subs = append(subs, s)
	}
	return subs
}

func (b *bench) match(t registry.Topic) []registry.Subscription {
	b.Helper()
	subs, err := b.reg.Match(b.ctx, t)
	if err != nil {
		b.Fatalf("Match(%+v): %v", t, err)
	}
	if batch, ok := b.reg.(registry.BatchMatcher); ok {
		b.matchBatch(batch, t, subs)
	}
	return subs
}

// matchBatch asks for t among others, twice.
func (b *bench) matchBatch(batch registry.BatchMatcher, t registry.Topic, want []registry.Subscription) {
	b.Helper()
	other, open := t, t
	other.Type, open.Tenant = "nobody's \" \\ \u2028 <é>", ""
	found, err := batch.MatchBatch(b.ctx, []registry.Topic{other, t, open, t})
	if err != nil || len(found) != 4 {
		b.Fatalf("MatchBatch: %d, %v, want one for each topic", len(found), err)
	}
	for i, n := range []int{0, len(want), -1, len(want)} {
		switch {
		case found[i].Err != nil:
			b.Fatalf("MatchBatch, topic %d: %v", i, found[i].Err)
		case n >= 0 && len(found[i].Subscriptions) != n:
			b.Fatalf("MatchBatch, topic %d: %d subscriptions, want %d", i, len(found[i].Subscriptions), n)
		case n > 0:
			for k, s := range found[i].Subscriptions {
				b.same("MatchBatch", s, want[k])
			}
		}
	}
}

// one returns the only one of subs.
func (b *bench) one(what string, subs []registry.Subscription) registry.Subscription {
	b.Helper()
	if len(subs) != 1 {
		b.Fatalf("%s: %d subscriptions, want 1", what, len(subs))
	}
	return subs[0]
}
