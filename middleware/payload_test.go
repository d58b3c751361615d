package middleware_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ringback-go/ringback/middleware"
)

func TestPayload(t *testing.T) {
	t.Parallel()
	good := `{"type":"a","count":1,"items":[{"name":"x"}]}`
	tests := []struct {
		name, media, body string
		status            int
		fields            []middleware.FieldError
	}{
		{"good", "application/json", good, 200, nil},
		{"charset", "application/json; charset=UTF-8", good, 200, nil},
		{"capitals", "Application/JSON;charset=utf-8", good, 200, nil},
		{"empty parameter", "application/json;", good, 200, nil},
		{"unknown members", "application/json", `{"type":"a","x":{"y":[1]}}`, 200, nil},
		{"name in other case", "application/json", `{"type":"a","TYPE":"far too long to pass"}`, 200, nil},
		{"no type", "", good, 415, nil},
		{"other type", "text/json", good, 415, nil},
		{"sequence", "application/json-seq", good, 415, nil},
		{"list", "application/json, text/html", good, 415, nil},
		{"other charset", "application/json; charset=utf-16", good, 415, nil},
		{"other parameter", "application/json; version=1", good, 415, nil},
		{"not JSON", "application/json", `{`, 400, nil},
		{"empty", "application/json", ``, 400, nil},
		{"null", "application/json", `null`, 400, nil},
		{"array", "application/json", `[]`, 400, nil},
		{"trailing", "application/json", good + good, 400, nil},
		{"duplicate", "application/json", `{"type":"a","\u0074ype":"b"}`, 400, nil},
		{"wrong type", "application/json", `{"type":5}`, 400, nil},
		{"overflow", "application/json", `{"type":"a","count":1e400}`, 400, nil},
		{"missing", "application/json", `{}`, 422, []middleware.FieldError{{Pointer: "/type", Detail: "is required"}}},
		{"two rules", "application/json", `{"type":"hush hush hush","count":-424242}`, 422, []middleware.FieldError{
			{Pointer: "/type", Detail: "breaks the rule max=10"}, {Pointer: "/count", Detail: "breaks the rule gte=0"},
		}},
		{"nested", "application/json", `{"type":"a","items":[{"name":"x"},{}]}`, 422, []middleware.FieldError{{Pointer: "/items/1/name", Detail: "is required"}}},
		{"map key", "application/json", `{"type":"a","by":{"hush":{}}}`, 422, []middleware.FieldError{{Pointer: "/by/*/name", Detail: "is required"}}},
		{"hostile map key", "application/json", `{"type":"a","by":{"x].hush[7":{}}}`, 422, []middleware.FieldError{{Pointer: "/by/*/*/7/name", Detail: "is required"}}},
	}
	h := middleware.Body{Logger: quiet}.Handler(middleware.Payload[event]{Logger: quiet}.Handler(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) {
			e, found := middleware.PayloadFrom[event](r.Context())
			if !found || e.Type != "a" {
				t.Errorf("payload %+v, %v", e, found)
			}
			if _, found := middleware.PayloadFrom[item](r.Context()); found {
				t.Error("a payload of another type")
			}
			ok(w, r)
		})))
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := serve(t, h, post("/", tt.media, tt.body))
			if w.Code != tt.status {
				t.Fatalf("status %d, want %d", w.Code, tt.status)
			}
			if w.Code == 200 {
				return
			}
			text := w.Body.String()
			if strings.Contains(text, "hush") || strings.Contains(text, "424242") {
				t.Errorf("the answer shows values: %s", text)
			}
			var p struct {
				Title  string
				Status int
				Errors []middleware.FieldError
			}
			if err := json.Unmarshal([]byte(text), &p); err != nil || p.Status != tt.status || p.Title != http.StatusText(tt.status) {
				t.Errorf("answer %s, %v", text, err)
			}
			if diff := cmp.Diff(tt.fields, p.Errors); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestPayloadOptions(t *testing.T) {
	t.Parallel()
	h := middleware.Body{Logger: quiet}.Handler(middleware.Payload[event]{AllowNoContentType: true, Logger: quiet}.Handler(ok))
	r := post("/", "", `{"type":"a"}`)
	if w := serve(t, h, r); w.Code != 200 {
		t.Errorf("no type: status %d", w.Code)
	}
	r = post("/", "", `{"type":"a"}`)
	r.Header["Content-Type"] = []string{"application/json", "application/json"}
	if w := serve(t, h, r); w.Code != 415 {
		t.Errorf("type twice: status %d", w.Code)
	}
	if w := serve(t, middleware.Payload[event]{Logger: quiet}.Handler(ok), post("/", "application/json", `{}`)); w.Code != 500 {
		t.Errorf("no Body gate: status %d", w.Code)
	}
	if _, err := (middleware.Payload[event]{}).Check(post("/", "application/json", `{}`)); !errors.Is(err, middleware.ErrConfig) {
		t.Errorf("Check without a Body gate: %v", err)
	}
}

func TestPayloadBoundsErrors(t *testing.T) {
	t.Parallel()
	h := middleware.Body{Logger: quiet}.Handler(middleware.Payload[[]item]{Logger: quiet, Deny: func(w http.ResponseWriter, r *http.Request, err error) {
		e, found := errors.AsType[*middleware.Error](err)
		if !found || len(e.Fields) != 32 || e.Fields[31].Pointer != "/31/name" || len(e.Error()) > 2000 {
			t.Errorf("cause %v", err)
		}
		middleware.Problem(w, r, err)
	}}.Handler(ok))
	if w := serve(t, h, post("/", "application/json", "["+strings.Repeat("{},", 5000)+"{}]")); w.Code != 422 {
		t.Errorf("status %d", w.Code)
	}
}

func TestPayloadTypes(t *testing.T) {
	t.Parallel()
	status := func(gate middleware.Middleware, body string) int {
		return serve(t, middleware.Body{Logger: quiet}.Handler(gate(ok)), post("/", "application/json", body)).Code
	}
	for body, want := range map[string]int{`[{"name":"x"}]`: 200, `[{}]`: 422, `{}`: 400} {
		if got := status(middleware.Payload[[]item]{Logger: quiet}.Handler, body); got != want {
			t.Errorf("slice %s: %d, want %d", body, got, want)
		}
	}
	for body, want := range map[string]int{`{"name":"x"}`: 200, `{}`: 422, `null`: 400} {
		if got := status(middleware.Payload[*item]{Logger: quiet}.Handler, body); got != want {
			t.Errorf("pointer %s: %d, want %d", body, got, want)
		}
	}
	if got := status(middleware.Payload[map[string]any]{Logger: quiet}.Handler, `{"a":1}`); got != 200 {
		t.Errorf("map: %d", got)
	}
	if got := status(middleware.Payload[time.Time]{Logger: quiet}.Handler, `"2026-01-01T00:00:00Z"`); got != 200 {
		t.Errorf("time: %d", got)
	}
	if got := status(middleware.Payload[json.RawMessage]{Logger: quiet}.Handler, `[1]`); got != 200 {
		t.Errorf("raw: %d", got)
	}
}
