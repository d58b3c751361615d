//go:build unix

package sqlite_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/ringback-go/ringback/internal/faults/rig"
)

// running is an engine of the test's own process.
type running struct {
	*rig.Engine
	rc   *rig.Receiver
	path string
	stop func()
	ev   rig.Evidence
}

func run(t *testing.T, spec rig.Spec) *running {
	t.Helper()
	r := &running{rc: rig.Listen(t), path: spec.Path}
	spec.Endpoints = []rig.Endpoint{r.rc.Endpoint(sub)}
	var err error
	if r.Engine, err = rig.Assemble(t.Context(), spec, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan error, 1)
	go func() { ran <- r.Run(ctx) }()
	var once sync.Once
	r.stop = func() {
		once.Do(func() {
			cancel()
			if err := errors.Join(<-ran, r.Store.Close()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(r.stop)
	return r
}

func (r *running) publish(t *testing.T, id string) error {
	t.Helper()
	_, err := r.Publish(t.Context(), r.Event(sub, id))
	if err == nil {
		r.ev.Acked = append(r.ev.Acked, id)
	}
	return err
}

// judge stops the engine and looks.
func (r *running) judge(t *testing.T, a rig.Allow) rig.Evidence {
	t.Helper()
	r.stop()
	r.ev.Requests, r.ev.Ledger = r.rc.Requests(), rig.ReadLedger(t, r.path)
	r.ev.Check(t, a)
	return r.ev
}

func (r *running) settled(t *testing.T) {
	t.Helper()
	rig.Eventually(t, "nothing pending", func() bool {
		c, err := r.Store.Counts(t.Context())
		return err == nil && c.Pending == 0
	})
}
