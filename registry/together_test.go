package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/registry"
)

// batching is a Memory that answers batches, and notes them. Its reads take a
// while, or as long as hang has them.
type batching struct {
	registry.Memory
	hang  func(ctx context.Context, tenants []string) error // nil takes 10 ms
	spoil map[string]error                                  // by tenant

	mu      sync.Mutex
	batches [][]string // tenants
}

func (b *batching) take(ctx context.Context, tenants ...string) error {
	b.mu.Lock()
	b.batches = append(b.batches, tenants)
	b.mu.Unlock()
	if b.hang != nil {
		return b.hang(ctx, tenants)
	}
	time.Sleep(10 * time.Millisecond)
	return ctx.Err()
}

func (b *batching) Match(ctx context.Context, t registry.Topic) ([]registry.Subscription, error) {
	if err := b.take(ctx, t.Tenant); err != nil {
		return nil, err
	}
	if err := b.spoil[t.Tenant]; err != nil {
		return nil, err
	}
	return b.Memory.Match(ctx, t)
}

func (b *batching) MatchBatch(ctx context.Context, topics []registry.Topic) ([]registry.Matched, error) {
	var tenants []string
	for _, t := range topics {
		tenants = append(tenants, t.Tenant)
	}
	if err := b.take(ctx, tenants...); err != nil {
		return nil, err
	}
	found := make([]registry.Matched, len(topics))
	for i, t := range topics {
		if err := b.spoil[t.Tenant]; err != nil {
			found[i].Err = err
			continue
		}
		found[i].Subscriptions, found[i].Err = b.Memory.Match(ctx, t)
	}
	return found, nil
}

// sizes returns how many topics each read had.
func (b *batching) sizes() (sizes []int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, tenants := range b.batches {
		sizes = append(sizes, len(tenants))
	}
	return sizes
}

// an asked is one of the callers that asked for tenants 0, 1 and so on.
type asked struct {
	cancel context.CancelFunc
	label  string
	err    error
	after  time.Duration
}

// askAll has n callers ask, one after the other has waited for its answer, and
// after all of them wait has during called with them. It returns when all have
// been answered.
func askAll(t *testing.T, b *batching, n int, during func(*registry.Cache, []*asked)) []*asked {
	t.Helper()
	for i := range n {
		s := valid()
		s.Tenant, s.Label = fmt.Sprint(i), fmt.Sprint("label ", i)
		if _, err := b.Set(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	cache := registry.NewCache(b, 0)
	begin := time.Now()
	all := make([]*asked, n)
	var wg sync.WaitGroup
	for i := range all {
		a := &asked{}
		var ctx context.Context
		ctx, a.cancel = context.WithCancel(t.Context())
		all[i] = a
		wg.Go(func() {
			defer func() {
				if p := recover(); p != nil {
					a.err = fmt.Errorf("panic: %v", p)
				}
				a.after = time.Since(begin)
			}()
			var subs []registry.Subscription
			subs, a.err = cache.Match(ctx, registry.Topic{Dialect: valid().Dialect, Tenant: fmt.Sprint(i), Type: "a"})
			if a.err == nil && len(subs) == 1 {
				a.label = subs[0].Label
			}
		})
		synctest.Wait()
	}
	if during != nil {
		during(cache, all)
	}
	wg.Wait()
	for _, a := range all {
		a.cancel()
	}
	return all
}

func answered(t *testing.T, all []*asked, but ...int) {
	t.Helper()
	for i, a := range all {
		if want := fmt.Sprint("label ", i); !slices.Contains(but, i) && (a.err != nil || a.label != want) {
			t.Errorf("caller %d: %q, %v, want %q", i, a.label, a.err, want)
		}
	}
}

func TestCacheReadsTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &batching{}
		all := askAll(t, b, 251, nil)
		answered(t, all)
		if got, want := b.sizes(), []int{1, 100, 100, 50}; !slices.Equal(got, want) {
			t.Errorf("reads of %v topics, want %v", got, want)
		}
		if again := askAll(t, b, 1, nil); again[0].after != 10*time.Millisecond {
			t.Errorf("one that is alone took %v", again[0].after)
		}
	})
}

