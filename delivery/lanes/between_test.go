package lanes_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// between is a backend with one row, which a read brings that ends while a commit
// is under way.
type between struct {
	row    lanes.Row
	during func(*lanes.Batch) bool // the commit
	begun  chan struct{}           // closed when it has begun
	err    error                   // how it ends
}

func (b *between) HoldsAll() bool { return false }

func (b *between) Load(context.Context) (lanes.Loaded, error) {
	return lanes.Loaded{NextSeq: b.row.Seq, Heads: []lanes.Head{{Lane: "lane", Due: 1}}}, nil
}

func (b *between) Refill(_ context.Context, _ int64, wants []lanes.Want) ([]lanes.Found, error) {
	<-b.begun
	found := make([]lanes.Found, len(wants))
	row := b.row
	found[0].Rows = []*lanes.Row{&row}
	return found, nil
}

func (b *between) Commit(_ context.Context, batch *lanes.Batch) error {
	if !b.during(batch) {
		return nil
	}
	for _, a := range batch.Append {
		a.Seq = b.row.Seq
	}
	close(b.begun)
	time.Sleep(time.Second) // virtual: the read ends meanwhile
	return b.err
}

// twoAtOnce settles while it appends.
type twoAtOnce struct{ *between }

func (twoAtOnce) Parallel() {}

// open returns a Store whose read is under way, and what comes of it.
func (b *between) open(t *testing.T) (store *lanes.Store, leased chan []delivery.Lease) {
	t.Helper()
	b.begun, leased = make(chan struct{}), make(chan []delivery.Lease)
	b.row = lanes.Row{Delivery: &delivery.Delivery{ID: "e.s", EventID: "e", SubscriptionID: "s", Lane: "lane"}, Seq: 1, Due: 1}
	store, err := lanes.Open(t.Context(), twoAtOnce{b}, lanes.Config{})
	if err != nil {
		t.Fatal(err)
	}
	go func() { leased <- leaseAll(t, store) }()
	synctest.Wait()
	return store, leased
}

func leaseAll(t *testing.T, store *lanes.Store) []delivery.Lease {
	t.Helper()
	leases, err := store.Lease(t.Context(), time.Time{}, delivery.LeaseRequest{Max: 2})
	if err != nil {
		t.Error(err)
	}
	return leases
}

// TestEditOfALaneThatWasForgotten: a row that was read while an operator's
// change of it failed belongs to the lane that is paused after, not to one of
// the same name that memory had forgotten meanwhile.
func TestEditOfALaneThatWasForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &between{during: func(b *lanes.Batch) bool { return len(b.Edit) > 0 }, err: errFake}
		store, leased := b.open(t)
		if err := store.Cancel(t.Context(), time.Time{}, "e.s"); err == nil {
			t.Fatal("the commit failed, and Cancel says nothing")
		}
		set := func(mode delivery.LaneMode) {
			if err := store.SetLanes(t.Context(), time.Time{}, delivery.LaneState{Lane: "lane", Mode: mode}); err != nil {
				t.Fatal(err)
			}
		}
		set(delivery.LanePaused)
		if n := len(<-leased); n != 0 {
			t.Errorf("%d leases of a paused lane", n)
		}
		set(delivery.LaneOpen)
		if n := len(leaseAll(t, store)); n != 1 {
			t.Errorf("%d leases of the lane, open again, want the one row that waits", n)
		}
		if _, _, _, err := store.Audit(false); err != nil {
			t.Error(err)
		}
	})
}

// TestReadOfARowThatIsBeingStored: who loads the rows while another still writes
// one indexes it, so that a read of the other can bring it before its commit
// returns. It is leased once nevertheless.
func TestReadOfARowThatIsBeingStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &between{during: func(b *lanes.Batch) bool { return len(b.Append) > 0 }}
		store, leased := b.open(t)
		if err := store.Enqueue(t.Context(), time.Time{}, *b.row.Delivery); err != nil {
			t.Fatal(err)
		}
		if n := len(<-leased) + len(leaseAll(t, store)); n != 1 {
			t.Errorf("%d leases of one row", n)
		}
		if _, _, _, err := store.Audit(false); err != nil {
			t.Error(err)
		}
	})
}

// TestSettleOfARowThatIsBeingStored: where settles are committed beside appends,
// such a row may be settled before its own commit returns. It does not come back.
func TestSettleOfARowThatIsBeingStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &between{during: func(b *lanes.Batch) bool { return len(b.Append) > 0 }}
		store, leased := b.open(t)
		stored := make(chan error)
		go func() { stored <- store.Enqueue(t.Context(), time.Time{}, *b.row.Delivery) }()
		for _, l := range <-leased {
			out := delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: delivery.Done}
			if err := store.Settle(t.Context(), time.Time{}, out); err != nil {
				t.Fatal(err)
			}
		}
		if err := <-stored; err != nil {
			t.Fatal(err)
		}
		if n := len(leaseAll(t, store)); n != 0 {
			t.Errorf("%d leases of a row that is settled", n)
		}
		if _, _, _, err := store.Audit(true); err != nil {
			t.Error(err)
		}
	})
}

// TestDelayOfARowThatGoesAhead: it waits with its lane, and that is as durable
// as the row when Settle returns.
func TestDelayOfARowThatGoesAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var written []lanes.LaneRow
		b := &between{during: func(b *lanes.Batch) bool {
			written = append(written, b.Lanes...)
			return false
		}}
		store, leased := b.open(t)
		b.row.Due = 0
		close(b.begun)
		for _, l := range <-leased {
			out := delivery.Outcome{ID: l.ID, Receipt: l.Receipt, Result: delivery.Release, RetryIn: time.Hour}
			if err := store.Settle(t.Context(), time.Time{}, out); err != nil {
				t.Fatal(err)
			}
		}
		if len(written) != 1 || written[0].NotBefore < time.Now().Add(time.Hour).UnixMicro() {
			t.Errorf("written of the lane: %+v", written)
		}
		if n := len(leaseAll(t, store)); n != 0 {
			t.Errorf("%d leases before their time", n)
		}
	})
}
