package probelimit

import (
	"context"
	"fmt"

	"github.com/ringback-go/ringback/registry/egress"
)

// Client is a guarded client whose probes are limited; registration APIs take it in place of the
// *egress.Client. Without a Limiter it limits nothing.
type Client struct {
	Client  *egress.Client
	Limiter *Limiter
}

// Check judges a URL as text, without limit.
func (c Client) Check(rawURL string) (egress.URL, error) {
	if c.Client == nil {
		return egress.URL{}, errNoClient
	}
	return c.Client.Check(rawURL)
}

// Resolve is [egress.Client.Resolve] within the limits, or an [*Error].
func (c Client) Resolve(ctx context.Context, rawURL string) error {
	_, err := c.Limit(egress.Resolution{Client: c.Client}).Prove(ctx, rawURL)
	return err
}

// Probe is [egress.Client.Probe] within the limits, or an [*Error].
func (c Client) Probe(ctx context.Context, rawURL string) error {
	_, err := c.Limit(egress.Existence{Client: c.Client}).Prove(ctx, rawURL)
	return err
}

// Limit puts the limits in front of a Prover, whose URLs the Client judges as text before.
func (c Client) Limit(p egress.Prover) egress.Prover { return limited{p, c} }

type limited struct {
	prover egress.Prover
	client Client
}

func (l limited) Prove(ctx context.Context, rawURL string) (proof egress.Proof, err error) {
	u, err := l.client.Check(rawURL)
	if err != nil {
		return egress.Proof{}, err
	}
	err = l.client.Limiter.do(ctx, u, func(ctx context.Context) (err error) {
		proof, err = l.prover.Prove(ctx, u.String())
		return err
	})
	if err != nil {
		return egress.Proof{}, err
	}
	return proof, nil
}

var errNoClient = fmt.Errorf("%w: no Client", ErrConfig)
