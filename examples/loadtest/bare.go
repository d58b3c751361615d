package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// payload is the body of every request: 512 bytes of JSON.
var payload = func() []byte {
	const tail = `"}`
	return []byte(payloadHead + strings.Repeat("x", 512-len(payloadHead)-len(tail)) + tail)
}()

const payloadHead = `{"note":"`

// tuneBare finds at how many goroutines the bare loop is quickest.
func (b *bench) tuneBare(ctx context.Context) error {
	best := 0.0
	for _, goroutines := range []int{8, 16, 32, 64} {
		r, err := b.child(ctx, order{Part: "bare", Events: b.events/3 + 1, Goroutines: goroutines})
		if err != nil {
			return fmt.Errorf("loadtest: bare loop: %w", err)
		}
		if r.rate() > best {
			best, b.goroutines = r.rate(), goroutines
		}
	}
	return nil
}

// bare runs the bare loop once.
func (b *bench) bare(ctx context.Context) (report, error) {
	r, err := b.child(ctx, order{Part: "bare", Events: b.events, Goroutines: b.goroutines})
	if err == nil && r.Lost > 0 {
		err = fmt.Errorf("%d of its posts did not arrive", r.Lost)
	}
	if err != nil {
		return r, fmt.Errorf("loadtest: bare loop: %w", err)
	}
	return r, nil
}

// playBare posts bodies with one client: what the machine can do without any
// promise.
func playBare(ctx context.Context, o order) (report, error) {
	if _, err := ask(ctx, o.URL); err != nil {
		return report{}, err
	}
	client := bareClient(o.Goroutines)
	defer client.CloseIdleConnections()
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	m := startMeter(nil)
	for range o.Goroutines {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(o.Events) && failed.Load() == nil; i = next.Add(1) {
				if err := post(ctx, client, o.URL, strconv.FormatInt(i, 10), payload); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	wg.Wait()
	r := m.report(o.Events)
	if err := failed.Load(); err != nil {
		return r, *err
	}
	c, err := ask(ctx, o.URL)
	r.Lost = o.Events - c.IDs
	return r, err
}

// playBarePace posts so many a second.
func playBarePace(ctx context.Context, o order) (report, error) {
	if _, err := ask(ctx, o.URL); err != nil {
		return report{}, err
	}
	client := bareClient(publishers)
	defer client.CloseIdleConnections()
	n := paced(o)
	m := startMeter(nil)
	if err := pace(ctx, o.PerSecond, n, func(ctx context.Context, i int) error {
		return post(ctx, client, o.URL, strconv.Itoa(i), stampedPayload())
	}); err != nil {
		return report{}, err
	}
	r := m.report(n)
	c, err := ask(ctx, o.URL)
	r.Lost = n - c.IDs
	r.Values["p50"], r.Values["p95"] = c.P50, c.P95
	return r, err
}

func bareClient(goroutines int) *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxIdleConns: goroutines, MaxIdleConnsPerHost: goroutines, DisableCompression: true, IdleConnTimeout: 10 * time.Second,
	}}
}

func post(ctx context.Context, client *http.Client, url, id string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
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
