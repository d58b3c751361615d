package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/verify"
)

// start runs the program and returns its address.
func start(t *testing.T, secret string) string {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{"wrap", "-listen", "127.0.0.1:0"}, func(string) string { return secret }, in, io.Discard)
		in.Close()
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(strings.TrimPrefix(line, "listening "))
}

func TestWrapped(t *testing.T) {
	t.Parallel()
	secret := verify.GenerateSecret()
	base := start(t, secret)
	signer, err := verify.NewStandard(0, verify.Key{Secret: []byte(secret)})
	if err != nil {
		t.Fatal(err)
	}
	const body = `{"type":"invoice.paid"}`
	for name, tt := range map[string]struct {
		edit   func(http.Header)
		body   string
		status int
		answer string
	}{
		"signed":       {func(http.Header) {}, body, 200, "got 23 bytes\n"},
		"not signed":   {func(h http.Header) { h.Del("webhook-signature") }, body, 401, ""},
		"changed":      {func(http.Header) {}, body + " ", 401, ""},
		"much too big": {func(http.Header) {}, strings.Repeat("x", 2<<20), 413, ""},
	} {
		now := time.Now()
		signature, err := signer.Sign("msg_1", now, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+"/hooks", strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("webhook-id", "msg_1")
		req.Header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
		req.Header.Set("webhook-signature", signature)
		tt.edit(req.Header)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tt.status || tt.answer != "" && string(got) != tt.answer {
			t.Errorf("%s: %d %q, %v", name, resp.StatusCode, got, err)
		}
	}
}

func TestWithoutASecret(t *testing.T) {
	t.Parallel()
	err := run(t.Context(), []string{"wrap"}, func(string) string { return "" }, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "WEBHOOK_SECRET") {
		t.Errorf("an open door: %v", err)
	}
}
