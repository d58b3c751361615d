package egress_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ringback-go/ringback/registry/egress"
)

const benchURL = "https://hooks.example.com/cb/tenant?x=%2Fa&y=1"

func TestAcceptedPathAllocatesNothing(t *testing.T) { // not parallel: AllocsPerRun
	client := newClient(t, egress.Config{})
	request := httptest.NewRequest(http.MethodPost, benchURL, http.NoBody)
	request.Header.Set("Content-Type", "application/json")
	for name, run := range map[string]func() error{
		"Client.Check": func() error { _, err := client.Check(benchURL); return err },
		"Policy.Check": func() error { _, err := egress.Policy{}.Check(benchURL); return err },
		"before Do":    func() error { return client.CheckRequest(request) },
	} {
		allocs := testing.AllocsPerRun(100, func() {
			if err := run(); err != nil {
				t.Fatal(err)
			}
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	client := newClient(b, egress.Config{})
	b.Run("pure", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := (egress.Policy{}).Check(benchURL); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("cached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := client.Check(benchURL); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkDo posts 512 bytes to loopback, through the guard and, for comparison, without it.
func BenchmarkDo(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	defer server.Close()
	client := newClient(b, egress.Config{Policy: egress.Policy{AllowHTTP: true, AllowNetworks: prefixes("127.0.0.0/8")}})
	body := strings.Repeat("x", 512)
	for name, do := range map[string]func(*http.Request) (*http.Response, error){"guarded": client.Do, "bare": server.Client().Do} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, server.URL+"/cb", strings.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				response, err := do(request) //nolint:bodyclose // ReadBounded closes it
				if err != nil {
					b.Fatal(err)
				}
				egress.ReadBounded(response.Body, egress.KeepBytes, egress.DrainBytes)
			}
		})
	}
}
