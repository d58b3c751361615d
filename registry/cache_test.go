package registry_test

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/registry"
)

// counted is a Memory that counts reads and can hold them up: between reading
// and returning, as a slow network does.
type counted struct {
	registry.Memory
	gets, matches atomic.Int64
	read          chan struct{} // if not nil, receives after each read
	release       chan struct{} // if not nil, a read returns after a receive
	releaseGet    chan struct{} // if not nil, that of Get
	fail          atomic.Pointer[error]
}

func (c *counted) hold(ctx context.Context, release chan struct{}) error {
	if c.read != nil {
		c.read <- struct{}{}
	}
	if release != nil {
		select {
		case <-release:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err := c.fail.Load(); err != nil {
		return *err
	}
	return nil
}

func (c *counted) Get(ctx context.Context, id string) (registry.Subscription, error) {
	c.gets.Add(1)
	s, err := c.Memory.Get(ctx, id)
	release := c.release
	if c.releaseGet != nil {
		release = c.releaseGet
	}
	if held := c.hold(ctx, release); held != nil {
		return registry.Subscription{}, held
	}
	return s, err
}

func (c *counted) Match(ctx context.Context, t registry.Topic) ([]registry.Subscription, error) {
	c.matches.Add(1)
	subs, err := c.Memory.Match(ctx, t)
	if held := c.hold(ctx, c.release); held != nil {
		return nil, held
	}
	return subs, err
}

func put(t *testing.T, r registry.Registry, edit func(*registry.Subscription)) registry.Subscription {
	t.Helper()
	s := valid()
	s.ID = "sub_1"
	if edit != nil {
		edit(&s)
	}
	stored, err := r.Set(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return stored[0]
}

var topicA = registry.Topic{Dialect: "standard", Type: "a"}

func TestCacheTimeToLive(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ ttl, lives time.Duration }{
		{0, time.Second}, {-1, time.Second}, {time.Hour, time.Second}, {100 * time.Millisecond, 100 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			inner := new(counted)
			cache := registry.NewCache(inner, c.ttl)
			put(t, inner, nil)
			reads := func(step string, want int64) {
				t.Helper()
				for range 2 {
					if s, err := cache.Get(t.Context(), "sub_1"); err != nil || s.ID != "sub_1" {
						t.Errorf("%s: Get: %v, %v", step, s, err)
					}
					if _, err := cache.Get(t.Context(), "sub_unknown"); !errors.Is(err, registry.ErrNotFound) {
						t.Errorf("%s: Get of unknown: %v", step, err)
					}
					if subs, err := cache.Match(t.Context(), topicA); err != nil || len(subs) != 1 {
						t.Errorf("%s: Match: %v, %v", step, subs, err)
					}
				}
				if inner.gets.Load() != 2*want || inner.matches.Load() != want {
					t.Errorf("%s: %d gets, %d matches, want %d and %d", step, inner.gets.Load(), inner.matches.Load(), 2*want, want)
				}
			}
			reads("at first", 1)
			time.Sleep(c.lives - 1)
			reads("just before the end", 1)
			time.Sleep(time.Nanosecond)
			reads("at the end", 2)
		})
	}
}

func TestCacheChangesShowAtOnce(t *testing.T) {
	t.Parallel()
	inner := new(counted)
	cache := registry.NewCache(inner, 0)
	check := func(step, label string, matching int) {
		t.Helper()
		s, err := cache.Get(t.Context(), "sub_1")
		if label == "" && !errors.Is(err, registry.ErrNotFound) || label != "" && (err != nil || s.Label != label) {
			t.Errorf("%s: Get: %q, %v", step, s.Label, err)
		}
		if subs, err := cache.Match(t.Context(), topicA); err != nil || len(subs) != matching {
			t.Errorf("%s: Match: %d, %v, want %d", step, len(subs), err, matching)
		}
	}
	label := func(text string) func(*registry.Subscription) {
		return func(s *registry.Subscription) { s.Label = text }
	}
	check("empty", "", 0)
	put(t, cache, label("one"))
	check("set", "one", 1)
	put(t, cache, func(s *registry.Subscription) { s.Label, s.Types = "two", []string{"b"} })
	check("set again", "two", 0)
	put(t, inner, label("three"))
	check("changed behind it", "two", 0)
	cache.Forget("sub_1")
	check("forgotten", "three", 1)
	if _, err := cache.Set(t.Context(), registry.Subscription{}); err == nil {
		t.Error("an invalid subscription was set")
	}
	check("refused", "three", 1)
	if err := cache.Delete(t.Context(), "sub_1"); err != nil {
		t.Error(err)
	}
	check("deleted", "", 0)
}

// A read that saw the state before a change must not put it back after it.
func TestCacheStaleReadIsNotKept(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*testing.T, *registry.Cache){
		"Set": func(t *testing.T, c *registry.Cache) {
			put(t, c, func(s *registry.Subscription) { s.State = registry.Disabled })
		},
		"Delete": func(t *testing.T, c *registry.Cache) {
			if err := c.Delete(t.Context(), "sub_1"); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				inner := &counted{read: make(chan struct{}, 9), release: make(chan struct{})}
				cache := registry.NewCache(inner, 0)
				put(t, inner, nil)
				var wg sync.WaitGroup
				get := func() {
					if s, err := cache.Get(t.Context(), "sub_1"); err != nil || s.State != registry.Active {
						t.Errorf("Get that began before: %v, %v", s, err)
					}
				}
				wg.Go(get)
				wg.Go(get)
				wg.Go(func() {
					if subs, err := cache.Match(t.Context(), topicA); err != nil || len(subs) != 1 {
						t.Errorf("Match that began before: %v, %v", subs, err)
					}
				})
				synctest.Wait() // both reads saw the old state, one Get waits for the other
				if inner.gets.Load() != 1 || inner.matches.Load() != 1 {
					t.Errorf("%d gets and %d matches under way, want 1 and 1", inner.gets.Load(), inner.matches.Load())
				}
				change(t, cache)
				// What begins now must not wait for the old reads either.
				wg.Go(func() {
					if s, err := cache.Get(t.Context(), "sub_1"); err == nil && s.State == registry.Active {
						t.Error("Get that began after the change returned the old state")
					}
				})
				synctest.Wait()
				if inner.gets.Load() != 2 {
					t.Errorf("%d gets, want 2", inner.gets.Load())
				}
				close(inner.release)
				wg.Wait()
				if s, err := cache.Get(t.Context(), "sub_1"); err == nil && s.State == registry.Active {
					t.Error("Get returns the old state")
				}
				if subs, err := cache.Match(t.Context(), topicA); err != nil || len(subs) != 0 {
					t.Errorf("Match returns the old state: %v, %v", subs, err)
				}
			})
		})
	}
}

