package middleware

import (
	"crypto/sha256"
	"crypto/subtle"
	"log/slog"
	"net/http"
	"slices"
	"strconv"

	"github.com/ringback-go/ringback/internal/rawquery"
)

// maxChallenge bounds the text that is sent back.
const maxChallenge = 1024

// Probe answers the requests by which platforms find out whether a URL is
// there and whether its owner wants their callbacks: HEAD and GET with 200 and
// an empty body, and GET with a challenge in the query with that challenge, as
// text/plain. Other requests pass.
//
//	middleware.Probe{} // edna Pulse
//	middleware.Probe{Challenge: "challenge"} // Dropbox
//	middleware.Probe{Challenge: "validationToken", Post: true} // Microsoft Graph
//	middleware.Probe{Challenge: "hub.challenge", Token: "hub.verify_token", Tokens: []string{secret}} // Meta
//
// A challenge is sent back only if it is given once, in up to 1,024 printable
// ASCII characters, else it is 400. What is sent back cannot be mistaken for a
// page. With Token, a request without the right one is 403. Challenges in a
// signed body are [BodyChallenge]'s. Put the gate outside of [Method].
//
// The zero value answers HEAD and GET.
type Probe struct {
	// Challenge is the name of the query parameter that is sent back. Empty
	// means that there is none.
	Challenge string
	// Post answers challenges that come by POST, too.
	Post bool
	// Token is the name of the query parameter that proves who asks. Empty
	// means that anybody may ask.
	Token string
	// Tokens are its right values, several while one is replaced. They are
	// compared in constant time. Required with Token.
	Tokens []string
	// Deny writes refusals. Nil is [Problem].
	Deny DenyFunc
	// Logger gets the causes. Nil is slog.Default().
	Logger *slog.Logger
}

// Check returns the challenge to send back, empty for none. probe says whether
// r is a probe at all. The error is an [*Error] of class [ErrHandshake] or
// [ErrChallenge].
func (g Probe) Check(r *http.Request) (challenge string, probe bool, err error) {
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	if !reads && (!g.Post || g.Challenge == "" || r.Method != http.MethodPost) {
		return "", false, nil
	}
	if g.Challenge == "" {
		return "", true, nil
	}
	challenge, n, err := rawquery.Values(r.URL.RawQuery, g.Challenge)
	switch {
	case err != nil && reads:
		return "", true, &Error{Err: wrap(ErrHandshake, err)}
	case err != nil || n == 0:
		return "", reads, nil //nolint:nilerr // a broken POST is for Query to judge
	case n > 1 || !printable(challenge):
		return "", true, &Error{Err: ErrHandshake}
	case !g.proved(r.URL.RawQuery):
		return "", true, &Error{Err: ErrChallenge}
	}
	return challenge, true, nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxChallenge
}

func (g Probe) proved(query string) bool {
	if g.Token == "" {
		return true
	}
	given, n, err := rawquery.Values(query, g.Token)
	if err != nil || n != 1 {
		return false
	}
	got, same := sha256.Sum256([]byte(given)), 0
	for _, token := range g.Tokens {
		want := sha256.Sum256([]byte(token))
		if token != "" {
			same |= subtle.ConstantTimeCompare(got[:], want[:])
		}
	}
	return same == 1
}

// Handler returns the gate in front of next. It panics when next is nil, when
// a Token has no values or an empty one, and when the order is wrong.
func (g Probe) Handler(next http.Handler) http.Handler {
	g.Tokens = slices.Clone(g.Tokens)
	switch {
	case g.Token != "" && (len(g.Tokens) == 0 || slices.Contains(g.Tokens, "")):
		panic("middleware: Probe: no Tokens or an empty one, set them to the secrets that the platform was given")
	case g.Token == "" && len(g.Tokens) > 0:
		panic("middleware: Probe: Tokens without Token, set it to the name of the parameter")
	case g.Challenge == "" && (g.Token != "" || g.Post):
		panic("middleware: Probe: no Challenge, set it to the name of the parameter that is sent back")
	}
	return wire("Probe", rankFront, next, func(w http.ResponseWriter, r *http.Request) {
		challenge, probe, err := g.Check(r)
		switch {
		case err != nil:
			refuse(w, r, "Probe", err, g.Deny, g.Logger)
		case !probe:
			next.ServeHTTP(w, r)
		default:
			sendBack(w, challenge)
		}
	})
}

// sendBack writes a challenge so that no browser takes it for a page.
func sendBack(w http.ResponseWriter, challenge string) {
	h := w.Header()
	if challenge != "" {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; sandbox")
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(challenge)))
	w.WriteHeader(http.StatusOK)
	if challenge != "" {
		_, _ = w.Write([]byte(challenge)) // net/http leaves it out for HEAD
	}
}
