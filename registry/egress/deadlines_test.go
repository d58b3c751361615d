package egress_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ringback-go/ringback/registry/egress"
)

// hanging returns a client whose connections are made and never answered.
func hanging(t *testing.T) *egress.Client {
	t.Helper()
	client, err := egress.New(egress.Config{
		Policy:  egress.Policy{AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, AllowHTTP: true},
		Timeout: 10 * time.Second, HTTP1Only: true,
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			go func() {
				buf := make([]byte, 4096)
				for {
					if _, err := there.Read(buf); err != nil {
						return
					}
				}
			}()
			return here, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestEachRequestHasItsTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := hanging(t)
		begin := time.Now()
		var mu sync.Mutex
		ends := map[time.Duration]time.Duration{}
		var wg sync.WaitGroup
		for _, after := range []time.Duration{0, 3 * time.Second, 4 * time.Second, 9 * time.Second, 25 * time.Second} {
			wg.Go(func() {
				<-time.After(after)
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/", nil)
				if err != nil {
					t.Error(err)
					return
				}
				resp, err := client.Do(req)
				if err == nil {
					resp.Body.Close()
				}
				if !errors.Is(err, context.DeadlineExceeded) || egress.Classify(err) != "timeout" {
					t.Errorf("after %s: %v (%s)", after, err, egress.Classify(err))
				}
				mu.Lock()
				ends[after] = time.Since(begin)
				mu.Unlock()
			})
		}
		wg.Wait()
		for after, end := range ends {
			if end != after+10*time.Second {
				t.Errorf("the request of %s ended after %s", after, end)
			}
		}
	})
}

func TestCallersOwnEndComesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := hanging(t)
		begin := time.Now()
		for _, c := range []struct {
			limit time.Duration
			want  error
		}{{2 * time.Second, context.DeadlineExceeded}, {0, context.Canceled}} {
			ctx, cancel := context.WithCancel(t.Context())
			took := 2 * time.Second
			if c.limit > 0 {
				ctx, cancel = context.WithTimeout(t.Context(), c.limit)
			} else {
				time.AfterFunc(took, cancel)
			}
			req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1/", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			cancel()
			if !errors.Is(err, c.want) || time.Since(begin) != took {
				t.Errorf("%v after %s, want %v after %s", err, time.Since(begin), c.want, took)
			}
			begin = time.Now()
		}
	})
}
