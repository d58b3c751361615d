package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/middleware"
)

type reply struct {
	Hello string `json:"hello"`
	Bad   any    `json:"bad,omitempty"`
}

func typed(f func(context.Context, item) (reply, error)) http.Handler {
	return middleware.Body{Logger: quiet}.Handler(middleware.HandleWith(middleware.HandleConfig{Logger: quiet, Timeout: time.Second}, f))
}

func TestHandle(t *testing.T) {
	t.Parallel()
	const media = "application/json"
	hello := func(_ context.Context, i item) (reply, error) { return reply{Hello: i.Name}, nil }
	fails := func(err error) func(context.Context, item) (reply, error) {
		return func(context.Context, item) (reply, error) { return reply{Hello: "hush"}, err }
	}
	for _, tt := range []struct {
		name, media, body string
		f                 func(context.Context, item) (reply, error)
		status            int
		retry             string
	}{
		{"good", media, `{"name":"x"}`, hello, 200, ""},
		{"media type", "text/plain", `{"name":"x"}`, hello, 415, ""},
		{"syntax", media, `{"name":"x","name":"y"}`, hello, 400, ""},
		{"rules", media, `{}`, hello, 422, ""},
		{"unknown error", media, `{"name":"x"}`, fails(errors.New("hush")), 500, ""},
		{"class", media, `{"name":"x"}`, fails(fmt.Errorf("%w: hush", middleware.ErrConflict)), 409, ""},
		{"code", media, `{"name":"x"}`, fails(&middleware.Error{Code: 404, Err: errors.New("hush")}), 404, ""},
		{"wrapped code", media, `{"name":"x"}`, fails(fmt.Errorf("hush: %w", &middleware.Error{Code: 503, RetryAfter: 90 * time.Second})), 503, "90"},
		{"code is no refusal", media, `{"name":"x"}`, fails(&middleware.Error{Code: 200}), 500, ""},
		{"deadline of something else", media, `{"name":"x"}`, fails(context.DeadlineExceeded), 500, ""},
		{"not encodable", media, `{"name":"x"}`, func(context.Context, item) (reply, error) { return reply{Bad: func() {}}, nil }, 500, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := serve(t, typed(tt.f), post("/", tt.media, tt.body))
			if w.Code != tt.status || w.Header().Get("Retry-After") != tt.retry || strings.Contains(w.Body.String(), "hush") {
				t.Errorf("%d %q, Retry-After %q", w.Code, w.Body, w.Header().Get("Retry-After"))
			}
			if tt.status == 200 && (w.Body.String() != `{"hello":"x"}` || w.Header().Get("Content-Type") != media) {
				t.Errorf("%q %v", w.Body, w.Header())
			}
		})
	}
}

// TestHandleTime: the function's context ends, and what it then returns is
// 503.
func TestHandleTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w := serve(t, typed(func(ctx context.Context, _ item) (reply, error) {
			<-ctx.Done()
			return reply{}, fmt.Errorf("waiting: %w", ctx.Err())
		}), post("/", "application/json", `{"name":"x"}`))
		if w.Code != 503 || time.Since(start) != time.Second {
			t.Errorf("%d after %v", w.Code, time.Since(start))
		}
	})
}

func TestHandleForms(t *testing.T) {
	t.Parallel()
	none := func(context.Context, item) (middleware.NoContent, error) { return middleware.NoContent{}, nil }
	h := middleware.Body{}.Handler(middleware.Handle(none))
	if w := serve(t, h, post("/", "application/json", `{"name":"x"}`)); w.Code != 204 || w.Body.Len() != 0 {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	// A Payload gate outside has decoded already.
	h = middleware.Chain(middleware.Body{}.Handler, middleware.Payload[item]{AllowNoContentType: true}.Handler)(middleware.Handle(none))
	if w := serve(t, h, post("/", "", `{"name":"x"}`)); w.Code != 204 {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	if w := serve(t, middleware.HandleWith(middleware.HandleConfig{Logger: quiet}, none), post("/", "application/json", `{}`)); w.Code != 500 {
		t.Errorf("no Body gate: status %d", w.Code)
	}
	mustPanic(t, "function is nil", func() { middleware.Handle[item, reply](nil) })
	mustPanic(t, "Timeout is negative", func() { middleware.HandleWith(middleware.HandleConfig{Timeout: -1}, none) })
	mustPanic(t, "put Body outside", func() {
		middleware.Signature{Verifier: tencent()}.Handler(middleware.Body{}.Handler(middleware.Handle(none)))
	})
}
