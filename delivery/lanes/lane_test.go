package lanes

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

func TestRing(t *testing.T) {
	t.Parallel()
	var r ring
	var want []*lane
	rnd := rand.New(rand.NewPCG(1, 1))
	for i := range 5000 {
		if rnd.IntN(5) < 3 && i < 4000 || len(want) == 0 {
			l := newLane(strconv.Itoa(i))
			r.push(l)
			want = append(want, l)
			continue
		}
		if r.len() != len(want) {
			t.Fatalf("len is %d, want %d", r.len(), len(want))
		}
		if got := r.pop(); got != want[0] {
			t.Fatalf("popped %s, want %s", got.name, want[0].name)
		}
		want = want[1:]
	}
	for _, l := range r.buf {
		if l != nil && !slices.Contains(want, l) {
			t.Fatalf("the ring keeps %s after it was popped", l.name)
		}
	}
}

func TestTimers(t *testing.T) {
	t.Parallel()
	var timers timers
	rnd := rand.New(rand.NewPCG(2, 2))
	all := make([]*lane, 50)
	for i := range all {
		all[i] = newLane(strconv.Itoa(i))
	}
	for range 5000 {
		at := int64(rnd.IntN(100))
		if at < 30 {
			at = never
		}
		timers.set(all[rnd.IntN(len(all))], at)
		first, n := int64(never), 0
		for _, l := range all {
			if first = min(first, l.wakeAt); l.wakeAt != never {
				n++
				if timers[l.heapIndex] != l {
					t.Fatalf("lane %s is not at its index", l.name)
				}
			}
		}
		if len(timers) != n || n > 0 && timers[0].wakeAt != first {
			t.Fatalf("%d timers, the first at %d; want %d, the first at %d", len(timers), timers[0].wakeAt, n, first)
		}
	}
}
