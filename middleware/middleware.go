package middleware

import (
	"context"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringback-go/ringback/verify"
)

// Middleware wraps a handler. It is an alias, so that values spread into any
// router's Use, and so that any function of the shape is a gate.
type Middleware = func(http.Handler) http.Handler

// DenyFunc writes the refusal of a request. err is the cause, for [Status]
// and [errors.AsType] of [*Error]; its text is for operators and must not be
// sent. A DenyFunc is called at most once for a request, and after it nothing
// else is written: one that writes no status answers 200, which senders take for
// accepted. It must not be called by anyone but a gate, one of your own included.
type DenyFunc func(w http.ResponseWriter, r *http.Request, err error)

// Chain returns a middleware that applies ms, the first outermost. Without
// arguments it returns the handler as it is. A nil middleware panics here,
// not when a request comes.
func Chain(ms ...Middleware) Middleware {
	own := append([]Middleware(nil), ms...)
	for i, m := range own {
		if m == nil {
			panic("middleware: Chain: middleware " + strconv.Itoa(i) + " is nil, leave it out or pass a gate's Handler method")
		}
	}
	return func(next http.Handler) http.Handler {
		mustNext("Chain", next)
		for _, m := range slices.Backward(own) {
			next = m(next)
		}
		return next
	}
}

// rank is the place of a gate in the documented order; a gate must not stand
// inside of one with a higher rank.
type rank int

const (
	anywhere  rank = iota // takes the rank of what stands inside
	rankFront             // answers that need no more of the request than its head
	rankMethod
	rankQuery
	rankBody
	rankAppID
	rankSignature
	rankChallenge
	rankDedup
	rankPayload
)

// wired is what the Handler methods return. It remembers the gate's place,
// for the gate that is wrapped around it.
type wired struct {
	name  string
	rank  rank
	serve http.HandlerFunc
}

func (h *wired) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.serve(w, r) }

// wire checks next and the order, and makes the gate's handler.
func wire(name string, at rank, next http.Handler, serve http.HandlerFunc) http.Handler {
	mustNext(name, next)
	h := &wired{name: name, rank: at, serve: serve}
	if inner, ok := next.(*wired); ok && inner.rank != anywhere {
		if at == anywhere {
			h.name, h.rank = inner.name, inner.rank
		} else if at > inner.rank {
			panic("middleware: " + name + " stands outside of " + inner.name + ", put " + inner.name + " outside: see the order in the package's documentation")
		}
	}
	return h
}

func mustNext(name string, next http.Handler) {
	f, isFunc := next.(http.HandlerFunc)
	if next == nil || isFunc && f == nil {
		panic("middleware: " + name + ": the next handler is nil, pass the handler that the gate protects")
	}
}

type refusalKey struct{}

// WithRefusals returns a context for a request whose gates are to call f, for
// telemetry, with the context that the refusing gate has, its name, such as
// "Body", and the cause: before each refusal of a gate inside, but not for a
// panic that Recover answers. f writes nothing and is quick. It replaces an f
// of ctx; a nil one does not.
func WithRefusals(ctx context.Context, f func(ctx context.Context, gate string, err error)) context.Context {
	if f == nil {
		return ctx
	}
	return context.WithValue(ctx, refusalKey{}, f)
}

// isNil reports whether v is nil, or a nil pointer or func in an interface:
// what is left of a constructor whose error nobody looked at.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func:
		return r.IsNil()
	}
	return false
}

// isZero reports whether v is a zero value of package verify or one below it,
// all of which have constructors.
func isZero(v any) bool {
	r := reflect.Indirect(reflect.ValueOf(v))
	at := r.Type().PkgPath()
	return (at == verifyPath || strings.HasPrefix(at, verifyPath+"/")) && r.IsZero()
}

var verifyPath = reflect.TypeFor[verify.Key]().PkgPath()

// refuse is the one way out of a gate: headers, log, DenyFunc.
func refuse(w http.ResponseWriter, r *http.Request, gate string, err error, deny DenyFunc, logger *slog.Logger) {
	status := Status(err)
	setHeaders(w.Header(), err)
	if logger == nil {
		logger = slog.Default()
	}
	level := slog.LevelDebug
	if status >= 500 {
		level = slog.LevelError
	}
	logger.LogAttrs(r.Context(), level, "middleware: request refused",
		slog.String("gate", gate), slog.Int("status", status), slog.Any("cause", err))
	if refused, ok := r.Context().Value(refusalKey{}).(func(context.Context, string, error)); ok {
		refused(r.Context(), gate, err)
	}
	if deny == nil {
		deny = Problem
	}
	deny(w, r, err)
}

func clock(now func() time.Time) time.Time {
	if now == nil {
		return time.Now()
	}
	return now()
}
