package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// run is one Run of an engine: a loop that leases, senders that attempt, and a
// settler that stores outcomes in batches.
type run struct {
	*Engine

	hard    context.Context //nolint:containedctx // ends when the drain's patience does
	cut     context.CancelFunc
	queue   chan *slot    // leased and not begun; never full
	ended   chan outcome  // attempted and not settled; never full
	freed   chan struct{} // a slot is free
	watch   watcher
	pool    pool
	heart   sync.WaitGroup
	notices notices

	mu      sync.Mutex
	held    []*slot              // until settled, in no order
	retries int                  // of held, those that are no first tries
	told    map[string]time.Time // of dialects that are not configured
}

// slot is a lease from when it was taken until it is durably settled.
type slot struct {
	*Lease

	place int // in held
}

// outcome is an Outcome with what follows from it once it is durable.
type outcome struct {
	Outcome
	slot     *slot
	disabled bool // the attempt disabled its subscription
	then     func(context.Context)
}

func newRun(ctx context.Context, e *Engine) *run {
	hard, cut := context.WithCancel(context.WithoutCancel(ctx))
	r := &run{
		Engine: e, hard: hard, cut: cut,
		queue:   make(chan *slot, e.cfg.MaxInFlight),
		ended:   make(chan outcome, e.cfg.MaxInFlight),
		freed:   make(chan struct{}, 1),
		held:    make([]*slot, 0, e.cfg.MaxInFlight),
		notices: notices{tell: e.cfg.Notify, log: e.cfg.Logger},
	}
	r.pool.init(e.cfg.MaxInFlight, r.queue, func(s *slot) { r.ended <- r.attempt(hard, s) })
	return r
}

func (r *run) loop(ctx context.Context) error {
	r.notices.start(r.hard)
	settled := make(chan error, 1)
	go func() { settled <- r.settle() }()
	stopHeart := make(chan struct{})
	r.heart.Go(func() { r.beat(stopHeart) })
	r.heart.Go(func() { r.retain(ctx) })
	if w, ok := r.store.(Waiter); ok {
		r.watch.start(ctx, w)
	}

	r.lease(ctx)
	r.watch.stop()
	r.release()
	patience := time.AfterFunc(r.cfg.DrainTimeout, r.cut)
	close(r.queue)
	r.pool.wait()
	close(r.ended)
	err := <-settled // has the rest of the patience, should the store be away
	r.notices.stop()
	patience.Stop()
	close(stopHeart)
	r.heart.Wait()
	r.cut()
	return err
}

// lease keeps the senders supplied until ctx ends.
func (r *run) lease(ctx context.Context) {
	const pauseMin, pauseMax = 50 * time.Millisecond, 5 * time.Second
	pause := pauseMin
	for ctx.Err() == nil {
		req := r.request()
		if req.Max == 0 {
			select {
			case <-r.freed:
			case <-ctx.Done():
			}
			continue
		}
		begin := time.Now()
		leases, err := r.store.Lease(ctx, time.Time{}, req)
		r.trace.leaseDone(ctx, LeaseDone{Asked: req.Max, Got: len(leases), Took: time.Since(begin), Err: err})
		switch {
		case ctx.Err() != nil && err != nil:
		case err != nil:
			r.log.LogAttrs(ctx, slog.LevelError, "delivery: cannot lease", slog.Any("error", err))
			r.idle(ctx, pause)
			pause = min(2*pause, pauseMax)
		case len(leases) == 0:
			r.wait(ctx, req)
			pause = pauseMin
		default:
			pause = pauseMin
			r.take(leases)
		}
	}
}

// request says how much work there is room for. A quarter of the slots is kept
// for first tries.
func (r *run) request() LeaseRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	req := LeaseRequest{Max: r.cfg.MaxInFlight - len(r.held), TTL: r.cfg.LeaseTTL}
	req.Retries = r.cfg.MaxInFlight - r.cfg.MaxInFlight/4 - r.retries
	if req.Retries <= 0 {
		req.Retries = -1
	}
	return req
}

func (r *run) take(leases []Lease) {
	slots := make([]slot, len(leases))
	r.mu.Lock()
	for i := range leases {
		slots[i] = slot{&leases[i], len(r.held)}
		r.held = append(r.held, &slots[i])
		if leases[i].Attempts > 0 {
			r.retries++
		}
	}
	r.mu.Unlock()
	r.pool.expect(len(leases))
	for i := range slots {
		r.queue <- &slots[i]
	}
	r.pool.grow()
}

// wait returns when there may be work or room that changes what to ask for.
func (r *run) wait(ctx context.Context, req LeaseRequest) {
	if !r.watch.on() {
		r.idle(ctx, r.cfg.Poll)
		return
	}
	starved := req.Retries < 0
	var freed chan struct{}
	if starved { // a slot that gets free lets retries in that the request leaves out
		freed = r.freed
	}
	r.watch.arm(req)
	select {
	case err := <-r.watch.work:
		r.watch.armed = false
		if err != nil && ctx.Err() == nil {
			r.log.LogAttrs(ctx, slog.LevelError, "delivery: cannot wait for work", slog.Any("error", err))
			r.idle(ctx, r.cfg.Poll)
		}
		return
	case <-freed:
	case <-r.wakeup:
	case <-ctx.Done():
	}
	if starved {
		r.watch.disarm() // what it waits for is less than what is wanted next
	}
}

