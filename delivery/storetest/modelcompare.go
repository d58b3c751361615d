package storetest

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/ringback-go/ringback/delivery"
)

// compare compares all deliveries with what the store shows.
func (m *model) compare() {
	b, ok := m.store.(delivery.Browser)
	if !ok {
		return
	}
	var want delivery.Counts
	for _, r := range m.rows {
		switch r.state {
		case delivery.Pending:
			want.Pending++
		case delivery.Delivered:
			want.Delivered++
		case delivery.Dead:
			want.Dead++
		}
	}
	got, err := b.Counts(m.ctx)
	if m.must(err, "Counts"); got != want {
		m.Fatalf("Counts are %+v, want %+v", got, want)
	}
	all := m.list(delivery.Filter{})
	if len(all) != len(m.rows) {
		m.Fatalf("%d deliveries are listed, want %d", len(all), len(m.rows))
	}
	for i, r := range slices.Backward(m.rows) {
		m.same(all[len(m.rows)-1-i], r)
	}
}

func (m *model) list(f delivery.Filter) []delivery.Status {
	m.Helper()
	var out []delivery.Status
	for st, err := range m.store.(delivery.Browser).Deliveries(m.ctx, f) {
		m.must(err, "Deliveries")
		out = append(out, st)
	}
	return out
}

// same compares a status.
func (m *model) same(st delivery.Status, r *modelRow) {
	m.Helper()
	if st.ID != r.ID || st.State != r.state || st.Reason != r.reason || st.Attempts != r.attempts {
		m.Fatalf("%s is %q (%q) after %d attempts, want %s, %q (%q), %d", st.ID, st.State, st.Reason, st.Attempts, r.ID, r.state, r.reason, r.attempts)
	}
	m.sameDelivery(st.Delivery, r)
	var last delivery.Attempt
	if n := len(r.log); n > 0 {
		last = r.log[n-1]
	}
	if st.LastStatus != last.Status || st.LastError != last.Error {
		m.Fatalf("%s shows the latest attempt %d %q, want %d %q", r.ID, st.LastStatus, st.LastError, last.Status, last.Error)
	}
	if r.state != delivery.Pending {
		if !st.NextAttemptAt.IsZero() || st.SettledAt.IsZero() || !r.settled.IsZero() && !near(st.SettledAt, r.settled) {
			m.Fatalf("%s, settled at %v, shows SettledAt %v, NextAttemptAt %v", r.ID, r.settled, st.SettledAt, st.NextAttemptAt)
		}
		return
	}
	switch late := r.due.After(m.now); {
	case !st.SettledAt.IsZero():
		m.Fatalf("%s is pending and shows SettledAt %v", r.ID, st.SettledAt)
	case r.lease != nil, r.ahead:
	case late && !near(st.NextAttemptAt, r.due), !late && st.NextAttemptAt.After(m.now.Add(time.Millisecond)):
		m.Fatalf("%s shows NextAttemptAt %v, want %v (it is %v)", r.ID, st.NextAttemptAt, r.due, m.now)
	}
}

func (m *model) sameDelivery(d delivery.Delivery, r *modelRow) {
	m.Helper()
	w := &r.Delivery
	if d.EventID != w.EventID || d.SubscriptionID != w.SubscriptionID || d.LaneName() != w.LaneName() || d.Key != w.Key ||
		d.Tenant != w.Tenant || d.Type != w.Type || !bytes.Equal(d.Body, w.Body) || !d.PublishedAt.Equal(w.PublishedAt) || d.Ahead != w.Ahead {
		m.Fatalf("%s changed on its way:\n got %s\nwant %s", r.ID, shown(d), shown(*w))
	}
}

// lookUp compares a filtered list, an attempt log and an event.
func (m *model) lookUp() {
	b, ok := m.store.(delivery.Browser)
	if !ok {
		return
	}
	f := m.filter()
	var want []string
	for _, r := range slices.Backward(m.rows) {
		if st := (delivery.Status{Delivery: r.Delivery, State: r.state}); f.Chooses(&st) && (f.Limit == 0 || len(want) < f.Limit) {
			want = append(want, r.ID)
		}
	}
	if got := listed(m.list(f)); !slices.Equal(got, want) {
		m.Fatalf("%+v lists %q, want %q", f, got, want)
	}
	for _, id := range m.ids(3) {
		r := m.byID[id]
		log, err := b.Attempts(m.ctx, id)
		if r == nil {
			if !errors.Is(err, delivery.ErrNotFound) {
				m.Fatalf("Attempts(%q): %v, want ErrNotFound", id, err)
			}
			continue
		}
		m.must(err, "Attempts")
		same := func(a, b delivery.Attempt) bool {
			return a.Number == b.Number && a.Status == b.Status && a.Class == b.Class && a.Error == b.Error && near(a.At, b.At)
		}
		if !slices.EqualFunc(log, r.log, same) {
			m.Fatalf("the attempts of %s are %+v, want %+v", id, log, r.log)
		}
		m.eventOf(b, r.EventID)
	}
	m.eventOf(b, "nothing")
}

func (m *model) eventOf(b delivery.Browser, id string) {
	m.Helper()
	n, known, err := b.Event(m.ctx, id)
	if wantN, wantKnown := m.events[id]; err != nil || n != wantN {
		m.Fatalf("Event(%s) is %d, %t, %v, want %d, %t", id, n, known, err, wantN, wantKnown)
	} else if known != wantKnown {
		m.Fatalf("Event(%s) is known: %t, want %t", id, known, wantKnown)
	}
}

func (m *model) filter() delivery.Filter {
	var f delivery.Filter
	pick := func(label string, n int, of []string) string {
		if !m.odds("by "+label, n) {
			return ""
		}
		return rapid.SampledFrom(of).Draw(m.T, label)
	}
	f.SubscriptionID = pick("subscription", 3, m.names)
	f.Tenant = pick("tenant", 4, []string{"acme", "nobody"})
	f.State = delivery.State(pick("state", 2, []string{string(delivery.Pending), string(delivery.Delivered), string(delivery.Dead)}))
	if len(m.rows) > 0 {
		if m.odds("by ID", 6) {
			f.ID = m.ids(1)[0]
		}
		if m.odds("from", 4) {
			f.From = rapid.SampledFrom(m.rows).Draw(m.T, "from").PublishedAt
		}
		if m.odds("to", 4) {
			f.To = rapid.SampledFrom(m.rows).Draw(m.T, "to").PublishedAt
		}
	}
	if m.odds("limit", 3) {
		f.Limit = m.n("limit", 1, 5)
	}
	return f
}
