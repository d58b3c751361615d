package rig

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/standardwebhooks"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

// WatchedRole is the name for [Watched], a process that does what [EngineRole]
// does, under limits, and can be looked into. It says also:
//
//	ready MS                       as there, and how long that took
//	stopping                       SIGTERM came or the commands ended
//	notice KIND SUBSCRIPTION REASON  what Config.Notify was told
//	acked ID                       also for what the commands below publish
//
// and takes these commands beside the others:
//
//	offer PREFIX MS RATE TENANT…   publishes RATE events a second in turn to the
//	                               tenants for so long; "offered PREFIX" is the end
//	stuff TENANT PREFIX N          publishes PREFIX-0 to PREFIX-(N-1) in large
//	                               batches and says "stuffed PREFIX" alone
//	keyed TENANT KEY ID…           publishes in order, with an ordering key
//	ahead TENANT ID                publishes before what waits
//	move SUBSCRIPTION URL          sets another URL
//	disable SUBSCRIPTION           disables it
//	many PREFIX N URL              N subscriptions, named by PREFIX and a number
//	names up, names down           whether names can be looked up
//	usage                          says "usage" and a [Usage]
//	timed                          says "timed" and how many ms the store's counts took
//	idle MS                        says "idle" and the CPU time in ns that passed in it
//	peak SUBSCRIPTION              says "peak SUBSCRIPTION N TOTAL": how many attempts
//	                               were under way at most and began since it was asked last
const WatchedRole = "watched"

// A WatchSpec is what a process of [Watched] runs.
type WatchSpec struct {
	Spec
	// DisableAfter is the engine's.
	DisableAfter time.Duration
	// Files, Memory and Procs bound open files, bytes by the garbage
	// collector, and processors; 0 is no bound.
	Files  uint64
	Memory int64
	Procs  int
	// Ports may be called on hosts with a name, which are all at 127.0.0.1.
	Ports []uint16
}

func (s *WatchSpec) limit() error {
	if s.Memory > 0 {
		debug.SetMemoryLimit(s.Memory)
	}
	if s.Procs > 0 {
		runtime.GOMAXPROCS(s.Procs)
	}
	if s.Files == 0 {
		return nil
	}
	return syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: s.Files, Max: s.Files})
}

type watched struct {
	*Engine
	child *Child
	away  atomic.Bool // no name can be looked up
	pumps sync.WaitGroup

	mu    sync.Mutex
	lanes map[string]*traffic
}

type traffic struct{ now, peak, total int }

// Watched is a [Role]; see [WatchedRole].
func Watched(ctx context.Context, c *Child) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var spec WatchSpec
	if err := c.Spec(&spec); err != nil {
		return err
	}
	if err := spec.limit(); err != nil {
		return err
	}
	begin := time.Now()
	w := &watched{child: c, lanes: map[string]*traffic{}}
	if w.Engine, err = AssembleTuned(ctx, spec.Spec, w.tune(&spec)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Store.Close()) }()
	c.Say("ready", time.Since(begin).Milliseconds())
	context.AfterFunc(ctx, func() { c.Say("stopping") })
	go func() {
		c.Commands(func(words []string) bool {
			if len(words) == 0 {
				return true
			}
			if err := w.obey(ctx, words); err != nil {
				c.Say("failed", words[0], err)
			}
			return true
		})
		w.pumps.Wait()
		cancel()
	}()
	if spec.Idle {
		<-ctx.Done()
	} else {
		err = w.Run(ctx)
	}
	cancel()
	w.pumps.Wait()
	if err != nil {
		c.Say("drained", err)
		return err
	}
	c.Say("drained")
	return nil
}

func (w *watched) tune(spec *WatchSpec) Tune {
	return Tune{
		Client: func(cfg *egress.Config) {
			cfg.Policy.AllowPorts = append(cfg.Policy.AllowPorts, spec.Ports...)
			cfg.Resolver = w
		},
		Engine: func(cfg *delivery.Config) {
			cfg.DisableAfter = spec.DisableAfter
			cfg.Dialects[standardwebhooks.Name] = panicky{cfg.Dialects[standardwebhooks.Name]}
			cfg.Notify = func(_ context.Context, n delivery.Notice) { w.child.Say("notice", n.Kind, n.SubscriptionID, n.Reason) }
			cfg.Trace.AttemptStart = func(ctx context.Context, a delivery.AttemptStart) context.Context {
				w.count(a.Lease.SubscriptionID, 1)
				return ctx
			}
			cfg.Trace.AttemptDone = func(_ context.Context, a delivery.AttemptDone) { w.count(a.Lease.SubscriptionID, -1) }
		},
	}
}

func (w *watched) count(id string, by int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.lanes[id]
	if t == nil {
		t = &traffic{}
		w.lanes[id] = t
	}
	t.now += by
	t.peak = max(t.peak, t.now)
	t.total += max(by, 0)
}

// peak returns the most since it was asked last, and how many began.
func (w *watched) peak(id string) (peak, total int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.lanes[id]
	if t == nil {
		return 0, 0
	}
	peak, total = t.peak, t.total
	t.peak, t.total = t.now, 0
	return peak, total
}

// LookupNetIP knows every name, unless none can be looked up. Names that begin
// with "lapsed" are not known.
func (w *watched) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if w.away.Load() || strings.HasPrefix(host, "lapsed") {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, nil
}

// panicky panics for events whose ID begins with "boom", when the answer has
// the header X-Boom, and asked for the schedule of a subscription whose ID
// begins with "sub_boom".
type panicky struct{ delivery.Dialect }

func (d panicky) Request(ctx context.Context, v delivery.Delivery, sub registry.Subscription, at time.Time) (*http.Request, error) {
	if strings.HasPrefix(v.EventID, "boom") {
		panic("the request of " + v.EventID)
	}
	return d.Dialect.Request(ctx, v, sub, at)
}

func (d panicky) Judge(status int, header http.Header, body []byte) delivery.Verdict {
	if header.Get("X-Boom") != "" {
		panic("the answer")
	}
	return d.Dialect.Judge(status, header, body)
}

func (d panicky) Schedule(sub registry.Subscription) delivery.Backoff {
	if strings.HasPrefix(sub.ID, "sub_boom") {
		return []delivery.Backoff{}[len(sub.ID)] // a runtime error this time
	}
	return d.Dialect.Schedule(sub)
}
