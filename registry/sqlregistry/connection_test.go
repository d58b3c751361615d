package sqlregistry_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/internal/keypairtest"
	"github.com/ringback-go/ringback/registry/sqlregistry"
)

func tlsOf(pair keypairtest.Pair) registry.TLS {
	return registry.TLS{Certificate: pair.Certificate, Key: registry.NewSecret(pair.Key), Roots: pair.Certificate}
}

// connected returns a subscription with all that is sealed.
func connected(t *testing.T) registry.Subscription {
	t.Helper()
	return subscription(func(s *registry.Subscription) {
		s.Label = "label in the clear"
		s.TLS = tlsOf(keypairtest.Authority(t))
		s.Headers = []registry.Header{{Name: "X-Api-Key", Value: registry.NewSecret("open sesame")}}
	})
}

// lines returns texts of s that are to be nowhere in the clear.
func lines(s registry.Subscription) []string {
	return []string{
		"open sesame", "correct horse", "X-Api-Key",
		strings.Split(s.TLS.Key.Reveal(), "\n")[1], strings.Split(s.TLS.Certificate, "\n")[2],
	}
}

func TestConnectionIsNotInTheFile(t *testing.T) {
	t.Parallel()
	h := newFile(t).registry(t)
	s := connected(t)
	set(t, h, s)
	h.exec(t, "PRAGMA wal_checkpoint(TRUNCATE)")
	var all []byte
	err := filepath.WalkDir(filepath.Dir(h.name), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		all = append(all, raw...)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(all, []byte(s.Label)) { // else the search proves nothing
		t.Error("the label was not found")
	}
	for _, text := range lines(s) {
		if bytes.Contains(all, []byte(text)) {
			t.Errorf("%q is in the clear", text)
		}
	}
}

func TestConnectionIsNotInTheRow(t *testing.T) {
	t.Parallel()
	for _, fl := range flavors[1:] {
		t.Run(fl.name, func(t *testing.T) {
			t.Parallel()
			h := fl.make(t).registry(t)
			s := connected(t)
			set(t, h, s)
			const count = "SELECT count(*) FROM @subscription s WHERE strpos(s::text || encode(s.connection, 'escape'), ?) > 0"
			if n := h.number(t, count, s.Label); n != 1 { // else the search proves nothing
				t.Errorf("the label is in %d rows", n)
			}
			for _, text := range lines(s) {
				if n := h.number(t, count, text); n != 0 {
					t.Errorf("%q is in the clear", text)
				}
			}
		})
	}
}

// What is sealed opens for its own subscription, unchanged, and nothing else
// does: the subscription is then not to be had, and so not sent to without it.
func TestConnectionIsBoundToItsRow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		h := b.registry(t)
		stored := set(t, h, connected(t), connected(t), subscription(nil))
		const take = "UPDATE @subscription SET connection = (SELECT connection FROM @subscription WHERE id = ?) WHERE id = ?"
		h.exec(t, take, stored[0].ID, stored[1].ID)
		h.exec(t, take, stored[0].ID, stored[2].ID)
		if got, err := h.Get(t.Context(), stored[0].ID); err != nil || !cmp.Equal(got, stored[0], secrets) {
			t.Errorf("%v\n%s", err, cmp.Diff(stored[0], got, secrets))
		}
		for _, s := range stored[1:] {
			if got, err := h.Get(t.Context(), s.ID); !errors.Is(err, registry.ErrSealed) || got.ID != "" {
				t.Errorf("Get: %v, want ErrSealed", err)
			}
		}
		// The two columns do not stand for one another.
		h.exec(t, "UPDATE @subscription SET connection = secrets WHERE id = ?", stored[0].ID)
		if _, err := h.Get(t.Context(), stored[0].ID); !errors.Is(err, registry.ErrSealed) {
			t.Errorf("secrets as connection: %v, want ErrSealed", err)
		}
	})
}

