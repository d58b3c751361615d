package registry_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/registry"
)

// drifting is a registry whose one subscription changes all the time, and
// whose answers take their time on the way there and on the way back.
type drifting struct {
	registry.Memory
	mu      sync.Mutex
	random  *rand.Rand
	version int64
	changed []time.Time // by version
}

var errDrifting = errors.New("drifting")

func (d *drifting) some(most time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.random.IntN(4) == 0 {
		return 0
	}
	return time.Duration(d.random.Int64N(int64(most)))
}

func (d *drifting) read(ctx context.Context, most time.Duration) (int64, error) {
	pause := func() {
		select {
		case <-time.After(d.some(most)):
		case <-ctx.Done():
		}
	}
	pause()
	d.mu.Lock()
	version, fails := d.version, d.random.IntN(20) == 0
	d.mu.Unlock()
	pause()
	if fails {
		return 0, errDrifting
	}
	return version, ctx.Err()
}

func (d *drifting) Get(ctx context.Context, _ string) (registry.Subscription, error) {
	version, err := d.read(ctx, 300*time.Millisecond)
	return registry.Subscription{Revision: version}, err
}

func (d *drifting) Version(ctx context.Context) (int64, error) {
	return d.read(ctx, 1200*time.Millisecond)
}

// Whatever the delays, the failures and who gives up: no call returns what
// was replaced a time to live before it began.
func TestCacheVersionIsNeverLate(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { neverLate(t, seed) })
		})
	}
}

func neverLate(t *testing.T, seed uint64) {
	const ttl = time.Second
	inner := &drifting{random: rand.New(rand.NewPCG(seed, 7)), changed: []time.Time{time.Now()}}
	cache := registry.NewCache(inner, ttl)
	end := time.Now().Add(3 * time.Minute)
	var wg sync.WaitGroup
	var answered atomic.Int64
	for caller := range 6 {
		wg.Go(func() {
			id := fmt.Sprint("sub_", caller%3)
			for time.Now().Before(end) {
				time.Sleep(inner.some(400 * time.Millisecond))
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond+inner.some(4*time.Second))
				began := time.Now()
				s, err := cache.Get(ctx, id)
				cancel()
				if err != nil {
					if !errors.Is(err, errDrifting) && !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("Get: %v", err)
					}
					continue
				}
				answered.Add(1)
				inner.mu.Lock()
				if next := int(s.Revision) + 1; next < len(inner.changed) && began.Sub(inner.changed[next]) >= ttl {
					t.Errorf("got version %d, replaced %v before the call", s.Revision, began.Sub(inner.changed[next]))
				}
				inner.mu.Unlock()
			}
		})
	}
	for time.Now().Before(end) {
		time.Sleep(inner.some(5 * time.Second))
		inner.mu.Lock()
		inner.version++
		inner.changed = append(inner.changed, time.Now())
		inner.mu.Unlock()
	}
	wg.Wait()
	if n := answered.Load(); n < 1000 {
		t.Errorf("only %d answers", n)
	}
}
