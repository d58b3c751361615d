package ednapulse_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/dialect/ednapulse"
	"github.com/ringback-go/ringback/registry"
)

// TestCorpusReceiver runs the E rows, each against a fresh receiver.
func TestCorpusReceiver(t *testing.T) {
	t.Parallel()
	all := rows(t, "E")
	if len(all) < 12 {
		t.Fatalf("%d rows", len(all))
	}
	for _, r := range all {
		t.Run(r.id+" "+r.why, func(t *testing.T) {
			t.Parallel()
			handled := 0
			rc, err := ednapulse.NewReceiver(ednapulse.ReceiverConfig{
				Keys:    []registry.Secret{registry.NewSecret("K-0123456789abcdef")},
				Handler: func(context.Context, []ednapulse.Event) error { handled++; return nil },
				Now:     func() time.Time { return r.now },
				Logger:  quiet,
			})
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			rc.ServeHTTP(w, r.request(t))
			if got := strconv.Itoa(w.Code); got != r.expect {
				t.Errorf("status %s, want %s", got, r.expect)
			}
			if accepted := handled == 1; accepted != (r.expect == "200") {
				t.Errorf("handled %d times", handled)
			}
		})
	}
}

// TestCorpusRegistration runs the R rows, each against a fresh API whose
// probes always answer 200.
func TestCorpusRegistration(t *testing.T) {
	t.Parallel()
	all := rows(t, "R")
	if len(all) < 21 {
		t.Fatalf("%d rows", len(all))
	}
	client := guarded(t, func(http.ResponseWriter, *http.Request) {})
	for _, r := range all {
		t.Run(r.id+" "+r.why, func(t *testing.T) {
			t.Parallel()
			reg := &registry.Memory{}
			api, err := ednapulse.NewAPI(ednapulse.APIConfig{Tenants: acme(t), Subscriber: engine(t, reg, nil), Prober: client, Logger: quiet})
			if err != nil {
				t.Fatal(err)
			}
			w := httptest.NewRecorder()
			api.ServeHTTP(w, r.request(t))
			status, code, _ := strings.Cut(r.expect, "/")
			if want := `{"code":"` + code + `"}`; strconv.Itoa(w.Code) != status || w.Body.String() != want {
				t.Errorf("%d %s, want %s %s", w.Code, w.Body, status, want)
			}
			if got := w.Header().Get("Content-Type"); got != "application/json" {
				t.Errorf("Content-Type %q", got)
			}
			stored := len(list(t, reg))
			if (stored > 0) != (code == "ok") {
				t.Errorf("%d rows stored", stored)
			}
		})
	}
}

// engine returns an engine over a memory store; without a client it never
// sends.
func engine(t *testing.T, reg registry.Registry, client clientFunc) *delivery.Engine {
	t.Helper()
	if client == nil {
		client = func(*http.Request) (*http.Response, error) { return nil, errors.New("not running") }
	}
	store, err := memstore.Open(t.Context(), memstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := delivery.New(delivery.Config{
		Store: store, Registry: reg, Client: client, Logger: quiet,
		Dialects: map[string]delivery.Dialect{ednapulse.Name: ednapulse.Dialect{Keys: acme(t).WebhookKey}},
	})
	return must(t, e, err)
}

// list returns the rows by scope and slot.
func list(t *testing.T, reg registry.Registry) map[string]registry.Subscription {
	t.Helper()
	out := map[string]registry.Subscription{}
	for s, err := range reg.List(context.Background(), registry.Filter{Dialect: ednapulse.Name}) {
		if err != nil {
			t.Fatal(err)
		}
		out[s.Tenant+" "+s.Scope+" "+s.Slot] = s
	}
	return out
}
