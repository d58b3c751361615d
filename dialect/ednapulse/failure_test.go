package ednapulse_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/dialect/ednapulse"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/registry"
)

type brokenRegistry struct{ registry.Memory }

var errDisk = errors.New("disk on fire")

func (*brokenRegistry) List(context.Context, registry.Filter) iter.Seq2[registry.Subscription, error] {
	return func(yield func(registry.Subscription, error) bool) { yield(registry.Subscription{}, errDisk) }
}

type readOnly struct{ registry.Memory }

func (*readOnly) Set(context.Context, ...registry.Subscription) ([]registry.Subscription, error) {
	return nil, errDisk
}

type brokenDirectory struct{ tenant ednapulse.Tenant }

func (d brokenDirectory) ByAPIKey(context.Context, string) (ednapulse.Tenant, error) {
	if d.tenant.APIKey.IsZero() {
		return ednapulse.Tenant{}, errDisk
	}
	return d.tenant, nil
}

func TestFailuresAreLogged(t *testing.T) {
	t.Parallel()
	good := `{"statusCallbackUrl":"https://a.example.com/"}`
	for name, cfg := range map[string]ednapulse.APIConfig{
		"list":      {Subscriber: engine(t, &brokenRegistry{}, nil)},
		"set":       {Subscriber: engine(t, &readOnly{}, nil)},
		"directory": {Tenants: brokenDirectory{}},
		"no id":     {Tenants: brokenDirectory{ednapulse.Tenant{APIKey: registry.NewSecret("A-1")}}},
		"limiter": {KeyLimiter: limiterFunc(func(key string) (middleware.Decision, error) {
			return middleware.Decision{}, errors.New("limiter of " + key)
		})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var logged strings.Builder
			cfg.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelError}))
			status, code := call(t, newAPI(t, cfg), good)
			if status != 503 || code != "error-system" {
				t.Errorf("%d %s", status, code)
			}
			if logged.Len() == 0 || strings.Contains(logged.String(), "A-1") || strings.Contains(logged.String(), "a.example.com") {
				t.Errorf("log: %s", logged.String())
			}
		})
	}
	if status, code := call(t, &ednapulse.API{}, good); status != 503 || code != "error-system" {
		t.Errorf("zero value: %d %s", status, code)
	}
}

func TestKeyLimiterGetsTheTenant(t *testing.T) {
	t.Parallel()
	var keys []string
	api := newAPI(t, ednapulse.APIConfig{KeyLimiter: limiterFunc(func(key string) (middleware.Decision, error) {
		keys = append(keys, key)
		return middleware.Decision{Allowed: true}, nil
	})})
	if _, code := call(t, api, `{"statusCallbackUrl":"https://a.example.com/"}`); code != "ok" || !slices.Equal(keys, []string{"acme"}) {
		t.Errorf("%s, keys %q", code, keys)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	good := ednapulse.APIConfig{Tenants: acme(t), Subscriber: engine(t, &registry.Memory{}, nil), Prober: &probes{}}
	for name, edit := range map[string]func(*ednapulse.APIConfig){
		"tenants":    func(c *ednapulse.APIConfig) { c.Tenants = nil },
		"subscriber": func(c *ednapulse.APIConfig) { c.Subscriber = nil },
		"prober":     func(c *ednapulse.APIConfig) { c.Prober = nil },
		"limit":      func(c *ednapulse.APIConfig) { c.BodyLimit = -1 },
	} {
		cfg := good
		edit(&cfg)
		if _, err := ednapulse.NewAPI(cfg); !errors.Is(err, ednapulse.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	tenant := ednapulse.Tenant{ID: "a", APIKey: registry.NewSecret("k")}
	for name, list := range map[string][]ednapulse.Tenant{
		"no id":           {{APIKey: tenant.APIKey}},
		"id twice":        {tenant, {ID: "a", APIKey: registry.NewSecret("l")}},
		"no key":          {{ID: "a"}},
		"key with space":  {{ID: "a", APIKey: registry.NewSecret("k k")}},
		"long key":        {{ID: "a", APIKey: registry.NewSecret(strings.Repeat("k", 257))}},
		"key twice":       {tenant, {ID: "b", APIKey: tenant.APIKey}},
		"bad webhook key": {{ID: "a", APIKey: tenant.APIKey, WebhookKey: registry.NewSecret("k\n")}},
	} {
		if _, err := ednapulse.NewTenants(list...); !errors.Is(err, ednapulse.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var nobody ednapulse.Tenants
	if _, err := nobody.ByAPIKey(t.Context(), "k"); !errors.Is(err, ednapulse.ErrUnknownKey) {
		t.Errorf("zero value: %v", err)
	}
	if _, ok := acme(t).WebhookKey("other"); ok {
		t.Error("a webhook key from nowhere")
	}
	if tenant, ok := acme(t).ByID("acme"); !ok || !tenant.Owns(235) || tenant.Owns(236) {
		t.Errorf("acme: %v", maps.Collect(slices.All(tenant.Channels)))
	}
	if _, ok := acme(t).ByID("nobody"); ok {
		t.Error("a tenant from nowhere")
	}
}
