//go:build unix

package postgres_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/internal/pgtest"
)

func TestMain(m *testing.M) {
	if rig.Plays() {
		os.Exit(rig.Main(m, map[string]rig.Role{"member": runMember}))
	}
	// Most of the time tests wait for rights to end, or to come back.
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(max(6, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
	pgtest.Main(m)
}

// member is one engine of several, and those who publish through it.
type member struct {
	*rig.Engine

	say  func(words ...any)
	stop context.CancelFunc // of the traffic
	wg   sync.WaitGroup
}

// runMember is a process that runs a [rig.Spec]. It says "ready", "acked ID",
// "halted", "drained" and what its commands ask for: see obey.
func runMember(ctx context.Context, c *rig.Child) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var spec rig.Spec
	if err := c.Spec(&spec); err != nil {
		return err
	}
	begin := time.Now()
	e, err := rig.AssembleTuned(ctx, spec, rig.Tune{})
	if err != nil {
		return err
	}
	m := &member{Engine: e, say: c.Say, stop: func() {}}
	c.Say("ready")
	go func() {
		defer cancel()
		c.Commands(func(words []string) bool {
			if err := m.obey(ctx, begin, words); err != nil {
				c.Say("failed", words[0], err)
			}
			return true
		})
	}()
	err = run(ctx, e)
	cancel()
	m.wg.Wait()
	c.Say("drained")
	return errors.Join(err, e.Store.Close())
}

// run runs an engine, again where it could not begin. One that is stopped right
// after another took over, as happens on a busy machine, says so, and that is all
// right.
func run(ctx context.Context, e *rig.Engine) error {
	err := e.Run(ctx)
	for err != nil && pause(ctx, 100*time.Millisecond) {
		err = e.Run(ctx)
	}
	if err != nil && strings.Contains(err.Error(), "another process took over") {
		return nil
	}
	return err
}

var errWords = errors.New("no such command")

// obey knows
//
//	traffic PREFIX RATE CALLERS TENANT…  publishes until "halt"
//	publish TENANT ID…                   one after another, each until it is stored
//	cancel ID                            a delivery
//	shards                               says "shards N"
//	usage                                says "usage" and a [rig.Usage]
//	first                                says "first MS" when it has shards to serve
func (m *member) obey(ctx context.Context, begin time.Time, words []string) error {
	switch {
	case len(words) > 4 && words[0] == "traffic":
		rate, err1 := strconv.Atoi(words[2])
		callers, err2 := strconv.Atoi(words[3])
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		m.traffic(ctx, words[1], rate, callers, words[4:])
	case words[0] == "halt":
		m.halt()
		m.say("halted")
	case len(words) > 2 && words[0] == "publish":
		for _, id := range words[2:] {
			m.publish(ctx, m.Event(words[1], id))
		}
	case len(words) == 2 && words[0] == "cancel":
		m.wg.Go(func() {
			if err := m.Store.Cancel(ctx, time.Time{}, words[1]); err != nil {
				m.say("failed cancel", err)
			}
			m.say("ok cancel")
		})
	case words[0] == "shards":
		mine, _ := m.shards()
		m.say("shards", mine)
	case words[0] == "first":
		m.wg.Go(func() {
			for mine, all := m.shards(); mine < all && ctx.Err() == nil; mine, all = m.shards() {
				pause(ctx, 5*time.Millisecond)
			}
			m.say("first", time.Since(begin).Milliseconds())
		})
	case words[0] == "usage":
		u, err := rig.OwnUsage()
		m.say("usage", u)
		return err
	default:
		return errWords
	}
	return nil
}

func (m *member) shards() (mine, all int) {
	return m.Store.(*rig.Pooled).Shards()
}

// pause reports whether the context goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// publish tries until the event is stored: what it is told of an attempt whose
// outcome is not known is that the event is there already.
func (m *member) publish(ctx context.Context, ev delivery.Event) {
	for first := true; ; first = false {
		try, cancel := context.WithTimeout(ctx, 20*time.Second)
		_, err := m.Publish(try, ev)
		cancel()
		if err == nil {
			m.say("acked", ev.ID)
			return
		}
		if first && ctx.Err() == nil {
			m.say("refused", ev.ID, err)
		}
		if errors.Is(err, delivery.ErrInvalid) || !pause(ctx, 20*time.Millisecond) {
			return
		}
	}
}

// traffic is published by callers until halt; of every second one the events
// have a key of its own.
func (m *member) traffic(ctx context.Context, prefix string, rate, callers int, tenants []string) {
	ctx, m.stop = context.WithCancel(ctx)
	for c := range callers {
		m.wg.Go(func() {
			tick := time.NewTicker(time.Second * time.Duration(callers) / time.Duration(rate))
			defer tick.Stop()
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("%s-%d-%d", prefix, c, n)
				ev := m.Event(tenants[(c+n)%len(tenants)], id)
				if c%2 == 0 {
					ev = m.Event(tenants[c%len(tenants)], id)
					ev.Key = fmt.Sprintf("%s-%d", prefix, c)
				}
				m.publish(ctx, ev)
				select {
				case <-tick.C:
				case <-ctx.Done():
				}
			}
		})
	}
}

func (m *member) halt() {
	m.stop()
	m.wg.Wait()
}
