//go:build unix

package rig_test

import (
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

func seen(id, body string, status int) rig.Request {
	return rig.Request{Path: "/sub_a", ID: id, Status: status, Answered: true, Sum: sha256.Sum256([]byte(body))}
}

func stored(id string, state delivery.State, log ...delivery.Attempt) (string, rig.Entry) {
	d := delivery.DeliveryID(id, "sub_a")
	return d, rig.Entry{Log: log, Status: delivery.Status{
		State:    state,
		Delivery: delivery.Delivery{ID: d, EventID: id, SubscriptionID: "sub_a", Attempts: len(log)},
	}}
}

func ledger(id string, state delivery.State, log ...delivery.Attempt) rig.Ledger {
	d, e := stored(id, state, log...)
	return rig.Ledger{d: e}
}

// The checker itself must be able to fail, by each rule.
func TestChecker(t *testing.T) {
	t.Parallel()
	ok := delivery.Attempt{Number: 1, Status: 200}
	delivered := ledger("e", delivery.Delivered, ok)
	for name, tt := range map[string]struct {
		evidence rig.Evidence
		allow    rig.Allow
		want     string
	}{
		"clean":        {evidence: rig.Evidence{Acked: []string{"e"}, Requests: []rig.Request{seen("e", "b", 200)}, Ledger: delivered}},
		"lost":         {evidence: rig.Evidence{Acked: []string{"e"}}, want: "L: e was acknowledged"},
		"pending":      {evidence: rig.Evidence{Ledger: ledger("e", delivery.Pending)}, want: "still pending"},
		"may wait":     {evidence: rig.Evidence{Ledger: ledger("e", delivery.Pending)}, allow: rig.Allow{Pending: true}},
		"no reason":    {evidence: rig.Evidence{Ledger: ledger("e", delivery.Dead)}, want: "without a reason"},
		"nobody took":  {evidence: rig.Evidence{Ledger: delivered}, want: "no receiver accepted it"},
		"rolled back":  {evidence: rig.Evidence{Refused: []string{"e"}, Ledger: ledger("e", delivery.Pending)}, allow: rig.Allow{Pending: true}, want: "O: e was refused"},
		"out of air":   {evidence: rig.Evidence{Requests: []rig.Request{seen("e", "b", 200)}}, want: "is not stored"},
		"twice":        {evidence: rig.Evidence{Requests: []rig.Request{seen("e", "b", 200), seen("e", "b", 200)}, Ledger: delivered}, allow: rig.Allow{Unlogged: 1}, want: "D: 1 repeats"},
		"may be twice": {evidence: rig.Evidence{Requests: []rig.Request{seen("e", "b", 200), seen("e", "b", 200)}, Ledger: delivered}, allow: rig.Allow{Unlogged: 1, Repeats: 1, PerEvent: 1}},
		"thrice": {
			evidence: rig.Evidence{Requests: []rig.Request{seen("e", "b", 200), seen("e", "b", 200), seen("e", "b", 200)}, Ledger: delivered},
			allow:    rig.Allow{Unlogged: 2, Repeats: 9, PerEvent: 1}, want: "accepted 2 times too often",
		},
		"other body": {evidence: rig.Evidence{Requests: []rig.Request{seen("e", "a", 200), seen("e", "b", 200)}, Ledger: delivered}, allow: rig.Allow{Unlogged: 1, Repeats: 1}, want: "another body"},
		"unlogged":   {evidence: rig.Evidence{Requests: []rig.Request{seen("e", "b", 500), seen("e", "b", 200)}, Ledger: delivered}, want: "A: 1 requests have no row"},
		"made up":    {evidence: rig.Evidence{Requests: []rig.Request{seen("e", "b", 201)}, Ledger: delivered}, want: "which nobody did"},
		"gap": {
			evidence: rig.Evidence{Requests: []rig.Request{seen("e", "b", 200)}, Ledger: ledger("e", delivery.Delivered, delivery.Attempt{Number: 2, Status: 200})},
			want:     "has number 2",
		},
		"mute row": {evidence: rig.Evidence{Ledger: ledger("e", delivery.Pending, delivery.Attempt{Number: 1})}, allow: rig.Allow{Pending: true}, want: "no answer and no failure"},
		"last row": {
			evidence: rig.Evidence{Requests: []rig.Request{seen("e", "b", 500), seen("e", "b", 200)}, Ledger: ledger("e", delivery.Delivered, ok, delivery.Attempt{Number: 2, Status: 500, Class: "status"})},
			want:     "last row says otherwise",
		},
	} {
		got := strings.Join(tt.evidence.Violations(tt.allow), "\n")
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}
