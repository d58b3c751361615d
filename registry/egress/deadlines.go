package egress

import (
	"context"
	"sync"
	"time"
)

// deadlines ends contexts after one and the same time. As all of them get the
// same, they end in the order in which they began, and one timer for the oldest
// does for all: a timer each would cost more than the rest of the guard.
type deadlines struct {
	after time.Duration

	mu    sync.Mutex
	all   deadline // a ring, the oldest next to it
	timer *time.Timer
	armed bool
}

// deadline is one context.
type deadline struct {
	context.Context

	asked askedFor

	of         *deadlines
	prev, next *deadline // nil when it is over
	at         time.Time
	cancel     context.CancelCauseFunc
}

// Value implements [context.Context].
func (x *deadline) Value(key any) any {
	if key == (askedKey{}) {
		return &x.asked
	}
	return x.Context.Value(key)
}

// begin returns a context that ends with the cause context.DeadlineExceeded
// once its time is over. The caller calls done.
func (d *deadlines) begin(ctx context.Context) *deadline {
	ctx, cancel := context.WithCancelCause(ctx)
	x := &deadline{Context: ctx, of: d, cancel: cancel}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all.next == nil {
		d.all.prev, d.all.next = &d.all, &d.all
	}
	x.at = time.Now().Add(d.after)
	x.prev, x.next = d.all.prev, &d.all
	x.prev.next, x.next.prev = x, x
	if !d.armed {
		d.arm(d.after)
	}
	return x
}

// done ends the context if its time did not.
func (x *deadline) done() {
	x.of.mu.Lock()
	x.unlink()
	x.of.mu.Unlock()
	x.cancel(nil)
}

func (x *deadline) unlink() {
	if x.next != nil {
		x.prev.next, x.next.prev = x.next, x.prev
		x.prev, x.next = nil, nil
	}
}

// arm has expire called in a while. The timer is left alone when requests end:
// it finds nothing to do then, once in the time that a request may take.
func (d *deadlines) arm(in time.Duration) {
	d.armed = true
	if d.timer == nil {
		d.timer = time.AfterFunc(in, d.expire)
	} else {
		d.timer.Reset(in)
	}
}

func (d *deadlines) expire() {
	var late []*deadline
	d.mu.Lock()
	now := time.Now()
	d.armed = false
	for x := d.all.next; x != &d.all; x = d.all.next {
		if in := x.at.Sub(now); in > 0 {
			d.arm(in)
			break
		}
		x.unlink()
		late = append(late, x)
	}
	d.mu.Unlock()
	for _, x := range late {
		x.cancel(context.DeadlineExceeded)
	}
}
