package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

// answer writes v as JSON.
func answer(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		problem(w, http.StatusInternalServerError, "")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // who asked may be gone
}

// problem writes an RFC 9457 problem. The detail is for the caller: no cause of
// ours, no secret.
func problem(w http.ResponseWriter, status int, detail string) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	p := struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
	}{"about:blank", http.StatusText(status), status, detail}
	b, err := json.Marshal(p)
	if err == nil {
		_, _ = w.Write(b) // who asked may be gone
	}
}

// failed answers an error of the library.
func (g *gateway) failed(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, delivery.ErrNotFound), errors.Is(err, registry.ErrNotFound):
		problem(w, http.StatusNotFound, "")
	case errors.Is(err, delivery.ErrStateChange):
		problem(w, http.StatusConflict, "the subscription's state does not allow this")
	case r.Context().Err() != nil: // the caller is gone
		problem(w, http.StatusServiceUnavailable, "")
	default:
		g.log.ErrorContext(r.Context(), "gateway: request failed", "path", r.URL.Path, "error", err)
		problem(w, http.StatusServiceUnavailable, "the store does not answer")
	}
}

// readBody reads a request within a limit, or answers why not. Whoever has the
// token may name it as any media type: it is JSON or refused.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, bool) {
	if r.ContentLength > limit {
		tooLarge(w, r)
		return nil, false
	}
	b, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if int64(len(b)) > limit {
		tooLarge(w, r)
		return nil, false
	}
	if err != nil {
		problem(w, http.StatusBadRequest, "the body ends early")
		return nil, false
	}
	return b, true
}

const (
	maxDrain  = 32 << 20 // bytes
	drainTime = 5 * time.Second
)

// tooLarge reads on for a while before it answers: many a client writes its whole
// request before it looks for an answer.
func tooLarge(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	if r.ContentLength <= maxDrain && r.Header.Get("Expect") == "" {
		if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(drainTime)); err == nil {
			_, _ = io.CopyN(io.Discard, r.Body, maxDrain) // however it ends
		}
	}
	problem(w, http.StatusRequestEntityTooLarge, "")
}

// parameter reads one parameter of the query, the fallback if it is not given,
// or answers what is wrong with the query.
func parameter(w http.ResponseWriter, r *http.Request, name, fallback string) (string, bool) {
	values, err := url.ParseQuery(r.URL.RawQuery) // URL.Query drops what it cannot read
	switch {
	case err != nil:
		problem(w, http.StatusBadRequest, "the query is broken")
		return "", false
	case len(values[name]) > 1:
		problem(w, http.StatusBadRequest, name+": is given more than once")
		return "", false
	case len(values[name]) == 0:
		return fallback, true
	}
	return values[name][0], true
}

// limitOf reads ?limit=N: 100 if there is none, 1,000 at most.
func limitOf(w http.ResponseWriter, r *http.Request) (int, bool) {
	text, ok := parameter(w, r, "limit", "100")
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > 1000 {
		problem(w, http.StatusBadRequest, "limit: takes a number from 1 to 1000")
		return 0, false
	}
	return n, true
}

// timeOrNull shows a time as RFC 3339 in UTC, the zero time as null.
func timeOrNull(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC().Format(time.RFC3339Nano))
}

// orNull shows the zero value as null.
func orNull[T comparable](v T) *T {
	var zero T
	if v == zero {
		return nil
	}
	return &v
}
