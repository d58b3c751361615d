//go:build unix

package rig

import (
	"fmt"
	"testing"

	"github.com/ringback-go/ringback/delivery"
)

// Evidence is what the three witnesses say: the producer, the receivers and
// the store.
type Evidence struct {
	// Acked are the events whose Publish returned nil. Refused are those that
	// must never leave nor be stored.
	Acked, Refused []string
	Requests       []Request
	Ledger         Ledger
}

// Allow is what the fault may cost. The zero value is a run without faults.
type Allow struct {
	// Repeats is how many requests in all may have been accepted though an
	// earlier one of the same delivery was. PerEvent bounds each delivery's
	// share; 0 is no bound beside Repeats.
	Repeats, PerEvent int
	// Unlogged is how many requests in all may have no row in the attempt log.
	Unlogged int
	// Pending says that deliveries may be left waiting.
	Pending bool
}

// Check fails the test for every violation of L, D, O and A. Receivers' paths
// are "/" and the subscription's ID.
func (e Evidence) Check(tb testing.TB, a Allow) {
	tb.Helper()
	for _, v := range e.Violations(a) {
		tb.Error(v)
	}
}

// Repeats counts requests that were accepted though one before was.
func (e Evidence) Repeats() (n int) {
	for _, rs := range e.byDelivery() {
		n += max(0, accepted(rs)-1)
	}
	return n
}

func (e Evidence) byDelivery() map[string][]*Request {
	all := map[string][]*Request{}
	for i := range e.Requests {
		r := &e.Requests[i]
		id := delivery.DeliveryID(r.ID, r.Path[1:])
		all[id] = append(all[id], r)
	}
	return all
}

func accepted(rs []*Request) (n int) {
	for _, r := range rs {
		if r.Accepted() {
			n++
		}
	}
	return n
}

// Violations returns a sentence for each.
func (e Evidence) Violations(a Allow) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	seen := e.byDelivery()
	e.lost(seen, a, say)
	e.repeated(seen, a, say)
	unlogged := 0
	for id, entry := range e.Ledger {
		unlogged += logTrue(id, entry, seen[id], say)
	}
	if unlogged > a.Unlogged {
		say("A: %d requests have no row in the attempt log, %d may", unlogged, a.Unlogged)
	}
	return out
}

// lost is L and O.
func (e Evidence) lost(seen map[string][]*Request, a Allow, say func(string, ...any)) {
	stored := map[string]bool{}
	for id, entry := range e.Ledger {
		stored[entry.EventID] = true
		switch entry.State {
		case delivery.Delivered:
			if accepted(seen[id]) == 0 {
				say("L: %s is delivered, and no receiver accepted it", id)
			}
		case delivery.Dead:
			if entry.Reason == "" {
				say("L: %s is dead without a reason", id)
			}
		case delivery.Pending:
			if !a.Pending {
				say("L: %s is still pending", id)
			}
		default:
			say("L: %s is %q", id, entry.State)
		}
	}
	for _, id := range e.Acked {
		if !stored[id] {
			say("L: %s was acknowledged and is not stored", id)
		}
	}
	for _, id := range e.Refused {
		if stored[id] {
			say("O: %s was refused and is stored", id)
		}
	}
	for id, rs := range seen {
		if _, ok := e.Ledger[id]; !ok {
			say("O: %s left %d times and is not stored", id, len(rs))
		}
	}
}

// repeated is D.
func (e Evidence) repeated(seen map[string][]*Request, a Allow, say func(string, ...any)) {
	total := 0
	for id, rs := range seen {
		var first *Request
		for _, r := range rs {
			switch {
			case r.Cut:
			case first == nil:
				first = r
			case r.Sum != first.Sum:
				say("D: %s came with another body", id)
			}
		}
		n := max(0, accepted(rs)-1)
		if total += n; a.PerEvent > 0 && n > a.PerEvent {
			say("D: %s was accepted %d times too often, %d may be", id, n, a.PerEvent)
		}
	}
	if total > a.Repeats {
		say("D: %d repeats, %d are allowed", total, a.Repeats)
	}
}

// logTrue is A for one delivery; it returns how many requests have no row.
func logTrue(id string, entry Entry, rs []*Request, say func(string, ...any)) int {
	if len(entry.Log) != entry.Attempts {
		say("A: %s has %d attempts and %d rows", id, entry.Attempts, len(entry.Log))
	}
	answers := map[int]int{}
	for _, r := range rs {
		answers[r.Status]++
	}
	for i, row := range entry.Log {
		if row.Number != i+1 {
			say("A: row %d of %s has number %d", i+1, id, row.Number)
		}
		switch {
		case row.Status == 0 && row.Class == "":
			say("A: attempt %d of %s had no answer and no failure", row.Number, id)
		case row.Status == 0:
		case answers[row.Status] == 0:
			say("A: attempt %d of %s was answered %d, which nobody did so often", row.Number, id, row.Status)
		default:
			answers[row.Status]--
		}
	}
	if n := len(entry.Log); entry.State == delivery.Delivered && (n == 0 || entry.Log[n-1].Class != "" || entry.Log[n-1].Status/100 != 2) {
		say("A: %s is delivered, and its last row says otherwise", id)
	}
	return max(0, len(rs)-len(entry.Log))
}
