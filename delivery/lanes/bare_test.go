package lanes_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// counted is a fake that fails only when told to, and counts what is read.
type counted struct {
	fetching

	refills, fetched int
	known            int          // of the first Want
	fail             error        // of each Fetch, after a minute
	editing          func() error // what happens while a Batch with an Edit is committed
}

func (c *counted) Commit(ctx context.Context, b *lanes.Batch) error {
	if len(b.Edit) > 0 && c.editing != nil {
		if err := c.editing(); err != nil {
			return err
		}
	}
	return c.fetching.Commit(ctx, b)
}

func (c *counted) Refill(ctx context.Context, now int64, wants []lanes.Want) ([]lanes.Found, error) {
	c.refills++
	if c.refills == 1 {
		c.known = wants[0].Known
	}
	return c.fetching.Refill(ctx, now, wants)
}

func (c *counted) Fetch(ctx context.Context, seqs []int64) ([]*delivery.Delivery, error) {
	if c.fail != nil {
		time.Sleep(time.Minute)                              // virtual
		return make([]*delivery.Delivery, len(seqs)), c.fail // it got no further
	}
	c.fetched += len(seqs)
	return c.fetching.Fetch(ctx, seqs)
}

const bodies = 40 // deliveries of a lane, of which memory has room for a few

// openBare returns a Store that has room for a few deliveries, and one lane with
// many more.
func openBare(t *testing.T, straggle int64) (*counted, *lanes.Store) {
	t.Helper()
	f := newFake(1)
	f.calm = true
	c := &counted{fetching: fetching{&owner{fake: f}}}
	store, err := lanes.Open(t.Context(), c, lanes.Config{HoldBytes: 50_000, MaxInFlight: 2 * bodies, Straggle: straggle})
	if err != nil {
		t.Fatal(err)
	}
	for i := range bodies {
		d := delivery.Delivery{ID: nth(i), EventID: fmt.Sprintf("e%02d", i), SubscriptionID: "s", Body: make([]byte, 1000)}
		if err := store.Enqueue(t.Context(), time.Time{}, d); err != nil {
			t.Fatal(err)
		}
	}
	return c, store
}

func nth(i int) string { return fmt.Sprintf("e%02d.s", i) }

// settleAll leases and settles what there is, and returns the IDs in order.
func settleAll(t *testing.T, store *lanes.Store) []string {
	t.Helper()
	ids := leaseEach(t, store, func(l delivery.Lease) {
		if l.SubscriptionID != "s" || len(l.Body) != 1000 {
			t.Fatalf("leased %+v", l.Delivery)
		}
		settle(t, store, l)
	})
	if _, _, rows, err := store.Audit(true); err != nil || rows != 0 {
		t.Errorf("memory has %d rows in the end: %v", rows, err)
	}
	return ids
}

func settle(t *testing.T, store *lanes.Store, l delivery.Lease) {
	t.Helper()
	if err := store.Settle(t.Context(), time.Time{}, delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: delivery.Done}); err != nil {
		t.Error(err)
	}
}

// leaseEach leases until there is nothing more, and returns the IDs in order.
func leaseEach(t *testing.T, store *lanes.Store, each func(delivery.Lease)) (ids []string) {
	t.Helper()
	for {
		leases, err := store.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: 3})
		if err != nil {
			t.Fatal(err)
		}
		if len(leases) == 0 {
			return ids
		}
		for _, l := range leases {
			ids = append(ids, l.ID)
			each(l)
		}
	}
}

func TestBareRows(t *testing.T) {
	t.Parallel()
	all := make([]string, bodies)
	for i := range all {
		all[i] = nth(i)
	}
	without := func(i int) []string { return slices.Delete(slices.Clone(all), i, i+1) }
	late := bodies - 1 // it is bare
	for name, test := range map[string]struct {
		do      func(*testing.T, *counted, *lanes.Store)
		want    []string
		refills bool
	}{
		"are sent in order, unindexed": {
			do: func(t *testing.T, c *counted, store *lanes.Store) {
				bytes, _, rows, err := store.Audit(false)
				if err != nil || rows != bodies || bytes > bodies*1500/2 {
					t.Errorf("memory has %d rows and %d bytes: %v", rows, bytes, err)
				}
				for _, r := range c.rows {
					if r.indexed {
						t.Errorf("%s is indexed", r.Delivery.ID)
					}
				}
			},
			want: all,
		},
		"can be canceled": {
			do: func(t *testing.T, _ *counted, store *lanes.Store) {
				if err := store.Cancel(t.Context(), time.Time{}, nth(late)); err != nil {
					t.Error(err)
				}
			},
			want: without(late),
		},
		"can be asked for now": {
			do: func(t *testing.T, _ *counted, store *lanes.Store) {
				if err := store.RetryNow(t.Context(), time.Time{}, nth(late)); err != nil {
					t.Error(err)
				}
			},
			want: all, refills: true,
		},
		"are left to the backend by a pause": {
			do: func(t *testing.T, c *counted, store *lanes.Store) {
				set(t, store, delivery.LaneState{Lane: "s", Mode: delivery.LanePaused})
				if _, _, rows, err := store.Audit(false); err != nil || rows != 0 {
					t.Errorf("memory has %d rows of a paused lane: %v", rows, err)
				}
				for _, r := range c.rows {
					if !r.indexed {
						t.Errorf("%s is not indexed", r.Delivery.ID)
					}
				}
				set(t, store, delivery.LaneState{Lane: "s", Mode: delivery.LaneOpen})
			},
			want: all, refills: true,
		},
		"die with their lane": {
			do: func(t *testing.T, c *counted, store *lanes.Store) {
				set(t, store, delivery.LaneState{Lane: "s", Mode: delivery.LaneClosed, Reason: "gone"})
				for _, r := range c.rows {
					if r.how != "gone" {
						t.Errorf("%s ended by %q", r.Delivery.ID, r.how)
					}
				}
			},
		},
		"are forgotten when the backend has": {
			do:   func(_ *testing.T, c *counted, _ *lanes.Store) { delete(c.rows, int64(late+1)) },
			want: without(late),
		},
		"wait where they cannot be read": {
			do: func(t *testing.T, c *counted, store *lanes.Store) {
				c.fail = errFake
				var err error
				for range bodies {
					if _, err = store.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: 1, TTL: time.Hour}); err != nil {
						break
					}
				}
				if !errors.Is(err, errFake) {
					t.Errorf("Lease says %v", err)
				}
				c.fail = nil
				time.Sleep(time.Hour) // virtual: what was leased comes back
			},
			want: all,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, store := openBare(t, 0)
				test.do(t, c, store)
				got := settleAll(t, store)
				if slices.Sort(got); !slices.Equal(got, test.want) {
					t.Errorf("sent %v,\nwant %v", got, test.want)
				}
				if test.refills != (c.refills > 0) || test.want != nil && !test.refills && c.fetched == 0 {
					t.Errorf("%d refills, %d rows fetched", c.refills, c.fetched)
				}
				if c.wrong != nil {
					t.Error(c.wrong)
				}
			})
		})
	}
}

