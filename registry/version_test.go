package registry_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/registry"
)

// dated is a counted that has a version.
type dated struct {
	counted
	version, asked atomic.Int64
	answer         func(ctx context.Context, version int64) (int64, error) // if not nil, after the version was read
}

func (d *dated) Set(ctx context.Context, subs ...registry.Subscription) ([]registry.Subscription, error) {
	d.version.Add(1)
	return d.counted.Set(ctx, subs...)
}

func (d *dated) Version(ctx context.Context) (int64, error) {
	d.asked.Add(1)
	version := d.version.Load()
	if d.answer != nil {
		return d.answer(ctx, version)
	}
	return version, nil
}

// reads checks how often d was read since the last call.
func (d *dated) reads(t *testing.T, step string, gets, matches, asked int64) {
	t.Helper()
	if g, m, a := d.gets.Swap(0), d.matches.Swap(0), d.asked.Swap(0); g != gets || m != matches || a != asked {
		t.Errorf("%s: %d gets, %d matches, asked %d times, want %d, %d, %d", step, g, m, a, gets, matches, asked)
	}
}

func labeled(text string) func(*registry.Subscription) {
	return func(s *registry.Subscription) { s.Label = text }
}

// look gets a known and an unknown subscription and matches.
func look(t *testing.T, cache *registry.Cache, label string) {
	t.Helper()
	if s, err := cache.Get(t.Context(), "sub_1"); err != nil || s.Label != label {
		t.Errorf("Get: %q, %v, want %q", s.Label, err, label)
	}
	if _, err := cache.Get(t.Context(), "sub_unknown"); !errors.Is(err, registry.ErrNotFound) {
		t.Errorf("Get of unknown: %v", err)
	}
	if subs, err := cache.Match(t.Context(), topicA); err != nil || len(subs) != 1 || subs[0].Label != label {
		t.Errorf("Match: %v, %v, want %q", subs, err, label)
	}
}

func TestCacheVersionSavesReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := new(dated)
		cache := registry.NewCache(inner, 0)
		put(t, inner, labeled("one"))
		look(t, cache, "one")
		inner.reads(t, "at first", 2, 1, 1)
		for range 59 {
			time.Sleep(time.Second - 1)
			look(t, cache, "one")
			inner.reads(t, "just before the end", 0, 0, 0)
			time.Sleep(time.Nanosecond)
			look(t, cache, "one")
			inner.reads(t, "at the end", 0, 0, 1)
		}
		time.Sleep(time.Second) // a minute after they were read
		look(t, cache, "one")
		inner.reads(t, "old", 2, 1, 1)

		put(t, inner, labeled("two"))
		time.Sleep(time.Second - 1)
		look(t, cache, "one")
		inner.reads(t, "changed", 0, 0, 0)
		time.Sleep(time.Nanosecond)
		look(t, cache, "two")
		inner.reads(t, "change seen", 2, 1, 1)
		time.Sleep(time.Second)
		look(t, cache, "two")
		inner.reads(t, "nothing more", 0, 0, 1)
	})
}

