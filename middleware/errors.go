package middleware

import (
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ringback-go/ringback/internal/strictjson"
	"github.com/ringback-go/ringback/verify"
)

// The classes of refusal, to be looked for with [errors.Is]. Refusals of
// AppID, Signature and Secret are those of package verify.
var (
	// ErrMethod: a method that is not served (405).
	ErrMethod = errors.New("middleware: method not allowed")
	// ErrQuery: a query that readers understand differently (400).
	ErrQuery = errors.New("middleware: broken query")
	// ErrBodySize: a body over the limit (413).
	ErrBodySize = errors.New("middleware: body over the limit")
	// ErrBodyRead: the body ended early or could not be read (400).
	ErrBodyRead = errors.New("middleware: body cannot be read")
	// ErrEncoding: a Content-Encoding other than identity (415).
	ErrEncoding = errors.New("middleware: content encoding not supported")
	// ErrMediaType: a Content-Type other than JSON in UTF-8 (415).
	ErrMediaType = errors.New("middleware: media type not supported")
	// ErrSyntax: not one unambiguous JSON text of the wanted shape (400).
	ErrSyntax = errors.New("middleware: payload is not acceptable JSON")
	// ErrInvalid: JSON whose values break the rules of the type (422).
	ErrInvalid = errors.New("middleware: payload is invalid")
	// ErrOrigin: an origin that may not send (403).
	ErrOrigin = errors.New("middleware: origin not allowed")
	// ErrChallenge: a challenge without the right token (403).
	ErrChallenge = errors.New("middleware: challenge refused")
	// ErrHandshake: a handshake or challenge that is not well formed (400).
	ErrHandshake = errors.New("middleware: broken handshake")
	// ErrConflict: an id that belongs to another body (409).
	ErrConflict = errors.New("middleware: the id belongs to another body")
	// ErrInProgress: a request whose id is being handled (503).
	ErrInProgress = errors.New("middleware: the id is being handled")
	// ErrFull: a [DedupStore] has no room for one more id (503).
	ErrFull = errors.New("middleware: no room for another id")
	// ErrClaimLost: a claim of a [DedupStore] that is over, or not the
	// caller's any more (500).
	ErrClaimLost = errors.New("middleware: claim lost")
	// ErrPanic: the handler panicked (500).
	ErrPanic = errors.New("middleware: the handler panicked")
	// ErrRateLimited: too many requests of one key (429).
	ErrRateLimited = errors.New("middleware: rate limited")
	// ErrUnavailable: a limiter or a store could not decide, or the time ran
	// out (503).
	ErrUnavailable = errors.New("middleware: unavailable")
	// ErrConfig: the gates are wired wrongly (500).
	ErrConfig = errors.New("middleware: bad configuration")
)

// Error is a refusal with what a [DenyFunc] may tell the sender. Fields that
// do not belong to the class are zero.
type Error struct {
	// Err is one of this package's sentinels, possibly wrapped, or the cause
	// where Code is set.
	Err error
	// Code is the status, from 400 to 599, where Err has no class of this
	// package: a function behind [Handle] returns it.
	Code int
	// RetryAfter becomes the field Retry-After, in whole seconds, at least 1.
	// 0 is none.
	RetryAfter time.Duration
	// Allow are the methods that are served, of ErrMethod.
	Allow []string
	// Fields are the broken rules, 32 at most, of ErrInvalid.
	Fields []FieldError
	// Policy is the name of the rate limit, of ErrRateLimited.
	Policy string
	// Decision is that of the limiter, of ErrRateLimited.
	Decision Decision
}

