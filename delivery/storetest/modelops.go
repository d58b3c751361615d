package storetest

import (
	"errors"
	"strconv"
	"time"

	"pgregory.net/rapid"

	"github.com/ringback-go/ringback/delivery"
)

// actions returns what may happen in a sequence.
func (m *model) actions() map[string]func(*rapid.T) {
	acts := map[string]func(){
		"enqueue":      m.enqueue,
		"enqueue more": m.enqueue,
		"lease":        m.leaseSome,
		"drain":        func() { m.drain(delivery.LeaseRequest{Max: plenty, TTL: m.ttl()}) },
		"settle":       m.settle,
		"settle more":  m.settle,
		"settle alike": m.settleAlike,
		"extend":       m.extend,
		"tick":         func() { m.pass(m.span("tick", 1, 240)) },
		"tick long":    func() { m.pass(m.span("minutes", 240, 2400)) },
		"set lanes":    m.setLanes,
		"open lane":    func() { m.set(delivery.LaneState{Lane: m.lane(), Mode: delivery.LaneOpen, NotBeforeIn: -1}) },
	}
	if _, ok := m.store.(delivery.Browser); ok {
		acts["look up"] = m.lookUp
	}
	if _, ok := m.store.(delivery.Operator); ok {
		acts["retry now"], acts["cancel"] = m.retryNow, m.cancel
	}
	if m.cfg.Reopen != nil {
		acts["crash"] = m.crash
	}
	out := map[string]func(*rapid.T){}
	for name, act := range acts {
		out[name] = func(rt *rapid.T) { m.T = rt; act() }
	}
	return out
}

func (m *model) n(label string, from, to int) int { return rapid.IntRange(from, to).Draw(m.T, label) }

// odds is true once in n times.
func (m *model) odds(label string, n int) bool { return m.n(label, 1, n) == n }

// span is a number of quarters of a second.
func (m *model) span(label string, from, to int) time.Duration {
	return time.Duration(m.n(label, from, to)) * 250 * time.Millisecond
}

// ttl is never a number of quarters: the contract does not say whether a lease
// or a delivery that ends this very moment is over.
func (m *model) ttl() time.Duration { return m.span("ttl", 4, 400) + time.Millisecond }

func (m *model) lane() string { return rapid.SampledFrom(m.names).Draw(m.T, "lane") }

func (m *model) enqueue() {
	var ds []delivery.Delivery
	for range m.n("deliveries", 1, 8) {
		ds = append(ds, m.draw())
	}
	for _, d := range ds {
		m.says("Enqueue(%s to %q, key %q, ahead %t, in %v, expires in %v, %d bytes)", d.ID, d.LaneName(), d.Key, d.Ahead, d.DelayIn, d.ExpiresIn, len(d.Body))
	}
	m.must(m.store.Enqueue(m.ctx, m.now, ds...), "Enqueue")
	for _, d := range ds {
		m.take(d)
	}
}

// draw returns a delivery, now and then one whose ID is known.
func (m *model) draw() delivery.Delivery {
	m.serial++
	event := "e" + strconv.Itoa(m.n("event", max(1, m.serial-3), m.serial))
	d := one(event, m.lane())
	d.PublishedAt, d.Tenant = m.now, rapid.SampledFrom([]string{"", "acme"}).Draw(m.T, "tenant")
	d.ID = event + "." + strconv.Itoa(m.serial)
	switch m.n("kind", 0, 19) {
	case 0:
		if len(m.rows) > 0 {
			known := rapid.SampledFrom(m.rows).Draw(m.T, "known")
			d.ID, d.EventID = known.ID, known.EventID
		}
	case 1:
		d.ID, d.SubscriptionID, d.Lane = event, "", ""
		return d
	case 2:
		d.ID = event
	case 3:
		d.Lane = ""
	case 4:
		d.SubscriptionID += "/2"
	}
	d.Body = make([]byte, rapid.SampledFrom([]int{10, 300, 3000}).Draw(m.T, "body"))
	if m.odds("has key", 3) {
		d.Key = rapid.SampledFrom([]string{"j", "k"}).Draw(m.T, "key")
	}
	if d.Ahead = m.odds("ahead", 10); !d.Ahead && m.odds("delayed", 5) {
		d.DelayIn = m.span("delay", 1, 100)
	}
	if m.odds("expires", 8) {
		d.ExpiresIn = m.ttl()
	}
	return d
}

