//go:build unix

package rig_test

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/faults/rig"
)

func TestMain(m *testing.M) { os.Exit(rig.Main(m, nil)) }

func post(t *testing.T, url, body string) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set(delivery.HeaderID, "e1")
	return http.DefaultClient.Do(req)
}

func TestReceiver(t *testing.T) {
	t.Parallel()
	rc := rig.Listen(t)
	rc.Handle("/turn", rig.InTurn(rig.Answer{Status: 503, Body: "away"}, rig.Answer{Header: http.Header{"X-A": {"1"}}}))
	rc.Handle("/half", rig.InTurn(rig.Answer{Half: true}))
	rc.Handle("/reset", rig.InTurn(rig.Answer{Reset: true}))
	rc.Handle("/drop", rig.InTurn(rig.Answer{Drop: true}))
	rc.Handle("/raw", rig.InTurn(rig.Answer{Raw: "nonsense"}))
	rc.Handle("/trickle", rig.InTurn(rig.Answer{Trickle: 1, Body: "slow"}))
	for _, tt := range []struct {
		path, body string
		status     int
	}{{"/turn", "away", 503}, {"/turn", "", 200}, {"/turn", "", 200}, {"/trickle", "slow", 200}, {"/half", "", 0}, {"/reset", "", 0}, {"/drop", "", 0}, {"/raw", "", 0}} {
		resp, err := post(t, rc.URL(tt.path), "body")
		if tt.status == 0 {
			if err == nil {
				t.Errorf("%s: answered %d", tt.path, resp.StatusCode)
				resp.Body.Close()
			}
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", tt.path, err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tt.status || string(body) != tt.body {
			t.Errorf("%s: %d %q, %v", tt.path, resp.StatusCode, body, err)
		}
	}
	for _, r := range rc.Requests() {
		if r.ID != "e1" || string(r.Body) != "body" || r.Cut {
			t.Errorf("%+v", r)
		}
	}
	if n := len(rig.OfPath(rc.Requests(), "/turn")); n != 3 {
		t.Errorf("%d requests of one path", n)
	}
}

// A whole run without a fault, in a process and in the test.
func TestNoFault(t *testing.T) {
	t.Parallel()
	rc := rig.ListenTLS(t)
	rc.Handle("/sub_a", rig.InTurn(rig.Answer{Status: 500}, rig.Answer{}))
	path := filepath.Join(t.TempDir(), "store.db")
	p := rig.Start(t, rig.EngineRole, rig.Spec{Path: path, Roots: rc.PEM(), Endpoints: []rig.Endpoint{rc.Endpoint("sub_a")}})
	p.Await(t, "ready")
	p.Send(t, "pump sub_a e 0 100 4")
	rc.WaitAccepted(t, 100)
	p.Signal(t, syscall.SIGTERM)
	if code := p.Exit(t); code != 0 {
		t.Errorf("exit %d", code)
	}
	ev := rig.Evidence{Acked: p.Words("acked"), Requests: rc.Requests(), Ledger: rig.ReadLedger(t, path)}
	ev.Check(t, rig.Allow{})
	if len(ev.Acked) != 100 || len(ev.Requests) != 101 {
		t.Errorf("%d acknowledged, %d requests", len(ev.Acked), len(ev.Requests))
	}
}

func TestInTheTest(t *testing.T) {
	t.Parallel()
	rc := rig.Listen(t)
	e, err := rig.Assemble(t.Context(), rig.Spec{Endpoints: []rig.Endpoint{rc.Endpoint("sub_a")}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- e.Run(ctx) }()
	if _, err := e.Publish(t.Context(), e.Event("sub_a", "e1")); err != nil {
		t.Fatal(err)
	}
	rc.WaitAccepted(t, 1)
	cancel()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	l, err := rig.LedgerOf(t.Context(), e.Store)
	if err != nil {
		t.Fatal(err)
	}
	rig.Evidence{Acked: []string{"e1"}, Requests: rc.Requests(), Ledger: l}.Check(t, rig.Allow{})
	if err := e.Store.Close(); err != nil {
		t.Error(err)
	}
}
