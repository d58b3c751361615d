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
	return newHostOf(t, time.Second)
}

func newHostOf(t *testing.T, expiry time.Duration) *visit {
	t.Helper()
	v := &visit{site: newSite(t, pgtest.New(t).Database(t), lanes.Config{MaxInFlight: 8})}
	v.cfg.Expiry = expiry
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

// TestGuestPublishesAhead: nor does what is published with it.
func TestGuestPublishesAhead(t *testing.T) {
	t.Parallel()
	v := newVisit(t)
	first := of("first", v.lane, "")
	first.Ahead = true
	v.enqueue(v.guest, first, of("second", v.lane, ""), of("third", v.lane, ""))
	if more := v.lease(v.guest); len(more) > 0 {
		t.Errorf("the guest leases %v before it", ids(more))
	}
	for _, want := range []int{1, 2} {
		var got []delivery.Lease
		v.until(10*time.Second, "the host has it", func() bool { got = append(got, v.lease(v.host)...); return len(got) >= want })
		if want == 1 && (len(got) != 1 || got[0].ID != "first") {
			t.Errorf("the host leases %v, want the first alone", ids(got))
		}
		v.settle(v.host, got...)
	}
}

// TestGuestLosesSight: a guest that cannot look starts nothing after a second.
func TestGuestLosesSight(t *testing.T) {
	t.Parallel()
	v := newHostOf(t, 20*time.Second) // its rights go on
	v.begin()
	v.publish(20)
	gate := make(chan struct{})
	v.guest.gate.Store(&gate)
	defer close(gate)
	begin := time.Now()
	v.set(v.host, delivery.LaneState{Lane: v.lane, Mode: delivery.LanePaused})
	if more := v.lease(v.guest); len(more) > 0 {
		t.Errorf("the guest leases %d, %v after its lane was paused without its knowledge", len(more), time.Since(begin))
	}
}
