package lanes_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

var (
	errFake   = errors.New("fake: definite failure")
	errFenced = fmt.Errorf("%w: %w", errFake, delivery.ErrOwned)
)

type fakeRow struct {
	lanes.Row
	indexed, settled bool
	how              string       // what settled it
	stored, ended    *lanes.Batch // what stored and what settled it
	since, known     time.Time    // when these commits returned
	guest            *partner     // has it in memory alone, as a guest or since it was one
	homed            time.Time    // when a guest left it to its lane's owner
	astray           bool         // came back while a guest had it that it was taken from
}

// fake is a Backend that is as awkward as the contract allows: reads are old,
// commits come between, fail, or leave it open whether they failed. It runs in
// virtual time and also checks what the Store asks of it.
type fake struct {
	mu         sync.Mutex
	rnd        *rand.Rand
	seq, low   int64
	rows       map[int64]*fakeRow
	byID       map[string]*fakeRow
	lanes      map[string]lanes.LaneRow
	open       map[*lanes.Batch]func() // applied, but said to be unknown
	applying   *lanes.Batch
	epoch      int  // raised by Load: whoever came before is fenced
	calm       bool // nothing fails any more
	committing []*lanes.Batch
	refilling  bool
	twofold    bool  // takes two batches at a time
	wrong      error // what the Store did against the contract
}

func newFake(seed uint64) *fake {
	return &fake{
		rnd: rand.New(rand.NewPCG(seed, 1)), rows: map[int64]*fakeRow{}, byID: map[string]*fakeRow{},
		lanes: map[string]lanes.LaneRow{}, open: map[*lanes.Batch]func(){},
	}
}

// owner is the fake as one Store sees it.
type owner struct {
	*fake
	mine     int
	parallel bool
}

// twofold is an owner that is given two batches at a time.
type twofold struct{ *owner }

func (twofold) Parallel() {}

// apart reports whether two batches may be committed at once: one appends, the
// other settles, neither does anything else or has keys.
func apart(a, b *lanes.Batch) bool {
	plain := func(x *lanes.Batch) bool {
		keyed := slices.ContainsFunc(x.Append, func(a *lanes.Append) bool { return a.Delivery.Key != "" }) ||
			slices.ContainsFunc(x.Settle, func(st *lanes.Settle) bool { return st.Delivery.Key != "" })
		return !keyed && len(x.Spill)+len(x.Home)+len(x.Lanes)+len(x.Kill)+len(x.Edit) == 0
	}
	if len(a.Append) == 0 {
		a, b = b, a
	}
	return plain(a) && plain(b) && len(a.Settle) == 0 && len(b.Append) == 0
}

func (f *fake) chance(p float64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.calm && f.rnd.Float64() < p
}

func (f *fake) pause() {
	f.mu.Lock()
	d := time.Duration(f.rnd.IntN(3_000_000)) + 1
	f.mu.Unlock()
	time.Sleep(d) // virtual
}

func (f *fake) blame(format string, args ...any) {
	if f.wrong == nil {
		f.wrong = fmt.Errorf(format, args...)
	}
}

func (o *owner) HoldsAll() bool { return false }

func (o *owner) Load(context.Context) (lanes.Loaded, error) {
	f := o.fake
	f.mu.Lock()
	defer f.mu.Unlock()
	f.epoch++
	o.mine = f.epoch
	f.committing, f.refilling = nil, false
	clear(f.open) // they are decided, and nobody asks any more
	loaded := lanes.Loaded{NextSeq: f.seq + 1}
	type class struct {
		lane  string
		retry bool
	}
	heads := map[class]*lanes.Head{}
	for _, r := range f.rows {
		if !r.settled && !r.indexed && r.Seq < f.low {
			f.blame("row %d is below Low %d and was never indexed", r.Seq, f.low)
		}
		r.indexed = true
	}
	for _, r := range f.rows {
		if r.settled || f.hidden(r) {
			continue
		}
		c := class{r.Delivery.LaneName(), r.Retry()}
		h := heads[c]
		if h == nil {
			h = &lanes.Head{Lane: c.lane, Retry: c.retry, Due: r.Due}
			heads[c] = h
		}
		h.Due = min(h.Due, r.Due)
		if r.Due == 0 && r.Attempts == 0 {
			h.Ahead = append(h.Ahead, r.Seq)
		}
	}
	for _, h := range heads {
		loaded.Heads = append(loaded.Heads, *h)
	}
	for _, l := range f.lanes {
		loaded.Lanes = append(loaded.Lanes, l)
	}
	return loaded, nil
}

func sameKey(a, b *fakeRow) bool {
	return a.Delivery.Key != "" && a.Delivery.Key == b.Delivery.Key && a.Delivery.LaneName() == b.Delivery.LaneName()
}

func (f *fake) oldest(r *fakeRow) *fakeRow {
	var first *fakeRow
	for _, x := range f.rows {
		if !x.settled && sameKey(x, r) && (first == nil || x.Seq < first.Seq) {
			first = x
		}
	}
	return first
}

func (f *fake) hidden(r *fakeRow) bool { return r.Delivery.Key != "" && f.oldest(r) != r }

func (o *owner) Refill(_ context.Context, now int64, wants []lanes.Want) ([]lanes.Found, error) {
	f := o.fake
	defer f.reads()()
	old := f.answer(now, wants)
	var found []lanes.Found
	for i, w := range wants {
		if i < 3 {
			f.pause()
		}
		if f.chance(0.5) {
			found = append(found, old[i])
		} else {
			found = append(found, f.answer(now, []lanes.Want{w})[0])
		}
	}
	f.pause()
	if f.chance(0.1) {
		return nil, errFake
	}
	return found, nil
}

