//go:build unix

package rig

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

// Steps kill the process when it comes by one of them for the n-th time:
//
//	enqueue.before  enqueue.after    around Store.Enqueue; after means it succeeded
//	lease.after                      leases were handed out
//	settle.before   settle.after     around Store.Settle
//	setlanes.before setlanes.after   around Store.SetLanes
//	regset.before   regset.after     around Registry.Set
//	OP.commit.before OP.commit.after around the commit of the SQL transaction,
//	                                 OP one of enqueue, settle, setlanes, regset,
//	                                 open (the store's) and migrate (the registry's)
//	OP.exec                          before each execution by the text of a statement
//	dial.before                      before the connection
//	tls.done                         after the handshake, before the request
//	write                            half of a write to the connection left
//	wrote                            the whole request left (bodies up to 3 KiB)
//	client.before   client.after     around the client; after means an answer's head came
//
// The zero value kills nobody. "NAME:N" arms; N is 1 by default.
type Steps struct {
	mu   sync.Mutex
	name string
	left int

	last atomic.Bool // the next write ends a request
}

var errStep = errors.New("rig: a step is NAME or NAME:N")

// Arm sets the step.
func (s *Steps) Arm(step string) error {
	name, count, found := strings.Cut(step, ":")
	n := 1
	if found {
		var err error
		if n, err = strconv.Atoi(count); err != nil || n < 1 {
			return errStep
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.name, s.left = name, n
	return nil
}

// At kills the process if this is the step.
func (s *Steps) At(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.name != name {
		return
	}
	if s.left--; s.left == 0 {
		die()
	}
}

type opKey struct{}

func withOp(ctx context.Context, op string) context.Context {
	return context.WithValue(ctx, opKey{}, op)
}

// Hooks are the steps as hooks of a driver, named after the operation that the
// context belongs to.
func (s *Steps) Hooks() Hooks {
	at := func(ctx context.Context, what string) {
		if op, ok := ctx.Value(opKey{}).(string); ok {
			s.At(op + what)
		}
	}
	return Hooks{
		Exec: func(ctx context.Context, _ string) error {
			at(ctx, ".exec")
			return nil
		},
		Commit: func(ctx context.Context) error {
			at(ctx, ".commit.before")
			return nil
		},
		Committed: func(ctx context.Context) error {
			at(ctx, ".commit.after")
			return nil
		},
	}
}

// FullStore is what both stores of the project are.
type FullStore interface {
	delivery.Store
	delivery.Waiter
	delivery.Browser
	delivery.Operator
	Close() error
}

type steppedStore struct {
	FullStore
	steps *Steps
}

func (s *steppedStore) around(ctx context.Context, op string, f func(context.Context) error) error {
	s.steps.At(op + ".before")
	err := f(withOp(ctx, op))
	if err == nil {
		s.steps.At(op + ".after")
	}
	return err
}

func (s *steppedStore) Enqueue(ctx context.Context, now time.Time, ds ...delivery.Delivery) error {
	return s.around(ctx, "enqueue", func(ctx context.Context) error { return s.FullStore.Enqueue(ctx, now, ds...) })
}

func (s *steppedStore) Settle(ctx context.Context, now time.Time, outs ...delivery.Outcome) error {
	return s.around(ctx, "settle", func(ctx context.Context) error { return s.FullStore.Settle(ctx, now, outs...) })
}

func (s *steppedStore) SetLanes(ctx context.Context, now time.Time, lanes ...delivery.LaneState) error {
	return s.around(ctx, "setlanes", func(ctx context.Context) error { return s.FullStore.SetLanes(ctx, now, lanes...) })
}

func (s *steppedStore) Lease(ctx context.Context, now time.Time, req delivery.LeaseRequest) ([]delivery.Lease, error) {
	leases, err := s.FullStore.Lease(ctx, now, req)
	if len(leases) > 0 {
		s.steps.At("lease.after")
	}
	return leases, err
}

type steppedRegistry struct {
	registry.Registry
	steps *Steps
}

func (r *steppedRegistry) Set(ctx context.Context, subs ...registry.Subscription) ([]registry.Subscription, error) {
	r.steps.At("regset.before")
	stored, err := r.Registry.Set(withOp(ctx, "regset"), subs...)
	if err == nil {
		r.steps.At("regset.after")
	}
	return stored, err
}

type steppedClient struct {
	delivery.Client
	steps *Steps
}

func (c *steppedClient) Do(req *http.Request) (*http.Response, error) {
	c.steps.At("client.before")
	trace := &httptrace.ClientTrace{
		GotConn: func(i httptrace.GotConnInfo) {
			if req.URL.Scheme == "https" && !i.Reused {
				c.steps.At("tls.done")
			}
		},
		WroteRequest: func(i httptrace.WroteRequestInfo) {
			if i.Err == nil { // net/http flushes after this
				c.steps.last.Store(true)
			}
		},
	}
	resp, err := c.Client.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), trace)))
	if err == nil {
		c.steps.At("client.after")
	}
	return resp, err
}

// dial is an egress.Config.DialContext with steps.
func (s *Steps) dial(ctx context.Context, network, address string) (net.Conn, error) {
	s.At("dial.before")
	c, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &steppedConn{Conn: c, steps: s}, nil
}

type steppedConn struct {
	net.Conn
	steps *Steps
}

func (c *steppedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p[:len(p)/2])
	if err != nil {
		return n, err
	}
	c.steps.At("write")
	m, err := c.Conn.Write(p[n:])
	if err == nil && c.steps.last.Swap(false) {
		c.steps.At("wrote")
	}
	return n + m, err
}
