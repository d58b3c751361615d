package registrytest_test

import (
	"context"
	"iter"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/registrytest"
)

// broken registries, each by one rule, and the case that must notice.
var broken = map[string]struct {
	open  func() registry.Registry
	fails string
}{
	"shares results": {func() registry.Registry { return registry.NewCache(new(registry.Memory), 0) }, "copies_out"},
	"stores some of several": {
		func() registry.Registry { return &mutant{setOne: true} },
		"all_or_none,_invalid",
	},
	"forgets the order of secrets": {func() registry.Registry {
		return &mutant{in: func(s *registry.Subscription) { slices.Reverse(s.Secrets) }}
	}, "set_keeps_all"},
	"forgets a certificate": {func() registry.Registry {
		return &mutant{in: func(s *registry.Subscription) { s.TLS.Certificate, s.TLS.Key = "", registry.Secret{} }}
	}, "set_keeps_all"},
	"forgets the order of headers": {func() registry.Registry {
		return &mutant{in: func(s *registry.Subscription) { slices.Reverse(s.Headers) }}
	}, "set_keeps_all"},
	"keeps old headers": {func() registry.Registry {
		var last []registry.Header
		return &mutant{in: func(s *registry.Subscription) {
			if s.Headers == nil {
				s.Headers = last
			}
			last = s.Headers
		}}
	}, "set_ends_TLS_and_headers"},
	"ignores revisions": {func() registry.Registry {
		return &mutant{in: func(s *registry.Subscription) { s.Revision = 0 }}
	}, "compare-and-set"},
	"ignores slots": {func() registry.Registry {
		return &mutant{in: func(s *registry.Subscription) { s.Slot = "" }}
	}, "set_by_slot"},
	"forgets some when it counts": {func() registry.Registry { return new(miscounting) }, "counts"},
	"trims types": {func() registry.Registry {
		return &mutant{topic: func(t *registry.Topic) { t.Type = strings.TrimSpace(t.Type) }}
	}, "match_types"},
	"chokes on odd text": {func() registry.Registry {
		return &mutant{topic: func(t *registry.Topic) {
			if !utf8.ValidString(t.Scope) {
				t.Type = ""
			}
		}}
	}, "unstorable_text"},
	"ignores the tenant": {func() registry.Registry {
		return &mutant{topic: func(t *registry.Topic) { t.Tenant = "" }}
	}, "match_none"},
	"ignores the scope": {func() registry.Registry {
		return &mutant{topic: func(t *registry.Topic) { t.Scope = "" }}
	}, "match_scope"},
	"never expires": {func() registry.Registry {
		return &mutant{in: func(s *registry.Subscription) { s.ExpiresAt = time.Time{} }}
	}, "match_expiry"},
	"ignores the limit": {func() registry.Registry {
		return &mutant{filter: func(f *registry.Filter) { f.Limit = 0 }}
	}, "list_filters"},
	"ignores the context":  {func() registry.Registry { return &mutant{noContext: true} }, "canceled"},
	"forgets on reopening": {func() registry.Registry { return new(registry.Memory) }, "reopen"},
}

type miscounting struct{ registry.Memory }

func (m *miscounting) Count(ctx context.Context) (map[registry.State]int, error) {
	counts, err := m.Memory.Count(ctx)
	delete(counts, registry.Removed)
	return counts, err
}

const breakEnv = "REGISTRYTEST_BROKEN"

// TestNoticesBrokenRegistries runs the suite over each broken registry in
// another process, where it may fail.
func TestNoticesBrokenRegistries(t *testing.T) {
	t.Parallel()
	for name, c := range broken {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBroken$")
			cmd.Env = append(os.Environ(), breakEnv+"="+name)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatal("the suite passes")
			}
			if !strings.Contains(string(out), "--- FAIL: TestBroken/"+c.fails) {
				t.Errorf("%q did not notice:\n%s", c.fails, out)
			}
			if !strings.Contains(string(out), "broken rule: ") {
				t.Errorf("no rule is printed:\n%s", out)
			}
		})
	}
}

// TestBroken is for the processes that TestNoticesBrokenRegistries starts; the
// sound registry is for all others.
func TestBroken(t *testing.T) {
	t.Parallel()
	open := func(*testing.T) registry.Registry { return new(registry.Memory) }
	reopen := func(_ *testing.T, r registry.Registry) registry.Registry { return r }
	if c, ok := broken[os.Getenv(breakEnv)]; ok {
		open = func(*testing.T) registry.Registry { return c.open() }
		reopen = func(*testing.T, registry.Registry) registry.Registry { return c.open() }
	}
	registrytest.Config{Open: open, Reopen: reopen}.Run(t)
}

// A mutant is a Memory that breaks a rule.
type mutant struct {
	registry.Memory
	in                func(*registry.Subscription)
	topic             func(*registry.Topic)
	filter            func(*registry.Filter)
	setOne, noContext bool
}

func (m *mutant) context(ctx context.Context) context.Context {
	if m.noContext {
		return context.WithoutCancel(ctx)
	}
	return ctx
}

func (m *mutant) Set(ctx context.Context, subs ...registry.Subscription) ([]registry.Subscription, error) {
	subs = slices.Clone(subs)
	for i := range subs {
		subs[i] = subs[i].Clone()
		if m.in != nil {
			m.in(&subs[i])
		}
	}
	if !m.setOne {
		return m.Memory.Set(m.context(ctx), subs...)
	}
	var stored []registry.Subscription
	for _, s := range subs {
		one, err := m.Memory.Set(ctx, s)
		if err != nil {
			return nil, err
		}
		stored = append(stored, one...)
	}
	return stored, nil
}

func (m *mutant) Get(ctx context.Context, id string) (registry.Subscription, error) {
	return m.Memory.Get(m.context(ctx), id)
}

func (m *mutant) Match(ctx context.Context, t registry.Topic) ([]registry.Subscription, error) {
	if m.topic != nil {
		m.topic(&t)
	}
	return m.Memory.Match(m.context(ctx), t)
}

func (m *mutant) List(ctx context.Context, f registry.Filter) iter.Seq2[registry.Subscription, error] {
	if m.filter != nil {
		m.filter(&f)
	}
	return m.Memory.List(m.context(ctx), f)
}
