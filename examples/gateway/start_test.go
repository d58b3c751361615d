package main_test

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestListens(t *testing.T) {
	t.Parallel()
	p := serve(t)
	if r := p.call(t, "GET", "/healthz", "", ""); r.status != 200 {
		t.Errorf("/healthz: %d", r.status)
	}
	p.signal(t, os.Interrupt.(syscall.Signal))
	if status := p.wait(t); status != 0 {
		t.Errorf("exit status %d after SIGINT: %s", status, p.stderr)
	}
	if out := p.stdout.String(); strings.Count(out, "\n") < 1 || !strings.HasPrefix(out, "listening http://127.0.0.1:") {
		t.Errorf("standard output: %q", out)
	}
	for line := range strings.Lines(p.stderr.String()) {
		if !strings.HasPrefix(line, "{") {
			t.Errorf("a log line is not JSON: %s", line)
		}
	}
	key, err := os.Stat(filepath.Join(p.dir, "callbacks.db.key"))
	if err != nil {
		t.Fatal(err)
	}
	if key.Mode().Perm() != 0o600 {
		t.Errorf("the key file's mode is %o", key.Mode().Perm())
	}
}

// A second process on one file says so and ends; the first goes on.
func TestSecondProcess(t *testing.T) {
	t.Parallel()
	p := serve(t)
	rc := receive(t, nil)
	p.subscribe(t, "t1", rc.url, "a")
	second := launch(t, p.dir)
	if status := second.wait(t); status != 1 {
		t.Errorf("exit status %d", status)
	}
	if s := second.stderr.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "callbacks.db") {
		t.Errorf("standard error: %q", s)
	}
	if s := second.stdout.String(); s != "" {
		t.Errorf("standard output: %q", s)
	}
	p.publish(t, event("t1", "a", `1`))
	rc.only(t, 1)
}

// SIGTERM: healthz 503, what is in flight finishes, nothing new starts.
func TestDrain(t *testing.T) {
	t.Parallel()
	p := serve(t, func(s settings) { s.section("outbound")["max_in_flight_per_endpoint"] = 1 })
	slow := hold(t)
	rc := receive(t, func(_ int, _ post, _ http.ResponseWriter) { slow.pass() })
	p.subscribe(t, "t1", rc.url, "a")
	p.publish(t, event("t1", "a", `1`), event("t1", "a", `2`))
	rc.wait(t, 1)
	p.signal(t, syscall.SIGTERM)
	eventually(t, "503 from /healthz", func() bool {
		r, err := p.try("GET", "/healthz", "", "")
		return err == nil && r.status == 503
	})
	slow.release()
	if status := p.wait(t); status != 0 {
		t.Fatalf("exit status %d: %s", status, p.stderr)
	}
	rc.only(t, 1)

	// The attempt was settled: after a restart only the other event leaves.
	again := start(t, p.dir)
	rc.wait(t, 2)
	eventually(t, "all delivered", func() bool { return again.stats(t).Delivered == 2 })
	if got := rc.only(t, 2); got[0].id() == got[1].id() {
		t.Error("the attempt that finished while draining was repeated")
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	dir := configure(t, t.TempDir())
	good := filepath.Join(dir, "gateway.json")
	bad := filepath.Join(dir, "bad.json")
	if err := os.WriteFile(bad, []byte(`{"listen":"127.0.0.1:0","store":"memory:","outbound":{"max_in_flight":"x"}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"good file", []string{"-check-config", "-config", good}, 0, ""},
		{"bad file", []string{"-check-config", "-config", bad}, 2, "outbound.max_in_flight"},
		{"bad file to run", []string{"-config", bad}, 2, "outbound.max_in_flight"},
		{"no such file", []string{"-config", filepath.Join(dir, "none.json")}, 2, "none.json"},
		{"check of nothing", []string{"-check-config"}, 2, "-config"},
		{"stray argument", []string{"-config", good, "stray"}, 2, "stray"},
		{"demo with a file", []string{"-config", good, "-demo-for", "1s"}, 2, "-demo-for"},
		{"unknown flag", []string{"-nonsense"}, 2, "nonsense"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(binary, tt.args...)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			_ = cmd.Run() // the status tells
			if got := cmd.ProcessState.ExitCode(); got != tt.status {
				t.Errorf("exit status %d, want %d: %s", got, tt.status, &stderr)
			}
			if !strings.Contains(stderr.String(), tt.says) {
				t.Errorf("standard error does not name %q: %s", tt.says, &stderr)
			}
			if tt.says == "" && stderr.Len() > 0 {
				t.Errorf("standard error: %s", &stderr)
			}
			if strings.HasPrefix(tt.name, "bad") && strings.Count(stderr.String(), "\n") != 1 {
				t.Errorf("more than a line: %s", &stderr)
			}
			if stdout.Len() > 0 {
				t.Errorf("standard output: %s", &stdout)
			}
		})
	}
	if _, err := os.Stat(filepath.Join(dir, "callbacks.db")); err == nil {
		t.Error("-check-config made the store")
	}
}
