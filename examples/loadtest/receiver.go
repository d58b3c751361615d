package main

import (
	"bufio"
	"bytes"
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

// hang is how long a hanging endpoint takes to answer 200.
const hang = 10 * time.Second

// seen is what the receiver saw since it was last asked.
type seen struct {
	Requests   int     `json:"requests"` // but for those that hang
	IDs        int     `json:"ids"`      // distinct ones
	P50        float64 `json:"p50"`      // age on arrival of those that are stamped, ms
	P95        float64 `json:"p95"`
	MostHung   int     `json:"most_hung"`   // requests that hung at once
	HungServed int     `json:"hung_served"` // that hung and were answered
}

// site is the receiver's state.
type site struct {
	bodies sync.Pool // of *bytes.Buffer

	mu     sync.Mutex
	seen   seen
	hung   int // right now
	served int // ever
	ids    map[string]struct{}
	ages   []float64
}

// receive answers 200 to every POST, to those under /hang/ when their time has
// come, and counts, until standard input ends.
func receive(ctx context.Context, stdin io.Reader, stdout io.Writer) error {
	s := &site{ids: map[string]struct{}{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /seen", s.report)
	mux.HandleFunc("GET /served", func(w http.ResponseWriter, _ *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		_ = json.NewEncoder(w).Encode(seen{HungServed: s.served}) // who asked notices
	})
	mux.HandleFunc("POST /", s.accept)
	mux.HandleFunc("POST /hang/", s.hang)
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

func (s *site) report(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	c := s.seen
	c.IDs, c.P50, c.P95 = len(s.ids), quantile(s.ages, 0.5), quantile(s.ages, 0.95)
	s.seen, s.ids, s.ages, s.served = seen{MostHung: s.hung}, map[string]struct{}{}, nil, 0
	s.mu.Unlock()
	_ = json.NewEncoder(w).Encode(c) // who asked notices
}

func (s *site) accept(_ http.ResponseWriter, r *http.Request) {
	at := time.Now().UnixNano()
	body, _ := s.bodies.Get().(*bytes.Buffer)
	if body == nil {
		body = &bytes.Buffer{}
	}
	defer s.bodies.Put(body)
	body.Reset()
	_, _ = body.ReadFrom(r.Body) // counts even if the body is cut
	published, ok := stampOf(body.Bytes())
	id := r.Header.Get("Webhook-Id")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen.Requests++
	if _, known := s.ids[id]; known {
		return
	}
	s.ids[id] = struct{}{}
	if ok {
		s.ages = append(s.ages, float64(at-published)/1e6)
	}
}

func (s *site) hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // the server notices only then that the client went
	s.mu.Lock()
	s.hung++
	s.seen.MostHung = max(s.seen.MostHung, s.hung)
	s.mu.Unlock()
	timer := time.NewTimer(hang)
	defer timer.Stop()
	served := 0
	select {
	case <-timer.C:
		served = 1
	case <-r.Context().Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hung--
	s.served += served
	s.seen.HungServed += served
}

// ask reads what the receiver at url saw since it was last asked.
func ask(ctx context.Context, url string) (seen, error) { return get(ctx, url+"/seen") }

// hungServed is how many hanging requests the receiver answered since then.
func hungServed(ctx context.Context, url string) (int, error) {
	c, err := get(ctx, url+"/served")
	return c.HungServed, err
}

func get(ctx context.Context, url string) (c seen, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
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
	cmd, stdin, stdout, err := startProgram(ctx, exe, stderr, roleEnv+"="+receiverRole)
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("loadtest: the receiver did not start: %w", errors.Join(err, stdin.Close(), cmd.Wait()))
	}
	return &receiver{url: "http://" + strings.TrimSpace(line), cmd: cmd, stdin: stdin}, nil
}

func (r *receiver) close() {
	r.stdin.Close()
	_ = r.cmd.Wait() // it has nothing more to say
}
