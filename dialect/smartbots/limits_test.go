package smartbots_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/ringback-go/ringback/dialect/smartbots"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/verify"
)

type limitError struct{}

func (limitError) Error() string       { return "over the limit" }
func (limitError) Unwrap() error       { return egress.ErrTooMany }
func (limitError) Wait() time.Duration { return 1500 * time.Millisecond }

// limitedURLs judges no name any more.
type limitedURLs struct{ developer string }

func (*limitedURLs) Check(raw string) (egress.URL, error) { return egress.Policy{}.Check(raw) }

func (l *limitedURLs) Resolve(ctx context.Context, _ string) error {
	l.developer = egress.TenantOf(ctx)
	return limitError{}
}

// A limit on probes, or on what is stored, is 429 and says nothing of the URL.
func TestRegistrationLimits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	refused := func(what string) {
		t.Helper()
		if a := w.register(t); a.status != http.StatusTooManyRequests || a.body != failReply("TOO MANY REQUESTS") || a.header.Get("Retry-After") != "2" {
			t.Errorf("%s: %d %s, Retry-After %q", what, a.status, a.body, a.header.Get("Retry-After"))
		}
		if n := len(w.subscriptions(t)); n != 0 {
			t.Errorf("%s: %d subscriptions", what, n)
		}
	}
	w.registry.err = limitError{}
	refused("store")
	w.registry.err = nil

	urls := &limitedURLs{}
	w.api = must(smartbots.NewAPI(smartbots.APIConfig{
		Engine: w.engine, Groups: w.groups, URLs: urls, Codes: must(verify.NewSecretChecker(serverKey)),
		Developers: must(smartbots.NewDeveloperKeys(smartbots.Developer{ID: "dev1", APIKey: registry.NewSecret("DEMO-APIKEY")})),
	}))
	refused("probe")
	if urls.developer != "smartbots:dev1" {
		t.Errorf("judged for %q", urls.developer)
	}
}