func (r *run) idle(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-r.wakeup:
	}
}

// release gives back what no sender has begun.
func (r *run) release() {
	for {
		select {
		case s := <-r.queue:
			r.ended <- outcome{Outcome: Outcome{ID: s.ID, Receipt: s.Receipt, Result: Release}, slot: s}
		default:
			return
		}
	}
}

// beat extends the leases that are held.
func (r *run) beat(stop <-chan struct{}) {
	ticker := time.NewTicker(max(r.cfg.LeaseTTL/3, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		r.mu.Lock()
		leases := make([]Lease, 0, len(r.held))
		for _, s := range r.held {
			leases = append(leases, *s.Lease)
		}
		r.mu.Unlock()
		if len(leases) == 0 {
			continue
		}
		err := r.store.Extend(r.hard, time.Time{}, r.cfg.LeaseTTL, leases...)
		if err != nil && !errors.Is(err, ErrLeaseLost) { // who was settled meanwhile is lost, too
			r.log.LogAttrs(r.hard, slog.LevelError, "delivery: cannot extend leases", slog.Any("error", err))
		}
	}
}

// free makes room for another lease. The caller holds the lock.
func (r *run) free(s *slot) {
	last := r.held[len(r.held)-1]
	r.held[s.place], last.place = last, s.place
	r.held[len(r.held)-1] = nil
	r.held = r.held[:len(r.held)-1]
	if s.Attempts > 0 {
		r.retries--
	}
}

const (
	settleBatch = 1000
	// settlesAtOnce is how many batches are being stored at a time by a store
	// that takes longer than slowSettle: it then knows of an attempt's end,
	// which frees its lane, while it still writes what ended before.
	settlesAtOnce = 4
	slowSettle    = 300 * time.Microsecond
)

// settle stores outcomes until there are no more to come.
func (r *run) settle() error {
	var wg sync.WaitGroup
	room := make(chan struct{}, settlesAtOnce)
	failures := make(chan error, 1)
	var slow atomic.Bool
	store := func(batch []outcome) {
		begin := time.Now()
		if err := r.persist(batch); err != nil {
			select {
			case failures <- err:
			default: // the first says it
			}
		}
		slow.Store(time.Since(begin) > slowSettle)
		<-room
	}
	for first := range r.ended {
		room <- struct{}{}
		if batch := r.endedBy(first); slow.Load() {
			wg.Go(func() { store(batch) })
		} else {
			store(batch)
		}
	}
	wg.Wait()
	close(failures)
	return <-failures
}

// endedBy returns all that has ended by now.
func (r *run) endedBy(first outcome) []outcome {
	batch := append(make([]outcome, 0, min(len(r.ended)+1, settleBatch)), first)
	for len(batch) < settleBatch {
		select {
		case o, ok := <-r.ended:
			if !ok {
				return batch
			}
			batch = append(batch, o)
		default:
			return batch
		}
	}
	return batch
}

// persist stores a batch, again and again if the store is away, until the drain's
// patience is over.
func (r *run) persist(batch []outcome) error {
	outs := make([]Outcome, len(batch))
	for i := range batch {
		outs[i] = batch[i].Outcome
	}
	var lost *LostLeasesError
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		ctx := context.WithoutCancel(r.hard)
		begin := time.Now()
		err := r.store.Settle(ctx, time.Time{}, outs...)
		done := SettleDone{Outcomes: outs, Took: time.Since(begin)}
		if errors.As(err, &lost) {
			done.Lost = lost.IDs
			r.log.LogAttrs(ctx, slog.LevelWarn, "delivery: outcome of a lost lease dropped", slog.Any("error", err))
			err = nil
		}
		done.Err = err
		r.trace.settleDone(ctx, done)
		if err == nil {
			break
		}
		r.log.LogAttrs(ctx, slog.LevelError, "delivery: cannot settle", slog.Int("outcomes", len(outs)), slog.Any("error", err))
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-r.hard.Done():
			timer.Stop()
			return fmt.Errorf("delivery: %d outcomes not stored: %w", len(outs), err)
		}
	}
	r.mu.Lock()
	for i := range batch {
		r.free(batch[i].slot)
	}
	r.mu.Unlock()
	select {
	case r.freed <- struct{}{}:
	default:
	}
	for i := range batch {
		late := lost != nil && slices.Contains(lost.IDs, batch[i].ID)
		if late && !batch[i].disabled { // that happened all the same
			continue
		}
		if batch[i].then != nil && !late {
			batch[i].then(context.WithoutCancel(r.hard))
		}
		if n, ok := batch[i].notice(); ok {
			r.notify(n)
		}
	}
	return nil
}
