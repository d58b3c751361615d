package smartbots

import (
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ringback-go/ringback/middleware"
)

// A refusal is why a call fails, in the caller's words and in ours.
type refusal struct {
	status int
	text   string        // resulttext
	wait   time.Duration // Retry-After, of a 429
	cause  error         // for the log; may be nil
}

// fail refuses what was judged as a call.
func fail(text string) *refusal { return &refusal{status: http.StatusOK, text: text} }

// failStatus refuses with a status and its own text.
func failStatus(status int, cause error) *refusal {
	return &refusal{status: status, text: strings.ToUpper(http.StatusText(status)), cause: cause}
}

func (f *refusal) write(w http.ResponseWriter) {
	if f.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", allowed)
	}
	if f.status == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "" {
		w.Header().Set("Retry-After", strconv.FormatInt(max(1, int64(math.Ceil(f.wait.Seconds()))), 10))
	}
	write(w, f.status, struct {
		Result     string `json:"result"`
		ResultText string `json:"resulttext"`
	}{"FAIL", f.text})
}

func (f *refusal) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.Int("status", f.status), slog.String("resulttext", f.text)}
	if f.cause != nil {
		attrs = append(attrs, slog.Any("cause", f.cause))
	}
	return attrs
}

func writeOK(w http.ResponseWriter, g Group) {
	write(w, http.StatusOK, struct {
		Result    string `json:"result"`
		GroupUUID string `json:"group_uuid"`
		GroupID   string `json:"group_id"`
	}{"OK", g.UUID, g.ID})
}

func write(w http.ResponseWriter, status int, reply any) {
	body, err := marshal(reply)
	if err != nil { // unreachable: the replies are structs of strings
		status, body = http.StatusInternalServerError, nil
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store") // a GET has secrets in its URL
	w.WriteHeader(status)
	w.Write(body)
}

// Deny writes the refusal of a gate in front of [API] as the API's own FAIL
// object. It is a [middleware.DenyFunc]: the status is that of
// [middleware.Status], except that what was not authenticated is the status
// 200 and ACCESS DENIED, as the API has it.
func Deny(w http.ResponseWriter, _ *http.Request, err error) {
	status := middleware.Status(err)
	if status == http.StatusUnauthorized {
		fail(textAccessDenied).write(w)
		return
	}
	failStatus(status, err).write(w)
}

var _ middleware.DenyFunc = Deny