// fetching and fetchingTwofold are owners that find rows by Seq.
type (
	fetching        struct{ *owner }
	fetchingTwofold struct{ twofold }
)

func (b fetching) Fetch(_ context.Context, seqs []int64) ([]*delivery.Delivery, error) {
	return b.fetch(seqs)
}

func (b fetchingTwofold) Fetch(_ context.Context, seqs []int64) ([]*delivery.Delivery, error) {
	return b.fetch(seqs)
}

// reads begins a read and returns what ends it: there is one at a time.
func (f *fake) reads() (end func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refilling {
		f.blame("two reads at once")
	}
	f.refilling = true
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.refilling = false
	}
}

func (o *owner) fetch(seqs []int64) ([]*delivery.Delivery, error) {
	f := o.fake
	defer f.reads()()
	f.pause()
	found := f.bySeq(seqs)
	f.pause()
	if f.chance(0.1) {
		clear(found[len(found)/2:])
		return found, errFake
	}
	return found, nil
}

func (f *fake) bySeq(seqs []int64) []*delivery.Delivery {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := make([]*delivery.Delivery, len(seqs))
	for i, seq := range seqs {
		if r := f.rows[seq]; r != nil {
			d := *r.Delivery
			found[i] = &d
		}
	}
	return found
}

func (f *fake) answer(now int64, wants []lanes.Want) []lanes.Found {
	f.mu.Lock()
	defer f.mu.Unlock()
	found := make([]lanes.Found, len(wants))
	for i, w := range wants {
		var all []*lanes.Row
		for _, r := range f.rows {
			if !r.settled && r.indexed && r.Retry() == w.Retry && r.Delivery.LaneName() == w.Lane && !f.hidden(r) {
				row := r.Row
				all = append(all, &row)
			}
		}
		slices.SortFunc(all, func(a, b *lanes.Row) int {
			if a.Due != b.Due {
				return int(a.Due - b.Due)
			}
			return int(a.Seq - b.Seq)
		})
		n := 0
		for n < len(all) && n < w.Limit && all[n].Due <= now {
			n++
		}
		found[i].Rows = all[:n:n]
		if n < len(all) {
			found[i].NextDue = all[n].Due
		}
	}
	return found
}

func (o *owner) Commit(_ context.Context, b *lanes.Batch) error {
	f := o.fake
	f.mu.Lock()
	if f.epoch != o.mine {
		f.mu.Unlock()
		return errFenced
	}
	if len(f.committing) > 0 && (!o.parallel || len(f.committing) > 1 || !apart(f.committing[0], b)) {
		f.blame("two commits at once")
	}
	for other := range f.open {
		if other != b && (!o.parallel || !apart(other, b)) {
			f.blame("another batch was committed while one was undecided")
		}
	}
	f.committing = append(f.committing, b)
	f.mu.Unlock()
	f.pause()
	err := f.commit(o, b)
	f.pause()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.epoch == o.mine {
		f.committing = slices.DeleteFunc(f.committing, func(x *lanes.Batch) bool { return x == b })
	}
	if err == nil {
		f.told(func(by *lanes.Batch) bool { return by == b })
	}
	return err
}

// told takes note that the Store has now heard of what some batches did.
func (f *fake) told(of func(*lanes.Batch) bool) {
	for _, r := range f.rows {
		if r.since.IsZero() && of(r.stored) {
			r.since = time.Now()
		}
		if r.settled && r.known.IsZero() && of(r.ended) {
			r.known = time.Now()
		}
	}
}

func (f *fake) commit(o *owner, b *lanes.Batch) error {
	fails, unknown, happened := f.chance(0.1), f.chance(0.1), f.chance(0.5)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.epoch != o.mine {
		return errFenced // somebody took over in between
	}
	again := f.open[b]
	switch {
	case fails:
		return errFake
	case again != nil && unknown:
		return fmt.Errorf("fake: %w", delivery.ErrUnknown)
	case again != nil:
		delete(f.open, b)
		again() // the results of the first time
		return nil
	case unknown && !happened:
		return fmt.Errorf("fake: %w", delivery.ErrUnknown)
	}
	f.apply(b)
	if unknown {
		f.open[b] = keepResults(b)
		return fmt.Errorf("fake: %w", delivery.ErrUnknown)
	}
	return nil
}

// keepResults takes the results out of a batch, as if the answer was lost.
func keepResults(b *lanes.Batch) func() {
	var fill []func()
	for _, a := range b.Append {
		was := *a
		a.Duplicate, a.Hidden = false, false
		fill = append(fill, func() { *a = was })
	}
	for _, st := range b.Settle {
		next := st.Next
		st.Next = nil
		fill = append(fill, func() { st.Next = next })
	}
	for _, k := range b.Kill {
		n := k.Killed
		k.Killed = 0
		fill = append(fill, func() { k.Killed = n })
	}
	for _, e := range b.Edit {
		was := *e
		*e = lanes.Edit{ID: e.ID, Cancel: e.Cancel}
		fill = append(fill, func() {
			*e = was
			e.Settled = e.Settled || e.Cancel // it is by now
		})
	}
	return func() {
		for _, do := range fill {
			do()
		}
	}
}
