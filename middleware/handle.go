package middleware

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"reflect"
	"strconv"
	"time"
)

// NoContent is the result of a function behind [Handle] that has nothing to
// say: the answer is 204.
type NoContent struct{}

// HandleConfig are the values of [HandleWith]. The zero value is ready for
// use.
type HandleConfig struct {
	// AllowNoContentType lets requests without a Content-Type pass.
	AllowNoContentType bool
	// Timeout ends the function's context. 0 means that the request's own
	// context alone does.
	Timeout time.Duration
	// Deny writes refusals and failures. Nil is [Problem].
	Deny DenyFunc
	// Logger gets the causes. Nil is slog.Default().
	Logger *slog.Logger
}

// Handle returns a handler of requests whose body is a T and whose answer is
// an R, in JSON with status 200. The body is decoded and validated by the
// rules of [Payload], or was by a Payload gate of the same T outside; a [Body]
// gate must stand outside, too.
//
// An error becomes a status without a text of its own: that of [Status], so
// 500 where nothing is known about it, 503 when the time ran out, and the Code
// of an [*Error], which may also set RetryAfter. The cause goes to the log. An
// R that cannot be encoded is 500.
//
// It panics when f is nil, and when a validate tag in T is not known.
func Handle[T, R any](f func(ctx context.Context, payload T) (R, error)) http.Handler {
	return HandleWith(HandleConfig{}, f)
}

// HandleWith is [Handle] with other values.
func HandleWith[T, R any](cfg HandleConfig, f func(ctx context.Context, payload T) (R, error)) http.Handler {
	if f == nil {
		panic("middleware: Handle: the function is nil, pass the one that handles the payload")
	}
	if cfg.Timeout < 0 {
		panic("middleware: Handle: the Timeout is negative, set it to more than zero, or to 0 for none")
	}
	checkTags(reflect.TypeFor[T]())
	gate := Payload[T]{AllowNoContentType: cfg.AllowNoContentType}
	serve := func(w http.ResponseWriter, r *http.Request) {
		payload, found := PayloadFrom[T](r.Context())
		if !found {
			var err error
			if payload, err = gate.Check(r); err != nil {
				refuse(w, r, "Handle", err, cfg.Deny, cfg.Logger)
				return
			}
		}
		ctx := r.Context()
		if cfg.Timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, cfg.Timeout)
			defer cancel()
		}
		result, err := f(ctx, payload)
		if err != nil {
			refuse(w, r, "Handle", failure(ctx, err), cfg.Deny, cfg.Logger)
			return
		}
		if _, nothing := any(result).(NoContent); nothing {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		body, err := json.Marshal(result)
		if err != nil {
			refuse(w, r, "Handle", &Error{Err: wrap(ErrConfig, err)}, cfg.Deny, cfg.Logger)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body) // a client that left cannot be told
	}
	return &wired{name: "Handle", rank: rankPayload, serve: serve}
}

// failure gives an error of f's a class where its time ran out.
func failure(ctx context.Context, err error) error {
	if Status(err) != http.StatusInternalServerError {
		return err
	}
	if _, decided := errors.AsType[*Error](err); decided {
		return err
	}
	late := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
	if late && ctx.Err() != nil {
		return &Error{Err: wrap(ErrUnavailable, err)}
	}
	return err
}