// TestBareRowsEdited: a row whose delivery is read while an operator's wish for it
// is being stored is not leased before that is.
func TestBareRowsEdited(t *testing.T) {
	t.Parallel()
	const late = bodies - 1 // it is bare
	for name, test := range map[string]struct {
		edit func(*lanes.Store, context.Context, time.Time, ...string) error
		fail error
		want int // rows that are sent after
	}{
		"canceled":         {(*lanes.Store).Cancel, nil, 0},
		"asked for now":    {(*lanes.Store).RetryNow, nil, 1},
		"canceled in vain": {(*lanes.Store).Cancel, errors.New("refused"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, store := openBare(t, 0)
				var before []string
				c.editing = func() error {
					before = leaseEach(t, store, func(l delivery.Lease) { go settle(t, store, l) }) // it waits for this commit
					return test.fail
				}
				if err := test.edit(store, t.Context(), time.Time{}, nth(late)); !errors.Is(err, test.fail) {
					t.Errorf("edit: %v, want %v", err, test.fail)
				}
				if len(before) != bodies-1 || slices.Contains(before, nth(late)) {
					t.Errorf("while it was stored these were leased: %v", before)
				}
				time.Sleep(time.Minute) // virtual
				if got := settleAll(t, store); len(got) != test.want || test.want > 0 && got[0] != nth(late) {
					t.Errorf("sent then: %v", got)
				}
			})
		})
	}
}

func set(t *testing.T, store *lanes.Store, st delivery.LaneState) {
	t.Helper()
	if err := store.SetLanes(t.Context(), time.Time{}, st); err != nil {
		t.Fatal(err)
	}
}

// TestBareRowsInOrder: what memory has no room for keeps its place.
func TestBareRowsInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, store := openBare(t, 0)
		bytes, _, _, err := store.Audit(false)
		if err != nil {
			t.Error(err)
		}
		bare := (bodies*1500 - bytes) / (1500 - lanes.BareCost) // of those that cost 1,500 bytes otherwise
		if got := settleAll(t, store); !slices.IsSorted(got) || len(got) != bodies {
			t.Errorf("sent in the order %v", got)
		}
		if c.fetched != bare || bare < bodies/2 {
			t.Errorf("%d deliveries were fetched, of %d bare rows among %d", c.fetched, bare, bodies)
		}
	})
}

// TestReadForWhatGoesAhead: rows that are bare and indexed, since many younger
// ones passed them, are not read again for the sake of one that goes ahead.
func TestReadForWhatGoesAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, store := openBare(t, 1)
		d := delivery.Delivery{ID: "first.s", EventID: "first", SubscriptionID: "s", Body: make([]byte, 1000), Ahead: true}
		if err := store.Enqueue(t.Context(), time.Time{}, d); err != nil {
			t.Fatal(err)
		}
		if got := settleAll(t, store); len(got) != bodies+1 || got[0] != "first.s" {
			t.Errorf("sent %v", got)
		}
		if c.refills == 0 || c.known > 1 {
			t.Errorf("%d reads, the first brings %d rows that memory has", c.refills, c.known)
		}
	})
}

// TestWaitEndsWithAFailedFetch: who waits learns that deliveries could not be
// read, so that they are asked for again, and not when a lease happens to end.
func TestWaitEndsWithAFailedFetch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, store := openBare(t, 0)
		c.fail = errFake
		leases, err := store.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: bodies, TTL: time.Hour})
		if err != nil || len(leases) == 0 {
			t.Fatalf("%d leases: %v", len(leases), err)
		}
		begin, waited := time.Now(), make(chan error)
		go func() { waited <- store.Wait(t.Context(), delivery.LeaseRequest{Max: 1}) }()
		synctest.Wait()
		out := delivery.Outcome{ID: leases[0].ID, Receipt: leases[0].Receipt, Result: delivery.Done}
		if err := store.Settle(t.Context(), time.Time{}, out); err != nil { // the lane is placed while it is read for
			t.Fatal(err)
		}
		if err := <-waited; err != nil || time.Since(begin) > 2*time.Minute {
			t.Errorf("Wait took %v: %v", time.Since(begin), err)
		}
		c.fail = nil
	})
}
