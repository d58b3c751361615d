//go:build unix

package crash_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ringback-go/ringback/internal/faults/rig"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/verify"
)

// tables lists what a file holds, without opening it as a store.
func tables(t *testing.T, path string) (names []string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=query_only(1)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(t.Context(), `SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return names
}

// Kills at every step of the schema's making, of the store and of the registry:
// the tables are there altogether or not at all, and the next start goes on.
func TestB11(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"open.exec", "open.commit.before", "open.commit.after", "migrate.exec", "migrate.commit.before", "migrate.commit.after"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			killed := 0
			again := filepath.Join(t.TempDir(), "again.db") // meets every kill
			for n := 1; ; n += rig.Size(1, 1, 3) {
				fresh := filepath.Join(t.TempDir(), "store.db")
				p := rig.Start(t, rig.EngineRole, rig.Spec{Path: fresh, Idle: true, Step: fmt.Sprintf("%s:%d", kind, n)})
				p.AwaitEnd("ready")
				if len(p.Words("ready")) > 0 {
					p.Kill(t)
					break
				}
				p.Killed(t)
				killed++
				wholeSchema(t, fresh)
				rig.Start(t, rig.EngineRole, rig.Spec{Path: again, Idle: true, Step: kind + ":1"}).AwaitEnd("ready")

				s := &scene{rc: rig.Listen(t), spec: rig.Spec{Path: fresh}}
				s.spec.Endpoints = []rig.Endpoint{s.rc.Endpoint(sub)}
				s.recovers(t, func(p *rig.Process) { settled(t, p) }, "publish "+sub+" e1")
				s.evidence(t).Check(t, rig.Allow{})
			}
			if killed == 0 {
				t.Error("the step never came")
			}
			wholeSchema(t, again)
		})
	}
}

func wholeSchema(t *testing.T, path string) {
	t.Helper()
	store, reg := 0, 0
	names := tables(t, path)
	for _, name := range names {
		switch name {
		case "ringback_delivery", "ringback_outcome", "ringback_attempt", "ringback_waiting", "ringback_lane", "ringback_meta", "ringback_version":
			store++
		case "subscription", "subscription_type":
			reg++
		}
	}
	if store != 0 && store != 7 || reg != 0 && reg != 2 {
		t.Errorf("half a schema: %q", names)
	}
}

// Kills between the probe of a URL and the stored registration: there is no
// endpoint or a whole one.
func TestB12(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		step   string
		stored bool
	}{
		{"regset.before", false},
		{"regset.commit.before", false},
		{"regset.exec:3", false},
		{"regset.commit.after", true},
		{"regset.after", true},
		{"setlanes.before", true},
	} {
		t.Run(tt.step, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, rig.Listen(t))
			s.spec.Idle = true // Run sets lanes of its own
			s.dies(t, tt.step, "add sub_b "+s.rc.URL("/sub_b"))
			s.spec.Idle = false
			probes := rig.OfPath(s.rc.Requests(), "/sub_b")
			if len(probes) != 1 || probes[0].ID != "" {
				t.Fatalf("%d probes", len(probes))
			}
			reg, ok := s.registered(t, "sub_b")
			if ok != tt.stored || ok && (len(reg.Secrets) != 1 || reg.Secrets[0].Reveal() != rig.Secret || len(reg.Types) != 1 || reg.State != registry.Active) {
				t.Errorf("stored %t: %q with %d secrets, types %q", ok, reg.State, len(reg.Secrets), reg.Types)
			}
			if n := len(s.registry(t)); n != 1 && !tt.stored {
				t.Errorf("%d registrations", n)
			}
			s.recovers(t, func(p *rig.Process) {
				p.Await(t, "ok add")
				p.Await(t, "acked")
				settled(t, p)
			}, "add sub_b "+s.rc.URL("/sub_b"), "publish sub_b e1")
			if got := s.evidence(t).Ledger; len(got) != 1 {
				t.Errorf("%d deliveries", len(got))
			}
		})
	}
}

// Kills while a secret is rotated: the old or the new one signs, never none.
func TestB14(t *testing.T) {
	t.Parallel()
	fresh := verify.GenerateSecret()
	for _, tt := range []struct {
		step    string
		rotated bool
	}{
		{"regset.before", false},
		{"regset.exec", false},
		{"regset.commit.before", false},
		{"regset.commit.after", true},
		{"regset.after", true},
		{"setlanes.before", true},
		{"setlanes.after", true},
	} {
		t.Run(tt.step, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, rig.Listen(t))
			s.rc.Handle("/"+sub, rig.InTurn(rig.Answer{Hang: true}, rig.Answer{}))
			p := rig.Start(t, rig.EngineRole, s.spec)
			p.Await(t, "ready")
			p.Send(t, "publish "+sub+" e1 e2 e3")
			p.Await(t, "acked", 3)
			s.rc.Wait(t, "the first request", func(rs []rig.Request) bool { return len(rs) == 1 })
			p.Send(t, "arm "+tt.step)
			p.Await(t, "ok arm")
			p.Send(t, "rotate "+sub+" "+fresh)
			p.Killed(t)
			s.acked = p.Words("acked")

			want := map[bool]string{true: fresh, false: rig.Secret}[tt.rotated]
			if reg, ok := s.registered(t, sub); !ok || len(reg.Secrets) != 1 || reg.Secrets[0].Reveal() != want {
				t.Errorf("after the kill: found %t, %d secrets, not the one that is due", ok, len(reg.Secrets))
			}
			s.recovers(t, func(p *rig.Process) { settled(t, p) })
			ev := s.evidence(t)
			ev.Check(t, rig.Allow{Unlogged: 1})
			for i, r := range ev.Requests {
				secret := want
				if i == 0 {
					secret = rig.Secret
				}
				v, err := verify.NewStandard(0, verify.Key{Secret: []byte(secret)})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := v.Verify(t.Context(), verify.Message{Header: r.Header, Body: r.Body, At: r.At}); err != nil {
					t.Errorf("request %d: %v", i, err)
				}
			}
			if len(ev.Requests) != 4 {
				t.Errorf("%d requests", len(ev.Requests))
			}
		})
	}
}
