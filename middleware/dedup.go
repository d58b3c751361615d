package middleware

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/ringback-go/ringback/verify"
)

// ReplayedHeader is set on every answer that [Dedup] repeats: "true", or
// "status-only" when the first answer was too long to be kept.
const ReplayedHeader = "Idempotent-Replayed"

// The values of a [Dedup] gate where no others are set.
const (
	DefaultDedupLease  = time.Minute
	DefaultDedupKeep   = 24 * time.Hour
	DefaultDedupAnswer = 64 << 10 // bytes
	defaultDedupRetry  = time.Second
)

// settling bounds the end of a claim, which does not end with the request.
const settling = 10 * time.Second

// Dedup lets one of all requests with the same id reach the handler, and
// answers the others:
//
//   - the same id with the same body, when the handler has answered: with its
//     answer, marked by [ReplayedHeader];
//   - while the handler is at it: 503 with Retry-After;
//   - the same id with another body: 409.
//
// A handler that panics, or answers 5xx, 408, 425 or 429, has not handled the
// request: the id is released, and the next try runs. Any other answer is
// kept. So is that of a handler whose client has left. A process that ends
// while a handler runs blocks the id until the lease is over; the handler's
// context ends with the lease, and what it answers later cannot replace the
// answer of a successor. All the same a handler can run twice: when it outlives
// its context, and when the store fails after it.
//
// When the store fails or is full, requests are refused with 503.
//
// Dedup is as good as the id: a scheme whose signature does not cover the id
// and the time lets a captured request be sent again under another id; see
// the documentation of the scheme, such as verify.GitHub.
//
// A [Body] gate must stand outside, and a [Signature] for [ByMessage]: without
// them every request is refused with 500.
//
// The zero value refuses everything; its Handler panics.
type Dedup struct {
	// Store remembers the ids. Required.
	Store DedupStore
	// ID tells the id of a request, the same over all its repeats and
	// different from those of all other senders. Required; see ByMessage. It
	// must not block. An empty id refuses the request with 500.
	ID func(r *http.Request) string
	// Name keeps the ids of several gates apart in one store.
	Name string
	// Lease is how long a handler may take. 0 means DefaultDedupLease.
	Lease time.Duration
	// Keep is how long an answer is kept if the store has room. 0 means
	// DefaultDedupKeep. It must not be less than twice the Tolerance, else a
	// captured request could be sent again when its id is forgotten and its
	// signature still good.
	Keep time.Duration
	// Tolerance is that of the verifier. 0 means verify.DefaultTolerance.
	// Twice as long an answer is kept whether the store has room or not.
	Tolerance time.Duration
	// RetryAfter is what is told to a repeat that comes too early, and while
	// the store is full. 0 means a second.
	RetryAfter time.Duration
	// MaxAnswer is the size in bytes, of body and kept header fields, up to
	// which an answer is kept. Of a bigger one the status alone is repeated. 0
	// means DefaultDedupAnswer.
	MaxAnswer int
	// Header are the fields of an answer to be kept. Nil means Content-Type.
	Header []string
	// FailOpen lets requests pass, unprotected, when the store fails. A store
	// that is full refuses them all the same, and so is a request whose own
	// context is over.
	FailOpen bool
	// Deny writes refusals. Nil is [Problem].
	Deny DenyFunc
	// Logger gets the causes. Nil is slog.Default().
	Logger *slog.Logger
}

// ByMessage is the message id of [IdentityFrom], together with scheme and
// subject: two parties may use the same id. It does not tell the keys of one
// verifier apart, because one sender may sign a repeat by another key; where
// they belong to different senders, add the key. It is empty outside of
// [Signature], and where the scheme has no id: Tencent Sign, Slack, Stripe. There
// the id is in the body: see the Example of [Dedup] for Stripe, in
// example_more_test.go.
func ByMessage(r *http.Request) string {
	id, _ := IdentityFrom(r.Context())
	if id.MessageID == "" {
		return ""
	}
	return id.Scheme + "\x00" + id.Subject + "\x00" + id.MessageID
}

// Check claims the id of r. Without an error the state of the result is
// DedupClaimed, for which the caller must commit or release the claim, or
// DedupDone. The error is an [*Error] of class [ErrInProgress], [ErrConflict],
// [ErrFull], [ErrUnavailable] when the store failed, whatever FailOpen says,
// or [ErrConfig].
func (g Dedup) Check(r *http.Request) (DedupClaim, DedupResult, error) {
	if g.ID == nil || g.Store == nil {
		return DedupClaim{}, DedupResult{}, &Error{Err: wrap(ErrConfig, errNoDedup)}
	}
	raw, ok := RawBody(r)
	if !ok {
		return DedupClaim{}, DedupResult{}, &Error{Err: wrap(ErrConfig, errNoBody)}
	}
	id := g.ID(r)
	if id == "" {
		return DedupClaim{}, DedupResult{}, &Error{Err: wrap(ErrConfig, errNoID)}
	}
	c := DedupClaim{Key: dedupKey(g.Name, id), Digest: sha256.Sum256(raw), Lease: or(g.Lease, DefaultDedupLease)}
	_, _ = rand.Read(c.Token[:]) // never fails
	res, err := g.Store.Claim(r.Context(), c)
	switch {
	case errors.Is(err, ErrFull):
		return c, DedupResult{}, &Error{Err: err, RetryAfter: or(g.RetryAfter, defaultDedupRetry)}
	case err != nil:
		return c, DedupResult{}, &Error{Err: wrap(ErrUnavailable, err)}
	case res.State == DedupClaimed || res.State == DedupDone:
		return c, res, nil
	case res.State == DedupConflict:
		return c, res, &Error{Err: ErrConflict}
	}
	return c, res, &Error{Err: ErrInProgress, RetryAfter: or(g.RetryAfter, defaultDedupRetry)}
}

