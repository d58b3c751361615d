package memstore_test

import (
	"testing"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/delivery/storetest"
)

func open(tb testing.TB, cfg memstore.Config) *memstore.Store {
	tb.Helper()
	s, err := memstore.Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

func TestConformance(t *testing.T) {
	t.Parallel()
	storetest.Run(t, storetest.Config{
		Open: func(t *testing.T) delivery.Store {
			return open(t, memstore.Config{Lanes: lanes.Config{MaxInFlight: 64}})
		},
		Traits: (*memstore.Store)(nil).Traits(),
	})
}

func BenchmarkStore(b *testing.B) {
	storetest.Benchmark(b, func(b *testing.B) delivery.Store {
		return open(b, memstore.Config{Lanes: lanes.Config{MaxInFlight: 64}})
	})
}
