package rig

import (
	"context"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry/egress"
)

// Tune changes what an engine is made of, right before it is made. A nil
// function changes nothing.
type Tune struct {
	Client func(*egress.Config)
	Engine func(*delivery.Config)
}

// AssembleTuned is [Assemble] with a Tune, without steps.
func AssembleTuned(ctx context.Context, spec Spec, tune Tune) (*Engine, error) {
	return assemble(ctx, spec, nil, tune)
}
