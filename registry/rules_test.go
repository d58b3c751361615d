package registry_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/registry"
)

func valid() registry.Subscription {
	return registry.Subscription{Dialect: "standard", Tenant: "t", URL: "https://example.com/", Types: []string{"a"}}
}

func TestValidateAtAndOverBounds(t *testing.T) {
	t.Parallel()
	if err := registry.Validate(valid()); err != nil {
		t.Fatal(err)
	}
	text := func(n int) string { return strings.Repeat("x", n) }
	for _, c := range []struct {
		name  string
		field string // empty: it is fine
		edit  func(*registry.Subscription)
	}{
		{"text at bound", "", func(s *registry.Subscription) { s.Label = text(registry.MaxText) }},
		{"text over bound", "Label", func(s *registry.Subscription) { s.Label = text(registry.MaxText + 1) }},
		{"text not UTF-8", "Tenant", func(s *registry.Subscription) { s.Tenant = "\xc3" }},
		{"text with NUL", "Scope", func(s *registry.Subscription) { s.Scope = "\x00" }},
		{"type with NUL", "Types", func(s *registry.Subscription) { s.Types = []string{"a\x00"} }},
		{"meta key not UTF-8", "Meta", func(s *registry.Subscription) { s.Meta = map[string]string{"\xff": ""} }},
		{"meta at bound", "", func(s *registry.Subscription) { s.Meta = map[string]string{"k": text(registry.MaxMeta - 1)} }},
		{"meta over bound", "Meta", func(s *registry.Subscription) { s.Meta = map[string]string{"k": text(registry.MaxMeta)} }},
		{"secret of any bytes", "", func(s *registry.Subscription) { s.Secrets = []registry.Secret{registry.NewSecret("\x00\xff")} }},
		{"empty secret", "Secrets", func(s *registry.Subscription) { s.Secrets = make([]registry.Secret, 1) }},
		{"per second NaN", "Limits", func(s *registry.Subscription) { s.Limits.PerSecond = math.NaN() }},
		{"per second infinite", "Limits", func(s *registry.Subscription) { s.Limits.PerSecond = math.Inf(1) }},
		{"per second negative", "Limits", func(s *registry.Subscription) { s.Limits.PerSecond = -1 }},
		{"per second fraction", "", func(s *registry.Subscription) { s.Limits.PerSecond = 0.01 }},
		{"expiry far", "ExpiresAt", func(s *registry.Subscription) { s.ExpiresAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }},
		{"expiry late", "", func(s *registry.Subscription) { s.ExpiresAt = time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := valid()
			c.edit(&s)
			err := registry.Validate(s)
			if c.field == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if e, ok := errors.AsType[*registry.Error](err); !ok || e.Field != c.field || !errors.Is(err, registry.ErrInvalid) {
				t.Errorf("error is %v, want one of %s", err, c.field)
			}
		})
	}
}

func TestNextStampsTimes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.FixedZone("x", 3600))
	s := valid()
	s.ExpiresAt = now
	got, err := registry.Next(s, nil, nil, now)
	if err != nil {
		t.Fatal(err)
	}
	want := time.Date(2026, 3, 1, 11, 0, 0, 123456000, time.UTC)
	if got.CreatedAt != want || got.Since != want || got.ExpiresAt != want {
		t.Errorf("times are %v, %v, %v", got.CreatedAt, got.Since, got.ExpiresAt)
	}
}

func TestMatchingLeavesSubscriptionsOfOtherTopics(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	make1 := func(id, scope, slot string) registry.Subscription {
		s := valid()
		s.ID, s.Scope, s.Slot, s.State = id, scope, slot, registry.Active
		return s
	}
	expired := make1("expired", "", "")
	expired.ExpiresAt = now
	got := registry.Matching(registry.Topic{Dialect: "standard", Type: "a", Scope: "x"}, now, []registry.Subscription{
		make1("z", "x", "s"), make1("hidden", "", "s"), make1("y", "y", "s"), expired, make1("a", "", "other"),
	})
	ids := make([]string, 0, len(got))
	for _, s := range got {
		ids = append(ids, s.ID)
	}
	if !slices.Equal(ids, []string{"a", "z"}) {
		t.Errorf("got %q", ids)
	}
}

// A secret must not show in anything that is printed of a subscription.
func TestSecretsDoNotShow(t *testing.T) {
	t.Parallel()
	s := valid()
	s.Secrets = []registry.Secret{registry.NewSecret("hunter2")}
	var log strings.Builder
	l := slog.New(slog.NewTextHandler(&log, nil))
	l.Info("x", "subscription", s, "secret", s.Secrets[0], "all", s.Secrets)
	for _, text := range []string{
		fmt.Sprint(s), fmt.Sprintf("%+v %#v %s %q", s, s, s.Secrets, s.Secrets), log.String(),
	} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("shown: %s", text)
		}
	}
}
