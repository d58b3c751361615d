package ednapulse_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/dialect/ednapulse"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

type limitError struct{}

func (limitError) Error() string       { return "over the limit" }
func (limitError) Unwrap() error       { return egress.ErrTooMany }
func (limitError) Wait() time.Duration { return 1500 * time.Millisecond }

// limited is a prober, or a registry, that met a limit.
type limited struct {
	probes
	registry.Memory

	tenant string
}

func (l *limited) Probe(ctx context.Context, _ string) error {
	l.tenant = egress.TenantOf(ctx)
	return limitError{}
}

func (*limited) Set(context.Context, ...registry.Subscription) ([]registry.Subscription, error) {
	return nil, limitError{}
}

// A limit on probes, or on what is stored, is 429 and says nothing of the URL.
func TestRegistrationLimits(t *testing.T) {
	t.Parallel()
	l := &limited{}
	for name, cfg := range map[string]ednapulse.APIConfig{
		"probe": {Prober: l},
		"store": {Subscriber: engine(t, l, nil)},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/callback/set", strings.NewReader(`{"statusCallbackUrl":"https://hooks.example.com/"}`))
		r.Header.Set("X-API-KEY", "A-1")
		w := httptest.NewRecorder()
		newAPI(t, cfg).ServeHTTP(w, r)
		if w.Code != http.StatusTooManyRequests || w.Body.String() != `{"code":"error-too-many-requests"}` || w.Header().Get("Retry-After") != "2" {
			t.Errorf("%s: %d %s, Retry-After %q", name, w.Code, w.Body, w.Header().Get("Retry-After"))
		}
	}
	if l.tenant != "edna:acme" {
		t.Errorf("probed for %q", l.tenant)
	}
}
