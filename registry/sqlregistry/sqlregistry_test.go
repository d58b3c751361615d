package sqlregistry_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/registrytest"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

func TestRules(t *testing.T) {
	t.Parallel()
	for _, fl := range flavors {
		t.Run(fl.name, func(t *testing.T) {
			t.Parallel()
			registrytest.Config{
				Open: func(t *testing.T) registry.Registry { return fl.make(t).registry(t) },
				Reopen: func(t *testing.T, r registry.Registry) registry.Registry {
					h := r.(*handle)
					h.close(t)
					return h.registry(t)
				},
			}.Run(t)
		})
	}
}

// One handle with one connection is enough: nothing is read while it is held.
func TestRulesOnOneConnection(t *testing.T) {
	t.Parallel()
	for _, fl := range []int{0, 2} {
		fl := flavors[fl]
		t.Run(fl.name, func(t *testing.T) {
			t.Parallel()
			registrytest.Run(t, func(t *testing.T) registry.Registry {
				b := fl.make(t)
				return migrated(t, b.config(t, b.open(t, "", 1), nil)) // SQLite begins deferred
			})
		})
	}
}

// A Cache asks for the version: the rules hold with it as without.
func TestRulesBehindCache(t *testing.T) {
	t.Parallel()
	for _, fl := range []int{0, 2} {
		fl := flavors[fl]
		t.Run(fl.name, func(t *testing.T) {
			t.Parallel()
			registrytest.Config{
				Open:          func(t *testing.T) registry.Registry { return registry.NewCache(fl.make(t).registry(t), 1) },
				SharedResults: true,
			}.Run(t)
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	db := newFile(t).open(t, "", 1)
	pg := sqlregistry.Config{Flavor: sqlregistry.PostgreSQL, Writer: db, Sealer: sealer(t, 1)}
	schema := func(name string) sqlregistry.Config {
		c := pg
		c.Schema = name
		return c
	}
	for name, c := range map[string]sqlregistry.Config{
		"nothing":          {},
		"no Sealer":        {Writer: db},
		"no Writer":        {Reader: db, Sealer: sealer(t, 1)},
		"unknown Flavor":   {Flavor: 2, Writer: db, Sealer: sealer(t, 1)},
		"SQLite's Schema":  {Schema: "public", Writer: db, Sealer: sealer(t, 1)},
		"NUL in Schema":    schema("a\x00b"),
		"long Schema":      schema(strings.Repeat("s", 64)),
		"Schema not UTF-8": schema("\xff"),
	} {
		if r, err := sqlregistry.New(c); err == nil || r != nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if _, err := sqlregistry.New(schema(strings.Repeat("s", 63))); err != nil {
		t.Error(err)
	}
}

func TestSecretsAreNotInTheFile(t *testing.T) {
	t.Parallel()
	h := newFile(t).registry(t)
	stored := set(t, h, subscription(func(s *registry.Subscription) { s.Label = "label in the clear" }))
	search := func(text string) (found []string) {
		err := filepath.WalkDir(filepath.Dir(h.name), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			raw, err := os.ReadFile(path)
			if bytes.Contains(raw, []byte(text)) {
				found = append(found, filepath.Base(path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	for _, step := range []string{"in the WAL", "in the database"} {
		if got := search("label in the clear"); len(got) == 0 { // else the search proves nothing
			t.Errorf("%s: the label was not found", step)
		}
		for _, text := range []string{"correct horse", "battery staple"} {
			if got := search(text); len(got) > 0 {
				t.Errorf("%s: the secret is in %q", step, got)
			}
		}
		h.exec(t, "PRAGMA wal_checkpoint(TRUNCATE)")
	}
	got, err := h.Get(t.Context(), stored[0].ID)
	if err != nil || !slices.Equal(got.Secrets, stored[0].Secrets) {
		t.Errorf("Get: %v, %v", got.Secrets, err)
	}
}

func TestSecretsAreNotInTheRow(t *testing.T) {
	t.Parallel()
	for _, fl := range flavors[1:] {
		t.Run(fl.name, func(t *testing.T) {
			t.Parallel()
			h := fl.make(t).registry(t)
			set(t, h, subscription(func(s *registry.Subscription) { s.Label = "label in the clear" }))
			const count = "SELECT count(*) FROM @subscription s WHERE strpos(s::text || encode(s.secrets, 'escape'), ?) > 0"
			if n := h.number(t, count, "label in the clear"); n != 1 { // else the search proves nothing
				t.Errorf("the label is in %d rows", n)
			}
			for _, text := range []string{"correct horse", "battery staple"} {
				if n := h.number(t, count, text); n != 0 {
					t.Errorf("the secret is in %d rows", n)
				}
			}
		})
	}
}

func TestWrongKey(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		h := b.registry(t)
		id := set(t, h, subscription(nil))[0].ID
		c := b.config(t, h.writer, h.reader)
		c.Sealer = sealer(t, 2)
		stranger, err := sqlregistry.New(c)
		if err != nil {
			t.Fatal(err)
		}
		topic := registry.Topic{Dialect: "edna", Type: "status"}
		if got, err := stranger.Get(t.Context(), id); !errors.Is(err, registry.ErrSealed) || got.ID != "" {
			t.Errorf("Get: %v, %v, want ErrSealed", got, err)
		}
		if got, err := stranger.Match(t.Context(), topic); !errors.Is(err, registry.ErrSealed) || got != nil {
			t.Errorf("Match: %v, %v, want ErrSealed", got, err)
		}
		for _, err = range stranger.List(t.Context(), registry.Filter{}) {
			if !errors.Is(err, registry.ErrSealed) {
				t.Errorf("List: %v, want ErrSealed", err)
			}
		}
		// A lost key is mended by setting anew.
		set(t, stranger, subscription(func(s *registry.Subscription) { s.ID = id }))
		if got, err := stranger.Get(t.Context(), id); err != nil || got.Revision != 2 {
			t.Errorf("set anew: %v, %v", got, err)
		}
	})
}

// A sealed secret that somebody copies to another row does not open there.
func TestSecretsAreBoundToTheirRow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		h := b.registry(t)
		stored := set(t, h, subscription(nil), subscription(nil))
		h.exec(t, "UPDATE @subscription SET secrets = (SELECT secrets FROM @subscription WHERE id = ?) WHERE id = ?",
			stored[0].ID, stored[1].ID)
		if _, err := h.Get(t.Context(), stored[0].ID); err != nil {
			t.Error(err)
		}
		if _, err := h.Get(t.Context(), stored[1].ID); !errors.Is(err, registry.ErrSealed) {
			t.Errorf("Get: %v, want ErrSealed", err)
		}
	})
}

// Two processes are two pairs of handles.
func TestTwoHandles(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		one, two := b.registry(t), b.registry(t)
		const rounds = 20
		var wg sync.WaitGroup
		for _, r := range []*handle{one, two} {
			for range 2 {
				wg.Go(func() {
					for range rounds {
						if _, err := r.Set(t.Context(), subscription(func(s *registry.Subscription) { s.Slot = "status" })); err != nil {
							t.Errorf("Set: %v", err)
						}
					}
				})
			}
		}
		wg.Wait()
		for name, r := range map[string]*handle{"one": one, "two": two} {
			subs, err := r.Match(t.Context(), registry.Topic{Dialect: "edna", Type: "status"})
			if err != nil || len(subs) != 1 || subs[0].Revision != 4*rounds {
				t.Errorf("%s: %d match, %v", name, len(subs), err)
			}
		}
	})
}

// Of those who compare and set one revision at once, exactly one wins.
func TestCompareAndSetAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		handles := []*handle{b.registry(t), b.registry(t)}
		stands := set(t, handles[0], subscription(nil))[0]
		for round := range 50 {
			var won, lost atomic.Int64
			var wg sync.WaitGroup
			for _, h := range handles {
				for range 2 {
					wg.Go(func() {
						switch _, err := h.Set(t.Context(), stands); {
						case err == nil:
							won.Add(1)
						case errors.Is(err, registry.ErrConflict):
							lost.Add(1)
						default:
							t.Errorf("Set: %v", err)
						}
					})
				}
			}
			wg.Wait()
			if won.Load() != 1 || lost.Load() != 3 {
				t.Fatalf("round %d: %d won and %d lost", round, won.Load(), lost.Load())
			}
			next, err := handles[round%2].Get(t.Context(), stands.ID)
			if err != nil || next.Revision != stands.Revision+1 {
				t.Fatalf("round %d: revision %d after %d, %v", round, next.Revision, stands.Revision, err)
			}
			stands = next
		}
	})
}

func TestUniqueSlotIsTheDatabases(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		h := b.registry(t)
		set(t, h, subscription(func(s *registry.Subscription) { s.Slot = "status" }))
		second := set(t, h, subscription(nil))[0]
		if _, err := h.writer.ExecContext(t.Context(), b.sql("UPDATE @subscription SET slot = 'status' WHERE id = ?"), second.ID); err == nil {
			t.Error("two subscriptions fill one slot")
		}
	})
}
