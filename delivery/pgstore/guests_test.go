package pgstore_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
	"github.com/ringback-go/ringback/delivery/pgstore"
	"github.com/ringback-go/ringback/internal/pgtest"
)

// visit is two engines, one of which is a guest of a lane of the other's.
type visit struct {
	*site
	host, guest *engine
	lane        string
	asking      *pgxpool.Pool
	n           int   // deliveries so far
	done        int64 // of those
}

// newVisit has an engine publish for another's lane until it is its guest. Of 8
// attempts at a time each has half.
func newVisit(t *testing.T) *visit {
	t.Helper()
	v := newHost(t)
	v.begin()
	return v
}

// newHost is two engines that do not know each other yet.
func newHost(t *testing.T) *visit {
	t.Helper()
	v := &visit{site: newSite(t, pgtest.New(t).Database(t), lanes.Config{MaxInFlight: 8})}
	v.cfg.Name = "host"
	v.host = v.launch()
	v.cfg.Name = "guest"
	v.guest = v.launch()
	v.shared(20*time.Second, 32, v.host, v.guest)
	for i := 0; v.lane == ""; i++ {
		if lane := fmt.Sprint("lane", i); v.serves("host", lane) {
			v.lane = lane
		}
	}
	return v
}

func (v *visit) serves(engine, lane string) bool {
	v.Helper()
	return v.is(`SELECT e.name = $2 FROM @.shard s JOIN @.engine e ON e.id = s.engine WHERE s.id = $1`, pgstore.ShardOf(lane), engine)
}

func (v *visit) begin() {
	v.Helper()
	v.until(20*time.Second, "the guest stores what it publishes", func() bool {
		id := v.publish(40)
		v.drain()
		return v.is(`SELECT guest IS NOT NULL FROM @.delivery WHERE id = $1`, id)
	})
}

// is asks the database.
func (v *visit) is(query string, args ...any) (yes bool) {
	v.Helper()
	if v.asking == nil {
		v.asking = v.pool(v.url)
	}
	if err := v.asking.QueryRow(v.Context(), pgstore.SQL(v.schema, `SELECT coalesce((`+query+`), false)`), args...).Scan(&yes); err != nil {
		v.Fatal(err)
	}
	return yes
}

// publish has the guest store deliveries for the lane and returns the last one's ID.
func (v *visit) publish(n int) (last string) {
	v.Helper()
	ds := make([]delivery.Delivery, n)
	for i := range ds {
		v.n++
		ds[i] = of(fmt.Sprintf("d%06d", v.n), v.lane, "")
	}
	v.enqueue(v.guest, ds...)
	return ds[n-1].ID
}

// lease takes from an engine what it has for the lane at this moment.
func (v *visit) lease(e *engine) []delivery.Lease {
	v.Helper()
	leases, err := e.store.Lease(v.Context(), time.Time{}, delivery.LeaseRequest{Max: 100, TTL: time.Minute})
	if err != nil {
		v.Fatal(err)
	}
	return leases
}

// drain delivers all there is.
func (v *visit) drain() {
	v.Helper()
	v.until(20*time.Second, "all is delivered", func() bool {
		for _, e := range []*engine{v.host, v.guest} {
			if leases := v.lease(e); len(leases) > 0 {
				v.settle(e, leases...)
				v.done += int64(len(leases))
			}
		}
		c, err := v.host.store.Counts(v.Context())
		return err == nil && c.Pending == 0
	})
}

// over waits until the guest's row is gone.
func (v *visit) over() {
	v.Helper()
	v.until(20*time.Second, "the visit is over", func() bool {
		return v.is(`SELECT NOT EXISTS (SELECT FROM @.guest WHERE lane = $1 AND slots > 0)`, v.lane)
	})
}

func TestGuestAttempts(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.publish(20)
	mine := v.lease(v.guest)
	if len(mine) != 4 {
		t.Errorf("the guest leases %d at a time, want its half of 8", len(mine))
	}
	var theirs []delivery.Delivery
	for i := range 20 {
		theirs = append(theirs, of(fmt.Sprint("host", i), v.lane, ""))
	}
	v.enqueue(v.host, theirs...)
	if its := v.lease(v.host); len(its) != 4 {
		t.Errorf("the host leases %d at a time, want the other half", len(its))
	} else {
		v.settle(v.host, its...)
		v.done += 4
	}
	v.settle(v.guest, mine...)
	v.done += 4
	v.drain()
	v.counted(v.host, delivery.Counts{Delivered: v.done})
	v.over() // for lack of work
}

