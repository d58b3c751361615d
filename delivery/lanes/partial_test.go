package lanes_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/lanes"
)

// common is a fake whose rows several Stores share: each lane has an owner or
// none, and what is not its owner's to store is left in an inbox.
type common struct {
	*fake
	guesthouse

	names  []string
	owners map[string]*partner // of lanes
	inbox  []*letter

	parallel, fetching bool
}

// letter is a row that waits for its lane's owner, or a note.
type letter struct {
	row  lanes.Row
	note *lanes.Note
	from time.Time // when it was left
}

// partner is the common fake as one of its Stores sees it.
type partner struct {
	*common
	name       string
	store      *lanes.Store
	own        sync.Map // lanes that it serves, as it believes
	low        int64
	dead       atomic.Bool // its rows are another's: all it commits is refused
	open       map[*lanes.Batch]func()
	committing []*lanes.Batch
	refilling  atomic.Bool
	moves      atomic.Int64 // rises when it gains or gives up lanes
	looking    chan struct{}
	promised   map[visitor]int
	killing    func() // called when rows were killed
}

// twofoldPartner and fetchingTwofoldPartner are given two batches at a time.
type (
	twofoldPartner         struct{ *partner }
	fetchingTwofoldPartner struct{ fetchingPartner }
)

func (twofoldPartner) Parallel()         {}
func (fetchingTwofoldPartner) Parallel() {}

func (p *partner) HoldsAll() bool { return false }

func (p *partner) Owns(lane string) bool {
	own, _ := p.own.Load(lane)
	return own == true
}

func (p *partner) Load(context.Context) (lanes.Loaded, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.low = p.seq + 1
	return lanes.Loaded{NextSeq: p.seq + 1}, nil
}

func (p *partner) Refill(_ context.Context, now int64, wants []lanes.Want) ([]lanes.Found, error) {
	if !p.refilling.CompareAndSwap(false, true) {
		p.mu.Lock()
		p.blame("two reads at once")
		p.mu.Unlock()
	}
	defer p.refilling.Store(false)
	old := p.answer(now, wants)
	p.pause()
	for i, w := range wants {
		if p.chance(0.5) {
			old[i] = p.answer(now, []lanes.Want{w})[0]
		}
	}
	p.pause()
	if p.chance(0.1) {
		return nil, errFake
	}
	return old, nil
}

// fetchingPartner is one that finds rows by Seq.
type fetchingPartner struct{ *partner }

func (p fetchingPartner) Fetch(_ context.Context, seqs []int64) ([]*delivery.Delivery, error) {
	if !p.refilling.CompareAndSwap(false, true) {
		p.mu.Lock()
		p.blame("two reads at once")
		p.mu.Unlock()
	}
	defer p.refilling.Store(false)
	p.pause()
	found := p.bySeq(seqs)
	p.pause()
	if p.chance(0.1) {
		clear(found)
		return found, errFake
	}
	return found, nil
}

// Commit is refused, fails, is unknown or slow, as it happens.
func (p *partner) Commit(_ context.Context, b *lanes.Batch) error {
	p.mu.Lock()
	if len(p.committing) > 0 && (!p.parallel || len(p.committing) > 1 || !apart(p.committing[0], b)) {
		p.blame("two commits at once")
	}
	p.committing = append(p.committing, b)
	p.mu.Unlock()
	p.pause()
	err := p.decide(b)
	if p.killing != nil && len(b.Kill) > 0 {
		p.killing()
	}
	p.pause()
	p.mu.Lock()
	p.committing = slices.DeleteFunc(p.committing, func(x *lanes.Batch) bool { return x == b })
	p.mu.Unlock()
	if err == nil {
		p.returned(b)
	}
	return err
}

func (p *partner) decide(b *lanes.Batch) error {
	fails, unknown, happened := p.chance(0.1), p.chance(0.1), p.chance(0.5)
	p.mu.Lock()
	defer p.mu.Unlock()
	again := p.open[b]
	for other := range p.open {
		if other != b && (!p.parallel || !apart(other, b)) {
			p.blame("another batch was committed while one was undecided")
		}
	}
	errUnknown := fmt.Errorf("fake: %w", delivery.ErrUnknown)
	switch {
	case p.dead.Load():
		return errFenced
	case again != nil && (fails || unknown), again == nil && unknown && !happened:
		return errUnknown
	case again != nil:
		delete(p.open, b)
		again()
		return nil
	case fails:
		return errFake
	}
	for _, e := range b.Edit { // all or none
		if r := p.byID[e.ID]; r != nil && !p.Owns(r.Delivery.LaneName()) {
			return lanes.ErrElsewhere
		}
	}
	p.apply(b)
	if unknown {
		p.open[b] = keepResults(b)
		return errUnknown
	}
	return nil
}

// apply is the fake's, and knows whose lanes and rows they are.
func (p *partner) apply(b *lanes.Batch) {
	mine := func(lane, what string) {
		if p.owners[lane] != p {
			p.blame("%s: %s of lane %s, which is not its own", p.name, what, lane)
		}
	}
	p.applying = b
	for _, a := range b.Append {
		p.take(a, mine)
	}
	for _, st := range b.Settle {
		if st.Guest {
			p.settleAsGuest(st)
			continue
		}
		mine(st.Delivery.LaneName(), "settle")
		p.settleAsHost(st)
	}
	for _, r := range b.Spill {
		mine(r.Delivery.LaneName(), "spill")
		p.rows[r.Seq].indexed, p.rows[r.Seq].guest = true, nil
	}
	for _, r := range b.Home {
		p.home(r)
	}
	for _, n := range b.Notes {
		p.post(n)
	}
	for _, l := range b.Lanes {
		mine(l.Lane, "state")
		if p.lanes[l.Lane] = l; l.IsDefault() {
			delete(p.lanes, l.Lane)
		}
	}
	for _, k := range b.Kill {
		mine(k.Lane, "kill")
		p.kill(k)
	}
	for _, e := range b.Edit {
		p.edit(e, b.Now)
	}
	if b.Low < p.low && !p.parallel {
		p.blame("%s: Low fell from %d to %d", p.name, p.low, b.Low)
	}
	p.low = max(p.low, b.Low)
	p.checkLow()
}