// What is read for the first time lives on, also where the last answer was old,
// or one from before a change: of the first of many readers nothing is read twice.
func TestCacheVersionOfFirstReads(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(t *testing.T, cache *registry.Cache, inner *dated){
		"nothing": func(*testing.T, *registry.Cache, *dated) {},
		"changed by another, long ago": func(t *testing.T, _ *registry.Cache, inner *dated) {
			t.Helper()
			put(t, inner, labeled("two"))
			time.Sleep(5 * time.Second)
		},
		"set": func(t *testing.T, cache *registry.Cache, _ *dated) {
			t.Helper()
			put(t, cache, labeled("two"))
		},
		"set twice": func(t *testing.T, cache *registry.Cache, _ *dated) {
			t.Helper()
			put(t, cache, labeled("two"))
			if _, err := cache.Get(t.Context(), "sub_1"); err != nil {
				t.Fatal(err)
			}
			put(t, cache, labeled("three"))
		},
		"deleted": func(t *testing.T, cache *registry.Cache, inner *dated) {
			t.Helper()
			inner.version.Add(1)
			if err := cache.Delete(t.Context(), "sub_2"); err != nil {
				t.Fatal(err)
			}
		},
		"told": func(t *testing.T, cache *registry.Cache, inner *dated) {
			t.Helper()
			put(t, inner, labeled("two"))
			cache.Forget("sub_1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				inner := new(dated)
				cache := registry.NewCache(inner, 0)
				put(t, inner, labeled("one"))
				look(t, cache, "one")
				before(t, cache, inner)
				fresh := registry.Topic{Dialect: "standard", Tenant: valid().Tenant, Type: "a"}
				for range 3 {
					if subs, err := cache.Match(t.Context(), fresh); err != nil || len(subs) != 1 {
						t.Fatalf("Match: %v, %v", subs, err)
					}
					time.Sleep(time.Second)
				}
				if n := inner.matches.Load(); n != 2 { // of look, and of fresh
					t.Errorf("matched %d times, want 2", n)
				}
			})
		})
	}
}

// A change drops everything, also what would be good on its own for a while.
func TestCacheVersionDropsEverything(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := new(dated)
		cache := registry.NewCache(inner, 0)
		put(t, inner, labeled("one"))
		look(t, cache, "one")
		time.Sleep(900 * time.Millisecond)
		fresh := registry.Topic{Dialect: "standard", Tenant: valid().Tenant, Type: "a"}
		if subs, err := cache.Match(t.Context(), fresh); err != nil || len(subs) != 1 {
			t.Fatalf("Match: %v, %v", subs, err)
		}
		put(t, inner, labeled("two"))
		time.Sleep(100 * time.Millisecond)
		if _, err := cache.Match(t.Context(), topicA); err != nil { // is over, and asks
			t.Fatal(err)
		}
		look(t, cache, "two")
		if subs, err := cache.Match(t.Context(), fresh); err != nil || len(subs) != 1 || subs[0].Label != "two" {
			t.Errorf("Match: %v, %v", subs, err)
		}
	})
}

// What was read before a change, by a read that ended after the version of the
// change was known, must not live on the strength of that version.
func TestCacheVersionOfTheStartCounts(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"another version": true, "the first version": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				inner := new(dated)
				cache := registry.NewCache(inner, 0)
				put(t, inner, labeled("one"))
				if !known {
					inner.answer = func(context.Context, int64) (int64, error) { return 0, errors.New("down") }
				}
				look(t, cache, "one")
				inner.answer = nil
				cache.Forget("sub_1")
				time.Sleep(900 * time.Millisecond)
				inner.read, inner.release = make(chan struct{}, 9), make(chan struct{})
				var wg sync.WaitGroup
				wg.Go(func() {
					if s, err := cache.Get(t.Context(), "sub_1"); err != nil || s.Label != "one" {
						t.Errorf("Get that began before: %q, %v", s.Label, err)
					}
				})
				synctest.Wait()
				put(t, inner, labeled("two"))
				time.Sleep(100 * time.Millisecond)
				wg.Go(func() { // asks for the version, for its own sake
					if _, err := cache.Get(t.Context(), "sub_unknown"); !errors.Is(err, registry.ErrNotFound) {
						t.Errorf("Get of unknown: %v", err)
					}
				})
				synctest.Wait()
				if n := inner.asked.Load(); n != 2 {
					t.Fatalf("asked %d times", n)
				}
				close(inner.release)
				wg.Wait()
				time.Sleep(900 * time.Millisecond) // a time to live after the read began
				if s, err := cache.Get(t.Context(), "sub_1"); err != nil || s.Label != "two" {
					t.Errorf("Get: %q, %v", s.Label, err)
				}
			})
		})
	}
}

