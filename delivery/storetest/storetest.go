package storetest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/delivery"
)

// A Config says which store to check.
type Config struct {
	// Open returns a fresh, empty store that it closes by t.Cleanup. A lane of
	// it has at least 64 leases at once by default.
	Open func(t *testing.T) delivery.Store
	// Reopen abandons s as a crash would, without a word to it, and opens what
	// it left. Nil says that the store is not durable.
	Reopen func(t *testing.T, s delivery.Store) delivery.Store
	// Traits are what the store declares it cannot promise.
	Traits delivery.Traits
}

// caseLimit is how long one case may take at most.
const caseLimit = 3 * time.Minute

// A rule is one case of the suite.
type rule struct {
	name string
	says string // the rule, in a sentence
	run  func(e *env)
}

// Run checks a store against every rule of the contract.
func Run(t *testing.T, cfg Config) {
	t.Helper()
	if cfg.Open == nil {
		t.Fatal("storetest: Config.Open is nil")
	}
	if cfg.Reopen == nil && !cfg.Traits.NotDurable {
		t.Error("storetest: without Config.Reopen the store must declare Traits.NotDurable")
	}
	for _, r := range rules() {
		if cfg.Reopen == nil && strings.HasPrefix(r.name, "crash/") { // nothing is left to check
			continue
		}
		t.Run(r.name, func(t *testing.T) {
			t.Parallel()
			runCase(t, cfg, r)
		})
	}
}

func rules() []rule {
	return slices.Concat(enqueueRules, leaseRules, receiptRules, settleRules, laneRules, closeRules, healthRules,
		keyRules, aheadRules, browseRules, oldestRules, operateRules, redriveRules, volumeRules, raceRules, waitRules, pruneRules, crashRules)
}

func runCase(t *testing.T, cfg Config, r rule) {
	t.Helper()
	limit := caseLimit
	if end, ok := t.Deadline(); ok {
		limit = max(min(limit, time.Until(end)-5*time.Second), time.Second)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	watchdog := time.AfterFunc(limit+2*time.Second, func() {
		panic(fmt.Sprintf("storetest: %s hangs, and its context has ended. Its rule: %s", t.Name(), r.says))
	})
	defer watchdog.Stop()
	defer func() {
		if t.Failed() {
			t.Logf("the rule is: %s", r.says)
		}
	}()
	e := &env{T: t, ctx: ctx, cfg: cfg, now: time.Now().UTC().Truncate(time.Millisecond)}
	e.store = cfg.Open(t)
	r.run(e)
}
