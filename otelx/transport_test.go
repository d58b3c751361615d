package otelx_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/otelx"
	"github.com/ringback-go/ringback/registry/egress"
)

func request(t testing.TB, ctx context.Context, method, to string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, to, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func answer(status int, body io.Reader) clientFunc {
	return func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: status, Body: io.NopCloser(body)}, nil
	}
}

func TestTransportSpan(t *testing.T) {
	t.Parallel()
	const to = "https://tom:hush@hooks.example.com/in/hush?token=hush"
	https := map[string]string{"http.request.method": "POST", "url.scheme": "https", "server.address": "hooks.example.com", "server.port": "443"}
	with := func(kv ...string) map[string]string {
		m := map[string]string{}
		maps.Copy(m, https)
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return m
	}
	failing := func(err error) clientFunc {
		return func(*http.Request) (*http.Response, error) { return nil, err }
	}
	tests := []struct {
		name       string
		method, to string
		client     clientFunc
		span       string
		status     codes.Code
		want       map[string]string
	}{
		{"accepted", "POST", to, answer(204, strings.NewReader("")), "POST", codes.Unset, with("http.response.status_code", "204")},
		{"redirect", "POST", to, answer(302, strings.NewReader("")), "POST", codes.Unset, with("http.response.status_code", "302")},
		{"gone", "POST", to, answer(410, strings.NewReader("hush")), "POST", codes.Error, with("http.response.status_code", "410", "error.type", "410")},
		{"no status at all", "POST", to, answer(7, strings.NewReader("hush")), "POST", codes.Error, with("http.response.status_code", "7", "error.type", "7")},
		{"upgrade", "POST", to, answer(101, strings.NewReader("")), "POST", codes.Unset, with("http.response.status_code", "101")},
		{"refused connection", "POST", to, failing(&url.Error{Op: "Post", URL: to, Err: &net.OpError{Op: "dial", Err: errors.New("hush")}}), "POST", codes.Error, with("error.type", "conn")},
		{"no such host", "POST", to, failing(&url.Error{Op: "Post", URL: to, Err: &net.DNSError{Err: "hush"}}), "POST", codes.Error, with("error.type", "dns")},
		{"time ran out", "POST", to, failing(context.DeadlineExceeded), "POST", codes.Error, with("error.type", "timeout")},
		{"address denied", "POST", to, failing(egress.ErrResolvedAddress), "POST", codes.Error, with("error.type", "addr_denied")},
		{"body breaks off", "POST", to, answer(200, iotest.ErrReader(io.ErrUnexpectedEOF)), "POST", codes.Error, with("http.response.status_code", "200", "error.type", "conn")},
		{"port", "POST", "https://hooks.example.com:8443/", answer(200, strings.NewReader("")), "POST", codes.Unset, with("http.response.status_code", "200", "server.port", "8443")},
		{"plain", "GET", "http://[2001:db8::1]/", answer(200, strings.NewReader("")), "GET", codes.Unset, with("http.response.status_code", "200", "http.request.method", "GET", "url.scheme", "http", "server.address", "2001:db8::1", "server.port", "80")},
		{"method of its own", "FROB", to, answer(200, strings.NewReader("")), "HTTP", codes.Unset, with("http.response.status_code", "200", "http.request.method", "_OTHER")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spans, provider := recorder()
			resp, err := otelx.Transport(tt.client, otelx.WithTracerProvider(provider)).Do(request(t, t.Context(), tt.method, tt.to))
			if err == nil {
				defer resp.Body.Close()
				if tt.name != "upgrade" && len(spans.Ended()) != 0 {
					t.Error("the span ended before the body")
				}
				egress.ReadBounded(resp.Body, 1, 10)
			}
			span := one(t, spans)
			if span.Name() != tt.span || span.SpanKind() != trace.SpanKindClient || span.Status().Code != tt.status {
				t.Errorf("%v span %q %v, want %q %v", span.SpanKind(), span.Name(), span.Status(), tt.span, tt.status)
			}
			if diff := cmp.Diff(tt.want, attributes(span)); diff != "" {
				t.Errorf("attributes (-want +got)\n%s", diff)
			}
			holds(t, span, "hush", "/in", "tom")
		})
	}
}

