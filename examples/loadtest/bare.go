package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// payload is the body of every request: 512 bytes of JSON.
var payload = func() []byte {
	const head, tail = `{"note":"`, `"}`
	return []byte(head + string(bytes.Repeat([]byte("x"), 512-len(head)-len(tail))) + tail)
}()

// bareLoop posts n bodies with one client from so many goroutines: what the
// machine can do without any promise.
func bareLoop(ctx context.Context, url string, n, goroutines int) (time.Duration, error) {
	client := &http.Client{Transport: &http.Transport{
		MaxIdleConns: goroutines, MaxIdleConnsPerHost: goroutines, DisableCompression: true, IdleConnTimeout: 10 * time.Second,
	}}
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	begin := time.Now()
	for range goroutines {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n) && failed.Load() == nil; i = next.Add(1) {
				if err := post(ctx, client, url, strconv.FormatInt(i, 10)); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return took, nil
}

func post(ctx context.Context, client *http.Client, url, id string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(payload))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", id)
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	return err
}

// bestOf returns at how many goroutines the bare loop is quickest.
func bestOf(ctx context.Context, url string, n int) (int, error) {
	best, quickest := 0, time.Duration(0)
	for _, goroutines := range []int{8, 16, 32, 64} {
		took, err := bareLoop(ctx, url, n, goroutines)
		if err != nil {
			return 0, err
		}
		if best == 0 || took < quickest {
			best, quickest = goroutines, took
		}
	}
	return best, nil
}
