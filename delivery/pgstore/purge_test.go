package pgstore_test

import (
	"errors"
	"testing"

	"github.com/ringback-go/ringback/delivery"
)

// purge calls until there is no more to do.
func (d *tables) purge(p delivery.Pruner, tenant string) (calls int) {
	d.Helper()
	for more := true; more; calls++ {
		var err error
		if more, err = p.Purge(d.Context(), tenant); err != nil {
			d.Error(err)
			return calls
		}
	}
	return calls
}

func TestPurge(t *testing.T) {
	t.Parallel()
	d := makeTables(t)
	d.fill(1, 1200, delivered, epoch, "acme", 10)
	d.fill(2001, 5, dead, epoch, "acme", 10)
	d.fill(3001, 5, dead, epoch, "bmca", 10)
	d.fill(4001, 5, delivered, epoch, "acme2", 10)
	of := func(id, tenant, subscription string) delivery.Delivery {
		v := one(id)
		v.Tenant, v.SubscriptionID = tenant, subscription
		v.Body = []byte("acme") // is no tenant
		return v
	}
	d.store(5001, of("nobody's", "acme", ""), 0)
	d.settle(5001, marker, epoch, 0, "", nil)
	d.store(5002, of("another's nobody", "other", ""), 0)
	d.settle(5002, marker, epoch, 0, "", nil)
	d.store(5003, of("pending", "acme", "s"), 0)
	d.wait(5003, 0, 0)
	d.post(of("untaken", "acme", "s"), 0)
	d.tally(1, 0, 0)
	p := d.pruner(300)
	if _, err := p.Purge(t.Context(), ""); !errors.Is(err, delivery.ErrInvalid) {
		t.Errorf("without a tenant: %v, want ErrInvalid", err)
	}
	if calls := d.purge(p, "nobody"); calls != 1 {
		t.Errorf("%d calls for a tenant that is not there", calls)
	}
	d.wantCounts(2, 1205, 10)
	if calls := d.purge(p, "acme"); calls < 4 {
		t.Errorf("1,206 were forgotten in %d calls: that is no bound", calls)
	}
	d.wantCounts(2, 5, 5)
	d.wantRows("delivery", 12)
	d.wantRows("attempt", 10)
	for id, want := range map[string]bool{"nobody's": false, "another's nobody": true, "pending": true, "untaken": true} {
		if _, known, err := d.browser().Event(t.Context(), id); known != want || err != nil {
			t.Errorf("Event(%s): %t, %v", id, known, err)
		}
	}
}

// What one process has found, another may have forgotten meanwhile.
func TestPurgeByTwo(t *testing.T) {
	t.Parallel()
	d := makeTables(t)
	d.fill(1, 2000, delivered, epoch, "acme", 10)
	first, second := d.pruner(0), d.pruner(0)
	if more, err := first.Purge(t.Context(), "acme"); !more || err != nil {
		t.Fatalf("%t, %v", more, err)
	}
	d.wantCounts(0, 1500, 0)
	d.purge(second, "acme")
	d.wantCounts(0, 0, 0)
	d.fill(3000, 10, delivered, epoch, "acme", 10)
	d.purge(first, "acme")
	d.wantCounts(0, 0, 0)
	d.wantRows("delivery", 0)
}