// What Match read is kept for Get, unless it was read before what is kept, or
// before a change.
func TestCacheMatchServesGet(t *testing.T) {
	t.Parallel()
	label := func(text string) func(*registry.Subscription) {
		return func(s *registry.Subscription) { s.Label = text }
	}
	for name, c := range map[string]struct {
		during func(*testing.T, *counted, *registry.Cache) // the Match
		want   string
		gets   int64
	}{
		"nothing else": {func(*testing.T, *counted, *registry.Cache) {}, "one", 0},
		"a Get that began later": {func(t *testing.T, inner *counted, cache *registry.Cache) {
			put(t, inner, label("two"))
			time.Sleep(time.Millisecond)
			wait := make(chan struct{})
			go func() {
				defer close(wait)
				if s, err := cache.Get(t.Context(), "sub_1"); err != nil || s.Label != "two" {
					t.Errorf("Get meanwhile: %q, %v", s.Label, err)
				}
			}()
			synctest.Wait()
			inner.releaseGet <- struct{}{}
			<-wait
		}, "two", 1},
		"Set": {func(t *testing.T, _ *counted, cache *registry.Cache) { put(t, cache, label("two")) }, "two", 1},
		"Forget": {func(t *testing.T, inner *counted, cache *registry.Cache) {
			put(t, inner, label("two"))
			cache.Forget("sub_1")
		}, "two", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				inner := &counted{release: make(chan struct{}), releaseGet: make(chan struct{})}
				cache := registry.NewCache(inner, 0)
				put(t, inner, label("one"))
				var wg sync.WaitGroup
				wg.Go(func() {
					if subs, err := cache.Match(t.Context(), topicA); err != nil || len(subs) != 1 || subs[0].Label != "one" {
						t.Errorf("Match: %v, %v", subs, err)
					}
				})
				synctest.Wait()
				c.during(t, inner, cache)
				close(inner.release)
				close(inner.releaseGet)
				wg.Wait()
				for range 2 {
					if s, err := cache.Get(t.Context(), "sub_1"); err != nil || s.Label != c.want {
						t.Errorf("Get: %q, %v, want %q", s.Label, err, c.want)
					}
				}
				if n := inner.gets.Load(); n != c.gets {
					t.Errorf("%d gets, want %d", n, c.gets)
				}
			})
		})
	}
}