// A number that comes again after a failure may stand for something else: a
// server that took over may have lost the last changes.
func TestCacheVersionComesAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := new(dated)
		cache := registry.NewCache(inner, 0)
		put(t, inner, labeled("one"))
		look(t, cache, "one")
		inner.answer = func(context.Context, int64) (int64, error) { return 0, errors.New("down") }
		time.Sleep(time.Second)
		if _, err := cache.Get(t.Context(), "sub_unknown"); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("Get: %v", err)
		}
		inner.answer = nil
		put(t, inner, labeled("two"))
		inner.version.Add(-1)
		time.Sleep(time.Second)
		look(t, cache, "two")
	})
}

// The answer to a question that was asked again meanwhile is not listened to.
func TestCacheVersionLateAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := new(dated)
		cache := registry.NewCache(inner, 0)
		put(t, inner, labeled("one"))
		look(t, cache, "one")
		release := make(chan struct{})
		inner.answer = func(_ context.Context, version int64) (int64, error) {
			<-release
			return version, nil
		}
		time.Sleep(time.Second)
		var wg sync.WaitGroup
		wg.Go(func() {
			if s, err := cache.Get(t.Context(), "sub_1"); err != nil || s.Label != "two" {
				t.Errorf("Get: %q, %v", s.Label, err)
			}
		})
		synctest.Wait()
		put(t, inner, labeled("two"))
		inner.answer = nil
		time.Sleep(time.Second)
		look(t, cache, "two")
		inner.reads(t, "asked again", 4, 2, 3)
		close(release)
		wg.Wait()
		look(t, cache, "two")
		time.Sleep(time.Second)
		look(t, cache, "two")
		inner.reads(t, "after the late answer", 0, 0, 1)
	})
}

// The time to live counts from the start of the question.
func TestCacheVersionSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := new(dated)
		cache := registry.NewCache(inner, 0)
		put(t, inner, labeled("one"))
		look(t, cache, "one")
		inner.answer = func(_ context.Context, version int64) (int64, error) {
			time.Sleep(400 * time.Millisecond)
			return version, nil
		}
		time.Sleep(time.Second)
		inner.reads(t, "before", 2, 1, 1)
		began := time.Now()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { look(t, cache, "one") })
		}
		synctest.Wait()
		put(t, inner, labeled("two")) // just after the version was read
		wg.Wait()
		if took := time.Since(began); took != 400*time.Millisecond {
			t.Errorf("20 callers took %v", took)
		}
		inner.reads(t, "slow", 0, 0, 1)
		time.Sleep(time.Second - 400*time.Millisecond - 1)
		look(t, cache, "one")
		inner.reads(t, "just before the end", 0, 0, 0)
		time.Sleep(time.Nanosecond)
		look(t, cache, "two")
		inner.reads(t, "at the end", 2, 1, 1)
	})
}

// Who asks in vain holds nobody else up for longer than the time to live.
func TestCacheVersionHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := new(dated)
		cache := registry.NewCache(inner, 0)
		put(t, inner, labeled("one"))
		look(t, cache, "one")
		inner.answer = func(ctx context.Context, _ int64) (int64, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := cache.Get(ctx, "sub_1"); !errors.Is(err, context.Canceled) {
				t.Errorf("who asked got %v", err)
			}
		})
		synctest.Wait()
		impatient, cancel2 := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel2()
		if _, err := cache.Get(impatient, "sub_1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the impatient caller got %v", err)
		}
		put(t, inner, labeled("two"))
		began := time.Now()
		if s, err := cache.Get(t.Context(), "sub_1"); err != nil || s.Label != "two" {
			t.Errorf("Get: %q, %v", s.Label, err)
		}
		if took := time.Since(began); took != 999*time.Millisecond {
			t.Errorf("the question was waited for for %v", took)
		}
		// The caller who asks gives up: another one asks.
		inner.answer = nil
		inner.asked.Store(0)
		cancel()
		wg.Wait()
		time.Sleep(time.Second)
		look(t, cache, "two")
		if n := inner.asked.Load(); n != 1 {
			t.Errorf("asked %d times, want 1", n)
		}
	})
}

