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
	// ErrRateLimited: too many requests of one key (429).
	ErrRateLimited = errors.New("middleware: rate limited")
	// ErrUnavailable: a limiter could not decide (503).
	ErrUnavailable = errors.New("middleware: limiter unavailable")
	// ErrConfig: the gates are wired wrongly (500).
	ErrConfig = errors.New("middleware: bad configuration")
)

// Error is a refusal with what a [DenyFunc] may tell the sender. Fields that
// do not belong to the class are zero.
type Error struct {
	// Err is one of this package's sentinels, possibly wrapped.
	Err error
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
// 401, 405, 413, 415, 422, 429, 500 or 503. Errors that it does not know are
// 500, nil is 200.
func Status(err error) int {
	if err == nil {
		return http.StatusOK
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
	if errors.Is(e.Err, ErrRateLimited) {
		wait := seconds(e.Decision.RetryAfter)
		h.Set("Retry-After", wait)
		if e.Decision.Limit > 0 {
			h.Set("RateLimit-Policy", strconv.Quote(e.Policy)+";q="+strconv.Itoa(e.Decision.Limit)+";w="+seconds(e.Decision.Window))
			h.Set("RateLimit", strconv.Quote(e.Policy)+";r="+strconv.Itoa(e.Decision.Remaining)+";t="+wait)
		}
	}
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
)
