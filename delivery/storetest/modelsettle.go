package storetest

import (
	"time"

	"pgregory.net/rapid"

	"github.com/ringback-go/ringback/delivery"
)

// pick returns up to n leases: current ones, some that have ended, and some of
// a receipt that never was.
func (m *model) pick(n int) []delivery.Lease {
	held := m.leased()
	var out []delivery.Lease
	for range m.n("leases", 1, n) {
		switch kind := m.n("lease", 0, 11); {
		case kind == 0 && len(m.stale) > 0:
			out = append(out, m.stale[m.n("stale", 0, len(m.stale)-1)])
		case kind == 1 && len(held) > 0:
			l := *rapid.SampledFrom(held).Draw(m.T, "garbled").lease
			l.Receipt = rapid.SampledFrom([]string{"", "-", "none", held[0].lease.Receipt, l.Receipt + "0"}).Draw(m.T, "receipt")
			out = append(out, l)
		case len(held) > 0:
			out = append(out, *rapid.SampledFrom(held).Draw(m.T, "held").lease)
		}
	}
	return out
}

func (m *model) settle() {
	var outs []delivery.Outcome
	for _, l := range m.pick(5) {
		outs = append(outs, m.outcome(l))
	}
	m.settleAll(outs)
}

// settleAlike ends all leases of a lane the same way, as an endpoint that is
// well or down does.
func (m *model) settleAlike() {
	lane, result := m.lane(), rapid.SampledFrom([]delivery.Result{delivery.Done, delivery.Retry}).Draw(m.T, "result")
	var outs []delivery.Outcome
	for _, r := range m.leased() {
		if r.lane.name == lane {
			outs = append(outs, outcome(*r.lease, result))
		}
	}
	m.settleAll(outs)
}

// outcome draws how a lease ends.
func (m *model) outcome(l delivery.Lease) delivery.Outcome {
	results := []delivery.Result{delivery.Done, delivery.Retry, delivery.GiveUp, delivery.Release}
	o := outcome(l, rapid.SampledFrom(results).Draw(m.T, "result"))
	if m.odds("later", 2) {
		o.RetryIn = m.span("retry in", 1, 100)
	}
	switch o.Result {
	case delivery.Retry:
		o.Attempt.Class = rapid.SampledFrom([]string{"status", "timeout", "dns", "unknown", "internal"}).Draw(m.T, "class")
	case delivery.Release:
		if m.odds("attempted", 2) {
			o.Attempt = &delivery.Attempt{Number: l.Attempts + 1, Status: 429, Class: "status", Error: "busy"}
		}
	case delivery.Done, delivery.GiveUp:
		if m.odds("no attempt", 5) {
			o.Attempt = nil
		}
	}
	if o.Attempt != nil {
		o.Attempt.At, o.Attempt.Duration = m.now, 30*time.Millisecond
	}
	return o
}

func (m *model) settleAll(outs []delivery.Outcome) {
	m.Helper()
	for _, o := range outs {
		m.says("Settle(%s, receipt %q, result %d, in %v, attempt %t)", o.ID, o.Receipt, o.Result, o.RetryIn, o.Attempt != nil)
	}
	err := m.store.Settle(m.ctx, m.now, outs...)
	var lost []string
	for i := range outs {
		if r := m.current(outs[i].ID, outs[i].Receipt); r != nil {
			m.settleOne(r, &outs[i])
		} else {
			lost = append(lost, outs[i].ID)
		}
	}
	m.lost(err, "Settle", lost)
}

// current returns the row whose lease has this receipt, or nil.
func (m *model) current(id, receipt string) *modelRow {
	if r := m.byID[id]; r != nil && r.lease != nil && r.lease.Receipt == receipt {
		return r
	}
	return nil
}

func (m *model) settleOne(r *modelRow, o *delivery.Outcome) {
	m.unlease(r)
	r.lane.observe(o, m.now)
	if o.Attempt != nil {
		r.log = append(r.log, *o.Attempt)
		r.attempts++
		r.ahead = false
	}
	switch o.Result {
	case delivery.Done:
		m.end(r, delivery.Delivered, "", m.now)
		return
	case delivery.GiveUp:
		m.end(r, delivery.Dead, o.Reason, m.now)
		return
	case delivery.Retry:
		r.tries++
	case delivery.Release:
	}
	if m.stays(r) && (o.RetryIn > 0 || o.Attempt != nil) { // else it is due as it was
		r.due = earlier(m.now.Add(o.RetryIn), r.expires)
		if r.ahead && r.due.After(r.lane.wait) {
			r.lane.wait = r.due
		}
	}
}

func (m *model) extend() {
	leases, ttl := m.pick(4), m.ttl()
	m.says("Extend(%v, %q)", ttl, idsOf(leases))
	err := m.store.Extend(m.ctx, m.now, ttl, leases...)
	var lost []string
	for _, l := range leases {
		if r := m.current(l.ID, l.Receipt); r != nil {
			r.ends = m.now.Add(ttl)
		} else {
			lost = append(lost, l.ID)
		}
	}
	m.lost(err, "Extend", lost)
}
