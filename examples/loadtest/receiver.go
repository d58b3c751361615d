package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// receiverEnv makes the program the receiver.
const receiverEnv = "RINGBACK_LOADTEST_RECEIVER"

// counted is what the receiver saw since it was last asked.
type counted struct {
	Requests int `json:"requests"`
	IDs      int `json:"ids"` // distinct ones
}

// receive answers 200 to every POST and counts ids, until standard input ends.
func receive(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	var mu sync.Mutex
	requests, ids := 0, map[string]struct{}{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /count", func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		c := counted{requests, len(ids)}
		requests, ids = 0, map[string]struct{}{}
		mu.Unlock()
		_ = json.NewEncoder(w).Encode(c) // who asked notices
	})
	mux.HandleFunc("POST /", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // counts even if the body is cut
		mu.Lock()
		requests++
		ids[r.Header.Get("Webhook-Id")] = struct{}{}
		mu.Unlock()
	})
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, ln.Addr())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		_, _ = io.Copy(io.Discard, stdin) // ends with the parent
		server.Close()
	}()
	if err := server.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// receiver is the other process.
type receiver struct {
	url   string
	cmd   *exec.Cmd
	stdin io.Closer
}

func startReceiver(ctx context.Context, stderr io.Writer) (*receiver, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe) //nolint:gosec // this program itself
	cmd.Env = append(os.Environ(), receiverEnv+"=1")
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("loadtest: the receiver did not start: %w", err)
	}
	return &receiver{url: "http://" + strings.TrimSpace(line), cmd: cmd, stdin: stdin}, nil
}

// count returns what came since the last call.
func (r *receiver) count(ctx context.Context) (c counted, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url+"/count", nil)
	if err != nil {
		return c, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return c, err
	}
	defer resp.Body.Close()
	return c, json.NewDecoder(resp.Body).Decode(&c)
}

func (r *receiver) close() {
	r.stdin.Close()
	_ = r.cmd.Wait() // it has nothing more to say
}