func TestCacheTogetherFails(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	failing := func(how func() error) func(context.Context, []string) error {
		return func(_ context.Context, tenants []string) error {
			time.Sleep(10 * time.Millisecond)
			if len(tenants) > 1 {
				return how()
			}
			return nil
		}
	}
	for name, c := range map[string]struct {
		hang    func(context.Context, []string) error
		spoil   map[string]error
		failing map[int]error // nil is whatever it says
	}{
		"an error for all":  {hang: failing(func() error { return broken })},
		"an error for one":  {spoil: map[string]error{"3": broken}, failing: map[int]error{3: broken}},
		"an error for both": {hang: failing(func() error { return broken }), spoil: map[string]error{"3": broken}, failing: map[int]error{3: broken}},
		"a panic":           {hang: failing(func() error { panic("oops") }), failing: map[int]error{1: nil}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				all := askAll(t, &batching{hang: c.hang, spoil: c.spoil}, 6, nil)
				var but []int
				for i, want := range c.failing {
					but = append(but, i)
					if got := all[i].err; got == nil || want != nil && !errors.Is(got, want) {
						t.Errorf("caller %d: %v, want %v", i, got, want)
					}
				}
				answered(t, all, but...)
			})
		})
	}
}

// Whoever goes leaves the others as they are, also the one that reads for all.
func TestCacheTogetherCancelled(t *testing.T) {
	t.Parallel()
	for name, gone := range map[string]struct {
		after time.Duration
		who   []int
	}{
		"the first":              {5 * time.Millisecond, []int{0}},
		"the leader to be":       {5 * time.Millisecond, []int{1}},
		"a follower to be":       {5 * time.Millisecond, []int{3}},
		"all but one":            {5 * time.Millisecond, []int{0, 1, 2, 4, 5}},
		"as the first ends":      {10 * time.Millisecond, []int{1, 2}},
		"the leader as it reads": {15 * time.Millisecond, []int{1}},
		"a follower":             {15 * time.Millisecond, []int{3}},
		"the leader and another": {15 * time.Millisecond, []int{1, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := &batching{hang: func(ctx context.Context, _ []string) error {
					select {
					case <-time.After(10 * time.Millisecond):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}}
				all := askAll(t, b, 6, func(_ *registry.Cache, all []*asked) {
					time.Sleep(gone.after)
					for _, i := range gone.who {
						all[i].cancel()
					}
				})
				answered(t, all, gone.who...)
				for _, i := range gone.who {
					if a := all[i]; a.after > gone.after || a.err != nil && !errors.Is(a.err, context.Canceled) {
						t.Errorf("caller %d went after %v with %v", i, a.after, a.err)
					}
				}
				for i, a := range all {
					if a.after > 40*time.Millisecond {
						t.Errorf("caller %d was answered after %v", i, a.after)
					}
				}
			})
		})
	}
}

// A read that hangs holds the others up for a moment only.
func TestCacheTogetherHangs(t *testing.T) {
	t.Parallel()
	for name, hangs := range map[string]string{"the first read": "0", "a batch": "1"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				end := make(chan struct{})
				b := &batching{hang: func(_ context.Context, tenants []string) error {
					if tenants[0] == hangs {
						<-end
					}
					time.Sleep(10 * time.Millisecond)
					return nil
				}}
				all := askAll(t, b, 6, func(cache *registry.Cache, _ []*asked) {
					time.Sleep(150 * time.Millisecond)
					begin := time.Now()
					var wg sync.WaitGroup
					for i := range 3 {
						wg.Go(func() {
							if _, err := cache.Match(t.Context(), registry.Topic{Dialect: "other", Tenant: fmt.Sprint("later ", i)}); err != nil {
								t.Error(err)
							}
						})
					}
					wg.Wait()
					if took := time.Since(begin); took > 20*time.Millisecond {
						t.Errorf("who came later waited %v", took)
					}
					close(end)
				})
				answered(t, all)
				late := 0
				for _, a := range all {
					if a.after > 125*time.Millisecond {
						late++
					}
				}
				if late != 1 {
					t.Errorf("%d callers waited for the one that hangs, want itself only", late)
				}
			})
		})
	}
}