// Rows of the second version have neither TLS material nor headers, and get them.
func TestMigrateFromTheSecond(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		h := b.registry(t)
		old := set(t, h, subscription(nil), subscription(func(s *registry.Subscription) { s.State = registry.Paused }))
		h.exec(t, "ALTER TABLE @subscription DROP COLUMN connection")
		h.exec(t, "ALTER TABLE @ringback_registry_version DROP COLUMN least")
		h.exec(t, "UPDATE @ringback_registry_version SET version = 2")
		if _, err := h.Get(t.Context(), old[0].ID); err == nil {
			t.Error("Get on the second version succeeds: the test proves nothing")
		}
		if err := h.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, s := range old {
			if got, err := h.Get(t.Context(), s.ID); err != nil || !cmp.Equal(got, s, secrets) {
				t.Errorf("%v\n%s", err, cmp.Diff(s, got, secrets))
			}
		}
		next := connected(t)
		next.ID = old[0].ID
		want := set(t, h, next)[0]
		if got, err := h.Get(t.Context(), want.ID); err != nil || !cmp.Equal(got, want, secrets) || got.Revision != 2 {
			t.Errorf("%v\n%s", err, cmp.Diff(want, got, secrets))
		}
	})
}

// sealed returns a registry on h's database whose sealer has keys.
func sealed(t *testing.T, h *handle, keys ...byte) *sqlregistry.Registry {
	t.Helper()
	var all [][]byte
	for _, k := range keys {
		all = append(all, bytes.Repeat([]byte{k}, 32))
	}
	c := h.config(t, h.writer, h.reader)
	var err error
	if c.Sealer, err = registry.NewAESGCM(all...); err != nil {
		t.Fatal(err)
	}
	reg, err := sqlregistry.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// A key is changed: the old one opens and the new one seals, until all is
// sealed anew; then the old one is of no use any more.
func TestRotation(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b base) {
		h := b.registry(t) // its key is 1
		const n = 210      // more than two batches
		subs := make([]registry.Subscription, n)
		for i := range subs {
			subs[i] = subscription(func(s *registry.Subscription) {
				s.State = []registry.State{registry.Active, registry.Paused, registry.Disabled, registry.Removed}[i%4]
				s.Slot = []string{"", "slot " + registry.NewID()}[i%2]
			})
		}
		subs[7] = connected(t)
		stored := set(t, h, subs...)
		both, fresh := sealed(t, h, 2, 1), sealed(t, h, 2)
		if got, err := both.Get(t.Context(), stored[7].ID); err != nil || !cmp.Equal(got, stored[7], secrets) {
			t.Errorf("the old key does not open: %v", err)
		}
		if _, err := fresh.Get(t.Context(), stored[7].ID); !errors.Is(err, registry.ErrSealed) {
			t.Errorf("the new key alone: %v, want ErrSealed", err)
		}
		again := set(t, both, subscription(nil))[0]
		if _, err := fresh.Get(t.Context(), again.ID); err != nil {
			t.Errorf("the new key does not seal: %v", err)
		}
		done, err := registry.Reseal(t.Context(), both)
		if err != nil || done != n+1 {
			t.Fatalf("Reseal: %d, %v", done, err)
		}
		for _, want := range slices.Concat(stored, []registry.Subscription{again}) {
			want.Revision++
			if got, err := fresh.Get(t.Context(), want.ID); err != nil || !cmp.Equal(got, want, secrets) {
				t.Fatalf("%v\n%s", err, cmp.Diff(want, got, secrets))
			}
		}
		if _, err := h.Get(t.Context(), stored[7].ID); !errors.Is(err, registry.ErrSealed) {
			t.Errorf("the old key alone still opens: %v", err)
		}
		// Without the old key, what it sealed stops the work instead of being lost.
		if n, err := registry.Reseal(t.Context(), sealed(t, h, 3)); !errors.Is(err, registry.ErrSealed) || n != 0 {
			t.Errorf("Reseal with a foreign key: %d, %v", n, err)
		}
	})
}
