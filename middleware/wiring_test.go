package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/verify"
	"github.com/ringback-go/ringback/verify/httpsig"
)

func TestChain(t *testing.T) {
	t.Parallel()
	var order []string
	mark := func(name string) middleware.Middleware {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				order = append(order, name)
				next.ServeHTTP(w, r)
			})
		}
	}
	serve(t, middleware.Chain(mark("a"), middleware.Chain(mark("b"), mark("c")))(ok), post("/", "", ""))
	if got := strings.Join(order, ""); got != "abc" {
		t.Errorf("order %q", got)
	}
	if w := serve(t, middleware.Chain()(ok), post("/", "", "x")); w.Body.String() != "x" {
		t.Errorf("empty chain answers %q", w.Body)
	}
	mustPanic(t, "middleware 1 is nil", func() { middleware.Chain(mark("a"), nil) })
	mustPanic(t, "next handler is nil", func() { middleware.Chain(mark("a"))(nil) })
}

func noGroup(context.Context, url.Values) (string, verify.Digest, bool, error) {
	return "", verify.Digest{}, false, nil
}

func TestWiringPanics(t *testing.T) {
	t.Parallel()
	limit := middleware.RateLimit{Key: middleware.ByPeer, Requests: 1, Per: time.Second}
	sign := middleware.Signature{Verifier: tencent()}
	type badTag struct {
		Deep []struct {
			A string `validate:"no_such_rule"`
		}
	}
	tests := []struct {
		name, text string
		wire       func()
	}{
		{"nil next", "next handler is nil", func() { middleware.Method{}.Handler(nil) }},
		{"nil func", "next handler is nil", func() { middleware.Query{}.Handler(http.HandlerFunc(nil)) }},
		{"nil verifier", "Signature: the verifier is nil", func() { middleware.Signature{}.Handler(ok) }},
		{"typed nil verifier", "Signature: the verifier is nil", func() { middleware.Signature{Verifier: (*verify.Standard)(nil)}.Handler(ok) }},
		{"verifier without keys", "Signature: the verifier has no keys", func() { middleware.Signature{Verifier: verify.Standard{}}.Handler(ok) }},
		{"pointer to a verifier without keys", "Signature: the verifier has no keys", func() { middleware.Signature{Verifier: &verify.HMAC{}}.Handler(ok) }},
		{"verifier of messages without keys", "Signature: the verifier has no keys", func() { middleware.Signature{Verifier: httpsig.Verifier{}}.Handler(ok) }},
		{"no verifiers in one", "Signature: the verifier has no keys", func() { middleware.Signature{Verifier: verify.Any{}}.Handler(ok) }},
		{"no apps", "AppID: no Apps", func() { middleware.AppID{}.Handler(ok) }},
		{"no secret", "Secret: the verifier has no keys", func() { middleware.Secret{}.Handler(ok) }},
		{"typed nil limiter", "Limiter holds a nil pointer", func() {
			middleware.RateLimit{Key: middleware.ByPeer, Limiter: (*middleware.LocalLimiter)(nil)}.Handler(ok)
		}},
		{"typed nil store", "Store is nil", func() {
			middleware.Dedup{Store: (*middleware.MemoryDedup)(nil), ID: byHeader}.Handler(ok)
		}},
		{"no function", "Handle: the function is nil", func() { middleware.Handle[event, event](nil) }},
		{"no key", "Key is nil", func() { middleware.RateLimit{Requests: 1, Per: 1}.Handler(ok) }},
		{"no rate", "set Requests and Per", func() { middleware.RateLimit{Key: middleware.ByPeer}.Handler(ok) }},
		{"bad name", "header field", func() { middleware.RateLimit{Key: middleware.ByPeer, Requests: 1, Per: 1, Name: `a"b`}.Handler(ok) }},
		{"negative limit", "Body: the limit", func() { middleware.Body{Limit: -1}.Handler(ok) }},
		{"method in lower case", "capitals", func() { middleware.Method{Allow: []string{"post"}}.Handler(ok) }},
		{"empty method", "empty name", func() { middleware.Method{Allow: []string{""}}.Handler(ok) }},
		{"unknown tag", "no_such_rule", func() { middleware.Payload[badTag]{}.Handler(ok) }},
		{"body inside signature", "put Body outside", func() { sign.Handler(middleware.Body{}.Handler(ok)) }},
		{"method inside body", "put Method outside", func() { middleware.Body{}.Handler(middleware.Method{}.Handler(ok)) }},
		{"signature inside payload", "put Signature outside", func() { middleware.Payload[event]{}.Handler(sign.Handler(ok)) }},
		{"secret inside payload", "put Secret outside", func() {
			middleware.Payload[event]{}.Handler(middleware.Secret{Secret: must(verify.NewSecret([]byte("k"), noGroup))}.Handler(ok))
		}},
		{"app inside signature", "put AppID outside", func() { sign.Handler(middleware.AppID{Apps: apps()}.Handler(ok)) }},
		{"no store", "Store is nil", func() { middleware.Dedup{ID: byHeader}.Handler(ok) }},
		{"no id source", "ID is nil", func() { middleware.Dedup{Store: &middleware.MemoryDedup{}}.Handler(ok) }},
		{"negative lease", "negative", func() { g := dedup(&middleware.MemoryDedup{}); g.Lease = -1; g.Handler(ok) }},
		{"kept too short", "twice the Tolerance of 5m0s", func() {
			g := dedup(&middleware.MemoryDedup{})
			g.Keep = 10*time.Minute - 1
			g.Handler(ok)
		}},
		{"kept too short for a tolerance", "twice the Tolerance of 13h0m0s", func() {
			g := dedup(&middleware.MemoryDedup{})
			g.Tolerance = 13 * time.Hour
			g.Handler(ok)
		}},
		{"dedup before signature", "put Signature outside", func() { dedup(&middleware.MemoryDedup{}).Handler(sign.Handler(ok)) }},
		{"dedup before body", "put Body outside", func() {
			dedup(&middleware.MemoryDedup{}).Handler(middleware.Recover{}.Handler(middleware.Body{}.Handler(ok)))
		}},
		{"dedup behind payload", "put Dedup outside", func() { middleware.Payload[event]{}.Handler(dedup(&middleware.MemoryDedup{}).Handler(ok)) }},
		{"challenge before signature", "put Signature outside", func() { middleware.BodyChallenge{}.Handler(sign.Handler(ok)) }},
		{"challenge behind dedup", "put BodyChallenge outside", func() { dedup(&middleware.MemoryDedup{}).Handler(middleware.BodyChallenge{}.Handler(ok)) }},
		{"handshake behind method", "put Handshake outside", func() {
			middleware.Method{}.Handler(middleware.Handshake{Origins: []string{"a"}}.Handler(ok))
		}},
		{"probe behind method", "put Probe outside", func() { middleware.Method{}.Handler(middleware.Probe{}.Handler(ok)) }},
		{"no origins", "no Origins", func() { middleware.Handshake{}.Handler(ok) }},
		{"any origin", `"*" is no name`, func() { middleware.Handshake{Origins: []string{"*"}}.Handler(ok) }},
		{"negative rate", "the Rate", func() { middleware.Handshake{Origins: []string{"a"}, Rate: -1}.Handler(ok) }},
		{"empty token", "an empty one", func() { middleware.Probe{Challenge: "c", Token: "t", Tokens: []string{""}}.Handler(ok) }},
		{"no token", "no Tokens", func() { middleware.Probe{Challenge: "c", Token: "t"}.Handler(ok) }},
		{"tokens of nothing", "without Token", func() { middleware.Probe{Challenge: "c", Tokens: []string{"t"}}.Handler(ok) }},
		{"post of nothing", "no Challenge", func() { middleware.Probe{Post: true}.Handler(ok) }},
		{"recover of nothing", "next handler is nil", func() { middleware.Recover{}.Handler(nil) }},
		{"through a rate limit", "put Body outside", func() { sign.Handler(limit.Handler(middleware.Body{}.Handler(ok))) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			mustPanic(t, tt.text, tt.wire)
		})
	}
	// A verifier of somebody else's may be its zero value.
	if w := serve(t, middleware.Body{}.Handler(middleware.Signature{Verifier: failing{}}.Handler(ok)), post("/", "", "")); w.Code != 200 {
		t.Errorf("a foreign zero value: status %d", w.Code)
	}
	// The same kind twice, and rate limits anywhere, are in order.
	sign.Handler(sign.Handler(limit.Handler(limit.Handler(middleware.Payload[event]{}.Handler(ok)))))
}

