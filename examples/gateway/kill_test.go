package main_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// publisher posts events until each is acknowledged, to whichever process runs.
type publisher struct {
	at    atomic.Pointer[process]
	mu    sync.Mutex
	acked map[string]bool
}

var errNoAnswer = errors.New("the gateway did not take the events")

// publish posts n events in batches. A batch that was not answered is repeated
// with the same ids.
func (pb *publisher) publish(t *testing.T, n, batch, tenants int) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for first := 0; first < n; first += batch {
		var events, ids []string
		for i := first; i < min(n, first+batch); i++ {
			id := fmt.Sprintf("ev-%d", i)
			ids = append(ids, id)
			events = append(events, fmt.Sprintf(`{"id":%q,"dialect":"standard","tenant":"t%d","type":"a","data":{"n":%d}}`, id, i%tenants, i))
		}
		body := "[" + strings.Join(events, ",") + "]"
		deadline := time.Now().Add(patience)
		for {
			r, err := pb.at.Load().try("POST", "/admin/events", jsonType, body, "Authorization", "Bearer "+adminToken)
			if err == nil && r.status == 202 {
				break
			}
			if time.Now().After(deadline) || t.Context().Err() != nil {
				return errors.Join(errNoAnswer, err, errors.New(r.body))
			}
			<-tick.C
		}
		pb.mu.Lock()
		for _, id := range ids {
			pb.acked[id] = true
		}
		pb.mu.Unlock()
	}
	return nil
}

// judge looks at what arrived: all that was acknowledged, the same each time,
// and no more repeats than allowed.
func (pb *publisher) judge(t *testing.T, receivers []*receiver, repeats int) {
	t.Helper()
	bodies := map[string]string{}
	posts := 0
	for _, rc := range receivers {
		for _, q := range rc.all() {
			posts++
			if b, seen := bodies[q.id()]; seen && b != q.body {
				t.Errorf("the repeat of %s has another body", q.id())
			}
			bodies[q.id()] = q.body
		}
	}
	lost := 0
	for id := range pb.acked {
		if bodies[id] == "" {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged events were lost", lost, len(pb.acked))
	}
	if again := posts - len(bodies); again > repeats {
		t.Errorf("%d repeats, %d are allowed", again, repeats)
	} else {
		t.Logf("%d events, %d repeats", len(bodies), again)
	}
}

const killSlots = 32

// storm publishes n events to three endpoints and kills the gateway as often as
// next says when.
func storm(t *testing.T, n int, next []func(arrived func() int)) {
	t.Helper()
	const tenants = 3
	p := serve(t, func(s settings) { s.section("outbound")["max_in_flight"] = killSlots })
	var receivers []*receiver
	for i := range tenants {
		rc := receive(t, nil)
		receivers = append(receivers, rc)
		p.subscribe(t, fmt.Sprintf("t%d", i), rc.url, "a")
	}
	arrived := func() (sum int) {
		for _, rc := range receivers {
			sum += len(rc.all())
		}
		return sum
	}
	pb := &publisher{acked: map[string]bool{}}
	pb.at.Store(p)
	done := make(chan error, 1)
	go func() { done <- pb.publish(t, n, 100, tenants) }()
	for _, wait := range next {
		wait(arrived)
		p.kill(t)
		p = start(t, p.dir)
		pb.at.Store(p)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	eventually(t, "nothing pending", func() bool { return p.stats(t).Pending == 0 })
	if s := p.stats(t); s.Delivered != n || s.Dead != 0 {
		t.Errorf("%+v", s)
	}
	pb.judge(t, receivers, killSlots*len(next))
}

// A kill in the middle of delivering.
func TestKill(t *testing.T) {
	t.Parallel()
	storm(t, 3000, []func(func() int){func(arrived func() int) {
		eventually(t, "1,000 deliveries", func() bool { return arrived() >= 1000 })
	}})
}

// Kills at random moments.
func TestKills(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	var next []func(func() int)
	for range 4 {
		moment := time.Duration(random.IntN(400)) * time.Millisecond
		next = append(next, func(func() int) { <-time.After(moment) })
	}
	storm(t, 1000, next)
}

// A kill in the middle of a code change: after the restart nothing but
// farewells leaves for the old registrations.
func TestKillDuringCodeChange(t *testing.T) {
	t.Parallel()
	const apps = 40
	p := serve(t)
	begun := make(chan struct{}, 1)
	rc := receive(t, func(_ int, q post, w http.ResponseWriter) {
		switch {
		case strings.Contains(q.body, "action=group_chat"):
			w.WriteHeader(http.StatusInternalServerError)
		case strings.Contains(q.body, "action=callback_removed"):
			select {
			case begun <- struct{}{}:
			default:
			}
		}
	})
	uuid := func(i int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", i) }
	for i := range apps {
		p.bots(t, botsForm(rc.url, "app_uuid", uuid(i)), teaOK)
	}
	if ev := p.publish(t, chat("tea-club", "one"), chat("tea-club", "two")); ev[0].Deliveries != apps || ev[1].Deliveries != apps {
		t.Fatalf("%+v", ev)
	}
	rc.wait(t, 2*apps)
	p.secrets.addCode(newCode)
	answered := make(chan error, 1)
	go func() {
		body := text(map[string]string{"group_id": "tea-club", "security_code": newCode})
		_, err := p.try("POST", "/admin/smartbots/security-code", jsonType, body, "Authorization", "Bearer "+adminToken)
		answered <- err
	}()
	<-begun // the first farewell has left, others are to come
	p.kill(t)
	if err := <-answered; err == nil {
		t.Log("the change was complete before the kill")
	}
	rc.quiet(t) // what it had sent still comes
	restarted := time.Now()
	p = start(t, p.dir)
	p.secrets.addCode(newCode)
	eventually(t, "a farewell to each", func() bool {
		gone := map[string]bool{}
		for _, q := range rc.all() {
			if f := q.form(t); f.Get("action") == "callback_removed" {
				gone[f.Get("app_uuid")] = true
			}
		}
		return len(gone) == apps && p.stats(t).Pending == 0
	})
	if n := len(p.subscriptions(t)); n != 0 {
		t.Errorf("%d registrations are left", n)
	}
	p.bots(t, botsForm(rc.url), failed("ACCESS DENIED"))
	p.bots(t, botsForm(rc.url, "secret", newCode, "app_uuid", uuid(0)), teaOK)
	eventually(t, "callback_set of the new registration", func() bool { return p.stats(t).Pending == 0 })
	for _, q := range rc.all() {
		f := q.form(t)
		if !q.at.After(restarted) {
			continue
		}
		switch {
		case f.Get("action") == "callback_set" && f.Get("app_uuid") == uuid(0):
		case f.Get("action") != "callback_removed" || f.Get("reason") != "security_code_changed":
			t.Errorf("after the restart left %v", f)
		}
	}
	for _, d := range p.deliveries(t, "state=dead&limit=1000") {
		if d.LastError == nil || *d.LastError != "registration removed" {
			t.Errorf("dead for another reason: %s", text(d))
		}
	}
	if s := p.stats(t); s.Dead != 2*apps {
		t.Errorf("%+v, want %d dead", s, 2*apps)
	}
}
