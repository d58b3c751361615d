package middleware

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

// problem is the body of a refusal by RFC 9457.
type problem struct {
	Title  string       `json:"title"`
	Status int          `json:"status"`
	Errors []FieldError `json:"errors,omitempty"`
}

// Problem is the default [DenyFunc]: problem+json by RFC 9457 with the status
// and its text, and for 422 the list of broken rules. The cause is not in it.
func Problem(w http.ResponseWriter, _ *http.Request, err error) {
	status := Status(err)
	p := problem{Title: http.StatusText(status), Status: status}
	if e, ok := errors.AsType[*Error](err); ok {
		p.Errors = e.Fields
	}
	body, merr := json.Marshal(p)
	if merr != nil { // strings and a number always encode
		body = []byte(`{"status":` + strconv.Itoa(status) + `}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that left cannot be told
}