func (e *Error) Error() string {
	if e.Err == nil {
		return "middleware: unknown error"
	}
	var text strings.Builder
	text.WriteString(e.Err.Error())
	for i, f := range e.Fields {
		sep := ", "
		if i == 0 {
			sep = ": "
		}
		text.WriteString(sep + f.Pointer + " " + f.Detail)
	}
	return text.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// FieldError is one broken rule. Neither part contains a value of the
// request.
type FieldError struct {
	// Pointer is a JSON pointer (RFC 6901) to the member. A key that the
	// sender chose is shown as *.
	Pointer string `json:"pointer"`
	// Detail names the rule, such as "breaks the rule max=10".
	Detail string `json:"detail"`
}

// Status returns the HTTP status of an error from a gate or a verifier: 400,
// 401, 403, 405, 409, 413, 415, 422, 429, 500 or 503, or the Code of an
// [*Error]. Errors that it does not know are 500, nil is 200.
func Status(err error) int {
	if err == nil {
		return http.StatusOK
	}
	if e, ok := errors.AsType[*Error](err); ok && e.Code >= 400 && e.Code <= 599 {
		return e.Code
	}
	for _, c := range classes {
		if errors.Is(err, c.err) {
			return c.status
		}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge
	}
	if _, ok := errors.AsType[*verify.Error](err); ok {
		return http.StatusUnauthorized
	}
	return http.StatusInternalServerError
}

// classes in the order in which they count when several match.
var classes = []struct {
	err    error
	status int
}{
	{ErrConfig, http.StatusInternalServerError},
	{ErrUnavailable, http.StatusServiceUnavailable},
	{ErrInProgress, http.StatusServiceUnavailable},
	{ErrFull, http.StatusServiceUnavailable},
	{ErrClaimLost, http.StatusInternalServerError},
	{ErrPanic, http.StatusInternalServerError},
	{ErrConflict, http.StatusConflict},
	{ErrOrigin, http.StatusForbidden},
	{ErrChallenge, http.StatusForbidden},
	{ErrHandshake, http.StatusBadRequest},
	{ErrRateLimited, http.StatusTooManyRequests},
	{ErrMethod, http.StatusMethodNotAllowed},
	{ErrQuery, http.StatusBadRequest},
	{ErrBodySize, http.StatusRequestEntityTooLarge},
	{ErrBodyRead, http.StatusBadRequest},
	{ErrEncoding, http.StatusUnsupportedMediaType},
	{ErrMediaType, http.StatusUnsupportedMediaType},
	{ErrSyntax, http.StatusBadRequest},
	{ErrInvalid, http.StatusUnprocessableEntity},
	{strictjson.ErrInvalid, http.StatusBadRequest},
	{verify.ErrLookup, http.StatusServiceUnavailable},
	{verify.ErrConfig, http.StatusInternalServerError},
	{verify.ErrEmptyKey, http.StatusInternalServerError},
	{verify.ErrMissing, http.StatusUnauthorized},
	{verify.ErrMalformed, http.StatusUnauthorized},
	{verify.ErrRepeated, http.StatusUnauthorized},
	{verify.ErrUnknown, http.StatusUnauthorized},
	{verify.ErrMismatch, http.StatusUnauthorized},
	{verify.ErrExpired, http.StatusUnauthorized},
	{verify.ErrNotYet, http.StatusUnauthorized},
}

// setHeaders sets what belongs to a refusal whatever its body looks like.
func setHeaders(h http.Header, err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return
	}
	if len(e.Allow) > 0 {
		h.Set("Allow", strings.Join(e.Allow, ", "))
	}
	wait := e.RetryAfter
	if errors.Is(e.Err, ErrRateLimited) {
		wait = max(e.Decision.RetryAfter, time.Nanosecond)
		announce(h, e.Policy, e.Decision, wait)
	}
	if wait > 0 {
		h.Set("Retry-After", seconds(wait))
	}
}

// announce adds the fields of draft-ietf-httpapi-ratelimit-headers-10. They
// are lists, to which each gate adds its own policy.
func announce(h http.Header, policy string, d Decision, reset time.Duration) {
	if d.Limit <= 0 {
		return
	}
	name := strconv.Quote(policy)
	h.Add("RateLimit-Policy", name+";q="+strconv.Itoa(d.Limit)+";w="+seconds(d.Window))
	h.Add("RateLimit", name+";r="+strconv.Itoa(d.Remaining)+";t="+seconds(reset))
}

// seconds rounds up to whole seconds, at least 1.
func seconds(d time.Duration) string {
	return strconv.FormatInt(max(1, int64(math.Ceil(d.Seconds()))), 10)
}

// The sentences behind ErrConfig.
var (
	errNoBody     = errors.New("the raw body is not there, put a Body gate outside")
	errNoVerifier = errors.New("the verifier is nil, set it to one of package verify")
	errNoKey      = errors.New("the key of the request is empty, put the gate that proves the identity outside")
	errNoLimiter  = errors.New("no Key or no Limiter, set both or use Handler")
	errNoDedup    = errors.New("no ID or no Store, set both")
	errNoID       = errors.New("the request has no id, put the gate that proves it outside, or set ID to a function that knows where it is")
)
