package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/verify"
)

// show serves one request and prints the answer.
func show(h http.Handler, r *http.Request) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
}

func Example_wrap() {
	existing := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "got %s %v", body, err)
	})

	token, err := verify.NewToken("Authorization", "Token", false, verify.Key{Secret: []byte("K-1")})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Three lines around an existing handler:
	gates := middleware.Chain(middleware.Method{}.Handler, middleware.Query{}.Handler,
		middleware.Body{}.Handler, middleware.Signature{Verifier: token}.Handler)
	handler := gates(existing)

	r := httptest.NewRequest(http.MethodPost, "/hooks", strings.NewReader("hello"))
	show(handler, r)
	r = httptest.NewRequest(http.MethodPost, "/hooks", strings.NewReader("hello"))
	r.Header.Set("Authorization", "Token K-1")
	show(handler, r)
	// Output:
	// 401 {"title":"Unauthorized","status":401}
	// 200 got hello <nil>
}

func ExampleChain() {
	name := func(s string) middleware.Middleware {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, s, " ")
				next.ServeHTTP(w, r)
			})
		}
	}
	h := middleware.Chain(name("outer"), name("inner"))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "handler") }))
	show(h, httptest.NewRequest(http.MethodPost, "/", nil))
	// Output: 200 outer inner handler
}

func ExampleMethod() {
	h := middleware.Method{Allow: []string{"GET", "POST"}}.Handler(http.NotFoundHandler())
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodDelete, "/", nil))
	fmt.Println(w.Code, w.Header().Get("Allow"))
	// Output: 405 GET, POST
}

func ExampleQuery() {
	h := middleware.Query{}.Handler(http.NotFoundHandler())
	show(h, httptest.NewRequest(http.MethodPost, "/?a=1;b=2", nil))
	// Output: 400 {"title":"Bad Request","status":400}
}

func ExampleBody() {
	h := middleware.Body{Limit: 5}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := middleware.RawBody(r)
		fmt.Fprintf(w, "%s", raw)
	}))
	show(h, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("short")))
	show(h, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("longer")))
	// Output:
	// 200 short
	// 413 {"title":"Request Entity Too Large","status":413}
}

func ExampleAppID() {
	ours, err := verify.NewAppID("1400000001")
	if err != nil {
		fmt.Println(err)
		return
	}
	h := middleware.AppID{Apps: ours}.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := middleware.IdentityFrom(r.Context())
		fmt.Fprint(w, id.Subject)
	}))
	show(h, httptest.NewRequest(http.MethodPost, "/?SdkAppid=1400000001", nil))
	show(h, httptest.NewRequest(http.MethodPost, "/?SdkAppid=1400000002", nil))
	// Output:
	// 200 1400000001
	// 401 {"title":"Unauthorized","status":401}
}

func ExampleSignature() {
	signed, err := verify.NewStandard(0, verify.Key{ID: "2026", Secret: []byte(verify.GenerateSecret())})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := middleware.Body{}.Handler(middleware.Signature{Verifier: signed}.Handler(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, _ := middleware.IdentityFrom(r.Context())
			fmt.Fprint(w, id.MessageID, " by key ", id.Key)
		})))

	now, body := time.Now(), `{"type":"invoice.paid"}`
	signature, err := signed.Sign("msg_1", now, []byte(body))
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("webhook-id", "msg_1")
	r.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	r.Header.Set("webhook-signature", signature)
	show(h, r)
	// Output: 200 msg_1 by key 2026
}

func ExampleSecret() {
	serverKey := []byte("sixteen bytes or more")
	secret, err := verify.NewSecret(serverKey, func(_ context.Context, params url.Values) (string, verify.Digest, bool, error) {
		group := params.Get("group")
		return group, verify.CodeDigest(serverKey, "DEMO-CODE"), group == "demo", nil
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := middleware.Body{}.Handler(middleware.Secret{Secret: secret}.Handler(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			id, _ := middleware.IdentityFrom(r.Context())
			fmt.Fprint(w, "group ", id.Subject)
		})))
	for _, form := range []string{"group=demo&secret=DEMO-CODE", "group=demo&secret=guess"} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		show(h, r)
	}
	// Output:
	// 200 group demo
	// 401 {"title":"Unauthorized","status":401}
}

func ExamplePayload() {
	type Message struct {
		To   string `json:"to" validate:"required"`
		Text string `json:"text" validate:"max=5"`
	}
	h := middleware.Body{}.Handler(middleware.Payload[Message]{}.Handler(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			m, _ := middleware.PayloadFrom[Message](r.Context())
			fmt.Fprint(w, m.To, " ", m.Text)
		})))
	for _, body := range []string{`{"to":"Ann","text":"hello"}`, `{"text":"too long"}`} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		show(h, r)
	}
	// Output:
	// 200 Ann hello
	// 422 {"title":"Unprocessable Entity","status":422,"errors":[{"pointer":"/to","detail":"is required"},{"pointer":"/text","detail":"breaks the rule max=5"}]}
}

func ExampleRateLimit() {
	h := middleware.RateLimit{
		Key: middleware.ByPeer, Requests: 1, Per: time.Minute,
		Now: func() time.Time { return time.Unix(1669872112, 0) },
	}.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
		fmt.Printf("%d %q %q\n", w.Code, w.Header().Get("Retry-After"), w.Header().Get("RateLimit-Policy"))
	}
	// Output:
	// 200 "" ""
	// 429 "60" "\"default\";q=1;w=60"
}

func ExampleNewLocalLimiter() {
	l, err := middleware.NewLocalLimiter(middleware.LocalLimiterConfig{Requests: 2, Per: time.Minute})
	if err != nil {
		fmt.Println(err)
		return
	}
	now := time.Unix(1669872112, 0)
	for range 3 {
		d, err := l.Allow(context.Background(), "tenant-1", now)
		fmt.Println(d.Allowed, d.Remaining, d.RetryAfter, err)
	}
	// Output:
	// true 1 0s <nil>
	// true 0 0s <nil>
	// false 0 30s <nil>
}

// A gate of your own: only one tenant may send.
// A gate of your own: behind the signature, only one tenant may send.
func ExampleMiddleware() {
	only := func(tenant string) middleware.Middleware {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.PathValue("tenant") != tenant {
					middleware.Problem(w, r, &middleware.Error{Err: errors.New("not a tenant of ours"), Code: http.StatusForbidden})
					return
				}
				next.ServeHTTP(w, r)
			})
		}
	}
	mux := http.NewServeMux()
	gates := middleware.Chain(middleware.Method{}.Handler, only("acme"), middleware.Body{}.Handler)
	mux.Handle("/in/{tenant}", gates(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "taken")
	})))
	show(mux, httptest.NewRequest(http.MethodPost, "/in/acme", nil))
	show(mux, httptest.NewRequest(http.MethodPost, "/in/globex", nil))
	// Output:
	// 200 taken
	// 403 {"title":"Forbidden","status":403}
}

func ExampleProblem() {
	h := middleware.Method{Deny: func(w http.ResponseWriter, r *http.Request, err error) {
		fmt.Println("cause:", err)
		middleware.Problem(w, r, err)
	}, Logger: slog.New(slog.DiscardHandler)}.Handler(http.NotFoundHandler())
	show(h, httptest.NewRequest(http.MethodGet, "/", nil))
	// Output:
	// cause: middleware: method not allowed
	// 405 {"title":"Method Not Allowed","status":405}
}
