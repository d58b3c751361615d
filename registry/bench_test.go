package registry_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/ringback-go/ringback/registry"
)

// filled returns n subscriptions of a type, each of a tenant of its own.
func filled(b *testing.B, n int) (*registry.Memory, []string) {
	b.Helper()
	mem := new(registry.Memory)
	ids := make([]string, n)
	for i := range ids {
		s := valid()
		s.Tenant = "tenant" + strconv.Itoa(i)
		stored, err := mem.Set(b.Context(), s)
		if err != nil {
			b.Fatal(err)
		}
		ids[i] = stored[0].ID
	}
	return mem, ids
}

// BenchmarkCacheGet is what a sender pays per attempt: 64 goroutines, 1,000 endpoints.
func BenchmarkCacheGet(b *testing.B) {
	mem, ids := filled(b, 1000)
	cache := registry.NewCache(mem, 0)
	b.SetParallelism(32) // times GOMAXPROCS
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		ctx := context.Background()
		for i := 0; pb.Next(); i++ {
			if _, err := cache.Get(ctx, ids[i%len(ids)]); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkCacheGetVersioned is the same when what is kept is good by the
// version alone, which is all of the time but a second after a change.
func BenchmarkCacheGetVersioned(b *testing.B) {
	mem, ids := filled(b, 1000)
	cache := registry.NewCache(still{mem}, 0)
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		ctx := context.Background()
		for i := 0; pb.Next(); i++ {
			if _, err := cache.Get(ctx, ids[i%len(ids)]); err != nil {
				b.Error(err)
			}
		}
	})
}

// still is a registry that never changes.
type still struct{ registry.Registry }

func (still) Version(context.Context) (int64, error) { return 1, nil }

func BenchmarkCacheMatch(b *testing.B) {
	mem, _ := filled(b, 1000)
	cache := registry.NewCache(mem, 0)
	b.ReportAllocs()
	topic := registry.Topic{Dialect: "standard", Tenant: "tenant7", Type: "a"}
	for b.Loop() {
		if _, err := cache.Match(b.Context(), topic); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkMemoryMatch must not grow with the number of subscriptions.
func BenchmarkMemoryMatch(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			mem, _ := filled(b, n)
			b.ReportAllocs()
			topic := registry.Topic{Dialect: "standard", Tenant: "tenant7", Type: "a"}
			for b.Loop() {
				if subs, err := mem.Match(b.Context(), topic); err != nil || len(subs) != 1 {
					b.Fatal(len(subs), err)
				}
			}
		})
	}
}
