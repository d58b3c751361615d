package rig

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

var errWords = errors.New("too few words or no numbers")

// need tells how many words a command of [Watched] takes at least, beside its
// name.
var need = map[string]int{
	"offer": 4, "stuff": 3, "keyed": 3, "ahead": 2, "move": 2, "disable": 1,
	"many": 3, "names": 1, "usage": 0, "timed": 0, "idle": 1, "peak": 1,
}

func (w *watched) obey(ctx context.Context, words []string) error {
	n, mine := need[words[0]]
	if !mine {
		return w.Engine.obey(ctx, w.child, &w.pumps, words)
	}
	args := words[1:]
	if len(args) < n {
		return errWords
	}
	var err error
	switch words[0] {
	case "offer":
		return w.offer(ctx, args)
	case "stuff":
		return w.stuff(ctx, args)
	case "keyed":
		for _, id := range args[2:] {
			ev := w.Event(args[0], id)
			ev.Key = args[1]
			w.say(ctx, ev)
		}
		return nil
	case "ahead":
		ev := w.Event(args[0], args[1])
		ev.Ahead = true
		w.say(ctx, ev)
		return nil
	case "usage":
		u, err := OwnUsage()
		if err == nil {
			w.child.Say("usage", u)
		}
		return err
	case "timed":
		begin := time.Now()
		_, err := w.Store.Counts(ctx)
		if err == nil {
			w.child.Say("timed", time.Since(begin).Milliseconds())
		}
		return err
	case "idle":
		return w.idle(ctx, args[0])
	case "peak":
		peak, total := w.peak(args[0])
		w.child.Say("peak", args[0], peak, total)
		return nil
	case "move":
		err = w.edit(ctx, args[0], func(sub *registry.Subscription) { sub.URL = args[1] })
	case "disable":
		err = w.edit(ctx, args[0], func(sub *registry.Subscription) { sub.State, sub.Reason = registry.Disabled, "asked" })
	case "many":
		err = w.many(ctx, args)
	case "names":
		w.away.Store(args[0] == "down")
	}
	if err == nil {
		w.child.Say("ok", words[0])
	}
	return err
}

func (w *watched) say(ctx context.Context, ev delivery.Event) {
	if _, err := w.Publish(ctx, ev); err != nil {
		w.child.Say("refused", ev.ID, err)
		return
	}
	w.child.Say("acked", ev.ID)
}

func (w *watched) edit(ctx context.Context, id string, f func(*registry.Subscription)) error {
	sub, err := w.Engine.Engine.Registry().Get(ctx, id)
	if err != nil {
		return err
	}
	sub = sub.Clone()
	f(&sub)
	_, err = w.Subscribe(ctx, sub)
	return err
}

func (w *watched) many(ctx context.Context, args []string) error {
	n, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	subs := make([]registry.Subscription, n)
	for i := range subs {
		id := args[0] + strconv.Itoa(i)
		subs[i] = Endpoint{ID: id, Tenant: id, URL: args[2] + "/" + id}.Subscription()
	}
	_, err = w.Subscribe(ctx, subs...)
	return err
}

// callers publish at the same time, so that commits are shared.
const callers = 16

// offer publishes by the clock: what a slow moment held up follows at once.
func (w *watched) offer(ctx context.Context, args []string) error {
	ms, err1 := strconv.Atoi(args[1])
	rate, err2 := strconv.Atoi(args[2])
	if err1 != nil || err2 != nil {
		return errWords
	}
	prefix, tenants, total := args[0], args[3:], rate*ms/1000
	next := make(chan int, callers)
	w.pumps.Go(func() {
		defer close(next)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		begin := time.Now()
		for n := 0; n < total; {
			for due := min(total, int(time.Since(begin).Seconds()*float64(rate))+1); n < due; n++ {
				select {
				case next <- n:
				case <-ctx.Done():
					return
				}
			}
			<-tick.C
		}
	})
	w.pumps.Go(func() {
		done := make(chan struct{}, callers)
		for range callers {
			go func() {
				for n := range next {
					w.say(ctx, w.Event(tenants[n%len(tenants)], fmt.Sprintf("%s-%d", prefix, n)))
				}
				done <- struct{}{}
			}()
		}
		for range callers {
			<-done
		}
		w.child.Say("offered", prefix)
	})
	return nil
}

func (w *watched) stuff(ctx context.Context, args []string) error {
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	for first := 0; first < n; first += delivery.MaxBatch {
		var evs []delivery.Event
		for i := first; i < min(n, first+delivery.MaxBatch); i++ {
			ev := w.Event(args[0], fmt.Sprintf("%s-%d", args[1], i))
			evs = append(evs, ev)
		}
		if _, err := w.Publish(ctx, evs...); err != nil {
			return err
		}
	}
	w.child.Say("stuffed", args[1])
	return nil
}

func (w *watched) idle(ctx context.Context, text string) error {
	ms, err := strconv.Atoi(text)
	if err != nil {
		return err
	}
	before, err := OwnUsage()
	if err != nil {
		return err
	}
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	after, err := OwnUsage()
	if err == nil {
		w.child.Say("idle", int64(after.CPU-before.CPU))
	}
	return err
}
