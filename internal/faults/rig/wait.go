//go:build unix

package rig

import (
	"sync"
	"testing"
	"time"
)

// Patience is how long anything that must happen may take.
const Patience = time.Minute

// news wakes those who wait for a state to change.
type news struct {
	mu sync.Mutex
	ch chan struct{}
}

func (n *news) next() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch == nil {
		n.ch = make(chan struct{})
	}
	return n.ch
}

func (n *news) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ch != nil {
		close(n.ch)
		n.ch = nil
	}
}

// until waits for cond, looking again whenever there is news. It reports
// whether cond held in time.
func (n *news) until(cond func() bool) bool {
	timer := time.NewTimer(Patience)
	defer timer.Stop()
	for {
		next := n.next()
		if cond() {
			return true
		}
		select {
		case <-next:
		case <-timer.C:
			return false
		}
	}
}

// Eventually waits for a condition that nobody tells of.
func Eventually(tb testing.TB, what string, cond func() bool) {
	tb.Helper()
	deadline := time.Now().Add(Patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		if time.Now().After(deadline) {
			tb.Fatalf("never came: %s", what)
		}
		<-tick.C
	}
}
