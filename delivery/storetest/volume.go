package storetest

import (
	"reflect"
	"slices"
	"strconv"

	"github.com/ringback-go/ringback/delivery"
)

var volumeRules = []rule{
	{"volume/deep", "5,000 rows of one lane come out, each exactly once.", volumeDeep},
	{"volume/whole", "Each of 5,000 rows in two lanes is leased as it was enqueued, however little of that memory holds.", volumeWhole},
	{"volume/wide", "2,000 lanes with two rows each come out, each exactly once.", volumeWide},
	{"volume/big", "Rows whose bodies are together larger than memory should hold come out, each exactly once.", volumeBig},
}

// drain leases and settles all that is due and asserts that each came once.
func (e *env) drain(want int) {
	e.Helper()
	seen := make(map[string]bool, want)
	for {
		got := e.lease(delivery.LeaseRequest{Max: 100})
		if len(got) == 0 {
			break
		}
		for _, l := range got {
			if seen[l.ID] {
				e.Fatalf("%s came twice", l.ID)
			}
			seen[l.ID] = true
		}
		e.end(delivery.Done, got...)
	}
	if len(seen) != want {
		e.Fatalf("%d of %d came out", len(seen), want)
	}
}

func volumeDeep(e *env) {
	e.enqueue(many("a", "l", 5000)...)
	e.drain(5000)
	e.counts(0, 5000, 0)
}

func volumeWhole(e *env) {
	ds := slices.Concat(many("a", "l", 2500), many("b", "m", 2500))
	sent := map[string]delivery.Delivery{}
	for i := range ds {
		d := &ds[i]
		d.Tenant, d.TraceParent, d.Meta = "t"+strconv.Itoa(i), "p"+strconv.Itoa(i), map[string]string{"n": strconv.Itoa(i)}
		sent[d.ID] = *d
	}
	e.enqueue(ds...)
	for len(sent) > 0 {
		got := e.lease(delivery.LeaseRequest{Max: 100})
		if len(got) == 0 {
			e.Fatalf("%d did not come out", len(sent))
		}
		for _, l := range got {
			want := sent[l.ID]
			if l.PublishedAt = want.PublishedAt; !reflect.DeepEqual(l.Delivery, want) {
				e.Fatalf("%s came out as %+v, want %+v", l.ID, l.Delivery, want)
			}
			delete(sent, l.ID)
		}
		e.end(delivery.Done, got...)
	}
	e.counts(0, 5000, 0)
}

func volumeWide(e *env) {
	var ds []delivery.Delivery
	for round := range 2 {
		for i := range 2000 {
			n := strconv.Itoa(i)
			ds = append(ds, one("a"+strconv.Itoa(round)+"-"+n, "lane"+n))
		}
	}
	e.enqueue(ds...)
	e.drain(4000)
	e.counts(0, 4000, 0)
}

func volumeBig(e *env) {
	ds := many("a", "l", 300)
	for i := range ds {
		ds[i].Body = make([]byte, 64<<10)
		ds[i].Body[0] = byte(i)
		if i%2 == 0 {
			ds[i].Lane = "m"
		}
	}
	for i := 0; i < len(ds); i += 50 {
		e.enqueue(ds[i : i+50]...)
	}
	e.drain(300)
}