func TestGuestFails(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.publish(4)
	leases := v.lease(v.guest)
	outs := outcomes(leases, delivery.Retry)
	for i := range outs {
		outs[i].Attempt.Class = "timeout"
	}
	if err := v.guest.store.Settle(t.Context(), time.Time{}, outs...); err != nil {
		t.Fatal(err)
	}
	var retried []delivery.Lease
	v.until(10*time.Second, "the host has what failed", func() bool {
		if more := v.lease(v.guest); len(more) > 0 {
			t.Fatalf("the guest leases %d again", len(more))
		}
		retried = append(retried, v.lease(v.host)...)
		return len(retried) == len(leases)
	})
	for _, l := range retried { // a note is read after another
		if f := l.Health.Failures; l.Attempts != 1 || f < 1 || f > len(leases) {
			t.Errorf("%s was attempted %d times, want 1; its endpoint failed %d times, want 1 to %d", l.ID, l.Attempts, f, len(leases))
		}
	}
	v.settle(v.host, retried...)
	v.over()
	v.publish(2)
	v.until(10*time.Second, "what comes then is the host's", func() bool { return len(v.lease(v.host)) > 0 })
}

// TestGuestIsSentAway: what is done to a lane is done to what a guest has of it.
func TestGuestIsSentAway(t *testing.T) {
	t.Parallel()
	for name, what := range map[string]struct {
		do      func(v *visit, by *engine, waiting []string) error
		pending int64 // of 20 that wait
		dead    int64
		goesOn  bool // what waits is leased then
	}{
		"closed": {func(v *visit, by *engine, _ []string) error {
			return by.store.SetLanes(v.Context(), time.Time{}, delivery.LaneState{Lane: v.lane, Mode: delivery.LaneClosed, Reason: "gone"})
		}, 0, 20, false},
		"paused": {func(v *visit, by *engine, _ []string) error {
			return by.store.SetLanes(v.Context(), time.Time{}, delivery.LaneState{Lane: v.lane, Mode: delivery.LanePaused})
		}, 20, 0, false},
		"held": {func(v *visit, by *engine, _ []string) error {
			return by.store.SetLanes(v.Context(), time.Time{}, delivery.LaneState{Lane: v.lane, NotBeforeIn: time.Hour})
		}, 20, 0, false},
		"canceled": {func(v *visit, by *engine, waiting []string) error {
			return by.store.Cancel(v.Context(), time.Time{}, waiting...)
		}, 0, 20, false},
		"retried": {func(v *visit, by *engine, waiting []string) error {
			return by.store.RetryNow(v.Context(), time.Time{}, waiting...)
		}, 20, 0, true},
	} {
		for _, by := range []string{"host", "guest"} {
			t.Run(name+" by the "+by, func(t *testing.T) {
				t.Parallel()
				v := newVisit(t)
				who := map[string]*engine{"host": v.host, "guest": v.guest}[by]
				v.publish(24)
				under := v.lease(v.guest)
				var waiting []string
				for i := v.n - 23; i <= v.n; i++ {
					if id := fmt.Sprintf("d%06d", i); !slices.Contains(ids(under), id) {
						waiting = append(waiting, id)
					}
				}
				if err := what.do(v, who, waiting); err != nil {
					t.Fatal(err)
				}
				if more := v.lease(v.guest); len(more) > 0 {
					t.Errorf("the guest leases %d after it", len(more))
				}
				if more := v.lease(v.host); !what.goesOn && len(more) > 0 {
					t.Errorf("the host leases %d after it", len(more))
				}
				v.settle(v.guest, under...)
				v.done += int64(len(under))
				v.counted(v.host, delivery.Counts{Pending: what.pending, Delivered: v.done, Dead: what.dead})
				v.over()
			})
		}
	}
}

// TestGuestIsAttempting: an operator's wish for what a guest attempts this moment.
func TestGuestIsAttempting(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	v.publish(2)
	under := v.lease(v.guest)
	if err := v.host.store.RetryNow(t.Context(), time.Time{}, under[0].ID); err != nil {
		t.Fatal(err)
	}
	if err := v.host.store.Cancel(t.Context(), time.Time{}, under[1].ID); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if more := slices.Concat(v.lease(v.host), v.lease(v.guest)); len(more) > 0 {
			t.Fatalf("%s is leased a second time", more[0].ID)
		}
		time.Sleep(v.cfg.Poll / 4)
	}
	outs := outcomes(under, delivery.Done)
	outs[1].Result = delivery.Retry // canceled, it is not tried again
	if err := v.guest.store.Settle(t.Context(), time.Time{}, outs...); err != nil {
		t.Fatal(err)
	}
	v.done++
	v.over()
	v.drain()
	v.counted(v.host, delivery.Counts{Delivered: v.done, Dead: 1})
}

// TestGuestGoesAhead: nothing that a guest has passes what goes ahead.
func TestGuestGoesAhead(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"host", "guest"} {
		t.Run("by the "+by, func(t *testing.T) {
			t.Parallel()
			v := newVisit(t)
			v.publish(10)
			first := of("first", v.lane, "")
			first.Ahead = true
			v.enqueue(map[string]*engine{"host": v.host, "guest": v.guest}[by], first)
			if more := v.lease(v.guest); len(more) > 0 {
				t.Errorf("the guest leases %d before it", len(more))
			}
			if its := v.lease(v.host); len(its) != 1 || its[0].ID != "first" {
				t.Errorf("the host leases %v, want the first alone", ids(its))
			} else {
				v.settle(v.host, its...)
				v.done++
			}
			v.drain()
			v.counted(v.host, delivery.Counts{Delivered: v.done})
		})
	}
}

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