// The real, guarded client behind it: its errors and answers come through.
func TestTransportGuarded(t *testing.T) {
	t.Parallel()
	guarded, err := egress.New(egress.Config{})
	if err != nil {
		t.Fatal(err)
	}
	spans, provider := recorder()
	resp, err := otelx.Transport(guarded, otelx.WithTracerProvider(provider)).Do(request(t, t.Context(), "POST", "https://127.0.0.1/hush"))
	if err == nil {
		resp.Body.Close()
	}
	if !errors.Is(err, egress.ErrURL) {
		t.Errorf("Do = %v, want the client's own error", err)
	}
	if got := attributes(one(t, spans)); got["error.type"] != "addr_denied" || got["server.address"] != "127.0.0.1" {
		t.Errorf("attributes %v", got)
	}
}

// A request that leads nowhere is the client's to refuse, not ours to break on.
func TestTransportUnusable(t *testing.T) {
	t.Parallel()
	guarded, err := egress.New(egress.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for name, u := range map[string]*url.URL{"no URL": nil, "no scheme": {Host: "a.example"}, "port out of range": {Scheme: "https", Host: "a.example:99999"}} {
		spans, provider := recorder()
		resp, err := otelx.Transport(guarded, otelx.WithTracerProvider(provider)).Do((&http.Request{Method: http.MethodPost, URL: u}).WithContext(t.Context()))
		if err == nil {
			resp.Body.Close()
		}
		got := attributes(one(t, spans))
		if _, has := got["server.port"]; has || egress.Classify(err) != got["error.type"] || got["error.type"] == "" {
			t.Errorf("%s: Do = %v, attributes %v", name, err, got)
		}
	}
}

func TestTransportEnd(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		end  func(body io.ReadCloser) error
	}{
		{"closed unread", func(b io.ReadCloser) error { return b.Close() }},
		{"read and left open", func(b io.ReadCloser) error { _, err := io.Copy(io.Discard, b); return err }},
		{"read and closed twice", func(b io.ReadCloser) error {
			_, err := io.Copy(io.Discard, b)
			return errors.Join(err, b.Close(), b.Close())
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spans, provider := recorder()
			resp, err := otelx.Transport(answer(200, strings.NewReader("some")), otelx.WithTracerProvider(provider)).Do(request(t, t.Context(), "POST", "https://a.example/"))
			if err != nil || len(spans.Ended()) != 0 {
				t.Fatalf("Do = %v, %d spans ended", err, len(spans.Ended()))
			}
			defer resp.Body.Close()
			if err := tt.end(resp.Body); err != nil {
				t.Fatal(err)
			}
			one(t, spans)
		})
	}

	t.Run("no body", func(t *testing.T) {
		t.Parallel()
		spans, provider := recorder()
		resp, err := otelx.Transport(clientFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
		}), otelx.WithTracerProvider(provider)).Do(request(t, t.Context(), "POST", "https://a.example/"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.Body != http.NoBody {
			t.Errorf("body %T, want NoBody as it is", resp.Body)
		}
		one(t, spans)
	})

	t.Run("panic", func(t *testing.T) {
		t.Parallel()
		spans, provider := recorder()
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
			one(t, spans)
		}()
		client := otelx.Transport(clientFunc(func(*http.Request) (*http.Response, error) { panic("broken") }), otelx.WithTracerProvider(provider))
		client.Do(request(t, t.Context(), "POST", "https://a.example/")) //nolint:bodyclose // does not return
	})
}

