package middleware_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"time"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/verify"
)

func ExampleRecover() {
	h := middleware.Recover{Logger: slog.New(slog.DiscardHandler)}.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		panic("a mistake")
	}))
	show(h, httptest.NewRequest(http.MethodPost, "/", nil))
	// Output: 500 {"title":"Internal Server Error","status":500}
}

func ExampleDedup() {
	runs := 0
	h := middleware.Body{}.Handler(middleware.Dedup{
		Store: &middleware.MemoryDedup{},
		// Behind a Signature: middleware.ByMessage.
		ID: func(r *http.Request) string { return r.Header.Get("X-Id") },
	}.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		runs++
		fmt.Fprintf(w, "run %d", runs)
	})))
	for _, body := range []string{"a", "a", "b"} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("X-Id", "msg_1")
		show(h, r)
	}
	// Output:
	// 200 run 1
	// 200 run 1
	// 409 {"title":"Conflict","status":409}
}

// Stripe signs no id of the message, but each body has the event's: take it from
// there, behind a Signature. Slack's is "event_id".
func ExampleDedup_stripe() {
	scheme, err := verify.NewHMAC(verify.Stripe(), verify.Key{Secret: []byte("whsec_test_secret")})
	if err != nil {
		fmt.Println(err)
		return
	}
	gates := middleware.Chain(
		middleware.Body{}.Handler,
		middleware.Signature{Verifier: scheme}.Handler,
		middleware.Dedup{Store: &middleware.MemoryDedup{}, ID: func(r *http.Request) string {
			body, _ := middleware.RawBody(r)
			var event struct {
				ID string `json:"id"`
			}
			_ = json.Unmarshal(body, &event) // without an id the request is refused
			return event.ID
		}}.Handler,
	)
	runs := 0
	h := gates(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		runs++
		fmt.Fprintf(w, "run %d", runs)
	}))
	for range 2 { // the second time with another timestamp, as a retry of Stripe's has
		body := []byte(`{"id":"evt_1","type":"invoice.paid"}`)
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		header, err := scheme.Sign("", verify.Message{Body: body, At: time.Now()})
		if err != nil {
			fmt.Println(err)
			return
		}
		r.Header = header
		show(h, r)
	}
	// Output:
	// 200 run 1
	// 200 run 1
}

func ExampleNewProxies() {
	proxies, err := middleware.NewProxies(middleware.ProxiesConfig{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
	if err != nil {
		fmt.Println(err)
		return
	}
	gate := middleware.RateLimit{Key: proxies.Key, Requests: 600, Per: time.Minute}

	r := httptest.NewRequest(http.MethodPost, "/", nil)
	r.RemoteAddr = "10.0.0.1:1234" // our load balancer
	r.Header.Set("X-Forwarded-For", "127.0.0.1, 203.0.113.7, 10.0.0.2")
	fmt.Println(gate.Key(r))
	r.RemoteAddr = "198.51.100.1:1234" // a stranger
	fmt.Println(gate.Key(r))
	// Output:
	// 203.0.113.7
	// 198.51.100.1
}

func ExampleHandle() {
	type Order struct {
		ID string `json:"id" validate:"required"`
	}
	type Receipt struct {
		Taken string `json:"taken"`
	}
	h := middleware.Body{}.Handler(middleware.Handle(func(_ context.Context, o Order) (Receipt, error) {
		if o.ID == "7" {
			return Receipt{}, &middleware.Error{Code: http.StatusNotFound, Err: errors.New("no row, and nobody is told")}
		}
		return Receipt{Taken: o.ID}, nil
	}))
	for _, body := range []string{`{"id":"6"}`, `{"id":"7"}`, `{}`} {
		r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		show(h, r)
	}
	// Output:
	// 200 {"taken":"6"}
	// 404 {"title":"Not Found","status":404}
	// 422 {"title":"Unprocessable Entity","status":422,"errors":[{"pointer":"/id","detail":"is required"}]}
}

func ExampleHandleWith() {
	h := middleware.Body{}.Handler(middleware.HandleWith(
		middleware.HandleConfig{AllowNoContentType: true, Timeout: 10 * time.Second},
		func(ctx context.Context, ids []int) (int, error) {
			_, limited := ctx.Deadline()
			fmt.Println("limited:", limited)
			return len(ids), nil
		}))
	show(h, httptest.NewRequest(http.MethodPost, "/", strings.NewReader("[1,2,3]")))
	// Output:
	// limited: true
	// 200 3
}

func ExampleHandshake() {
	h := middleware.Handshake{Origins: []string{"eventemitter.example.com"}, Rate: 100}.Handler(http.NotFoundHandler())
	for _, origin := range []string{"eventemitter.example.com", "elsewhere.example.com"} {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodOptions, "/", nil)
		r.Header.Set("WebHook-Request-Origin", origin)
		r.Header.Set("WebHook-Request-Rate", "120")
		h.ServeHTTP(w, r)
		fmt.Printf("%d %q %q\n", w.Code, w.Header().Get("WebHook-Allowed-Origin"), w.Header().Get("WebHook-Allowed-Rate"))
	}
	// Output:
	// 200 "eventemitter.example.com" "100"
	// 403 "" ""
}

func ExampleProbe() {
	h := middleware.Probe{
		Challenge: "hub.challenge", Token: "hub.verify_token", Tokens: []string{"our secret"},
	}.Handler(http.NotFoundHandler())
	show(h, httptest.NewRequest(http.MethodGet, "/?hub.mode=subscribe&hub.verify_token=our+secret&hub.challenge=1158201444", nil))
	show(h, httptest.NewRequest(http.MethodGet, "/?hub.mode=subscribe&hub.verify_token=guess&hub.challenge=1158201444", nil))
	// Output:
	// 200 1158201444
	// 403 {"title":"Forbidden","status":403}
}

func ExampleBodyChallenge() {
	h := middleware.Body{}.Handler( /* middleware.Signature */ middleware.BodyChallenge{}.Handler(http.NotFoundHandler()))
	show(h, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"type":"url_verification","challenge":"3eZbrw1aB"}`)))
	// Output: 200 3eZbrw1aB
}
