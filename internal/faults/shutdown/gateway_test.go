package shutdown_test

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

	"github.com/ringback-go/ringback/internal/faults/rig"
)

var built struct {
	once sync.Once
	dir  string
	err  error
}

// gateway builds the program once and returns its path.
func gateway(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "gateway-"); built.err != nil { //nolint:usetesting // it outlives the test that makes it
			return
		}
		out, err := exec.Command("go", "build", "-o", built.dir, "github.com/ringback-go/ringback/examples/gateway").CombinedOutput()
		if err != nil {
			built.err = errors.Join(err, errors.New(string(out)))
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, "gateway")
}

func removeGateway() {
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
}

const token = "the admin's token"

// call makes a call of the gateway and returns status and body.
func call(t *testing.T, method, url, body string) (status int, text string, err error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// The order of an end: the gateway says that it is not ready while it still
// answers callers, inbound callbacks among them, ends what is under way, and
// then closes.
func TestB70GatewayOrder(t *testing.T) {
	t.Parallel()
	rc := rig.Listen(t)
	answer := make(chan struct{})
	rc.Handle("/hook", rig.InTurn(rig.Answer{After: answer}, rig.Answer{}))
	dir := t.TempDir()
	cfg, err := json.Marshal(map[string]any{
		"listen": "127.0.0.1:0", "store": "sqlite:gateway.db", "admin_token": token,
		"outbound":    map[string]any{"allow_networks": []string{"127.0.0.0/8"}, "allow_http": true, "max_in_flight_per_endpoint": 1},
		"tencentchat": map[string]any{"apps": []any{map[string]any{"sdk_app_id": "1400000001"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "gateway.json")
	if err := os.WriteFile(file, cfg, 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr lines
	p := exec.Command(gateway(t), "-config", file)
	p.Stdout, p.Stderr = &stdout, &stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- p.Wait() }()
	t.Cleanup(func() { _ = p.Process.Kill() })
	rig.Eventually(t, "the gateway's address", func() bool { return strings.Contains(stdout.String(), "\n") })
	base := strings.TrimPrefix(strings.TrimSpace(stdout.String()), "listening ")
	must := func(method, path, body string, want int) {
		t.Helper()
		if status, text, err := call(t, method, base+path, body); err != nil || status != want {
			t.Fatalf("%s %s: %d %s %v, want %d", method, path, status, text, err, want)
		}
	}
	const inbound = "/tencent/callback?SdkAppid=1400000001&CallbackCommand=State.StateChange&contenttype=json&ClientIP=127.0.0.1&OptPlatform=iOS"
	event := func(id string) string {
		return fmt.Sprintf(`{"id":%q,"dialect":"standard","tenant":"t","type":"a","data":{}}`, id)
	}
	must("POST", "/admin/subscriptions", fmt.Sprintf(`{"dialect":"standard","tenant":"t","url":%q,"types":["a"]}`, rc.URL("/hook")), 201)
	must("GET", "/healthz", "", 200)
	must("POST", inbound, `{"CallbackCommand":"State.StateChange"}`, 200)
	must("POST", "/admin/events", event("e1"), 202)
	hooks := func() []rig.Request {
		var posts []rig.Request
		for _, r := range rig.OfPath(rc.Requests(), "/hook") {
			if r.ID != "" { // no probe
				posts = append(posts, r)
			}
		}
		return posts
	}
	rig.Eventually(t, "an attempt under way", func() bool { return len(hooks()) == 1 })

	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rig.Eventually(t, "503 from /healthz", func() bool {
		status, _, err := call(t, "GET", base+"/healthz", "")
		if err != nil {
			t.Fatalf("it closed before it said that it is not ready: %v", err)
		}
		return status == 503
	})
	must("POST", inbound, `{"CallbackCommand":"State.StateChange"}`, 200)
	must("POST", "/admin/events", event("e2"), 202)
	must("GET", "/admin/stats", "", 200)
	must("GET", "/healthz", "", 503)
	select {
	case err := <-exited:
		t.Fatalf("it ended with an attempt under way: %v", err)
	default:
	}
	close(answer)
	if err := <-exited; err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	if got := hooks(); len(got) != 1 || got[0].ID != "e1" {
		t.Errorf("%d requests, want the one under way", len(got))
	}
	if _, _, err := call(t, "GET", base+"/healthz", ""); err == nil {
		t.Error("it still listens")
	}
	ledger := rig.ReadLedger(t, filepath.Join(dir, "gateway.db"))
	for id, e := range ledger {
		want := "delivered"
		if e.EventID == "e2" {
			want = "pending"
		}
		if string(e.State) != want {
			t.Errorf("%s is %s, want %s", id, e.State, want)
		}
	}
	if len(ledger) != 2 {
		t.Errorf("%d deliveries", len(ledger))
	}
}

// lines is a buffer that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
