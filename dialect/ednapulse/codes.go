package ednapulse

import (
	"net/http"
	"strconv"

	"github.com/ringback-go/ringback/middleware"
)

// A Code is the answer of the API. The six of the documentation come with
// status 200, the others with their own.
type Code string

// The codes, the first six in the order of checks.
const (
	// CodeNotSpecified: none of the three URLs was given.
	CodeNotSpecified Code = "url-not-specified"
	// CodeMaxLength: a URL of more than 500 characters.
	CodeMaxLength Code = "error-callback-url-max-length"
	// CodeNotHTTPS: a URL that does not begin with https://.
	CodeNotHTTPS Code = "error-callback-url-not-https"
	// CodeSubjectUnknown: the subjectId is none of the tenant's channels.
	CodeSubjectUnknown Code = "error-subject-unknown"
	// CodeNotAvailable: refused by the URL policy or the outbound guard, or the
	// HEAD request was not answered with 200. One code for all of them, so that
	// the API is no port scanner.
	CodeNotAvailable Code = "error-callback-url-not-available"
	// CodeOK: all of it was stored.
	CodeOK Code = "ok"

	// CodeUnauthorized: no, several or wrong X-API-KEY (401).
	CodeUnauthorized Code = "error-unauthorized"
	// CodeSyntax: the request could not be read (400, 405, 413, 415).
	CodeSyntax Code = "error-syntax"
	// CodeTooManyRequests: over the rate limit (429).
	CodeTooManyRequests Code = "error-too-many-requests"
	// CodeSystem: nothing is known and nothing was stored (503).
	CodeSystem Code = "error-system"
)

const mediaJSON = "application/json"

// Deny writes the refusal of a gate as the API does: the status of err and
// {"code":"…"}. It is a middleware.DenyFunc; give it to gates that stand in
// front of an [API], such as a rate limit by peer.
func Deny(w http.ResponseWriter, _ *http.Request, err error) {
	status := middleware.Status(err)
	code := CodeSyntax
	switch {
	case status == http.StatusUnauthorized:
		code = CodeUnauthorized
	case status == http.StatusTooManyRequests:
		code = CodeTooManyRequests
	case status >= 500:
		status, code = http.StatusServiceUnavailable, CodeSystem
	}
	reply(w, status, code)
}

var _ middleware.DenyFunc = Deny

func reply(w http.ResponseWriter, status int, code Code) {
	body := `{"code":"` + string(code) + `"}`
	h := w.Header()
	h.Set("Content-Type", mediaJSON)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(body)) // a client that left cannot be told
}
