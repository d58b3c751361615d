package main_test

import (
	"bytes"
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	main "github.com/ringback-go/ringback/examples/gateway"
)

func checkDemo(t *testing.T, out string) {
	t.Helper()
	refused, accepted := 0, 0
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "attempt") && strings.Contains(line, "/smartbots") {
			if strings.Contains(line, "refused with 503 after ") && strings.HasSuffix(line, "s, to be tried again\n") {
				refused++
			}
			if strings.Contains(line, "accepted") {
				accepted++
			}
		}
	}
	if refused != 2 || accepted != 2 { // callback_set and, in the end, the chat
		t.Errorf("%d lines refused and %d accepted, want 2 and 2", refused, accepted)
	}
	for _, want := range []string{"gateway   http://127.0.0.1:", "/console/", "POST /edna", "POST /im", "all 3 sample events were delivered"} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q", want)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(binary, "-demo-for", "20s") // three times what an idle machine needs
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	begin := time.Now()
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s%s", err, &stdout, &stderr)
	}
	if took := time.Since(begin); took < 19*time.Second || took > time.Minute {
		t.Errorf("-demo-for 20s took %s", took)
	}
	if stderr.Len() > 0 {
		t.Errorf("standard error: %s", &stderr)
	}
	checkDemo(t, stdout.String())
}

func TestRunDemo(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if err := main.Run(t.Context(), []string{"gateway", "-demo-for", "20s"}, &stdout, &stderr); err != nil {
		t.Fatalf("%v: %s%s", err, &stdout, &stderr)
	}
	if stderr.Len() > 0 {
		t.Errorf("standard error: %s", &stderr)
	}
	checkDemo(t, stdout.String())
}

// A demo that ends before its retries says so with its status.
func TestDemoTooShort(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(binary, "-demo-for", "3s") // the third attempt is due after about 6 s
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // the status tells
	said := stderr.String()
	published := !strings.Contains(said, "before its events were published") // a slow machine may not come so far
	if status := cmd.ProcessState.ExitCode(); status != 1 || published && !strings.Contains(said, "was not delivered") {
		t.Errorf("exit status %d: %s%s", status, &stdout, &stderr)
	}
}

// Without -demo-for the demo goes on until it is interrupted.
func TestRunDemoInterrupted(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	stdout, stderr := &buffer{}, &buffer{}
	ended := make(chan error, 1)
	go func() { ended <- main.Run(ctx, []string{"gateway"}, stdout, stderr) }()
	eventually(t, "an attempt", func() bool { return strings.Contains(stdout.String(), "\nattempt") })
	interrupt()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(patience):
		t.Fatal("the demo does not end")
	}
}

func TestRunUsage(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	if err := main.Run(t.Context(), []string{"gateway", "-h"}, &stdout, &stderr); err != nil || !strings.Contains(stderr.String(), "-demo-for") {
		t.Errorf("-h: %v, %s", err, &stderr)
	}
	if err := main.Run(t.Context(), []string{"gateway", "-demo-for", "-1s"}, &stdout, &stderr); main.ExitStatus(err) != 2 {
		t.Errorf("-demo-for -1s: %v", err)
	}
}
