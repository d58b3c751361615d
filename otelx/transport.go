package otelx

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry/egress"
)

// Transport returns a client that makes a client span of each request that it
// passes on to client, and adds the header traceparent to it. The caller's
// request is not changed.
//
// The span is named after the method and has http.request.method, url.scheme,
// server.address, server.port, and http.response.status_code or error.type,
// which is [egress.Classify]'s word, or the status from 400 on. It has no path
// and no query. It ends when the request fails, or when the answer's body is
// closed or read to its end; where the body fails, error.type says so.
//
// The span's parent is the span of the request's context, if any. An attempt of
// an engine that has [Trace] is a client span already and its request carries the
// traceparent: there is no second span, and whatever else is requested in its
// course carries the same.
//
// Transport panics when client is nil.
func Transport(client delivery.Client, opts ...Option) delivery.Client {
	if client == nil {
		panic("otelx: Transport: the client is nil, pass the one that sends")
	}
	c := newConfig(opts)
	return &transport{config: c, client: client, tracer: c.tracer()}
}

type transport struct {
	*config

	client delivery.Client
	tracer trace.Tracer
}

// TakesIdentity reports whether the client does: the request's context reaches it.
func (t *transport) TakesIdentity() bool {
	c, ok := t.client.(interface{ TakesIdentity() bool })
	return ok && c.TakesIdentity()
}

// Do implements [delivery.Client].
func (t *transport) Do(req *http.Request) (*http.Response, error) {
	if a, ok := req.Context().Value(attemptKey{}).(*attempt); ok { // Trace has a span for it
		if a.carried && len(req.Header[canonical]) > 0 {
			return t.client.Do(req)
		}
		outgoing := &carrier{req: req.WithContext(req.Context())}
		t.inject(req.Context(), outgoing)
		return t.client.Do(outgoing.req)
	}
	if t.untraced() {
		return t.client.Do(req)
	}
	name, attrs := describe(req)
	ctx, span := t.tracer.Start(req.Context(), name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attrs...))
	if !span.SpanContext().IsValid() { // no provider, no trace
		span.End()
		return t.client.Do(req)
	}
	ours := true // a panic of the client ends the span as well
	defer func() {
		if ours {
			span.End()
		}
	}()
	outgoing := &carrier{req: req.WithContext(ctx)}
	t.inject(ctx, outgoing)
	resp, err := t.client.Do(outgoing.req)
	if !span.IsRecording() {
		return resp, err
	}
	if err != nil {
		fail(span, egress.Classify(err))
		return resp, err
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(resp.StatusCode))
	if resp.StatusCode < 100 || resp.StatusCode >= 400 {
		fail(span, strconv.Itoa(resp.StatusCode))
	}
	// The body of a 101 is the connection, and may have more methods.
	if resp.Body != nil && resp.Body != http.NoBody && resp.StatusCode != http.StatusSwitchingProtocols {
		resp.Body = &tracedBody{resp.Body, span}
		ours = false
	}
	return resp, nil
}

// inject writes the traceparent of ctx.
func (c *config) inject(ctx context.Context, to *carrier) {
	if _, plain := c.propagator.(propagation.TraceContext); !plain {
		c.propagator.Inject(ctx, to)
	} else if field := TraceParent(ctx); field != "" {
		to.Set(traceparent, field)
	}
}

// describe returns the span's name, and the attributes that samplers may want
// to see.
func describe(req *http.Request) (name string, attrs []attribute.KeyValue) {
	name, method := methodOf(req)
	return name, server(append(make([]attribute.KeyValue, 0, 4), method), req.URL)
}

func methodOf(req *http.Request) (name string, method attribute.KeyValue) {
	if m, known := methods[req.Method]; known {
		return m.Value.AsString(), m
	}
	return "HTTP", semconv.HTTPRequestMethodOther
}

// server adds whom u leads to. Paths and queries of endpoints hold tokens.
func server(attrs []attribute.KeyValue, u *url.URL) []attribute.KeyValue {
	if u == nil {
		return attrs
	}
	attrs = append(attrs, semconv.URLScheme(u.Scheme), semconv.ServerAddress(u.Hostname()))
	if p := port(u); p > 0 {
		attrs = append(attrs, semconv.ServerPort(p))
	}
	return attrs
}

var methods = map[string]attribute.KeyValue{
	"":                 semconv.HTTPRequestMethodGet, // to net/http
	http.MethodConnect: semconv.HTTPRequestMethodConnect,
	http.MethodDelete:  semconv.HTTPRequestMethodDelete,
	http.MethodGet:     semconv.HTTPRequestMethodGet,
	http.MethodHead:    semconv.HTTPRequestMethodHead,
	http.MethodOptions: semconv.HTTPRequestMethodOptions,
	http.MethodPatch:   semconv.HTTPRequestMethodPatch,
	http.MethodPost:    semconv.HTTPRequestMethodPost,
	http.MethodPut:     semconv.HTTPRequestMethodPut,
	http.MethodTrace:   semconv.HTTPRequestMethodTrace,
}

// port returns the port that u leads to, 0 for none.
func port(u *url.URL) int {
	digits := u.Port()
	switch {
	case digits != "":
		n, err := strconv.ParseUint(digits, 10, 16)
		if err != nil {
			return 0
		}
		return int(n)
	case u.Scheme == "https":
		return 443
	case u.Scheme == "http":
		return 80
	}
	return 0
}

const (
	traceparent = "traceparent"
	canonical   = "Traceparent" // as net/http has it
)

// carrier lets a propagator write traceparent and nothing else. The header is
// the caller's until something is written.
type carrier struct {
	req     *http.Request
	owned   bool
	written bool
}

func (c *carrier) Get(key string) string { return c.req.Header.Get(key) }

func (c *carrier) Keys() []string { return []string{traceparent} }

func (c *carrier) Set(key, value string) {
	if key != traceparent {
		return
	}
	if !c.owned {
		c.req.Header, c.owned = maps.Clone(c.req.Header), true
		if c.req.Header == nil {
			c.req.Header = make(http.Header, 1)
		}
	}
	delete(c.req.Header, traceparent) // as a dialect that spells in lower case leaves it
	c.req.Header[canonical] = []string{value}
	c.written = true
}

// tracedBody ends the span with the answer.
type tracedBody struct {
	io.ReadCloser
	span trace.Span
}

func (b *tracedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.span.End()
	} else if err != nil {
		fail(b.span, egress.Classify(err))
	}
	return n, err
}

func (b *tracedBody) Close() error {
	err := b.ReadCloser.Close()
	b.span.End()
	return err
}