func TestTransportPropagation(t *testing.T) {
	t.Parallel()
	_, provider := recorder()
	_, unsampled := recorder(sdk.WithSampler(sdk.NeverSample()))
	tests := []struct {
		name   string
		opts   []otelx.Option
		before http.Header
		flags  string // of the traceparent sent, "" for none
	}{
		{"by default", []otelx.Option{otelx.WithTracerProvider(provider)}, http.Header{"X-A": {"1"}}, "-01"},
		{"no header yet", []otelx.Option{otelx.WithTracerProvider(provider)}, nil, "-01"},
		{"with baggage", []otelx.Option{otelx.WithTracerProvider(provider), otelx.WithPropagator(everything)}, http.Header{}, "-01"},
		{"an old one", []otelx.Option{otelx.WithTracerProvider(provider)}, http.Header{"Traceparent": {senderField}}, "-01"},
		{"an old one in lower case", []otelx.Option{otelx.WithTracerProvider(provider)}, http.Header{"traceparent": {senderField}}, "-01"},
		{"not sampled", []otelx.Option{otelx.WithTracerProvider(unsampled)}, http.Header{}, "-00"},
		{"turned off", []otelx.Option{otelx.WithTracerProvider(provider), otelx.WithPropagator(propagation.NewCompositeTextMapPropagator())}, http.Header{"X-A": {"1"}}, ""},
		{"no provider", nil, http.Header{"X-A": {"1"}}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// The creator's span has a tracestate, which must stay at home too.
			ctx := withBaggage(t.Context(), t)
			if tt.opts != nil {
				ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": senderField, "tracestate": "vendor=hush"})
			}
			req := request(t, ctx, "POST", "https://a.example/")
			req.Header = tt.before
			kept := tt.before.Clone()
			var sent http.Header
			resp, err := otelx.Transport(clientFunc(func(r *http.Request) (*http.Response, error) {
				sent = r.Header.Clone()
				return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
			}), tt.opts...).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if diff := cmp.Diff(kept, req.Header); diff != "" {
				t.Errorf("the caller's header changed (-before +after)\n%s", diff)
			}
			got := sent.Get("Traceparent")
			if tt.flags == "" && got != "" || tt.flags != "" && (!strings.HasPrefix(got, "00-"+senderTrace+"-") || !strings.HasSuffix(got, tt.flags) || got == senderField) {
				t.Errorf("traceparent %q, want flags %q", got, tt.flags)
			}
			want := kept.Clone()
			delete(want, "traceparent")
			want.Del("Traceparent")
			sent.Del("Traceparent")
			if len(want)+len(sent) > 0 {
				if diff := cmp.Diff(want, sent); diff != "" {
					t.Errorf("other headers (-want +got)\n%s", diff)
				}
			}
		})
	}
}

func TestTransportNil(t *testing.T) {
	t.Parallel()
	defer func() {
		if recover() == nil {
			t.Error("no panic for a nil client")
		}
	}()
	otelx.Transport(nil)
}

// Without a provider the answer is the client's, nothing wrapped.
func TestTransportNoProvider(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(accept))
	defer server.Close()
	var seen *http.Request
	req := request(t, t.Context(), "POST", server.URL)
	resp, err := otelx.Transport(clientFunc(func(r *http.Request) (*http.Response, error) {
		seen = r
		return server.Client().Do(r)
	}), nil, otelx.WithTracerProvider(nil), otelx.WithPropagator(nil)).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if seen != req || resp.StatusCode != http.StatusNoContent {
		t.Errorf("sent another request, or answered %d", resp.StatusCode)
	}
}

// TestTransportTakesIdentity: an endpoint with TLS material of its own is sent to
// through a Transport if the client that it wraps can do that.
func TestTransportTakesIdentity(t *testing.T) {
	t.Parallel()
	client, err := egress.New(egress.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for want, c := range map[bool]delivery.Client{true: otelx.Transport(client), false: otelx.Transport(answer(200, http.NoBody))} {
		if takes, ok := c.(interface{ TakesIdentity() bool }); !ok || takes.TakesIdentity() != want {
			t.Errorf("of %T it does not say %v", c, want)
		}
	}
}
