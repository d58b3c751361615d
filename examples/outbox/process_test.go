package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/ringback-go/ringback/internal/pgtest"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// eventually polls until ok, or fails the test with what was awaited.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s in vain: %s", patience, what)
		}
	}
}

// output collects what a process writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// site is a database, in which services live one after another.
type site struct {
	url, key string
	pool     *pgxpool.Pool
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{url: pgtest.New(t).Database(t), key: filepath.Join(t.TempDir(), "key")}
	if err := os.WriteFile(s.key, []byte(strings.Repeat("k", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.pool, err = pgxpool.New(t.Context(), s.url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.pool.Close)
	return s
}

// rows returns the table of orders, by reference.
func (s *site) rows(t *testing.T) map[string]order {
	t.Helper()
	rows, err := s.pool.Query(t.Context(), `SELECT id, reference, item, quantity FROM orders`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]order{}
	for rows.Next() {
		var o order
		if err := rows.Scan(&o.ID, &o.Reference, &o.Item, &o.Quantity); err != nil {
			t.Fatal(err)
		}
		all[o.Reference] = o
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// process is a service that runs.
type process struct {
	base           string
	stdout, stderr *output
	cmd            *exec.Cmd
	exited         chan struct{}
}

// start starts the service and waits until it listens. When the test ends, the
// service must end well, too.
func (s *site) start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{stdout: &output{}, stderr: &output{}, exited: make(chan struct{})}
	p.cmd = exec.Command(binary, append([]string{"-postgres", s.url, "-key", s.key, "-local", "-listen", "127.0.0.1:0"}, args...)...)
	p.cmd.Stdout, p.cmd.Stderr = p.stdout, p.stderr
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // the state tells
	}()
	t.Cleanup(func() {
		select {
		case <-p.exited:
		default:
			p.stop(t)
		}
		for _, bad := range []string{"DATA RACE", "panic"} {
			if strings.Contains(p.stderr.String(), bad) {
				t.Errorf("%s on standard error: %s", bad, p.stderr)
			}
		}
	})
	eventually(t, "the line listening", func() bool {
		select {
		case <-p.exited:
			t.Fatalf("exit status %d: %s", p.cmd.ProcessState.ExitCode(), p.stderr)
		default:
		}
		return strings.Contains(p.stdout.String(), "\n")
	})
	var ok bool
	if p.base, ok = strings.CutPrefix(strings.TrimSpace(p.stdout.String()), "listening "); !ok {
		t.Fatalf("the first line is %q", p.stdout)
	}
	return p
}

func (p *process) end(t *testing.T, s syscall.Signal) int {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
	select {
	case <-p.exited:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill() // it is an error already
		t.Fatalf("the service does not end: %s", p.stderr)
	}
	return p.cmd.ProcessState.ExitCode()
}

// stop drains the service.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if status := p.end(t, syscall.SIGTERM); status != 0 {
		t.Errorf("exit status %d after SIGTERM: %s", status, p.stderr)
	}
}

// kill ends the service as a power cut would.
func (p *process) kill(t *testing.T) {
	t.Helper()
	p.end(t, syscall.SIGKILL)
}

var caller = &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}

// try posts; a service that was killed does not answer.
func (p *process) try(path string, body any) (status int, answer []byte, err error) {
	data, err := json.Marshal(body)
	if err != nil {
		return 0, nil, err
	}
	resp, err := caller.Post(p.base+path, "application/json", bytes.NewReader(data))
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

func (p *process) post(t *testing.T, path string, body any, want int) []byte {
	t.Helper()
	status, answer, err := p.try(path, body)
	if err != nil || status != want {
		t.Fatalf("POST %s %+v: %d %s %v, want %d; log: %s", path, body, status, answer, err, want, p.stderr)
	}
	return answer
}

type order struct {
	ID        int64  `json:"id"`
	Reference string `json:"reference"`
	Item      string `json:"item"`
	Quantity  int    `json:"quantity"`
}

// order places one that must be accepted.
func (p *process) order(t *testing.T, reference string) order {
	t.Helper()
	return decode[order](t, p.post(t, "/orders", order{Reference: reference, Item: "tea", Quantity: 2}, http.StatusCreated))
}

func (p *process) cancel(t *testing.T, id int64, want int) {
	t.Helper()
	p.post(t, fmt.Sprintf("/orders/%d/cancel", id), nil, want)
}

func decode[T any](t *testing.T, data []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return v
}
