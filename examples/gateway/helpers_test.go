package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// eventually polls until ok, or fails the test with what was awaited.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	within(t, patience, what, ok)
}

func within(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain: %s", limit, what)
		}
		<-tick.C
	}
}

// buffer collects the output of a process.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// process is a gateway that runs.
type process struct {
	dir, base      string
	stdout, stderr *buffer
	cmd            *exec.Cmd
	exited         chan struct{}
	secrets        *secrets
}

// launch starts the gateway on the configuration in dir without waiting. env is
// added to the test's own environment.
func launch(t *testing.T, dir string, env ...string) *process {
	t.Helper()
	p := &process{dir: dir, stdout: &buffer{}, stderr: &buffer{}, exited: make(chan struct{}), secrets: secretsOf(t, dir)}
	p.cmd = exec.Command(binary, "-config", filepath.Join(dir, "gateway.json"))
	p.cmd.Stdout, p.cmd.Stderr, p.cmd.Env = p.stdout, p.stderr, append(os.Environ(), env...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // the state tells
	}()
	t.Cleanup(func() { p.end(t) })
	return p
}

// start starts the gateway and waits until it listens. When the test ends, the
// gateway must end well, too, and must not have told a secret.
func start(t *testing.T, dir string, env ...string) *process {
	t.Helper()
	p := launch(t, dir, env...)
	eventually(t, "the line listening", func() bool {
		select {
		case <-p.exited:
			t.Fatalf("exit status %d: %s", p.cmd.ProcessState.ExitCode(), p.stderr)
		default:
		}
		return strings.Contains(p.stdout.String(), "\n")
	})
	first, _, _ := strings.Cut(p.stdout.String(), "\n")
	base, ok := strings.CutPrefix(first, "listening ")
	if !ok || !strings.HasPrefix(base, "http://127.0.0.1:") || strings.HasSuffix(base, ":0") {
		t.Fatalf("the first line is %q", first)
	}
	p.base = base
	return p
}

// serve makes a folder with the configuration and starts the gateway there.
func serve(t *testing.T, edits ...func(settings)) *process {
	t.Helper()
	return start(t, configure(t, t.TempDir(), edits...))
}

func (p *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
}

// wait waits for the end and returns the exit status.
func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill() // it is an error already
		t.Fatal("the gateway does not end")
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop drains the gateway.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
	if status := p.wait(t); status != 0 {
		t.Errorf("exit status %d after SIGTERM: %s", status, p.stderr)
	}
}

// kill ends the gateway as a power cut would.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGKILL)
	p.wait(t)
}

func (p *process) end(t *testing.T) {
	t.Helper()
	select {
	case <-p.exited:
	default:
		p.stop(t)
	}
	for _, bad := range []string{"DATA RACE", "panic:", "panicked"} {
		if strings.Contains(p.stderr.String(), bad) {
			t.Errorf("%s on standard error: %s", bad, p.stderr)
		}
	}
	p.secrets.check(t, "standard output", []byte(p.stdout.String()))
	p.secrets.check(t, "standard error", []byte(p.stderr.String()))
	p.secrets.checkFiles(t, p.dir)
}

// reply is an answer of the gateway.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) want(t *testing.T, status int) reply {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	return r
}

// into decodes the body; a member that is not in the type is an error.
func (r reply) into(t *testing.T, v any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		t.Fatalf("%v: %s", err, r.body)
	}
}

// caller speaks to gateways without following redirects.
var caller = &http.Client{
	Timeout:       patience,
	Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// try sends a request; a gateway that was killed does not answer.
func (p *process) try(method, path, contentType, body string, header ...string) (reply, error) {
	req, err := http.NewRequest(method, p.base+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := caller.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, string(b)}, err
}

func (p *process) call(t *testing.T, method, path, contentType, body string, header ...string) reply {
	t.Helper()
	r, err := p.try(method, path, contentType, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// admin speaks to /admin with the token. No answer may hold a secret, but the
// one that makes it.
func (p *process) admin(t *testing.T, method, path, body string) reply {
	t.Helper()
	contentType := ""
	if body != "" {
		contentType = "application/json"
	}
	r := p.call(t, method, path, contentType, body, "Authorization", "Bearer "+adminToken)
	if r.status >= 400 && r.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s: %d as %q", method, path, r.status, r.header.Get("Content-Type"))
	}
	if method != http.MethodPost || path != "/admin/subscriptions" {
		p.secrets.check(t, "the answer to "+method+" "+path, []byte(r.body))
	}
	return r
}
