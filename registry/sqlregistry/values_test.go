package sqlregistry_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/internal/keypairtest"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

// secrets compares secrets by what they are.
var secrets = cmp.Options{
	cmp.Comparer(func(a, b registry.Secret) bool { return a.Reveal() == b.Reveal() }),
	cmpopts.EquateEmpty(),
}

// odd returns a subscription that is full of what databases trip over.
func odd() registry.Subscription {
	return registry.Subscription{
		ID: `sub ' " ; -- \ ? $1 @ %`, Dialect: "ed'na", Tenant: "Ténant\u202e\n", Scope: `\x00`, Slot: "$$ 💣", Label: "\u0001\r\n\t '' \\'",
		URL:     "https://example.com/?a=%00&b='",
		Types:   []string{`{"a":[1,"b"]}`, "é", "e\u0301", "?", "\\N"},
		Secrets: []registry.Secret{registry.NewSecret("\x00\xff'\\"), registry.NewSecret(strings.Repeat("s", registry.MaxSecret))},
		Headers: []registry.Header{{Name: "!#$%&'*+-.^_`|~", Value: registry.NewSecret(`'' \ "$1" ? @ <&> %s`)}},
		Limits:  registry.Limits{MaxInFlight: math.MaxInt32, PerSecond: 1e-300, Timeout: math.MaxInt64},
		Meta:    map[string]string{`"`: `\`, "": "\u2028", "null": "null"},
		State:   registry.Paused, Reason: "it's\\ off",
		ExpiresAt: time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC),
	}
}

func many(n int, format string) (texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprintf(format, i))
	}
	return texts
}

// What goes in comes out, and is found by all that it is found by.
func keeps(t *testing.T, r registry.Registry, in registry.Subscription) {
	t.Helper()
	var model registry.Memory // which keeps all as it is
	want := set(t, &model, in)[0]
	in.ID = want.ID
	got := set(t, r, in)[0]
	times := cmpopts.IgnoreFields(registry.Subscription{}, "CreatedAt", "Since")
	if !cmp.Equal(got, want, secrets, times) {
		t.Errorf("Set:\n%s", cmp.Diff(want, got, secrets, times))
	}
	want = got
	if got, err := r.Get(t.Context(), want.ID); err != nil || !cmp.Equal(got, want, secrets) {
		t.Errorf("Get: %v\n%s", err, cmp.Diff(want, got, secrets))
	}
	for _, typ := range want.Types {
		topic := registry.Topic{Dialect: want.Dialect, Tenant: want.Tenant, Scope: want.Scope, Type: typ}
		matches, err := r.Match(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		found := slices.ContainsFunc(matches, func(s registry.Subscription) bool { return s.ID == want.ID })
		if wants := want.Wants(topic, time.Now()); found != wants {
			t.Errorf("Match by %q: found is %v, want %v", typ, found, wants)
		}
	}
	var listed []registry.Subscription
	for s, err := range r.List(t.Context(), registry.Filter{Dialect: want.Dialect, Tenant: want.Tenant, Scope: want.Scope, States: []registry.State{want.State}}) {
		if err != nil {
			t.Fatal(err)
		}
		if s.ID == want.ID {
			listed = append(listed, s)
		}
	}
	if !cmp.Equal(listed, []registry.Subscription{want}, secrets) {
		t.Errorf("List:\n%s", cmp.Diff([]registry.Subscription{want}, listed, secrets))
	}
	if want.Slot != "" && want.State != registry.Removed { // the slot is found as it was spelled
		if again := set(t, r, func() registry.Subscription { s := want; s.ID, s.Revision = "", 0; return s }())[0]; again.ID != want.ID {
			t.Errorf("the slot was not found: %q", again.ID)
		}
	}
	if err := r.Delete(t.Context(), want.ID); err != nil {
		t.Error(err)
	}
}

func TestKeepsAllValues(t *testing.T) {
	t.Parallel()
	text := strings.Repeat("é", registry.MaxText/2)
	cases := map[string]registry.Subscription{
		"plain": subscription(nil),
		"odd":   odd(),
		"longest": subscription(func(s *registry.Subscription) {
			s.ID, s.Dialect, s.Tenant, s.Scope, s.Slot, s.Label, s.Reason = text, text, text, text, text, text, text
			s.State = registry.Disabled
			s.URL = strings.Repeat("u", registry.MaxURL)
			s.Types = many(registry.MaxTypes, strings.Repeat("t", registry.MaxText-3)+"%03d")
			s.Secrets = nil
			for _, secret := range many(registry.MaxSecrets, strings.Repeat("s", registry.MaxSecret-2)+"%02d") {
				s.Secrets = append(s.Secrets, registry.NewSecret(secret))
			}
			s.Meta = map[string]string{"k": strings.Repeat("m", registry.MaxMeta-1)}
			for _, name := range many(registry.MaxHeaders, strings.Repeat("n", registry.MaxHeaderName-2)+"%02d") {
				s.Headers = append(s.Headers, registry.Header{Name: name, Value: registry.NewSecret(strings.Repeat("<", registry.MaxHeaderValue))})
			}
		}),
		"TLS":   subscription(func(s *registry.Subscription) { s.TLS = tlsOf(keypairtest.Authority(t)) }),
		"roots": subscription(func(s *registry.Subscription) { s.TLS.Roots = keypairtest.Authority(t).Certificate }),
		"longest that matches": subscription(func(s *registry.Subscription) {
			s.Dialect, s.Tenant, s.Scope = text, text, text
			s.Types = many(registry.MaxTypes, strings.Repeat("t", registry.MaxText-3)+"%03d")
		}),
		"no secrets": subscription(func(s *registry.Subscription) { s.Secrets = nil }),
		"early":      subscription(func(s *registry.Subscription) { s.ExpiresAt = time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC) }),
		"removed":    subscription(func(s *registry.Subscription) { s.State, s.Slot = registry.Removed, "s" }),
		"largest":    subscription(func(s *registry.Subscription) { s.Limits.PerSecond = math.MaxFloat64 }),
		"smallest":   subscription(func(s *registry.Subscription) { s.Limits.PerSecond = math.SmallestNonzeroFloat64 }),
	}
	each(t, func(t *testing.T, b base) {
		h := b.registry(t)
		for name, s := range cases {
			t.Run(name, func(t *testing.T) { keeps(t, h, s) })
		}
	})
}

// Whatever way the driver of PostgreSQL sends queries, and so also behind a
// pooler that knows no prepared statements.
func TestKeepsInEveryMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			b := flavors[2].make(t)
			b.name = withQuery(t, b.name, "default_query_exec_mode", mode)
			h := b.registry(t)
			keeps(t, h, subscription(nil))
			keeps(t, h, odd())
			tx := beginPGX(t, h)
			s := set(t, h, subscription(nil))[0]
			if got, err := h.In(tx).Get(t.Context(), s.ID); err != nil || !cmp.Equal(got, s, secrets) {
				t.Errorf("Get in a transaction: %v\n%s", err, cmp.Diff(s, got, secrets))
			}
			tx.rollback(t)
			if v := version(t, h); v < 3 {
				t.Errorf("version %d", v)
			}
		})
	}
}

// Whatever isolation sessions begin with, changes see what stands.
func TestDefaultIsolation(t *testing.T) {
	t.Parallel()
	b := flavors[1].make(t)
	b.name = withQuery(t, b.name, "default_transaction_isolation", "serializable")
	one, two := b.registry(t), b.registry(t)
	var wg sync.WaitGroup
	for _, h := range []*handle{one, two} {
		wg.Go(func() {
			for range 20 {
				if _, err := h.Set(t.Context(), subscription(func(s *registry.Subscription) { s.Slot = "s" })); err != nil {
					t.Errorf("Set: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// Text is in the order of its bytes, also where the database's own is another.
func TestListIsBytewise(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		h := b.registry(t)
		c := b.config(t, h.writer, h.reader)
		c.Now = func() time.Time { return time.Unix(1e9, 0) } // so that the ID decides
		reg, err := sqlregistry.New(c)
		if err != nil {
			t.Fatal(err)
		}
		var want []registry.Subscription
		for i, id := range slices.Concat([]string{"a", "B", "_", "é", "e", "z", "-", "Z", "a b", "ab", "𝔞", "ÿ"}, many(300, "b%03d"), many(300, "B_%03d")) {
			want = append(want, subscription(func(s *registry.Subscription) { s.ID, s.Label = id, fmt.Sprint(i) }))
		}
		want = set(t, reg, want...)
		slices.SortFunc(want, registry.Newest)
		var got []registry.Subscription // over several pages
		for s, err := range reg.List(t.Context(), registry.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, s)
		}
		if !cmp.Equal(got, want, secrets) {
			t.Error(cmp.Diff(want, got, secrets))
		}
	})
}

func FuzzKeeps(f *testing.F) {
	f.Add("sub_1", "edna", "tenant", "", "slot", "label", "https://example.com", "a\nb", "secret", "k", "v", 1, 0.5, int64(1), int64(0))
	s := odd()
	f.Add(s.ID, s.Dialect, s.Tenant, s.Scope, s.Slot, s.Label, s.URL, strings.Join(s.Types, "\n"), "\x00", `"`, `\`, 7, 1e-300, int64(math.MaxInt64), int64(253402300799))
	file := newFile(f).registry(f)
	registries := map[string]registry.Registry{"sqlite": file, "postgres": flavors[2].make(f).registry(f)}
	f.Fuzz(func(t *testing.T, id, dialect, tenant, scope, slot, label, link, types, secret, key, value string, inFlight int, perSecond float64, timeout, expires int64) {
		s := registry.Subscription{
			ID: id, Dialect: dialect, Tenant: tenant, Scope: scope, Slot: slot, Label: label, URL: link,
			Types:   strings.Split(types, "\n"),
			Secrets: []registry.Secret{registry.NewSecret(secret)},
			Meta:    map[string]string{key: value},
			Limits:  registry.Limits{MaxInFlight: inFlight, PerSecond: perSecond, Timeout: time.Duration(timeout)},
		}
		if expires != 0 {
			s.ExpiresAt = time.Unix(expires, 0)
		}
		if registry.Validate(s) != nil {
			return
		}
		for name, r := range registries {
			t.Run(name, func(t *testing.T) { keeps(t, r, s) })
		}
	})
}
