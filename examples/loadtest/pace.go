package main

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// publishers is how many callers publish at once, one event each time, as fast
// as they can: more than a store takes in one commit while another is under way.
// callers is how many do where a commit takes no time, or their own wait is
// measured, or they keep a pace.
const (
	publishers = 128
	callers    = 64
)

// paced is how many events a paced order has.
func paced(o order) int { return max(int(o.PerSecond*o.Seconds), 1) }

// stamp begins the time in a stamped payload: nanoseconds of the machine's clock
// in 19 digits follow.
const stamp = "age_"

// stampedPayload is a payload that tells the receiver when it was made. That is
// not left to the event's ID: one that is given is looked up first.
func stampedPayload() []byte {
	p := bytes.Clone(payload)
	copy(p[len(payloadHead):], fmt.Sprintf("%s%019d", stamp, time.Now().UnixNano()))
	return p
}

// stampOf returns the time in a body, if it has one.
func stampOf(body []byte) (nanos int64, ok bool) {
	_, rest, ok := bytes.Cut(body, []byte(stamp))
	if !ok || len(rest) < 19 {
		return 0, false
	}
	nanos, err := strconv.ParseInt(string(rest[:19]), 10, 64)
	return nanos, err == nil
}

// pace calls do n times, evenly, as slow as perSecond says.
func pace(ctx context.Context, perSecond float64, n int, do func(ctx context.Context, i int) error) error {
	due := make(chan int, n)
	go func() {
		defer close(due)
		begin := time.Now()
		for i := range n {
			wait := time.Until(begin.Add(time.Duration(float64(i) / perSecond * float64(time.Second))))
			if wait > 0 {
				timer := time.NewTimer(wait)
				select {
				case <-timer.C:
				case <-ctx.Done():
					timer.Stop()
					return
				}
			}
			due <- i
		}
	}()
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range callers {
		wg.Go(func() {
			for i := range due {
				if err := do(ctx, i); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return ctx.Err()
}