// take is Enqueue.
func (m *model) take(d delivery.Delivery) {
	if m.byID[d.ID] != nil {
		return
	}
	r := &modelRow{Delivery: d, marker: d.SubscriptionID == "", state: delivery.Pending, ahead: d.Ahead, due: m.now.Add(d.DelayIn)}
	m.byID[d.ID] = r
	if r.marker {
		m.events[d.EventID] += 0
		return
	}
	m.events[d.EventID]++
	r.lane = m.lanes[d.LaneName()]
	m.rows = append(m.rows, r)
	if d.ExpiresIn > 0 {
		r.expires = m.now.Add(d.ExpiresIn)
		r.due = earlier(r.due, r.expires)
	}
	if r.lane.closed() {
		m.end(r, delivery.Dead, r.lane.reason, m.now)
		return
	}
	m.reveal(r.key())
}

func earlier(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}

func (m *model) leaseSome() {
	m.lease(delivery.LeaseRequest{Max: m.n("max", 0, 6), Retries: m.n("retries", -1, 3), TTL: m.ttl()})
}

// drain leases until there is nothing more.
func (m *model) drain(req delivery.LeaseRequest) {
	for m.lease(req) > 0 {
	}
}

// lease asks once and checks what comes, or that nothing had to come.
func (m *model) lease(req delivery.LeaseRequest) int {
	m.Helper()
	if req.TTL == 0 {
		req.TTL = ttl + time.Millisecond
	}
	got, err := m.store.Lease(m.ctx, m.now, req)
	m.must(err, "Lease")
	m.says("Lease(%d, retries %d, %v) = %q", req.Max, req.Retries, req.TTL, idsOf(got))
	if len(got) > max(req.Max, 0) {
		m.Fatalf("Lease gave %d leases, Max was %d", len(got), req.Max)
	}
	retries := 0
	for i := range got {
		if got[i].Attempts > 0 {
			retries++
		}
		m.leasedOne(&got[i], req.TTL)
	}
	if limit := max(req.Retries, 0); req.Retries != 0 && retries > limit {
		m.Fatalf("Lease gave %d retries, Retries was %d", retries, req.Retries)
	}
	if len(got) > 0 || req.Max <= 0 {
		return len(got)
	}
	for _, r := range m.rows {
		if m.available(r) && (req.Retries >= 0 || !r.retry()) {
			m.Fatalf("nothing was leased, but %s of lane %s is available", r.ID, r.lane.name)
		}
	}
	return 0
}

// leasedOne checks a lease and takes note of it.
func (m *model) leasedOne(l *delivery.Lease, ttl time.Duration) {
	m.Helper()
	r := m.byID[l.ID]
	if r == nil {
		m.Fatalf("%q was leased and is not known", l.ID)
	}
	if why := m.refuses(r); why != "" {
		m.Fatalf("%s of lane %q was leased, but %s", l.ID, l.LaneName(), why)
	}
	if m.receipts[l.Receipt] || l.Receipt == "" {
		m.Fatalf("%s has the receipt %q, which is none or was given before", l.ID, l.Receipt)
	}
	expired := !r.expires.IsZero() && !r.expires.After(m.now)
	if l.Attempts != r.attempts || l.Try != r.tries+1 || l.Expired != expired {
		m.Fatalf("%s has Attempts %d, Try %d, Expired %t, want %d, %d, %t", l.ID, l.Attempts, l.Try, l.Expired, r.attempts, r.tries+1, expired)
	}
	m.sameDelivery(l.Delivery, r)
	m.healthOf(l, r.lane)
	m.receipts[l.Receipt] = true
	r.lane.begin(m.now)
	if r.Key != "" {
		m.heads[r.key()] = r
	}
	r.lease, r.ends = l, m.now.Add(ttl)
}

func (m *model) healthOf(l *delivery.Lease, lane *modelLane) {
	m.Helper()
	h := l.Health
	var failing time.Duration
	if !lane.failing.IsZero() {
		failing = max(m.now.Sub(lane.failing), 1)
	}
	if h.Failures < lane.atLeast || h.Failures > lane.failures || h.Warned != lane.warned ||
		(h.FailingFor-failing).Abs() > time.Millisecond || (h.FailingFor > 0) != (failing > 0) {
		m.Fatalf("%s shows the health %+v, want %d failures (%d at least), failing for %v, warned %t",
			l.ID, h, lane.failures, lane.atLeast, failing, lane.warned)
	}
	lane.failures, lane.atLeast = h.Failures, h.Failures
}

// lost asserts that err names exactly these deliveries.
func (m *model) lost(err error, doing string, ids []string) {
	m.Helper()
	if len(ids) == 0 {
		m.must(err, doing)
		return
	}
	var lost *delivery.LostLeasesError
	if !errors.As(err, &lost) || !errors.Is(err, delivery.ErrLeaseLost) {
		m.Fatalf("%s: error %v, want a *LostLeasesError for %q", doing, err, ids)
	}
	if !sameSet(lost.IDs, ids) {
		m.Fatalf("%s: lost %q, want %q", doing, lost.IDs, ids)
	}
}
