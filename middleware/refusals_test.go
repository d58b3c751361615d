package middleware_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/middleware"
)

// Who observes a request is told which gate refuses it and why, before the
// DenyFunc.
func TestWithRefusals(t *testing.T) {
	t.Parallel()
	var got []string
	var cause error
	gates := middleware.Chain(
		func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx := middleware.WithRefusals(r.Context(), func(_ context.Context, gate string, err error) {
					got, cause = append(got, gate), err
				})
				next.ServeHTTP(w, r.WithContext(middleware.WithRefusals(ctx, nil)))
			})
		},
		middleware.Method{Deny: func(w http.ResponseWriter, _ *http.Request, _ error) {
			got = append(got, "answered")
			w.WriteHeader(http.StatusTeapot)
		}}.Handler,
		middleware.Body{Limit: 3}.Handler,
	)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got = append(got, "handled") }))
	for _, tt := range []struct {
		name, method, body string
		want               string
		cause              error
	}{
		{"accepted", "POST", "abc", "handled", nil},
		{"method", "PUT", "abc", "Method answered", middleware.ErrMethod},
		{"body", "POST", "abcd", "Body", middleware.ErrBodySize},
	} {
		got, cause = nil, nil
		gates.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(tt.method, "/", strings.NewReader(tt.body)))
		if s := strings.Join(got, " "); s != tt.want || !errors.Is(cause, tt.cause) {
			t.Errorf("%s: %q, %v, want %q, %v", tt.name, s, cause, tt.want, tt.cause)
		}
	}
}
