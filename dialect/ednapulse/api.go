package ednapulse

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/verify"
)

// A Subscriber stores subscriptions. *delivery.Engine is one.
type Subscriber interface {
	// Subscribe stores all of them or none.
	Subscribe(ctx context.Context, subs ...registry.Subscription) ([]registry.Subscription, error)
	// Registry lists what is stored.
	Registry() registry.Registry
}

// A Prober judges callback URLs. *egress.Client is one; use the client that
// the deliveries use.
type Prober interface {
	// Check judges a URL as text and returns its canonical spelling.
	Check(rawURL string) (egress.URL, error)
	// Probe asks the endpoint with HEAD; nil means that it answered 200. The
	// context names the tenant, see egress.WithTenant; an error that is
	// egress.TooMany is answered with 429.
	Probe(ctx context.Context, rawURL string) error
}

var (
	_ Subscriber = (*delivery.Engine)(nil)
	_ Prober     = (*egress.Client)(nil)
)

// APIConfig makes an [API].
type APIConfig struct {
	// Tenants finds who calls. Needed.
	Tenants Directory
	// Subscriber stores the callbacks. Needed.
	Subscriber Subscriber
	// Prober judges the URLs. Needed.
	Prober Prober
	// AllowHTTP takes http:// URLs for https:// ones. For tests.
	AllowHTTP bool
	// KeyLimiter limits the calls of a tenant, by its id, once the API key is
	// proven. Nil is no limit. A limit by peer belongs in front of the API,
	// with [Deny].
	KeyLimiter middleware.Limiter
	// BodyLimit is the largest body in bytes. 0 is middleware.DefaultBodyLimit.
	BodyLimit int64
	// Logger gets the causes of refusals and failures. Nil is slog.Default().
	Logger *slog.Logger
}

// API serves POST /api/callback/set: it sets the callback URLs of a tenant or
// of one channel. A call is all or nothing. A call without subjectId writes the
// URL into the tenant's row and into each existing row of a channel, so that
// the last call wins. Refusals come in the order 405, 413, 401, 429, 415, 400,
// then the six codes with status 200, each check over all URLs of the call
// before the next one.
//
// The zero value answers 503. Make one with [NewAPI]. It is safe for
// concurrent use.
type API struct {
	cfg   APIConfig
	log   *slog.Logger
	gates http.Handler
	turns sync.Map // tenant id → chan struct{}: one tenant's calls store one after another
}

// NewAPI makes the handler. Missing fields are [ErrConfig].
func NewAPI(cfg APIConfig) (*API, error) {
	switch {
	case cfg.Tenants == nil:
		return nil, fmt.Errorf("%w: APIConfig.Tenants is needed", ErrConfig)
	case cfg.Subscriber == nil:
		return nil, fmt.Errorf("%w: APIConfig.Subscriber is needed", ErrConfig)
	case cfg.Prober == nil:
		return nil, fmt.Errorf("%w: APIConfig.Prober is needed", ErrConfig)
	case cfg.BodyLimit < 0:
		return nil, fmt.Errorf("%w: APIConfig.BodyLimit is negative", ErrConfig)
	}
	a := &API{cfg: cfg, log: cfg.Logger}
	if a.log == nil {
		a.log = slog.Default()
	}
	var h http.Handler = http.HandlerFunc(a.set)
	h = middleware.Payload[call]{AllowNoContentType: true, Deny: Deny, Logger: a.log}.Handler(h)
	if cfg.KeyLimiter != nil {
		h = middleware.RateLimit{Key: byTenant, Limiter: cfg.KeyLimiter, Name: "key", Deny: Deny, Logger: a.log}.Handler(h)
	}
	h = a.authenticate(h)
	h = middleware.Body{Limit: cfg.BodyLimit, Deny: Deny, Logger: a.log}.Handler(h)
	a.gates = middleware.Method{Deny: Deny, Logger: a.log}.Handler(h)
	return a, nil
}

// ServeHTTP implements [http.Handler].
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if a.gates == nil {
		reply(w, http.StatusServiceUnavailable, CodeSystem)
		return
	}
	a.gates.ServeHTTP(w, r)
}

// callerHeader is X-API-KEY as net/http spells it.
const callerHeader = "X-Api-Key"

type tenantKey struct{}

func tenantOf(r *http.Request) Tenant {
	t, _ := r.Context().Value(tenantKey{}).(Tenant)
	return t
}

func byTenant(r *http.Request) string { return tenantOf(r).ID }

// authenticate finds the tenant by the one X-API-KEY.
func (a *API) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t, err := a.tenant(r)
		if err != nil {
			level := slog.LevelDebug
			if middleware.Status(err) >= 500 {
				level = slog.LevelError
			}
			a.log.LogAttrs(r.Context(), level, "ednapulse: caller refused", slog.Any("cause", err))
			Deny(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), tenantKey{}, t)))
	})
}

func (a *API) tenant(r *http.Request) (Tenant, error) {
	refused := func(err error) (Tenant, error) {
		return Tenant{}, &verify.Error{Scheme: "edna-api-key", Field: "X-API-KEY", Err: err}
	}
	values := r.Header[callerHeader]
	switch {
	case len(values) > 1:
		return refused(verify.ErrRepeated)
	case len(values) == 0 || values[0] == "":
		return refused(verify.ErrMissing)
	}
	t, err := a.cfg.Tenants.ByAPIKey(r.Context(), values[0])
	switch {
	case errors.Is(err, ErrUnknownKey):
		return refused(verify.ErrUnknown)
	case err != nil:
		return refused(fmt.Errorf("%w: %w", verify.ErrLookup, err))
	case t.ID == "": // an event without a tenant would be everybody's
		return refused(fmt.Errorf("%w: the tenant has no id", verify.ErrLookup))
	}
	return t, nil
}