// dedupKey joins name and id so that no other pair gives the same key.
func dedupKey(name, id string) DedupKey {
	buf := make([]byte, 0, 512)
	buf = binary.BigEndian.AppendUint64(buf, uint64(len(name)))
	buf = append(append(buf, name...), id...)
	return sha256.Sum256(buf)
}

func or[T int | time.Duration](v, standard T) T {
	if v == 0 {
		return standard
	}
	return v
}

// Handler returns the gate in front of next. It panics when next, Store or ID
// is nil, when a value is negative, when Keep is less than twice the
// Tolerance, and when the order is wrong.
func (g Dedup) Handler(next http.Handler) http.Handler {
	g.Lease, g.Keep, g.Tolerance = or(g.Lease, DefaultDedupLease), or(g.Keep, DefaultDedupKeep), or(g.Tolerance, verify.DefaultTolerance)
	g.MaxAnswer = or(g.MaxAnswer, DefaultDedupAnswer)
	switch {
	case isNil(g.Store):
		panic("middleware: Dedup: Store is nil, set it to a MemoryDedup, or to one of package sqldedup")
	case g.ID == nil:
		panic("middleware: Dedup: ID is nil, set it to what tells the id of a request, such as middleware.ByMessage")
	case g.Lease < 0 || g.Keep < 0 || g.Tolerance < 0 || g.RetryAfter < 0 || g.MaxAnswer < 0:
		panic("middleware: Dedup: a time or size is negative, set it to more than zero, or to 0 for its default")
	case g.Keep/2 < g.Tolerance:
		panic(fmt.Sprintf("middleware: Dedup: Keep is %v, set it to twice the Tolerance of %v at least, or a captured request can be sent again", g.Keep, g.Tolerance))
	}
	if g.Header == nil {
		g.Header = []string{"Content-Type"}
	}
	g.Header = slices.Clone(g.Header)
	for i, name := range g.Header {
		g.Header[i] = http.CanonicalHeaderKey(name)
	}
	return wire("Dedup", rankDedup, next, func(w http.ResponseWriter, r *http.Request) {
		claim, res, err := g.Check(r)
		switch {
		case err != nil && g.FailOpen && mayOpen(r, err):
			g.log(r, "middleware: deduplication failed, the request passes", err)
			next.ServeHTTP(w, r)
		case err != nil:
			refuse(w, r, "Dedup", err, g.Deny, g.Logger)
		case res.State == DedupDone:
			replay(w, res.Answer)
		default:
			g.run(w, r, next, claim)
		}
	})
}

// run lets the holder of the claim pass, and settles the claim.
func (g Dedup) run(w http.ResponseWriter, r *http.Request, next http.Handler, claim DedupClaim) {
	rec := &recorder{ResponseWriter: w, keep: g.Header, limit: g.MaxAnswer}
	ended := false
	defer func() { // not after next: it may panic
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), settling)
		defer cancel()
		var err error
		if ended && !failed(rec.status) {
			err = g.Store.Commit(ctx, claim.Key, claim.Token, rec.answer(), DedupRetention{Keep: g.Keep, Least: 2 * g.Tolerance})
		} else {
			err = g.Store.Release(ctx, claim.Key, claim.Token)
		}
		if err != nil {
			g.log(r, "middleware: the outcome is not remembered, the handler may run again", err)
		}
	}()
	ctx, cancel := context.WithTimeout(r.Context(), g.Lease)
	defer cancel()
	next.ServeHTTP(rec, r.WithContext(ctx))
	ended = true
}

// failed are answers that ask for another try, and 101, which cannot be
// repeated.
func failed(status int) bool {
	switch status {
	case http.StatusSwitchingProtocols, http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

func (g Dedup) log(r *http.Request, text string, err error) {
	logger := g.Logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.LogAttrs(r.Context(), slog.LevelError, text, slog.Any("cause", err))
}

// replay writes what the handler wrote before.
func replay(w http.ResponseWriter, a DedupAnswer) {
	h := w.Header()
	maps.Copy(h, a.Header)
	mark := "true"
	if a.Cut {
		mark = "status-only"
	}
	h.Set(ReplayedHeader, mark)
	w.WriteHeader(a.Status)
	if len(a.Body) > 0 {
		_, _ = w.Write(a.Body) // a client that left cannot be told
	}
}
