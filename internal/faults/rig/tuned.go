package rig

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/dialect/standardwebhooks"
	"github.com/ringback-go/ringback/registry/egress"
)

// Tune changes what an engine is made of, right before it is made. A nil
// function changes nothing.
type Tune struct {
	Client func(*egress.Config)
	Engine func(*delivery.Config)
}

// AssembleTuned is [Assemble] with a Tune.
func AssembleTuned(ctx context.Context, spec Spec, tune Tune) (_ *Engine, err error) {
	steps := &Steps{}
	e := &Engine{Steps: steps, pad: strings.Repeat("x", spec.Pad)}
	if err := e.openStore(ctx, spec); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Store.Close())
		}
	}()
	if e.Client, err = tunedClient(spec, steps, tune); err != nil {
		return nil, err
	}
	if spec.Pauses == nil {
		for range 20 {
			spec.Pauses = append(spec.Pauses, 20*time.Millisecond)
		}
	}
	cfg := delivery.Config{
		Store: e.Store, Registry: e.Registry, Client: e.Client,
		Dialects:    map[string]delivery.Dialect{standardwebhooks.Name: dialect{&standardwebhooks.Dialect{}, delivery.Schedule{Pauses: spec.Pauses}}},
		MaxInFlight: spec.MaxInFlight, LeaseTTL: spec.LeaseTTL, DrainTimeout: spec.DrainTimeout,
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if tune.Engine != nil {
		tune.Engine(&cfg)
	}
	if e.Engine, err = delivery.New(cfg); err != nil {
		return nil, err
	}
	for _, ep := range spec.Endpoints {
		if err := e.subscribe(ctx, ep); err != nil {
			return nil, err
		}
	}
	return e, nil
}

func tunedClient(spec Spec, steps *Steps, tune Tune) (*egress.Client, error) {
	cfg := egress.Config{
		Policy: egress.Policy{
			AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
			AllowHTTP:     true,
		},
		Timeout:     spec.Timeout,
		DialContext: steps.dial,
	}
	if spec.Roots != "" {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM([]byte(spec.Roots)) {
			return nil, errors.New("rig: Roots holds no certificate")
		}
	}
	if tune.Client != nil {
		tune.Client(&cfg)
	}
	return egress.New(cfg)
}
