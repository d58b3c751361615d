package delivery_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/delivery/memstore"
	"github.com/ringback-go/ringback/delivery/sqlitestore"
	"github.com/ringback-go/ringback/dialect/standardwebhooks"
	"github.com/ringback-go/ringback/registry"
)

// accepting answers 204 to everything without a network and counts.
type accepting struct {
	left atomic.Int64
	done chan struct{}
}

func (a *accepting) Do(req *http.Request) (*http.Response, error) {
	_, _ = io.Copy(io.Discard, req.Body)
	if a.left.Add(-1) == 0 {
		close(a.done)
	}
	return &http.Response{StatusCode: http.StatusNoContent, Header: http.Header{}, Body: http.NoBody, Request: req}, nil
}

// BenchmarkEngine is what a delivery costs beside its HTTP: publish by 64
// callers, store, lease, sign, judge, settle.
func BenchmarkEngine(b *testing.B) {
	body := []byte(`{"note":"` + string(bytes.Repeat([]byte("x"), 501)) + `"}`)
	for _, kind := range []string{"memory", "sqlite"} {
		b.Run(kind, func(b *testing.B) {
			ctx, cancel := context.WithCancel(b.Context())
			var store delivery.Store
			if kind == "memory" {
				s, err := memstore.Open(ctx, memstore.Config{})
				if err != nil {
					b.Fatal(err)
				}
				store = s
			} else {
				s, err := sqlitestore.Open(ctx, sqlitestore.Config{Path: filepath.Join(b.TempDir(), "bench.db")})
				if err != nil {
					b.Fatal(err)
				}
				defer s.Close()
				store = s
			}
			client := &accepting{done: make(chan struct{})}
			e, err := delivery.New(delivery.Config{
				Store: store, Registry: &registry.Memory{}, Client: client, MaxInFlight: 256,
				Dialects: map[string]delivery.Dialect{standardwebhooks.Name: &standardwebhooks.Dialect{}},
				Logger:   slog.New(slog.DiscardHandler),
			})
			if err != nil {
				b.Fatal(err)
			}
			const endpoints = 20
			for i := range endpoints {
				sub, _ := standardwebhooks.NewSubscription("t"+strconv.Itoa(i), "https://one.example/"+strconv.Itoa(i), "load")
				if _, err := e.Subscribe(ctx, sub); err != nil {
					b.Fatal(err)
				}
			}
			ended := make(chan error, 1)
			go func() { ended <- e.Run(ctx) }()
			client.left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var next atomic.Int64
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() {
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						ev := delivery.Event{Dialect: standardwebhooks.Name, Tenant: "t" + strconv.Itoa(int(i%endpoints)), Type: "load", Data: body}
						if _, err := e.Publish(ctx, ev); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			<-client.done
			b.StopTimer()
			cancel()
			if err := <-ended; err != nil {
				b.Error(err)
			}
		})
	}
}
