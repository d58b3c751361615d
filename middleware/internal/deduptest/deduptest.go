// Package deduptest checks that a middleware.DedupStore keeps its word.
//
//	deduptest.Run(t, deduptest.Harness{Open: func(t *testing.T, limit int) (a, b middleware.DedupStore, advance func(time.Duration)) {
//		m := &middleware.MemoryDedup{MaxEntries: limit}
//		return m, m, time.Sleep
//	}, Case: synctest.Test})
//
// It is for tests alone.
package deduptest

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/middleware"
)

// A Harness says how to make stores.
type Harness struct {
	// Open returns two views of one empty store for limit ids, such as those
	// of two processes, and what lets time pass for both.
	Open func(t *testing.T, limit int) (a, b middleware.DedupStore, advance func(time.Duration))
	// Case runs a case. Nil runs it as it is; synctest.Test is another choice.
	Case func(t *testing.T, f func(t *testing.T))
}

// keep is the retention of all cases.
var keep = middleware.DedupRetention{Keep: time.Hour, Least: 10 * time.Minute}

type env struct {
	*testing.T

	a, b    middleware.DedupStore
	advance func(time.Duration)
}

// claimOf is a claim of the id by the token.
func claimOf(id, token string) middleware.DedupClaim {
	c := middleware.DedupClaim{Lease: time.Minute}
	copy(c.Key[:], id)
	copy(c.Token[:], token)
	copy(c.Digest[:], "body")
	return c
}

func (e *env) claim(s middleware.DedupStore, c middleware.DedupClaim, want middleware.DedupState) middleware.DedupAnswer {
	e.Helper()
	res, err := s.Claim(e.Context(), c)
	if err != nil || res.State != want {
		e.Fatalf("Claim: state %d, %v, want %d", res.State, err, want)
	}
	return res.Answer
}

func (e *env) commit(s middleware.DedupStore, c middleware.DedupClaim, a middleware.DedupAnswer, want error) {
	e.Helper()
	if err := s.Commit(e.Context(), c.Key, c.Token, a, keep); !errors.Is(err, want) {
		e.Fatalf("Commit: %v, want %v", err, want)
	}
}

func (e *env) release(s middleware.DedupStore, c middleware.DedupClaim, want error) {
	e.Helper()
	if err := s.Release(e.Context(), c.Key, c.Token); !errors.Is(err, want) {
		e.Fatalf("Release: %v, want %v", err, want)
	}
}

func answer() middleware.DedupAnswer {
	return middleware.DedupAnswer{Status: 201, Header: http.Header{"Content-Type": {"text/plain", "\x00é"}}, Body: []byte("\x00\xff answer")}
}