func TestCacheCoalesces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := &counted{release: make(chan struct{})}
		cache := registry.NewCache(inner, 0)
		put(t, inner, nil)
		// The first caller gives up; the others must not get its error.
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := cache.Get(ctx, "sub_1"); !errors.Is(err, context.Canceled) {
				t.Errorf("the first caller got %v", err)
			}
		})
		synctest.Wait()
		for range 50 {
			wg.Go(func() {
				if s, err := cache.Get(t.Context(), "sub_1"); err != nil || s.ID != "sub_1" {
					t.Errorf("a caller got %v, %v", s, err)
				}
			})
		}
		impatient, cancel2 := context.WithCancel(t.Context())
		wg.Go(func() {
			if _, err := cache.Get(impatient, "sub_1"); !errors.Is(err, context.Canceled) {
				t.Errorf("the impatient caller got %v", err)
			}
		})
		synctest.Wait()
		cancel2()
		synctest.Wait()
		cancel()
		synctest.Wait()
		if n := inner.gets.Load(); n != 2 {
			t.Errorf("%d reads, want 2", n)
		}
		close(inner.release)
		wg.Wait()
		if n := inner.gets.Load(); n != 2 {
			t.Errorf("%d reads in the end, want 2", n)
		}
	})
}

// What a slow read returns is as old as its start.
func TestCacheCountsFromTheStartOfTheRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := &counted{release: make(chan struct{})}
		cache := registry.NewCache(inner, 0)
		put(t, inner, nil)
		get := func() {
			if _, err := cache.Get(t.Context(), "sub_1"); err != nil {
				t.Errorf("Get: %v", err)
			}
		}
		go get()
		time.Sleep(900 * time.Millisecond)
		close(inner.release)
		time.Sleep(99 * time.Millisecond)
		get()
		if n := inner.gets.Load(); n != 1 {
			t.Errorf("%d reads after 999 ms, want 1", n)
		}
		time.Sleep(time.Millisecond)
		get()
		if n := inner.gets.Load(); n != 2 {
			t.Errorf("%d reads after 1 s, want 2", n)
		}
	})
}

