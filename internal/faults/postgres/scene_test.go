//go:build unix

package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/pgstore"
	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/internal/race"
)

const slots = 8 // of one engine

// expiry is that of an engine's rights: long enough for one that is slow.
var expiry = time.Duration(rig.Size(2, 2, 4)) * time.Second

// scene is one database, its engines and what they send to.
type scene struct {
	rc      *rig.Receiver
	spec    rig.Spec
	tenants []string
	procs   []*rig.Process // those that live
	gone    []*rig.Process
	pool    *pgxpool.Pool // of the observer
	seen    *pgstore.Store
	acked   []string // by others than processes
	halts   map[*rig.Process]int
	void    map[string]time.Time // events that were lost at a moment, as they may be: what came before does not count
}

// newScene has the tables made and the endpoints set. Receivers take a moment
// for each request, so that attempts can overlap.
func newScene(t *testing.T, url string, tenants int) *scene {
	t.Helper()
	s := &scene{rc: rig.Listen(t), halts: map[*rig.Process]int{}}
	s.spec = rig.Spec{Postgres: url, Expiry: expiry, MaxInFlight: slots, Timeout: 5 * time.Second, DrainTimeout: 5 * time.Second}
	for i := range tenants {
		id := fmt.Sprintf("sub_%d", i)
		s.tenants = append(s.tenants, id)
		s.spec.Endpoints = append(s.spec.Endpoints, s.rc.Endpoint(id))
		s.rc.Handle("/"+id, func(int, rig.Request) rig.Answer { return rig.Answer{After: after(2 * time.Millisecond)} })
	}
	e, err := rig.AssembleTuned(t.Context(), s.spec, rig.Tune{})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Store.Close(); err != nil {
		t.Fatal(err)
	}
	s.observe(t, url)
	return s
}

func after(d time.Duration) <-chan struct{} {
	ch := make(chan struct{})
	time.AfterFunc(d, func() { close(ch) })
	return ch
}