// cases, by the rules that they prove.
var cases = []struct {
	name  string
	limit int
	run   func(e *env)
}{
	{"a committed answer is given to all", 0, func(e *env) {
		c := claimOf("id", "1")
		e.claim(e.a, c, middleware.DedupClaimed)
		e.commit(e.a, c, answer(), nil)
		for _, s := range []middleware.DedupStore{e.a, e.b} {
			if diff := cmp.Diff(answer(), e.claim(s, claimOf("id", "2"), middleware.DedupDone)); diff != "" {
				e.Error(diff)
			}
		}
		e.claim(e.b, claimOf("another", "3"), middleware.DedupClaimed)
	}},
	{"an answer without anything is kept as it is", 0, func(e *env) {
		c := claimOf("id", "1")
		e.claim(e.a, c, middleware.DedupClaimed)
		e.commit(e.a, c, middleware.DedupAnswer{Status: 204, Cut: true}, nil)
		if a := e.claim(e.b, claimOf("id", "2"), middleware.DedupDone); a.Status != 204 || !a.Cut || len(a.Header)+len(a.Body) != 0 {
			e.Errorf("%+v", a)
		}
	}},
	{"a claim excludes others, and another body is a conflict", 0, func(e *env) {
		c, other := claimOf("id", "1"), claimOf("id", "2")
		copy(other.Digest[:], "another body")
		e.claim(e.a, c, middleware.DedupClaimed)
		e.claim(e.b, claimOf("id", "2"), middleware.DedupInProgress)
		e.claim(e.b, other, middleware.DedupConflict)
		e.commit(e.a, c, answer(), nil)
		e.claim(e.b, other, middleware.DedupConflict)
	}},
	{"a claim may be repeated with its token", 0, func(e *env) {
		c := claimOf("id", "1")
		e.claim(e.a, c, middleware.DedupClaimed)
		e.claim(e.a, c, middleware.DedupClaimed)
		e.commit(e.a, c, answer(), nil)
		e.commit(e.a, c, answer(), nil)
		e.claim(e.a, c, middleware.DedupDone) // and not once more
	}},
	{"a claim that is repeated begins its lease anew", 0, func(e *env) {
		c := claimOf("id", "1")
		e.claim(e.a, c, middleware.DedupClaimed)
		e.advance(time.Minute - time.Second)
		e.claim(e.a, c, middleware.DedupClaimed)
		e.advance(time.Minute - time.Second)
		e.claim(e.b, claimOf("id", "2"), middleware.DedupInProgress)
		e.advance(time.Second)
		e.claim(e.b, claimOf("id", "2"), middleware.DedupClaimed)
	}},
	{"a released id can be claimed at once", 0, func(e *env) {
		c, next := claimOf("id", "1"), claimOf("id", "2")
		e.claim(e.a, c, middleware.DedupClaimed)
		e.release(e.b, next, middleware.ErrClaimLost)
		e.release(e.a, c, nil)
		e.release(e.a, c, middleware.ErrClaimLost)
		e.commit(e.a, c, answer(), middleware.ErrClaimLost)
		e.claim(e.b, next, middleware.DedupClaimed)
	}},
	{"a committed id cannot be released", 0, func(e *env) {
		c := claimOf("id", "1")
		e.claim(e.a, c, middleware.DedupClaimed)
		e.commit(e.a, c, answer(), nil)
		e.release(e.a, c, middleware.ErrClaimLost)
		e.claim(e.a, claimOf("id", "2"), middleware.DedupDone)
	}},
	{"a lease ends, and its holder cannot touch the successor's", 0, func(e *env) {
		c, next := claimOf("id", "1"), claimOf("id", "2")
		copy(next.Digest[:], "another body") // nothing was answered for the first
		e.claim(e.a, c, middleware.DedupClaimed)
		e.advance(time.Minute - time.Second)
		e.claim(e.b, claimOf("id", "2"), middleware.DedupInProgress)
		e.advance(time.Second)
		e.claim(e.b, next, middleware.DedupClaimed)
		e.commit(e.a, c, middleware.DedupAnswer{Status: 299}, middleware.ErrClaimLost)
		e.release(e.a, c, middleware.ErrClaimLost)
		e.commit(e.b, next, answer(), nil)
		e.commit(e.a, c, middleware.DedupAnswer{Status: 299}, middleware.ErrClaimLost)
		third := claimOf("id", "3")
		copy(third.Digest[:], "another body")
		if a := e.claim(e.a, third, middleware.DedupDone); a.Status != 201 {
			e.Errorf("status %d", a.Status)
		}
	}},
	{"a late commit without a successor counts", 0, func(e *env) {
		c := claimOf("id", "1")
		e.claim(e.a, c, middleware.DedupClaimed)
		e.advance(2 * time.Minute)
		e.commit(e.a, c, answer(), nil)
		e.claim(e.b, claimOf("id", "2"), middleware.DedupDone)
	}},
	{"a retention ends", 0, func(e *env) {
		c := claimOf("id", "1")
		e.claim(e.a, c, middleware.DedupClaimed)
		e.commit(e.a, c, answer(), nil)
		e.advance(time.Hour - time.Second)
		e.claim(e.a, claimOf("id", "2"), middleware.DedupDone)
		e.advance(time.Second)
		e.claim(e.a, claimOf("id", "2"), middleware.DedupClaimed)
		e.claim(e.b, claimOf("id", "3"), middleware.DedupInProgress)
	}},
	{"what is given and taken is not shared", 0, func(e *env) {
		c, a := claimOf("id", "1"), answer()
		e.claim(e.a, c, middleware.DedupClaimed)
		e.commit(e.a, c, a, nil)
		a.Body[0], a.Header["Content-Type"][0] = 'x', "x"
		got := e.claim(e.a, claimOf("id", "2"), middleware.DedupDone)
		got.Body[0], got.Header["Content-Type"][0] = 'x', "x"
		if diff := cmp.Diff(answer(), e.claim(e.a, claimOf("id", "2"), middleware.DedupDone)); diff != "" {
			e.Error(diff)
		}
	}},
	{"a full store refuses, forgets the oldest that may go, and recovers", 8, func(e *env) {
		for i := range 8 {
			c := claimOf("id"+strconv.Itoa(i), "1")
			e.claim(e.a, c, middleware.DedupClaimed)
			e.commit(e.a, c, answer(), nil)
			e.advance(time.Second)
		}
		if _, err := e.a.Claim(e.Context(), claimOf("new", "1")); !errors.Is(err, middleware.ErrFull) {
			e.Fatalf("Claim: %v, want ErrFull", err)
		}
		e.claim(e.a, claimOf("id0", "2"), middleware.DedupDone) // what is known is answered
		e.advance(10*time.Minute - 8*time.Second)               // id0 may go, id1 in a second
		e.claim(e.a, claimOf("new", "1"), middleware.DedupClaimed)
		if _, err := e.a.Claim(e.Context(), claimOf("newer", "1")); !errors.Is(err, middleware.ErrFull) {
			e.Fatalf("Claim: %v, want ErrFull", err)
		}
		e.claim(e.a, claimOf("id1", "2"), middleware.DedupDone)
		e.advance(time.Hour)
		for i := range 8 {
			e.claim(e.a, claimOf("id"+strconv.Itoa(i), "3"), middleware.DedupClaimed)
		}
	}},
	{"of many claims at once one is given", 0, func(e *env) {
		const many = 32
		for round := range 8 {
			var won atomic.Int32
			var all sync.WaitGroup
			for i := range many {
				all.Go(func() {
					s := e.a
					if i%2 == 1 {
						s = e.b
					}
					res, err := s.Claim(context.WithoutCancel(e.Context()), claimOf("id"+strconv.Itoa(round), "t"+strconv.Itoa(i)))
					if err != nil {
						e.Error(err)
					}
					if res.State == middleware.DedupClaimed {
						won.Add(1)
					}
				})
			}
			all.Wait()
			if won.Load() != 1 {
				e.Fatalf("%d of %d claims were given", won.Load(), many)
			}
		}
	}},
	{"the body of an answer may be long", 0, func(e *env) {
		c, a := claimOf("id", "1"), answer()
		a.Body = bytes.Repeat([]byte{0, 255}, 32<<10)
		e.claim(e.a, c, middleware.DedupClaimed)
		e.commit(e.a, c, a, nil)
		if got := e.claim(e.b, claimOf("id", "2"), middleware.DedupDone); !bytes.Equal(got.Body, a.Body) {
			e.Errorf("%d bytes", len(got.Body))
		}
	}},
}

// Run runs every case on a store of its own.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if h.Case == nil {
		h.Case = func(t *testing.T, f func(t *testing.T)) { t.Helper(); f(t) }
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h.Case(t, func(t *testing.T) {
				a, b, advance := h.Open(t, c.limit)
				c.run(&env{T: t, a: a, b: b, advance: advance})
			})
		})
	}
}