func TestCacheDoesNotKeepErrors(t *testing.T) {
	t.Parallel()
	inner := new(counted)
	cache := registry.NewCache(inner, 0)
	put(t, inner, nil)
	down := errors.New("down")
	inner.fail.Store(&down)
	if _, err := cache.Get(t.Context(), "sub_1"); !errors.Is(err, down) {
		t.Errorf("Get: %v", err)
	}
	if _, err := cache.Match(t.Context(), topicA); !errors.Is(err, down) {
		t.Errorf("Match: %v", err)
	}
	inner.fail.Store(nil)
	if _, err := cache.Get(t.Context(), "sub_1"); err != nil {
		t.Errorf("Get: %v", err)
	}
	if _, err := cache.Match(t.Context(), topicA); err != nil {
		t.Errorf("Match: %v", err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	t.Parallel()
	cache := registry.NewCache(new(registry.Memory), 0)
	for i := range 100_000 {
		if _, err := cache.Get(t.Context(), strconv.Itoa(i)); !errors.Is(err, registry.ErrNotFound) {
			t.Fatal(err)
		}
	}
	match := func(n int) {
		for i := range n {
			if _, err := cache.Match(t.Context(), registry.Topic{Dialect: "standard", Type: "a", Scope: strconv.Itoa(i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	match(100_000)
	gets, matches := cache.Len()
	if gets > 65536 || gets < 50000 || matches > 65536 || matches < 50000 {
		t.Errorf("%d gets and %d matches are kept", gets, matches)
	}
	for _, c := range []struct{ subs, n, most, least int }{
		{1, 40_000, 32768, 25000}, // each weighs two
		{9, 10_000, 6553, 5000},
		{2000, 1000, 64, 64}, // more than a shard is for: one each
	} {
		cache = registry.NewCache(alike(c.subs), 0)
		match(c.n)
		if _, matches := cache.Len(); matches > c.most || matches < c.least {
			t.Errorf("%d matches of %d subscriptions are kept, want %d to %d", matches, c.subs, c.least, c.most)
		}
	}
}

// alike answers Match with so many subscriptions.
type alike int

func (n alike) Match(context.Context, registry.Topic) ([]registry.Subscription, error) {
	return make([]registry.Subscription, n), nil
}

func (alike) Get(context.Context, string) (registry.Subscription, error) {
	return registry.Subscription{}, registry.ErrNotFound
}

func (alike) Set(context.Context, ...registry.Subscription) ([]registry.Subscription, error) {
	return nil, registry.ErrNotFound
}
func (alike) Delete(context.Context, string) error { return registry.ErrNotFound }
func (alike) List(context.Context, registry.Filter) iter.Seq2[registry.Subscription, error] {
	return func(func(registry.Subscription, error) bool) {}
}

func TestCacheZeroValueAndNil(t *testing.T) {
	t.Parallel()
	var zero registry.Cache
	_, err := zero.Get(t.Context(), "sub_1")
	if err == nil || errors.Is(err, registry.ErrNotFound) {
		t.Errorf("Get of the zero value: %v", err)
	}
	if _, err := zero.Match(t.Context(), topicA); err == nil {
		t.Error("Match of the zero value succeeds")
	}
	if _, err := zero.Set(t.Context(), valid()); err == nil {
		t.Error("Set of the zero value succeeds")
	}
	if err := zero.Delete(t.Context(), "sub_1"); err == nil {
		t.Error("Delete of the zero value succeeds")
	}
	for _, err = range zero.List(t.Context(), registry.Filter{}) {
		if err == nil {
			t.Error("List of the zero value yields")
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("NewCache(nil) does not panic")
		}
	}()
	registry.NewCache(nil, 0)
}

func TestCacheHitsDoNotAllocate(t *testing.T) { // not parallel: AllocsPerRun counts for the process
	cache := registry.NewCache(new(registry.Memory), 0)
	put(t, cache, nil)
	ctx := t.Context()
	for name, hit := range map[string]func() error{
		"Get":   func() error { _, err := cache.Get(ctx, "sub_1"); return err },
		"Match": func() error { _, err := cache.Match(ctx, topicA); return err },
	} {
		if err := hit(); err != nil {
			t.Fatal(err)
		}
		// A run longer than the time to live would count a miss or two, which
		// the average rounds away.
		if n := testing.AllocsPerRun(1000, func() {
			if err := hit(); err != nil {
				t.Error(err)
			}
		}); n > 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}
