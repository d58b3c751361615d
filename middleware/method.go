package middleware

import (
	"log/slog"
	"net/http"
	"slices"

	"github.com/ringback-go/ringback/internal/rawquery"
)

// Method lets some methods pass and answers others with 405 and the Allow
// header. Override headers such as X-HTTP-Method-Override are not looked at.
//
// The zero value lets POST pass and nothing else.
type Method struct {
	// Allow are the methods, in capitals. Empty means POST alone.
	Allow []string
	// Deny writes refusals. Nil is [Problem].
	Deny DenyFunc
	// Logger gets the causes. Nil is slog.Default().
	Logger *slog.Logger
}

var onlyPost = []string{http.MethodPost}

// Check returns nil or an [*Error] of class [ErrMethod].
func (g Method) Check(r *http.Request) error {
	allow := g.Allow
	if len(allow) == 0 {
		allow = onlyPost
	}
	if slices.Contains(allow, r.Method) {
		return nil
	}
	return &Error{Err: ErrMethod, Allow: allow}
}

// Handler returns the gate in front of next. It panics when next is nil, when
// a name in Allow is not a method, and when the order is wrong.
func (g Method) Handler(next http.Handler) http.Handler {
	g.Allow = slices.Clone(g.Allow)
	for _, m := range g.Allow {
		for i := range len(m) {
			if m[i] < 'A' || m[i] > 'Z' {
				panic("middleware: Method: " + m + " is no method, write it in capitals as http.MethodPost is")
			}
		}
		if m == "" {
			panic("middleware: Method: an empty name in Allow, leave it out")
		}
	}
	return wire("Method", rankMethod, next, func(w http.ResponseWriter, r *http.Request) {
		if err := g.Check(r); err != nil {
			refuse(w, r, "Method", err, g.Deny, g.Logger)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Query refuses a query with a semicolon or a broken percent escape, with
// 400. [net/url.URL.Query] drops such parameters without a word, so that two
// readers of one query see different parameters.
//
// The zero value is ready for use.
type Query struct {
	// Deny writes refusals. Nil is [Problem].
	Deny DenyFunc
	// Logger gets the causes. Nil is slog.Default().
	Logger *slog.Logger
}

// Check returns nil or an error of class [ErrQuery].
func (g Query) Check(r *http.Request) error {
	if err := rawquery.Check(r.URL.RawQuery); err != nil {
		return &Error{Err: wrap(ErrQuery, err)}
	}
	return nil
}

// Handler returns the gate in front of next. It panics when next is nil and
// when the order is wrong.
func (g Query) Handler(next http.Handler) http.Handler {
	return wire("Query", rankQuery, next, func(w http.ResponseWriter, r *http.Request) {
		if err := g.Check(r); err != nil {
			refuse(w, r, "Query", err, g.Deny, g.Logger)
			return
		}
		next.ServeHTTP(w, r)
	})
}
