package otelx_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/otelx"
	"github.com/ringback-go/ringback/verify"
)

func TestDeny(t *testing.T) {
	t.Parallel()
	signed, err := verify.NewToken("Authorization", "Token", false, verify.Key{ID: "key-17", Secret: []byte("K-1")})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t)
	opts := []otelx.Option{otelx.WithTracerProvider(r.traces), otelx.WithMeterProvider(r.meters)}
	handler := middleware.Chain(
		otelx.Middleware(opts...),
		middleware.Recover{Logger: slog.New(slog.DiscardHandler), Deny: otelx.Deny("Recover", nil, opts...)}.Handler,
		middleware.Method{Deny: otelx.Deny("Method", nil, opts...)}.Handler,
		middleware.Body{Limit: 10, Deny: otelx.Deny("Body", nil, opts...)}.Handler,
		middleware.Signature{Verifier: signed, Deny: otelx.Deny("Signature", nil, opts...)}.Handler,
	)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if raw, _ := middleware.RawBody(r); string(raw) == "panic" {
			panic("hush")
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	for _, tt := range []struct {
		name, method, token, body string
		status                    int
		gate, reason              string
	}{
		{"accepted", "POST", "Token K-1", "a", 204, "", ""},
		{"method", "GET", "Token K-1", "a", 405, "Method", "method"},
		{"size", "POST", "Token K-1", strings.Repeat("hush", 10), 413, "Body", "body_size"},
		{"no token", "POST", "", "a", 401, "Signature", "missing"},
		{"wrong token", "POST", "Token K-2", "a", 401, "Signature", "mismatch"},
		{"wrong token again", "POST", "Token K-3", "a", 401, "Signature", "mismatch"},
		{"panic", "POST", "Token K-1", "panic", 500, "Recover", "panic"},
	} {
		before := len(r.spans.Ended())
		req := httptest.NewRequest(tt.method, "/", strings.NewReader(tt.body))
		if tt.token != "" {
			req.Header.Set("Authorization", tt.token)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		if w.Code != tt.status {
			t.Errorf("%s: answered %d, want %d", tt.name, w.Code, tt.status)
		}
		span := r.spans.Ended()[before]
		holds(t, span, "K-1", "K-2", "K-3", "key-17", "hush")
		if (span.Status().Code == codes.Error) != (tt.status >= 500) {
			t.Errorf("%s: status %v", tt.name, span.Status())
		}
		var got []string
		for _, e := range span.Events() {
			text := e.Name
			for _, kv := range e.Attributes {
				text += " " + kv.Value.String()
			}
			got = append(got, text)
		}
		var want []string
		if tt.gate != "" {
			want = []string{fmt.Sprint("callback.denied ", tt.gate, " ", tt.reason, " ", tt.status)}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: events (-want +got)\n%s", tt.name, diff)
		}
	}
	r.measured("callback.requests.denied", map[string]string{
		"callback.gate=Method callback.reason=method":      "1",
		"callback.gate=Body callback.reason=body_size":     "1",
		"callback.gate=Signature callback.reason=missing":  "1",
		"callback.gate=Signature callback.reason=mismatch": "2",
		"callback.gate=Recover callback.reason=panic":      "1",
	})
}

// Any error has a word, and the DenyFunc behind gets it as it was.
func TestDenyPassesOn(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	cause := errors.New("hush")
	var got error
	deny := otelx.Deny("Own", func(_ http.ResponseWriter, _ *http.Request, err error) { got = err }, otelx.WithMeterProvider(r.meters))
	deny(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil), cause)
	if !errors.Is(got, cause) {
		t.Errorf("passed on %v", got)
	}
	r.measured("callback.requests.denied", map[string]string{"callback.gate=Own callback.reason=other": "1"})
}

func TestDenyNoName(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic for a gate without a name")
		}
	}()
	otelx.Deny("", nil)
}
