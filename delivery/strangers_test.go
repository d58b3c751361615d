package delivery_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

// choosy is a dialect that could not send to some.
type choosy struct{ plain }

var errChoosy = errors.New("not to these")

func (*choosy) CheckSubscription(sub registry.Subscription) error {
	switch sub.Label {
	case "bad":
		return &delivery.Error{Field: "Label", Err: errChoosy}
	case "worse":
		return errChoosy
	}
	return nil
}

// TestSubscribeRefuses: what could never be sent is refused at once, all of it.
func TestSubscribeRefuses(t *testing.T) {
	t.Parallel()
	client, err := egress.New(egress.Config{})
	if err != nil {
		t.Fatal(err)
	}
	r := newRig(t, func(r *rig) {
		r.cfg.Client = client
		r.cfg.Dialects["choosy"] = &choosy{}
	})
	good := registry.Subscription{Dialect: "plain", Tenant: "acme", URL: "https://one.example/", Types: []string{"t"}}
	for name, tt := range map[string]struct {
		edit  func(*registry.Subscription)
		field string
		err   error
	}{
		"a dialect that is not there": {func(s *registry.Subscription) { s.Dialect = "latin" }, "Dialect", delivery.ErrDialect},
		"no URL":                      {func(s *registry.Subscription) { s.URL = "not a url" }, "URL", egress.ErrURL},
		"metadata":                    {func(s *registry.Subscription) { s.URL = "https://169.254.169.254/" }, "URL", delivery.ErrInvalid},
		"plain HTTP":                  {func(s *registry.Subscription) { s.URL = "http://one.example/" }, "URL", delivery.ErrInvalid},
		"paused, its URL is refused later": {func(s *registry.Subscription) {
			s.URL, s.State = "http://one.example/", registry.Paused
		}, "", nil},
		"a label that its dialect does not take": {func(s *registry.Subscription) { s.Dialect, s.Label = "choosy", "bad" }, "Label", errChoosy},
		"a dialect that says no more than no":    {func(s *registry.Subscription) { s.Dialect, s.Label = "choosy", "worse" }, "", errChoosy},
		"refused by its dialect is ErrInvalid":   {func(s *registry.Subscription) { s.Dialect, s.Label = "choosy", "bad" }, "Label", delivery.ErrInvalid},
		"disabled, its dialect is not asked": {func(s *registry.Subscription) {
			s.Dialect, s.Label, s.State = "choosy", "bad", registry.Disabled
		}, "", nil},
		"taken by its dialect": {func(s *registry.Subscription) { s.Dialect = "choosy" }, "", nil},
	} {
		bad := good
		tt.edit(&bad)
		stored, err := r.engine.Subscribe(t.Context(), good, bad)
		if tt.err == nil {
			if err != nil || len(stored) != 2 {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		e, ok := errors.AsType[*delivery.Error](err)
		if !ok || e.Index != 1 || e.Field != tt.field || !errors.Is(err, tt.err) || stored != nil {
			t.Errorf("%s: %v, %v", name, stored, err)
		}
	}
}

// TestAnotherEnginesDeliveries: an engine that does not have a delivery's dialect
// leaves it for one that has, and says so; it gives nothing up.
func TestAnotherEnginesDeliveries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.subscribe()
		r.publish("a", "b")
		has := r.cfg.Dialects
		r.cfg.Dialects = map[string]delivery.Dialect{"other": r.plain}
		r.engine = r.remake()
		stop := r.run()
		r.pass(10 * time.Minute)
		r.must(stop())
		want(t, "end", r.states(), "a=pending b=pending")
		if n := r.logs.count("does not have the dialect"); n < 9 || n > 11 {
			t.Errorf("said %d times in ten minutes", n)
		}
		r.cfg.Dialects = has
		r.engine = r.remake()
		r.run()
		r.pass(2 * time.Minute)
		want(t, "end", r.states(), "a=delivered b=delivered")
	})
}

// TestUnknownSubscription: deliveries of a registry that was forgotten are given
// up aloud.
func TestUnknownSubscription(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.subscribe()
		r.publish("a")
		r.cfg.Registry = &registry.Memory{}
		r.engine = r.remake()
		r.run()
		r.pass(time.Minute)
		want(t, "end", r.states(), "a=dead(registration removed)")
		want(t, "said", r.logs.count(`level=WARN msg="delivery: given up, the registry does not have its subscription"`), 1)
	})
}
