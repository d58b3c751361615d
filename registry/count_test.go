package registry_test

import (
	"context"
	"errors"
	"iter"
	"maps"
	"testing"

	"github.com/ringback-go/ringback/registry"
)

// listed is a registry that does not count.
type listed struct {
	registry.Registry
	fail error
}

func (l listed) List(ctx context.Context, f registry.Filter) iter.Seq2[registry.Subscription, error] {
	if l.fail != nil {
		return func(yield func(registry.Subscription, error) bool) { yield(registry.Subscription{}, l.fail) }
	}
	return l.Registry.List(ctx, f)
}

// A registry that does not count is listed, behind a Cache as well.
func TestCountStates(t *testing.T) {
	t.Parallel()
	inner := new(registry.Memory)
	for _, state := range []registry.State{registry.Active, registry.Paused, registry.Active} {
		s := valid()
		s.State = state
		if _, err := inner.Set(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	down := errors.New("down")
	want := map[registry.State]int{registry.Active: 2, registry.Paused: 1}
	for name, c := range map[string]struct {
		from registry.Registry
		fail error
	}{
		"counts":         {inner, nil},
		"lists":          {listed{inner, nil}, nil},
		"lists, cached":  {registry.NewCache(listed{inner, nil}, 0), nil},
		"fails":          {listed{inner, down}, down},
		"fails, cached":  {registry.NewCache(listed{inner, down}, 0), down},
		"counts, cached": {registry.NewCache(inner, 0), nil},
	} {
		got, err := registry.CountStates(t.Context(), c.from)
		if !errors.Is(err, c.fail) || c.fail == nil && !maps.Equal(got, want) {
			t.Errorf("%s: %v, %v, want %v, %v", name, got, err, want, c.fail)
		}
	}
	if _, err := new(registry.Cache).Count(t.Context()); err == nil {
		t.Error("a Cache without a Registry counts")
	}
}
