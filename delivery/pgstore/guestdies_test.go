package pgstore_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

// TestGuestDies: what a guest had comes to the host, what the host had to the
// guest, which goes on with what is its own by then.
func TestGuestDies(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(v *visit) (left *engine){
		"the guest crashes": func(v *visit) *engine { v.guest.crashed.Store(true); return v.host },
		"the guest stops":   func(v *visit) *engine { v.guest.stop(v.T); return v.host },
		"the host crashes":  func(v *visit) *engine { v.host.crashed.Store(true); return v.guest },
		"the host stops":    func(v *visit) *engine { v.host.stop(v.T); return v.guest },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVisit(t)
			v.publish(20)
			under := v.lease(v.guest)
			left := end(v)
			if left == v.guest {
				v.settle(v.guest, under...)
				v.done += int64(len(under))
			}
			v.shared(20*time.Second, 64, left)
			v.until(20*time.Second, "all is delivered", func() bool {
				if leases := v.lease(left); len(leases) > 0 {
					v.settle(left, leases...)
					v.done += int64(len(leases))
				}
				c, err := left.store.Counts(t.Context())
				return err == nil && c.Pending == 0
			})
			v.counted(left, delivery.Counts{Delivered: int64(v.n)})
			if more := v.lease(left); v.done != int64(v.n) || len(more) > 0 {
				t.Errorf("%d were settled of %d, and %d are leased again", v.done, v.n, len(more))
			}
		})
	}
}

// TestGuestOutlivesHost: another engine takes the lane and leaves the guest what
// it has.
func TestGuestOutlivesHost(t *testing.T) {
	t.Parallel()
	for try := 1; ; try++ {
		v := newVisit(t)
		v.publish(20)
		under := v.lease(v.guest)
		v.cfg.Name = "other"
		other := v.launch()
		v.shared(20*time.Second, 22, v.host, v.guest, other)
		v.host.crashed.Store(true)
		v.shared(20*time.Second, 32, v.guest, other)
		if !v.serves("other", v.lane) {
			if try == 20 {
				t.Fatal("the lane never came to the third engine")
			}
			continue
		}
		var more []delivery.Delivery
		for i := range 20 {
			more = append(more, of(fmt.Sprint("other", i), v.lane, ""))
		}
		v.enqueue(other, more...)
		if its := v.lease(other); len(under) != 4 || len(its) != 4 {
			t.Errorf("the guest has %d under way and its new host %d, want 4 each", len(under), len(its))
		}
		if more := v.lease(v.guest); len(more) > 0 {
			t.Errorf("the guest leases %d more", len(more))
		}
		v.settle(v.guest, under...)
		if more := v.lease(v.guest); len(more) != 4 {
			t.Errorf("the guest leases %d then, want 4", len(more))
		}
		return
	}
}

// TestGuestWaitsForAttempts: what the host has under way is not a guest's to have.
func TestGuestWaitsForAttempts(t *testing.T) {
	t.Parallel()
	v := newHost(t)
	var ds []delivery.Delivery
	for i := range 8 {
		ds = append(ds, of(fmt.Sprint("host", i), v.lane, ""))
	}
	v.enqueue(v.host, ds...)
	under := v.lease(v.host)
	v.until(20*time.Second, "the guest asks", func() bool {
		v.publish(40)
		return v.is(`SELECT true FROM @.guest WHERE lane = $1`, v.lane)
	})
	for range 20 {
		if v.is(`SELECT slots > 0 FROM @.guest WHERE lane = $1`, v.lane) {
			t.Fatalf("the guest may have attempts while the host has %d of 8 under way", len(under))
		}
		time.Sleep(v.cfg.Poll / 2)
	}
	v.settle(v.host, under[:4]...)
	v.until(20*time.Second, "the guest has its half", func() bool {
		return v.is(`SELECT slots = 4 FROM @.guest WHERE lane = $1`, v.lane)
	})
}
