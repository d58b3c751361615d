package ednapulse_test

import (
	"context"
	"crypto/x509"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ringback-go/ringback/dialect/ednapulse"
	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

var quiet = slog.New(slog.DiscardHandler)

func must[T any](t testing.TB, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func acme(t testing.TB) *ednapulse.Tenants {
	t.Helper()
	tenants, err := ednapulse.NewTenants(
		ednapulse.Tenant{
			ID: "acme", APIKey: registry.NewSecret("A-1"), WebhookKey: registry.NewSecret("K-0123456789abcdef"),
			Channels: []int64{234, 235},
		},
		ednapulse.Tenant{ID: "other", APIKey: registry.NewSecret("A-3"), Channels: []int64{7}},
	)
	return must(t, tenants, err)
}

type clientFunc func(*http.Request) (*http.Response, error)

func (f clientFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

type limiterFunc func(key string) (middleware.Decision, error)

func (f limiterFunc) Allow(_ context.Context, key string, _ time.Time) (middleware.Decision, error) {
	return f(key)
}

type everywhere netip.Addr

func (e everywhere) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.Addr(e)}, nil
}

// guarded returns the real client, for which every name under example.com is
// served by handler.
func guarded(t *testing.T, handler http.HandlerFunc) *egress.Client {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	client, err := egress.New(egress.Config{
		RootCAs:  roots,
		Resolver: everywhere(netip.MustParseAddr("8.8.8.8")),
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
		},
	})
	t.Cleanup(func() {
		if client != nil {
			client.CloseIdleConnections()
		}
	})
	return must(t, client, err)
}

// A row of testdata/inbound.tsv.
type row struct {
	id, cfg, method, target, expect, why string
	header                               http.Header
	body                                 string
	now                                  time.Time
}

func (r row) request(t *testing.T) *http.Request {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), r.method, r.target, strings.NewReader(r.body))
	req.Header = r.header.Clone()
	return req
}

func rows(t *testing.T, prefix string) []row {
	t.Helper()
	raw, err := os.ReadFile("testdata/inbound.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var out []row
	for line := range strings.Lines(string(raw)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if !strings.HasPrefix(f[0], prefix) || len(f) != 9 || f[0] == "id" {
			continue
		}
		n, err := strconv.ParseInt(f[2], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		r := row{id: f[0], cfg: f[1], method: f[3], target: literal(t, f[4]), expect: f[7], why: f[8], now: time.Unix(n, 0), header: http.Header{}}
		for h := range strings.SplitSeq(literal(t, f[5]), " || ") {
			if name, value, ok := strings.Cut(h, ": "); ok {
				r.header.Add(name, value)
			}
		}
		r.body = generate(t, f[6])
		out = append(out, r)
	}
	return out
}

// literal decodes the escapes of a Go string literal's body, in which quotes
// stand as they are.
func literal(t *testing.T, s string) string {
	t.Helper()
	var b strings.Builder
	for s != "" {
		r, wide, tail, err := strconv.UnquoteChar(s, 0)
		if err != nil {
			t.Fatalf("%q: %v", s, err)
		}
		if wide {
			b.WriteRune(r)
		} else {
			b.WriteByte(byte(r))
		}
		s = tail
	}
	return b.String()
}

func generate(t *testing.T, field string) string {
	t.Helper()
	if !strings.HasPrefix(field, "@") {
		return literal(t, field)
	}
	var b strings.Builder
	for part := range strings.SplitSeq(field[1:], "<+>") {
		if inner, ok := strings.CutPrefix(part, "rep("); ok {
			count, s, _ := strings.Cut(strings.TrimSuffix(inner, ")"), ",")
			n, err := strconv.Atoi(count)
			if err != nil {
				t.Fatal(err)
			}
			b.WriteString(strings.Repeat(literal(t, s), n))
			continue
		}
		b.WriteString(literal(t, part))
	}
	return b.String()
}

// vector reads a sample packet that lies beside the repository.
func vector(t *testing.T, name string) []byte {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		for _, at := range []string{"../shared/vectors", "shared/vectors"} {
			if raw, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(at), filepath.FromSlash(name))); err == nil {
				return raw
			}
		}
		if filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("the sample packets are not beside the repository: %s", name)
	}
	t.Skipf("the sample packets are not beside the repository, nothing to compare with: %s", name)
	return nil
}