func TestStackRefusesInOrder(t *testing.T) {
	t.Parallel()
	h := tencentStack(quiet)(ok)
	for _, tt := range []struct {
		name, method, target, media, body string
		status                            int
	}{
		{"good", "POST", tencentURL, "application/json", `{"type":"a"}`, 200},
		{"all wrong", "GET", "/?a;b", "text/plain", strings.Repeat("x", 70_000), 405},
		{"all but the method", "POST", "/?a;b", "text/plain", strings.Repeat("x", 70_000), 400},
		{"size first", "POST", "/?x", "text/plain", strings.Repeat("x", 70_000), 413},
		{"app next", "POST", "/?SdkAppid=1&Sign=&RequestTime=", "text/plain", `{`, 401},
		{"sign next", "POST", "/?SdkAppid=1400000001", "text/plain", `{`, 401},
		{"media next", "POST", tencentURL, "text/plain", `{`, 415},
		{"syntax next", "POST", tencentURL, "application/json", `{`, 400},
		{"rules last", "POST", tencentURL, "", `{}`, 422},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(tt.method, tt.target, strings.NewReader(tt.body))
			r.Header.Set("Content-Type", tt.media)
			if tt.media == "" {
				r.Header.Del("Content-Type")
			}
			if w := serve(t, h, r); w.Code != tt.status {
				t.Errorf("status %d, want %d", w.Code, tt.status)
			}
		})
	}
}

