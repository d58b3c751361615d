package storetest

import (
	"errors"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

func prunePurge(e *env) {
	p := e.pruner()
	const n = delivery.MaxBatch + 200
	of := func(prefix, tenant string, n int) []delivery.Delivery {
		ds := many(prefix, "lane-"+tenant, n)
		for i := range ds {
			ds[i].Tenant = tenant
			ds[i].Body = []byte("acme") // is no tenant
		}
		return ds
	}
	e.enqueue(of("a", "acme", n)...)
	e.enqueue(of("b", "bmca", 5)...)
	e.enqueue(of("c", "acme2", 5)...)
	e.enqueue(one("nobody", "l"))
	for left := n + 11; left > 0; {
		got := e.take(plenty)
		e.end(delivery.Done, got[1:]...)
		e.end(delivery.GiveUp, got[0])
		left -= len(got)
	}
	pending := of("p", "acme", 2)
	e.enqueue(pending...)
	e.settle(retryIn(e.want("p0", "p1")[0], time.Hour))
	if _, err := p.Purge(e.ctx, ""); !errors.Is(err, delivery.ErrInvalid) {
		e.Errorf("without a tenant: %v, want ErrInvalid", err)
	}
	left := len(e.list(delivery.Filter{}))
	for more := true; more; {
		var err error
		more, err = p.Purge(e.ctx, "acme")
		e.must(err, "Purge")
		now := len(e.list(delivery.Filter{}))
		if left-now > delivery.MaxBatch {
			e.Fatalf("one call forgot %d", left-now)
		}
		left = now
	}
	want := []string{"nobody", "p0", "p1"}
	for i := range 5 {
		want = append(want, "b"+strconv.Itoa(i), "c"+strconv.Itoa(i))
	}
	e.remembered("purged", want...)
	if b, ok := e.store.(delivery.Browser); ok {
		c, err := b.Counts(e.ctx)
		e.must(err, "Counts")
		if c.Pending != 2 || c.Delivered+c.Dead != 11 {
			e.Errorf("counts are %+v, want 2 pending and 11 settled", c)
		}
	}
	e.event("a7", 0, false)
	e.enqueue(of("a", "acme", 8)[7])
	e.end(delivery.Done, e.wantOne("a7")) // new
}

func prunePurgeMarkers(e *env) {
	p := e.pruner()
	for _, tenant := range []string{"acme", "other"} {
		e.enqueue(delivery.Delivery{ID: "of-" + tenant, EventID: "of-" + tenant, Tenant: tenant})
	}
	for more := true; more; {
		var err error
		more, err = p.Purge(e.ctx, "acme")
		e.must(err, "Purge")
	}
	e.event("of-acme", 0, false)
	e.event("of-other", 0, true)
}