// Before the first reads somebody asks, so that what they bring can live on,
// and if it is in vain nobody does again before the time to live is over.
func TestCacheVersionComesFirst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name             string
		down             bool
		gets, matches, n int64 // after a time to live
	}{
		{"known", false, 0, 0, 1},
		{"down", true, 2, 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				inner := new(dated)
				cache := registry.NewCache(inner, 0)
				put(t, inner, labeled("one"))
				inner.answer = func(_ context.Context, version int64) (int64, error) {
					time.Sleep(time.Millisecond)
					if c.down {
						return 0, errors.New("down")
					}
					return version, nil
				}
				var wg sync.WaitGroup
				for range 20 {
					wg.Go(func() { look(t, cache, "one") })
				}
				wg.Wait()
				if n := inner.asked.Swap(0); n != 1 {
					t.Errorf("asked %d times at first, want 1", n)
				}
				inner.reads(t, "at first", 2, 1, 0)
				time.Sleep(time.Second)
				look(t, cache, "one")
				inner.reads(t, "later", c.gets, c.matches, c.n)
			})
		})
	}
}

// While the version cannot be read, the cache is as good as without.
func TestCacheVersionFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := new(dated)
		cache := registry.NewCache(inner, 0)
		put(t, inner, labeled("one"))
		look(t, cache, "one")
		inner.reads(t, "before", 2, 1, 1)
		down := errors.New("down")
		inner.answer = func(context.Context, int64) (int64, error) { return 0, down }
		for range 3 {
			time.Sleep(time.Second)
			look(t, cache, "one")
			inner.reads(t, "failing", 2, 1, 1)
			time.Sleep(time.Second - 1)
			look(t, cache, "one")
			inner.reads(t, "kept", 0, 0, 0)
			time.Sleep(time.Nanosecond)
			look(t, cache, "one")
			inner.reads(t, "over", 2, 1, 1)
		}
		inner.fail.Store(&down) // the reads, too: the error shows
		time.Sleep(time.Second)
		if _, err := cache.Get(t.Context(), "sub_1"); !errors.Is(err, down) {
			t.Errorf("Get: %v", err)
		}
		inner.fail.Store(nil)
		inner.answer = nil
		inner.reads(t, "all failing", 1, 0, 1)
		put(t, inner, labeled("two"))
		time.Sleep(time.Second)
		look(t, cache, "two")
		inner.reads(t, "well again", 2, 1, 1)
		time.Sleep(time.Second)
		look(t, cache, "two")
		inner.reads(t, "well", 0, 0, 1)
	})
}

// An expiry is no change, and is seen on time all the same.
func TestCacheVersionAndExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		inner := new(dated)
		cache := registry.NewCache(inner, 0)
		put(t, inner, func(s *registry.Subscription) { s.ExpiresAt = time.Now().Add(4500 * time.Millisecond) })
		for i := range 8 {
			want := 1
			if i >= 5 {
				want = 0
			}
			if subs, err := cache.Match(t.Context(), topicA); err != nil || len(subs) != want {
				t.Errorf("after %d s: %d match, %v, want %d", i, len(subs), err, want)
			}
			if _, err := cache.Get(t.Context(), "sub_1"); err != nil {
				t.Errorf("after %d s: %v", i, err)
			}
			time.Sleep(time.Second)
		}
		inner.reads(t, "in the end", 0, 6, 8)
	})
}

func TestCacheVersionHitsDoNotAllocate(t *testing.T) { // not parallel: AllocsPerRun counts for the process
	synctest.Test(t, func(t *testing.T) {
		inner := new(dated)
		cache := registry.NewCache(inner, 0)
		put(t, inner, labeled("one"))
		look(t, cache, "one")
		time.Sleep(time.Second)
		look(t, cache, "one") // confirmed: what follows is good by the version alone
		inner.reads(t, "before", 2, 1, 2)
		ctx := t.Context()
		if n := testing.AllocsPerRun(1000, func() {
			_, err := cache.Get(ctx, "sub_1")
			_, err2 := cache.Match(ctx, topicA)
			if err != nil || err2 != nil {
				t.Error(err, err2)
			}
		}); n > 0 {
			t.Errorf("hits allocate %v times", n)
		}
		inner.reads(t, "hits", 0, 0, 0)
	})
}