// observe looks at the store from outside.
func (s *scene) observe(t *testing.T, url string) {
	t.Helper()
	var err error
	if s.pool, err = pgxpool.New(context.Background(), url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.pool.Close)
	s.seen, err = pgstore.Open(t.Context(), pgstore.Config{Pool: s.pool, NoListen: true, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
}

// start starts n engines as processes of their own.
func (s *scene) start(t *testing.T, n int) {
	t.Helper()
	s.startProgram(t, n, os.Args[0])
}

func (s *scene) startProgram(t *testing.T, n int, program string) {
	t.Helper()
	first := len(s.procs)
	for range n {
		s.procs = append(s.procs, rig.StartProgram(t, program, "member", s.spec))
	}
	for _, p := range s.procs[first:] {
		p.Await(t, "ready")
	}
}

// shared waits until every engine has its share of the shards.
func (s *scene) shared(t *testing.T) {
	t.Helper()
	n := len(s.procs)
	fair := 64 - (n-1)*((64+n-1)/n) // one may get what is left
	s.eventually(t, "even shares", func(ctx context.Context) bool {
		var least, engines int
		err := s.pool.QueryRow(ctx, `SELECT coalesce(min(n), 0), count(*) FROM (SELECT count(s.id) AS n FROM ringback.engine e
			LEFT JOIN ringback.shard s ON s.engine = e.id GROUP BY e.id) x`).Scan(&least, &engines)
		return err == nil && engines == n && least >= fair
	})
}

// eventually is [rig.Eventually] with calls that end.
func (s *scene) eventually(t *testing.T, what string, cond func(context.Context) bool) {
	t.Helper()
	rig.Eventually(t, what, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		yes := cond(ctx)
		return yes || !pause(t.Context(), 10*time.Millisecond) // what waits for the test's end does not wait on
	})
}

// traffic has every engine's callers publish.
func (s *scene) traffic(t *testing.T, prefix string, rate int) {
	t.Helper()
	for i, p := range s.procs {
		s.trafficOf(t, p, fmt.Sprintf("%s%d", prefix, i), rate/len(s.procs))
	}
}

func (s *scene) trafficOf(t *testing.T, p *rig.Process, prefix string, rate int) {
	t.Helper()
	p.Send(t, "traffic", prefix, rate, 6, strings.Join(s.tenants, " "))
}

func (s *scene) halt(t *testing.T) {
	t.Helper()
	for _, p := range s.procs {
		p.Send(t, "halt")
		s.halts[p]++
	}
	for _, p := range s.procs {
		p.Await(t, "halted", s.halts[p])
	}
}

// kill ends the i-th engine by SIGKILL.
func (s *scene) kill(t *testing.T, i int) {
	t.Helper()
	p := s.procs[i]
	p.Kill(t)
	s.gone = append(s.gone, p)
	s.procs = append(s.procs[:i:i], s.procs[i+1:]...)
}

// delivers has each engine publish to all tenants, and waits for that: it is
// what "again, without help" means.
func (s *scene) delivers(t *testing.T, prefix string) time.Duration {
	t.Helper()
	begin := time.Now()
	want := map[string]bool{}
	for i, p := range s.procs {
		for _, tenant := range s.tenants {
			id := fmt.Sprintf("%s_%d_%s", prefix, i, tenant)
			p.Send(t, "publish", tenant, id)
			want[id] = true
		}
	}
	s.rc.Wait(t, "an event for each lane, from each engine", func(rs []rig.Request) bool {
		n := 0
		for i := range rs {
			if want[rs[i].ID] && rs[i].Accepted() {
				n++
			}
		}
		return n >= len(want)
	})
	return time.Since(begin)
}

func (s *scene) settled(t *testing.T) {
	t.Helper()
	s.eventually(t, "nothing pending", func(ctx context.Context) bool {
		c, err := s.seen.Counts(ctx)
		var inbox int
		if err == nil {
			err = s.pool.QueryRow(ctx, `SELECT count(*) FROM ringback.inbox`).Scan(&inbox)
		}
		return err == nil && c.Pending == 0 && inbox == 0
	})
}

// a cost is what a scenario's faults may do.
type cost struct {
	faults   int // after each of which a whole engine's attempts may be repeated
	overlaps int // attempts that may be under way beside another of the same delivery
}

// judge waits for the end, stops the engines and compares the witnesses.
func (s *scene) judge(t *testing.T, c cost) rig.Evidence {
	t.Helper()
	s.settled(t)
	for _, p := range s.procs {
		p.Signal(t, syscall.SIGTERM)
	}
	for _, p := range s.procs {
		if code := p.Exit(t); code != 0 {
			t.Errorf("exit %d", code)
		}
	}
	ev := rig.Evidence{Acked: s.acked, Requests: slices.DeleteFunc(s.rc.Requests(), func(r rig.Request) bool { return r.At.Before(s.void[r.ID]) })}
	for _, p := range append(s.procs, s.gone...) {
		ev.Acked = append(ev.Acked, p.Words("acked")...)
		if race.Enabled && c.faults > 0 { // so slow that an engine may lose its rights by itself: one fault more
			c.faults += strings.Count(p.Errors(t), "out of service")
		}
	}
	s.procs, s.gone = nil, nil
	s.check(t, &ev, c)
	return ev
}

func (s *scene) check(t *testing.T, ev *rig.Evidence, c cost) {
	t.Helper()
	var err error
	if ev.Ledger, err = rig.LedgerOf(t.Context(), s.seen); err != nil {
		t.Fatal(err)
	}
	allow := rig.Allow{Repeats: c.faults * slots, PerEvent: max(c.faults, 1), Unlogged: c.faults * slots}
	ev.Check(t, allow)
	if dead := ev.Ledger.Count(delivery.Dead); dead > 0 {
		t.Errorf("%d are dead", dead)
	}
	if n := overlapping(ev.Requests); n > c.overlaps {
		t.Errorf("%d attempts overlapped with one of the same delivery, %d may", n, c.overlaps)
	}
	for _, text := range disordered(ev.Requests) {
		t.Error(text)
	}
	t.Logf("%d acknowledged, %d requests, %d repeats, %d overlaps", len(ev.Acked), len(ev.Requests), ev.Repeats(), overlapping(ev.Requests))
	var engines int
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM ringback.engine`).Scan(&engines); err != nil || engines > 0 {
		t.Errorf("%d engines stayed behind: %v", engines, err)
	}
}

// overlapping counts requests that came while another of the same delivery was
// being answered.
func overlapping(rs []rig.Request) (n int) {
	ends := map[string]time.Time{}
	for _, r := range rs {
		if r.Cut {
			continue
		}
		id := r.Path + r.ID
		if r.At.Before(ends[id]) {
			n++
		}
		if r.End.After(ends[id]) {
			ends[id] = r.End
		}
	}
	return n
}

// disordered says where the events of a key were not accepted in order, repeats
// aside.
func disordered(rs []rig.Request) (out []string) {
	last, seen := map[string]int{}, map[string]bool{}
	for _, r := range rs {
		parts := strings.Split(r.ID, "-")
		if len(parts) != 3 || seen[r.ID] || !r.Accepted() {
			continue
		}
		seen[r.ID] = true
		caller, err1 := strconv.Atoi(parts[1])
		n, err2 := strconv.Atoi(parts[2])
		if err1 != nil || err2 != nil || caller%2 != 0 {
			continue
		}
		key := parts[0] + "-" + parts[1]
		if before, ok := last[key]; ok && n < before {
			out = append(out, fmt.Sprintf("%s came after %d", r.ID, before))
		}
		last[key] = max(last[key], n)
	}
	return out
}

// running is an engine of the test's own process.
type running struct {
	*member

	mu    sync.Mutex
	acked []string
	errs  []string
	end   func()
}

// runHere runs an engine in this process until the test's end.
func runHere(t *testing.T, spec rig.Spec, tune rig.Tune) *running {
	t.Helper()
	e, err := rig.AssembleTuned(t.Context(), spec, tune)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{member: &member{Engine: e, stop: func() {}}}
	r.say = func(words ...any) {
		r.mu.Lock()
		defer r.mu.Unlock()
		switch words[0] {
		case "acked":
			r.acked = append(r.acked, words[1].(string))
		case "refused":
			r.errs = append(r.errs, fmt.Sprint(words[1:]...))
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ran := make(chan error, 1)
	go func() { ran <- run(ctx, e) }()
	r.end = sync.OnceFunc(func() {
		r.halt()
		cancel()
		if err := <-ran; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := e.Store.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.end)
	return r
}

// Acked returns the events that were stored for certain.
func (r *running) Acked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.acked...)
}

// contains reports whether a request's text has all the words.
func contains(r request, words ...string) bool {
	for _, w := range words {
		if !strings.Contains(r.text, w) {
			return false
		}
	}
	return true
}

func isUnknown(err error) bool { return errors.Is(err, delivery.ErrUnknown) }

// inbox counts what engines have not taken.
func (s *scene) inbox(t *testing.T) (n int) {
	t.Helper()
	if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM ringback.inbox`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}
