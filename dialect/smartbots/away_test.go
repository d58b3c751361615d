package smartbots_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/smartbots"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
	"github.com/ringback-go/ringback/verify"
)

// TestAway: every part that does not answer is 503, and OK follows when it is
// back.
func TestAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	w.groups.err = errors.New("away")
	if got := w.register(t); got.status != http.StatusServiceUnavailable || got.body != failReply("SERVICE UNAVAILABLE") {
		t.Errorf("groups: %d %s", got.status, got.body)
	}
	if !strings.Contains(w.log.String(), "level=ERROR") || !strings.Contains(w.log.String(), "away") {
		t.Errorf("log: %s", w.log)
	}
	w.groups.err = nil
	w.registry.err = registry.ErrConflict
	if got := w.register(t); got.status != http.StatusServiceUnavailable {
		t.Errorf("conflicts without end: %d %s", got.status, got.body)
	}
	w.registry.err = nil
	w.mustRegister(t)
	w.store.Close()
	if got := w.register(t); got.status != http.StatusServiceUnavailable {
		t.Errorf("store closed: %d %s", got.status, got.body)
	}
	if n, err := smartbots.CodeChanged(t.Context(), w.engine, w.groups, "nobody"); n != 0 || err != nil {
		t.Errorf("group that is not known: %d, %v", n, err)
	}
	w.groups.setCode("my-group", "NEW-CODE")
	if n, err := smartbots.CodeChanged(t.Context(), w.engine, w.groups, "my-group"); n != 0 || !errors.Is(err, delivery.ErrClosed) {
		t.Errorf("CodeChanged: %d, %v", n, err)
	}
	w.groups.err = errors.New("away")
	if n, err := smartbots.CodeChanged(t.Context(), w.engine, w.groups, "my-group"); n != 0 || !errors.Is(err, w.groups.err) {
		t.Errorf("CodeChanged: %d, %v", n, err)
	}
	if _, err := smartbots.NewAPI(smartbots.APIConfig{}); !errors.Is(err, smartbots.ErrConfig) {
		t.Errorf("NewAPI: %v", err)
	}
}

type noDevelopers struct{ err error }

func (d noDevelopers) Developer(context.Context, string) (string, bool, error) {
	return "dev1", true, d.err
}

// TestMiswired: parts that are not what they should be open no door.
func TestMiswired(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*smartbots.APIConfig)
	}{
		{"codes not made", func(c *smartbots.APIConfig) { c.Codes = verify.SecretChecker{} }},
		{"developers away", func(c *smartbots.APIConfig) { c.Developers = noDevelopers{errors.New("away")} }},
		{"group without an ID", func(c *smartbots.APIConfig) {
			g := newGroups()
			g.groups["my-group"] = smartbots.Group{Name: "My Group Name", Code: verify.CodeDigest(serverKey, demoCode)}
			c.Groups = g
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			cfg := smartbots.APIConfig{
				Engine: w.engine, Groups: w.groups, Developers: noDevelopers{}, Codes: must(verify.NewSecretChecker(serverKey)),
				URLs: must(egress.New(egress.Config{Resolver: names{"hooks.example.com": "8.8.8.8"}})), Logger: slog.New(slog.DiscardHandler),
			}
			if got := call(t, cfg); got != okReply {
				t.Fatalf("wired well: %s", got)
			}
			tt.change(&cfg)
			if got := call(t, cfg); got != failReply("SERVICE UNAVAILABLE") {
				t.Errorf("%s", got)
			}
		})
	}
}

func call(t *testing.T, cfg smartbots.APIConfig) string {
	t.Helper()
	rec := httptest.NewRecorder()
	must(smartbots.NewAPI(cfg)).ServeHTTP(rec, postForm(t, demoCall().Encode()))
	return rec.Body.String()
}
