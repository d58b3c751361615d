package main

import (
	"context"
	"time"

	"github.com/ringback-go/ringback/dialect/tencentchat"
	"github.com/ringback-go/ringback/registry"
)

// probeTimeout is what the guarded client gives a probe.
const probeTimeout = 5 * time.Second

// longest is what anything that the guarded client sends may take: the client's
// own limit holds for probes and for all dialects.
func (c *config) longest() time.Duration {
	return max(c.timeout, probeTimeout, tencentchat.Timeout)
}

// timed has each attempt end when the configuration says, whatever it said when
// the subscription was stored.
func timed(r registry.Registry, timeout time.Duration) registry.Registry {
	return versioned(&timedRegistry{r, timeout}, r)
}

type timedRegistry struct {
	registry.Registry

	timeout time.Duration
}

// Get returns what an attempt is made with.
func (t *timedRegistry) Get(ctx context.Context, id string) (registry.Subscription, error) {
	s, err := t.Registry.Get(ctx, id)
	t.set(&s)
	return s, err
}

// Match returns the same, since the engine keeps it for the attempts.
func (t *timedRegistry) Match(ctx context.Context, topic registry.Topic) ([]registry.Subscription, error) {
	subs, err := t.Registry.Match(ctx, topic)
	for i := range subs {
		t.set(&subs[i])
	}
	return subs, err
}

func (t *timedRegistry) set(s *registry.Subscription) {
	s.Limits.Timeout = t.timeout
	if s.Dialect == tencentchat.Name {
		s.Limits.Timeout = tencentchat.Timeout // the platform's
	}
}

// versioned is r, which changes when from does, and says so if from can.
func versioned(r, from registry.Registry) registry.Registry {
	if v, ok := from.(registry.Versioned); ok {
		return struct {
			registry.Registry
			registry.Versioned
		}{r, v}
	}
	return r
}