// TestDenyOnce: a DenyFunc of the caller's is called once, with the cause,
// and the log has the cause and no secret.
func TestDenyOnce(t *testing.T) {
	t.Parallel()
	logger, text := captured()
	calls := 0
	h := middleware.Method{Logger: logger, Deny: func(w http.ResponseWriter, _ *http.Request, err error) {
		calls++
		if !errors.Is(err, middleware.ErrMethod) || w.Header().Get("Allow") != "POST" {
			t.Errorf("cause %v, Allow %q", err, w.Header().Get("Allow"))
		}
		w.WriteHeader(http.StatusTeapot)
	}}.Handler(ok)
	w := &onceWriter{ResponseRecorder: httptest.NewRecorder(), t: t}
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	if calls != 1 || w.Code != http.StatusTeapot {
		t.Errorf("%d calls, status %d", calls, w.Code)
	}
	if !strings.Contains(text.String(), "method not allowed") || !strings.Contains(text.String(), "level=DEBUG") {
		t.Errorf("log %q", text)
	}
	logger, text = captured()
	bad := strings.Replace(tencentURL, "1777", "1778", 1)
	serve(t, tencentStack(logger)(ok), post(bad, "", "{}"))
	if !strings.Contains(text.String(), "does not match") || strings.Contains(text.String(), "xxxxyyyy") || strings.Contains(text.String(), tencentSign[8:]) {
		t.Errorf("log %q", text)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]int{
		nil: 200, errors.New("x"): 500, middleware.ErrConfig: 500, middleware.ErrUnavailable: 503,
		middleware.ErrInProgress: 503, middleware.ErrFull: 503, middleware.ErrClaimLost: 500, middleware.ErrPanic: 500, middleware.ErrConflict: 409,
		middleware.ErrOrigin: 403, middleware.ErrChallenge: 403, middleware.ErrHandshake: 400, &middleware.Error{Code: 418}: 418, &middleware.Error{Code: 302}: 500, middleware.ErrRateLimited: 429,
		middleware.ErrMethod: 405, middleware.ErrQuery: 400, middleware.ErrBodySize: 413, middleware.ErrBodyRead: 400,
		middleware.ErrEncoding: 415, middleware.ErrMediaType: 415, middleware.ErrSyntax: 400, middleware.ErrInvalid: 422,
		&http.MaxBytesError{}: 413, verify.ErrLookup: 503, verify.ErrConfig: 500, verify.ErrEmptyKey: 500,
		verify.ErrMissing: 401, verify.ErrMalformed: 401, verify.ErrRepeated: 401, verify.ErrUnknown: 401,
		verify.ErrMismatch: 401, verify.ErrExpired: 401, verify.ErrNotYet: 401, &verify.Error{Err: errors.New("x")}: 401,
	} {
		if err != nil {
			err = fmt.Errorf("wrapped: %w", err)
		}
		if got := middleware.Status(err); got != want {
			t.Errorf("Status(%v) = %d, want %d", err, got, want)
		}
	}
}

// TestResponseController: the handler gets the server's own ResponseWriter.
func TestResponseController(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(tencentStack(quiet)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Errorf("Flush: %v", err)
		}
	})))
	defer srv.Close()
	resp, err := srv.Client().Do(must(http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+tencentURL, strings.NewReader(`{"type":"a"}`))))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
}
