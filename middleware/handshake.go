package middleware

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"

	"github.com/ringback-go/ringback/internal/consent"
)

// The fields of the CloudEvents web-hook handshake.
const (
	requestOrigin = "Webhook-Request-Origin"
	requestRate   = "Webhook-Request-Rate"
	allowedOrigin = "Webhook-Allowed-Origin"
	allowedRate   = "Webhook-Allowed-Rate"
)

// Grant is the answer of a [Handshake].
type Grant struct {
	// Origin is that of the request, which may send.
	Origin string
	// Rate is how many requests it may send in a minute; 0 is any number.
	Rate int
}

// Handshake answers the validation request of the CloudEvents web hooks (HTTP
// 1.1 Web Hooks for Event Delivery, section 4): OPTIONS with the field
// WebHook-Request-Origin. To an origin on the list it answers 200 with that
// very origin in WebHook-Allowed-Origin, never with an asterisk, and with
// WebHook-Allowed-Rate; others get 403, and 400 when a field is repeated or
// malformed, without either field. Requests of other methods, and OPTIONS
// without the origin, pass.
//
// The handshake proves nothing about later requests, as the origin is what
// anybody can write; [Signature] does. WebHook-Request-Callback is not looked
// at: calling a stranger's URL is no good answer. Put the gate outside of
// [Method].
//
// The zero value refuses every handshake; its Handler panics.
type Handshake struct {
	// Origins may send, byte for byte as they name themselves. Required.
	Origins []string
	// Rate is how many requests each may send in a minute; who asks for less
	// is granted that. 0 grants any number. It is a promise: the limit itself
	// is RateLimit's.
	Rate int
	// Deny writes refusals. Nil is [Problem].
	Deny DenyFunc
	// Logger gets the causes. Nil is slog.Default().
	Logger *slog.Logger
}

// Asked reports whether r is a handshake.
func (g Handshake) Asked(r *http.Request) bool {
	return r.Method == http.MethodOptions && len(r.Header[requestOrigin]) > 0
}

// Check returns what is granted to a handshake, or an [*Error] of class
// [ErrOrigin] or [ErrHandshake].
func (g Handshake) Check(r *http.Request) (Grant, error) {
	origins, rates := r.Header[requestOrigin], r.Header[requestRate]
	if len(origins) != 1 || len(rates) > 1 || !consent.Origin(origins[0]) {
		return Grant{}, &Error{Err: ErrHandshake}
	}
	grant := Grant{Origin: origins[0], Rate: g.Rate}
	if len(rates) == 1 {
		asked, ok := consent.Rate(rates[0])
		if !ok {
			return Grant{}, &Error{Err: ErrHandshake}
		}
		if grant.Rate == 0 || asked < grant.Rate {
			grant.Rate = asked
		}
	}
	if !slices.Contains(g.Origins, grant.Origin) {
		return Grant{}, &Error{Err: ErrOrigin}
	}
	return grant, nil
}

// Handler returns the gate in front of next. It panics when next is nil, when
// Origins are none or no names, when the Rate is negative, and when the order
// is wrong.
func (g Handshake) Handler(next http.Handler) http.Handler {
	if len(g.Origins) == 0 {
		panic("middleware: Handshake: no Origins, list the senders by the name that each gives itself")
	}
	for _, o := range g.Origins {
		if !consent.Origin(o) || o == "*" {
			panic(fmt.Sprintf("middleware: Handshake: the origin %q is no name, write it as the sender does", o))
		}
	}
	if g.Rate < 0 || g.Rate > consent.MaxRate {
		panic(fmt.Sprintf("middleware: Handshake: the Rate is %d, set it from 1 to %d, or to 0 for any number", g.Rate, consent.MaxRate))
	}
	g.Origins = slices.Clone(g.Origins)
	return wire("Handshake", rankFront, next, func(w http.ResponseWriter, r *http.Request) {
		if !g.Asked(r) {
			next.ServeHTTP(w, r)
			return
		}
		h := w.Header()
		h.Set("Allow", http.MethodPost)
		grant, err := g.Check(r)
		if err != nil {
			refuse(w, r, "Handshake", err, g.Deny, g.Logger)
			return
		}
		h.Set(allowedOrigin, grant.Origin)
		h.Set(allowedRate, "*")
		if grant.Rate > 0 {
			h.Set(allowedRate, strconv.Itoa(grant.Rate))
		}
		h.Set("Content-Length", "0")
		w.WriteHeader(http.StatusOK)
	})
}
