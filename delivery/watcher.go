package delivery

import (
	"context"
	"sync"
)

// watcher waits for work in a goroutine of its own, so that the lease loop can
// wait for other things at the same time. Only the lease loop uses it.
type watcher struct {
	armed bool
	work  chan error // ends a wait that was armed

	ctx    context.Context //nolint:containedctx // of the lease loop
	asks   chan ask
	cancel context.CancelFunc // of the wait under way, if it can be ended
	wg     sync.WaitGroup
}

type ask struct {
	ctx context.Context //nolint:containedctx // of one wait
	req LeaseRequest
}

func (w *watcher) on() bool { return w.asks != nil }

func (w *watcher) start(ctx context.Context, store Waiter) {
	w.ctx, w.asks, w.work = ctx, make(chan ask, 1), make(chan error, 1)
	w.wg.Go(func() {
		for a := range w.asks {
			w.work <- store.Wait(a.ctx, a.req)
		}
	})
}

// arm begins to wait for work that req would get, unless a wait is under way.
func (w *watcher) arm(req LeaseRequest) {
	if w.armed {
		return
	}
	w.armed = true
	ctx := w.ctx
	if w.cancel != nil { // of a wait that is over
		w.cancel()
		w.cancel = nil
	}
	if req.Retries < 0 {
		ctx, w.cancel = context.WithCancel(ctx)
	}
	w.asks <- ask{ctx, req}
}

// disarm ends a wait for first tries alone.
func (w *watcher) disarm() {
	if !w.armed || w.cancel == nil {
		return
	}
	w.cancel()
	<-w.work //nolint:errcheck // it was told to end
	w.armed = false
}

// stop ends the goroutine; the context given to start must be over.
func (w *watcher) stop() {
	if w.on() {
		close(w.asks)
		w.wg.Wait()
	}
	if w.cancel != nil {
		w.cancel()
	}
}
