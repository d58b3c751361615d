package middleware

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

// KeyFunc says by what a request is limited. It must not block. An empty key
// refuses the request with 500, because it would put all senders into one
// bucket: a KeyFunc that cannot name the sender is wired at the wrong place.
type KeyFunc func(r *http.Request) string

// ByIdentity is the subject of [IdentityFrom], for Tencent the SdkAppid, and
// where the scheme knows no subject the name of its key. Put it inside
// [Signature], [Secret] or [AppID]: outside of them the key is empty.
func ByIdentity(r *http.Request) string {
	id, _ := IdentityFrom(r.Context())
	if id.Subject != "" {
		return id.Subject
	}
	return id.Key
}

// Decision is the answer of a [Limiter] about one request.
type Decision struct {
	// Allowed says whether the request may pass. The zero Decision refuses.
	Allowed bool
	// Limit and Window are the policy: Limit requests in Window.
	Limit  int
	Window time.Duration
	// Remaining is how many more requests would pass now.
	Remaining int
	// RetryAfter is how long to wait for the next one; 0 when Allowed.
	RetryAfter time.Duration
	// ResetAfter is how long until as many may come at once as ever.
	ResetAfter time.Duration
}

// Limiter counts requests by key. [LocalLimiter] is the one in memory; package
// pglimit has one that several machines share. Allow counts
// one request at the time now. An error means that it could not decide. It
// must be safe for concurrent use, may block on I/O, and obeys ctx.
type Limiter interface {
	Allow(ctx context.Context, key string, now time.Time) (Decision, error)
}

// RateLimit refuses, with 429, requests over a rate for each key. The refusal
// has Retry-After in whole seconds, and the fields RateLimit-Policy and
// RateLimit (draft-ietf-httpapi-ratelimit-headers-10). When the limiter fails,
// requests are refused with 503, unless FailOpen says otherwise.
//
// The zero value refuses everything; its Handler panics.
type RateLimit struct {
	// Key says by what to limit. Required; there is no default, because
	// none is right for all: see ByPeer and ByIdentity.
	Key KeyFunc
	// Requests in Per are the rate. Required without a Limiter of your own.
	Requests int
	Per      time.Duration
	// Burst is how many requests may come at once. 0 means Requests.
	Burst int
	// MaxKeys bounds the number of keys. 0 means DefaultMaxKeys.
	MaxKeys int
	// Name of the policy in the header fields. Empty means "default".
	Name string
	// Limiter counts. Nil means a LocalLimiter of the four values above, made
	// by Handler; otherwise they are not used.
	Limiter Limiter
	// Announce sets the fields RateLimit-Policy and RateLimit on answers to
	// requests that pass, too. That costs allocations.
	Announce bool
	// FailOpen lets requests pass when the limiter fails, but for those whose
	// own context is over.
	FailOpen bool
	// Now is the clock. Nil is time.Now.
	Now func() time.Time
	// Deny writes refusals. Nil is [Problem].
	Deny DenyFunc
	// Logger gets the causes. Nil is slog.Default().
	Logger *slog.Logger
}

// Check counts r and returns the decision, with an [*Error] of class
// [ErrRateLimited] when r must be refused, of class [ErrUnavailable] when the
// limiter failed, whatever FailOpen says, and of class [ErrConfig] when Key
// or Limiter is nil or the key is empty.
func (g RateLimit) Check(r *http.Request) (Decision, error) {
	if g.Key == nil || g.Limiter == nil {
		return Decision{}, &Error{Err: wrap(ErrConfig, errNoLimiter)}
	}
	key := g.Key(r)
	if key == "" {
		return Decision{}, &Error{Err: wrap(ErrConfig, errNoKey)}
	}
	d, err := g.Limiter.Allow(r.Context(), key, clock(g.Now))
	if err != nil {
		return Decision{}, &Error{Err: wrap(ErrUnavailable, err)}
	}
	if !d.Allowed {
		return d, &Error{Err: ErrRateLimited, Policy: g.name(), Decision: d}
	}
	return d, nil
}

func (g RateLimit) name() string {
	if g.Name == "" {
		return "default"
	}
	return g.Name
}

// Handler returns the gate in front of next. It panics when next or Key is
// nil, and when there is neither a rate nor a Limiter. Each call makes its own
// LocalLimiter: handlers that shall share one take it from the field Limiter.
func (g RateLimit) Handler(next http.Handler) http.Handler {
	if g.Key == nil {
		panic("middleware: RateLimit: Key is nil, choose by what to limit, such as middleware.ByPeer")
	}
	for _, c := range g.Name {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			panic("middleware: RateLimit: the name " + strconv.Quote(g.Name) + " cannot stand in a header field, use printable ASCII without quotes")
		}
	}
	if g.Limiter != nil && isNil(g.Limiter) {
		panic("middleware: RateLimit: Limiter holds a nil pointer, look at the error of its constructor, or leave it out")
	}
	if g.Limiter == nil {
		l, err := NewLocalLimiter(LocalLimiterConfig{Requests: g.Requests, Per: g.Per, Burst: g.Burst, MaxKeys: g.MaxKeys})
		if err != nil {
			panic(fmt.Sprintf("middleware: RateLimit: %v", err))
		}
		g.Limiter = l
	}
	return wire("RateLimit", anywhere, next, func(w http.ResponseWriter, r *http.Request) {
		d, err := g.Check(r)
		if err != nil && !g.open(r, err) {
			refuse(w, r, "RateLimit", err, g.Deny, g.Logger)
			return
		}
		if g.Announce && err == nil {
			announce(w.Header(), g.name(), d, d.ResetAfter)
		}
		next.ServeHTTP(w, r)
	})
}

// mayOpen reports whether a failure is one of ours: a client that leaves at
// the right moment must not make a gate fail.
func mayOpen(r *http.Request, err error) bool {
	return errors.Is(err, ErrUnavailable) && r.Context().Err() == nil
}

// open lets a request pass although the limiter failed, and says so.
func (g RateLimit) open(r *http.Request, err error) bool {
	if !g.FailOpen || !mayOpen(r, err) {
		return false
	}
	logger := g.Logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.LogAttrs(r.Context(), slog.LevelError, "middleware: limiter failed, the request passes", slog.Any("cause", err))
	return true
}
