//go:build unix

package rig

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/ringback-go/ringback/registry"
)

// EngineRole is a process that runs the engine of a [Spec]. It says:
//
//	ready              the store is open and the endpoints are set
//	acked ID           Publish returned nil
//	refused ID ERROR   Publish returned an error
//	ok COMMAND …       another command is done; failed COMMAND ERROR if it failed
//	drained [ERROR]    Run returned, after SIGTERM or the end of the commands
//
// and takes these commands, one at a time:
//
//	publish TENANT ID…         one after another
//	pump TENANT PREFIX A B C   publishes PREFIX-A to PREFIX-(B-1) by C goroutines;
//	                           the next command need not wait for it
//	arm STEP                   see [Steps]
//	rotate SUBSCRIPTION SECRET sets another secret
//	add SUBSCRIPTION URL       probes the URL and subscribes it, as an API would
//	unsubscribe, pause, resume SUBSCRIPTION
//	counts                     says "counts PENDING DELIVERED DEAD"
const EngineRole = "engine"

func runEngine(ctx context.Context, c *Child) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var spec Spec
	if err := c.Spec(&spec); err != nil {
		return err
	}
	steps := &Steps{}
	if spec.Step != "" {
		if err := steps.Arm(spec.Step); err != nil {
			return err
		}
	}
	e, err := Assemble(ctx, spec, steps)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Store.Close()) }()
	c.Say("ready")
	var pumps sync.WaitGroup
	go func() {
		c.Commands(func(words []string) bool {
			if err := e.obey(ctx, c, &pumps, words); err != nil {
				c.Say("failed", words[0], err)
			}
			return true
		})
		pumps.Wait()
		cancel()
	}()
	if spec.Idle {
		<-ctx.Done()
	} else {
		err = e.Run(ctx)
	}
	cancel()
	pumps.Wait()
	if err != nil {
		c.Say("drained", err)
		return err
	}
	c.Say("drained")
	return nil
}

func (e *Engine) obey(ctx context.Context, c *Child, pumps *sync.WaitGroup, words []string) error {
	if len(words) < 2 && (len(words) == 0 || words[0] != "counts") {
		return errors.New("too few words")
	}
	var err error
	switch words[0] {
	case "publish":
		for _, id := range words[2:] {
			e.publish(ctx, c, words[1], id)
		}
		return nil
	case "pump":
		return e.pump(ctx, c, pumps, words)
	case "arm":
		err = e.Steps.Arm(words[1])
	case "rotate":
		err = e.rotate(ctx, words[1], words[2])
	case "add":
		if err = e.Client.Probe(ctx, words[2]); err == nil {
			_, err = e.Subscribe(ctx, Endpoint{ID: words[1], Tenant: words[1], URL: words[2]}.Subscription())
		}
	case "unsubscribe":
		err = e.Unsubscribe(ctx, words[1], "asked")
	case "pause":
		err = e.Pause(ctx, words[1])
	case "resume":
		err = e.Resume(ctx, words[1])
	case "counts":
		n, err := e.Store.Counts(ctx)
		if err == nil {
			c.Say("counts", n.Pending, n.Delivered, n.Dead)
		}
		return err
	default:
		return errors.New("no such command")
	}
	if err == nil {
		c.Say("ok", words[0])
	}
	return err
}

func (e *Engine) publish(ctx context.Context, c *Child, tenant, id string) {
	if _, err := e.Publish(ctx, e.Event(tenant, id)); err != nil {
		c.Say("refused", id, err)
		return
	}
	c.Say("acked", id)
}

func (e *Engine) pump(ctx context.Context, c *Child, pumps *sync.WaitGroup, words []string) error {
	if len(words) != 6 {
		return errors.New("pump TENANT PREFIX A B C")
	}
	var numbers [3]int
	for i := range numbers {
		var err error
		if numbers[i], err = strconv.Atoi(words[3+i]); err != nil {
			return err
		}
	}
	var next atomic.Int64
	next.Store(int64(numbers[0]) - 1)
	for range numbers[2] {
		pumps.Go(func() {
			for ctx.Err() == nil {
				n := int(next.Add(1))
				if n >= numbers[1] {
					return
				}
				e.publish(ctx, c, words[1], fmt.Sprintf("%s-%d", words[2], n))
			}
		})
	}
	return nil
}

func (e *Engine) rotate(ctx context.Context, id, secret string) error {
	sub, err := e.Engine.Registry().Get(ctx, id)
	if err != nil {
		return err
	}
	sub.Secrets = []registry.Secret{registry.NewSecret(secret)}
	_, err = e.Subscribe(ctx, sub)
	return err
}
