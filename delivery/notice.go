package delivery

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// NoticeKind says what a [Notice] is about.
type NoticeKind string

const (
	// EndpointFailing: half of Config.DisableAfter went by without an accepted
	// attempt.
	EndpointFailing NoticeKind = "endpoint_failing"
	// EndpointDisabled: a subscription was disabled, by its own answer or for
	// failing too long. Its backlog is dead.
	EndpointDisabled NoticeKind = "endpoint_disabled"
	// EndpointRecovered: an endpoint that was throttled accepts again.
	EndpointRecovered NoticeKind = "endpoint_recovered"
	// DeadLetter: a delivery was given up after an attempt or because its time
	// was over. What dies with its subscription is not told one by one.
	DeadLetter NoticeKind = "dead_letter"
)

// A Notice is something that the application should know. It is told once the
// change is durable, by the engine that made it, and not again after a restart;
// the states it tells of can be read from the registry and the store.
type Notice struct {
	Kind NoticeKind
	At   time.Time
	// SubscriptionID, Dialect and Tenant say whom it is about.
	SubscriptionID, Dialect, Tenant string
	// DeliveryID and EventID are a dead letter's.
	DeliveryID, EventID string
	// Reason says why, for operators.
	Reason string
	// FailingFor is how long the endpoint has accepted nothing, where it is
	// known.
	FailingFor time.Duration
}

// noticeBuffer is how many notices wait for the application before the engine
// waits for it, too.
const noticeBuffer = 1024

// notices hands notices to the application, one after another.
type notices struct {
	tell func(context.Context, Notice)
	log  *slog.Logger
	wait chan Notice
	wg   sync.WaitGroup
}

func (n *notices) start(ctx context.Context) {
	if n.tell == nil {
		return
	}
	n.wait = make(chan Notice, noticeBuffer)
	n.wg.Go(func() {
		for x := range n.wait {
			n.one(ctx, x)
		}
	})
}

func (n *notices) one(ctx context.Context, x Notice) {
	defer func() {
		if p := recover(); p != nil {
			n.log.LogAttrs(ctx, slog.LevelError, "delivery: Config.Notify panics", slog.Any("error", panicked(p)))
		}
	}()
	n.tell(ctx, x)
}

// stop returns when all is told.
func (n *notices) stop() {
	if n.wait != nil {
		close(n.wait)
		n.wg.Wait()
	}
}

func (r *run) notify(x Notice) {
	x.At = r.cfg.Now()
	r.trace.noticed(r.hard, x)
	if r.notices.wait == nil {
		return
	}
	select {
	case r.notices.wait <- x:
	case <-r.hard.Done(): // it hung until the drain's patience was over
	}
}

// notice returns what to tell once an outcome is durable, if anything.
func (o *outcome) notice() (n Notice, ok bool) {
	l := o.slot.Lease
	n = Notice{SubscriptionID: l.SubscriptionID, Dialect: l.Dialect, Tenant: l.Tenant, FailingFor: l.Health.FailingFor}
	switch {
	case o.disabled:
		n.Kind, n.Reason = EndpointDisabled, o.Reason
	case o.Result == GiveUp && (o.Attempt != nil || o.Reason == ReasonExpired):
		n.Kind, n.Reason, n.DeliveryID, n.EventID = DeadLetter, o.Reason, l.ID, l.EventID
	case o.Result == Done && l.Health.Failures >= ThrottleAfter:
		n.Kind = EndpointRecovered
	default:
		return n, false
	}
	return n, true
}
