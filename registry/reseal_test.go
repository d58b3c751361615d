package registry_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"

	"github.com/ringback-go/ringback/registry"
)

// meddled is a registry that others change while it is listed.
type meddled struct {
	registry.Memory
	meddle func(registry.Subscription) // after one was listed
	always bool                        // before each Set as well
}

func (m *meddled) List(ctx context.Context, f registry.Filter) iter.Seq2[registry.Subscription, error] {
	return func(yield func(registry.Subscription, error) bool) {
		for s, err := range m.Memory.List(ctx, f) {
			m.meddle(s)
			if !yield(s, err) {
				return
			}
		}
	}
}

func (m *meddled) Set(ctx context.Context, subs ...registry.Subscription) ([]registry.Subscription, error) {
	if m.always {
		for _, s := range subs {
			m.meddle(s)
		}
	}
	return m.Memory.Set(ctx, subs...)
}

func numbered(t *testing.T, r registry.Registry, n int) {
	t.Helper()
	for i := range n {
		s := valid()
		s.ID, s.Label = fmt.Sprintf("sub_%03d", i), "as it was"
		if _, err := r.Set(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
}

// What others change or delete meanwhile stays as they left it.
func TestResealLosesNoChange(t *testing.T) {
	t.Parallel()
	var m meddled
	numbered(t, &m.Memory, 205)
	m.meddle = func(s registry.Subscription) {
		switch s.ID {
		case "sub_050":
			s.Label, s.Revision = "changed", 0
			if _, err := m.Memory.Set(t.Context(), s); err != nil {
				t.Error(err)
			}
		case "sub_150":
			if err := m.Delete(t.Context(), s.ID); err != nil {
				t.Error(err)
			}
		}
	}
	n, err := registry.Reseal(t.Context(), &m)
	if err != nil || n != 204 {
		t.Errorf("Reseal: %d, %v", n, err)
	}
	seen := 0
	for s, err := range m.Memory.List(t.Context(), registry.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		seen++
		label, revision := "as it was", int64(2)
		if s.ID == "sub_050" {
			label, revision = "changed", 3
		}
		if s.Label != label || s.Revision != revision {
			t.Errorf("%s is %q at revision %d", s.ID, s.Label, s.Revision)
		}
	}
	if seen != 204 {
		t.Errorf("%d subscriptions, want 204", seen)
	}
}

// One that others change all the time ends with an error, not never.
func TestResealGivesUp(t *testing.T) {
	t.Parallel()
	m := meddled{always: true}
	numbered(t, &m.Memory, 2)
	m.meddle = func(s registry.Subscription) {
		if s.Revision = 0; s.ID == "sub_000" {
			if _, err := m.Memory.Set(t.Context(), s); err != nil {
				t.Error(err)
			}
		}
	}
	if n, err := registry.Reseal(t.Context(), &m); !errors.Is(err, registry.ErrConflict) || n != 1 {
		t.Errorf("Reseal: %d, %v, want 1 and ErrConflict", n, err)
	}
}

func TestResealEnds(t *testing.T) {
	t.Parallel()
	var m registry.Memory
	if n, err := registry.Reseal(t.Context(), &m); n != 0 || err != nil {
		t.Errorf("of nothing: %d, %v", n, err)
	}
	numbered(t, &m, 3)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := registry.Reseal(ctx, &m); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %d, %v", n, err)
	}
	// Through a Cache, which may know an older revision.
	c := registry.NewCache(&m, 0)
	s, err := c.Get(t.Context(), "sub_001")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Set(t.Context(), s.Clone()); err != nil {
		t.Fatal(err)
	}
	if n, err := registry.Reseal(t.Context(), c); n != 3 || err != nil {
		t.Errorf("through a cache: %d, %v", n, err)
	}
}

func ExampleReseal() {
	// Every process has been given both keys; the new one, first, seals.
	var reg registry.Registry = &registry.Memory{} // one with a Sealer, in earnest
	ctx := context.Background()
	if _, err := reg.Set(ctx, registry.Subscription{Dialect: "standard", URL: "https://example.com/", Types: []string{"paid"}}); err != nil {
		fmt.Println(err)
		return
	}
	n, err := registry.Reseal(ctx, reg)
	fmt.Println(n, err)
	// Output: 1 <nil>
}