// checkLow looks at the rows that only this partner has.
func (p *partner) checkLow() {
	for _, r := range p.rows {
		if r.Seq < p.low && !r.settled && !r.indexed && (r.guest == p || r.guest == nil && p.owners[r.Delivery.LaneName()] == p) {
			p.blame("%s: Low is %d and row %d of its lane %s neither settled nor indexed", p.name, p.low, r.Seq, r.Delivery.LaneName())
		}
	}
}

func (p *partner) take(a *lanes.Append, mine func(lane, what string)) {
	l, folded := a.Source.(*letter)
	if !a.Elsewhere && !folded && a.Delivery.Key != "" && a.Dead == "" &&
		slices.ContainsFunc(p.inbox, func(l *letter) bool {
			return l.note == nil && l.row.Delivery.Key == a.Delivery.Key && l.row.Delivery.LaneName() == a.Delivery.LaneName()
		}) {
		a.Elsewhere = true
	}
	switch {
	case a.Guest:
		p.takeAsGuest(a)
		return
	case a.Elsewhere && folded:
		p.blame("%s was taken from the inbox and left there again", a.Delivery.ID)
	case a.Elsewhere:
		p.inbox = append(p.inbox, &letter{row: a.Row, from: time.Now()})
		return
	case folded:
		p.inbox = slices.DeleteFunc(p.inbox, func(x *letter) bool { return x == l })
	}
	mine(a.Delivery.LaneName(), "append")
	p.fake.append(a)
}

// returned notes when the caller came to know of a batch.
func (p *partner) returned(b *lanes.Batch) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range b.Append {
		if r := p.rows[a.Seq]; r != nil && !a.Duplicate && !a.Elsewhere && r.since.IsZero() {
			r.since = time.Now()
		}
	}
	for _, r := range p.rows {
		if r.settled && r.known.IsZero() && (p.owners[r.Delivery.LaneName()] == p || r.ended == b) {
			r.known = time.Now()
		}
	}
}

// gain makes lanes nobody owns this partner's.
func (p *partner) gain(ctx context.Context, wanted []string) error {
	p.looking <- struct{}{}
	defer func() { <-p.looking }()
	return p.store.Gain(ctx, func(context.Context) (lanes.Loaded, error) {
		p.pause()
		if p.chance(0.1) {
			return lanes.Loaded{}, errFake
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.dead.Load() {
			return lanes.Loaded{}, errFenced
		}
		got := map[string]bool{}
		p.moves.Add(1)
		for _, name := range wanted {
			if p.owners[name] == nil {
				p.owners[name] = p
				p.own.Store(name, true)
				got[name] = true
			}
		}
		return p.waits(got), nil
	})
}

// waits is what Load of a fake returns, of some lanes.
func (p *partner) waits(of map[string]bool) lanes.Loaded {
	loaded := lanes.Loaded{NextSeq: p.seq + 1, Lent: p.moveIn(of)}
	type class struct {
		lane  string
		retry bool
	}
	heads := map[class]*lanes.Head{}
	for _, r := range p.rows {
		name := r.Delivery.LaneName()
		if !of[name] || r.settled || r.guest != nil {
			continue
		}
		if !r.indexed {
			p.blame("row %d of lane %s was never indexed, and nobody owned it", r.Seq, name)
		}
		if p.hidden(r) {
			continue
		}
		c := class{name, r.Retry()}
		if heads[c] == nil {
			heads[c] = &lanes.Head{Lane: name, Retry: c.retry, Due: r.Due}
		}
		h := heads[c]
		h.Due = min(h.Due, r.Due)
		if r.Due == 0 && r.Attempts == 0 {
			h.Ahead = append(h.Ahead, r.Seq)
		}
	}
	for _, h := range heads {
		loaded.Heads = append(loaded.Heads, *h)
	}
	for name := range of {
		if l, ok := p.lanes[name]; ok {
			loaded.Lanes = append(loaded.Lanes, l)
		}
	}
	return loaded
}

// leave frees lanes of this partner.
func (p *partner) leave(ctx context.Context, names []string) error {
	has := map[string]bool{}
	for _, name := range names {
		if p.Owns(name) {
			has[name] = true
		}
	}
	return p.store.Leave(ctx, lanes.Part{
		Has: func(lane string) bool { return has[lane] },
		Own: func(own bool) {
			p.moves.Add(1)
			for name := range has {
				p.own.Store(name, own)
			}
		},
		Free: func(context.Context) error {
			p.pause()
			defer p.pause() // others may know it before this one does
			p.mu.Lock()
			defer p.mu.Unlock()
			switch {
			case p.dead.Load():
				return errFenced
			case !p.calm && p.rnd.Float64() < 0.1:
				return errFake
			}
			for name := range has {
				delete(p.owners, name)
			}
			for _, r := range p.rows {
				if has[r.Delivery.LaneName()] && !r.settled && !r.indexed && (r.guest == nil || r.guest == p) {
					p.blame("row %d of lane %s was given up and is not indexed", r.Seq, r.Delivery.LaneName())
				}
			}
			return nil
		},
	})
}
