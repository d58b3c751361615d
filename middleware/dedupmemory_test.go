package middleware_test

import (
	"errors"
	"runtime"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/middleware/internal/deduptest"
)

func TestMemoryDedup(t *testing.T) {
	t.Parallel()
	deduptest.Run(t, deduptest.Harness{Case: synctest.Test, Open: func(_ *testing.T, limit int) (a, b middleware.DedupStore, advance func(time.Duration)) {
		m := &middleware.MemoryDedup{MaxEntries: limit}
		return m, m, time.Sleep
	}})
}

func idOf(i int) (c middleware.DedupClaim) {
	copy(c.Key[:], strconv.Itoa(i))
	c.Lease = time.Minute
	return c
}

// TestMemoryDedupBytes: answers that find no room are kept as their status,
// and room comes back.
func TestMemoryDedupBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &middleware.MemoryDedup{MaxBytes: 10}
		for i, cut := range []bool{false, false, true} {
			c := idOf(i)
			must(m.Claim(t.Context(), c))
			if err := m.Commit(t.Context(), c.Key, c.Token, middleware.DedupAnswer{Status: 200, Body: []byte("12345")}, middleware.DedupRetention{Keep: time.Hour}); err != nil {
				t.Fatal(err)
			}
			res := must(m.Claim(t.Context(), idOf(i)))
			if res.State != middleware.DedupDone || res.Answer.Cut != cut || (len(res.Answer.Body) == 5) == cut {
				t.Errorf("answer %d: %+v", i, res)
			}
		}
		time.Sleep(time.Hour)
		c := idOf(9)
		must(m.Claim(t.Context(), c))
		if m.Len() != 1 {
			t.Errorf("%d ids", m.Len())
		}
		if err := m.Commit(t.Context(), c.Key, c.Token, middleware.DedupAnswer{Status: 200, Body: []byte("1234567890")}, middleware.DedupRetention{Keep: time.Hour}); err != nil {
			t.Fatal(err)
		}
		if res := must(m.Claim(t.Context(), c)); res.Answer.Cut {
			t.Error("the room of forgotten answers does not come back")
		}
	})
}

// TestMemoryDedupMillion: a flood of ids takes the memory of MaxEntries.
func TestMemoryDedupMillion(t *testing.T) {
	m := &middleware.MemoryDedup{MaxEntries: 10_000}
	before := heap()
	full := 0
	for i := range 1_000_000 {
		if _, err := m.Claim(t.Context(), idOf(i)); errors.Is(err, middleware.ErrFull) {
			full++
		}
	}
	if m.Len() != 10_000 || full != 990_000 {
		t.Errorf("%d ids, %d refused", m.Len(), full)
	}
	if grown := heap() - before; grown > 10_000*1024 {
		t.Errorf("the heap grew by %d KiB", grown>>10)
	}
	runtime.KeepAlive(m)
}

// heap is how many bytes are alive.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
