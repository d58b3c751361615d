package main_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	callerTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	callerSpan  = "00f067aa0ba902b7"
	callerField = "00-" + callerTrace + "-" + callerSpan + "-01"
)

// collector is an OTLP receiver over HTTP.
type collector struct {
	*testing.T

	url string

	mu       sync.Mutex
	spans    []*tracepb.Span
	metrics  []*metricspb.Metric
	services map[string]bool
}

func collect(t *testing.T) *collector {
	t.Helper()
	c := &collector{T: t, services: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", func(w http.ResponseWriter, r *http.Request) {
		var in collectortrace.ExportTraceServiceRequest
		if !c.read(w, r, &in, &collectortrace.ExportTraceServiceResponse{}) {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, rs := range in.ResourceSpans {
			c.services[attrOf(rs.Resource.Attributes, "service.name")] = true
			for _, ss := range rs.ScopeSpans {
				c.spans = append(c.spans, ss.Spans...)
			}
		}
	})
	mux.HandleFunc("POST /v1/metrics", func(w http.ResponseWriter, r *http.Request) {
		var in collectormetrics.ExportMetricsServiceRequest
		if !c.read(w, r, &in, &collectormetrics.ExportMetricsServiceResponse{}) {
			return
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, rm := range in.ResourceMetrics {
			c.services[attrOf(rm.Resource.Attributes, "service.name")] = true
			for _, sm := range rm.ScopeMetrics {
				c.metrics = append(c.metrics, sm.Metrics...)
			}
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	c.url = s.URL
	return c
}

func (c *collector) read(w http.ResponseWriter, r *http.Request, in, out proto.Message) bool {
	b, err := io.ReadAll(r.Body)
	if err == nil {
		err = proto.Unmarshal(b, in)
	}
	if err != nil || r.Header.Get("Content-Type") != "application/x-protobuf" {
		c.Errorf("%s as %q: %v", r.URL.Path, r.Header.Get("Content-Type"), err)
		w.WriteHeader(http.StatusBadRequest)
		return false
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	answer, err := proto.Marshal(out)
	if err == nil {
		_, err = w.Write(answer)
	}
	return err == nil
}

// named returns the spans of a name, in the order in which they came.
func (c *collector) named(name string) (spans []*tracepb.Span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.spans {
		if s.Name == name {
			spans = append(spans, s)
		}
	}
	return spans
}

// latest returns the latest state of a metric.
func (c *collector) latest(name string) *metricspb.Metric {
	c.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range slices.Backward(c.metrics) {
		if m.Name == name {
			return m
		}
	}
	c.Fatalf("no %s among %d metrics", name, len(c.metrics))
	return nil
}

func attrOf(kvs []*commonpb.KeyValue, key string) string {
	for _, kv := range kvs {
		if kv.Key == key {
			if s, ok := kv.Value.Value.(*commonpb.AnyValue_StringValue); ok {
				return s.StringValue
			}
			return fmt.Sprint(kv.Value.GetIntValue())
		}
	}
	return ""
}

// A traceparent goes through the store and the restart to the attempts; what the
// gateway saw is at the collector when it has ended.
func TestTelemetry(t *testing.T) {
	t.Parallel()
	c := collect(t)
	env := []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + c.url, "OTEL_TRACES_EXPORTER=otlp", "OTEL_METRICS_EXPORTER=otlp", "OTEL_SERVICE_NAME=pigeon"}
	dir := configure(t, t.TempDir())
	rc := receive(t, with(http.StatusServiceUnavailable))
	p := start(t, dir, env...)
	sub, _ := p.subscribe(t, "t1", rc.url+"/hook?token=hush", "order.paid")
	id := "evt-1"
	body := `{"id":"` + id + `","dialect":"standard","tenant":"t1","type":"order.paid","data":{"n":1}}`
	p.call(t, "POST", "/admin/events", jsonType, body, "Authorization", "Bearer "+adminToken, "Traceparent", callerField, "Baggage", "tenant=hush").want(t, 202)
	p.call(t, "POST", "/admin/events", jsonType, body, "Authorization", "Bearer "+wrongCode).want(t, 401)
	p.call(t, "GET", "/healthz", "", "").want(t, 200)
	rc.wait(t, 1)
	p.stop(t)
	if published := c.named("publish order.paid"); len(published) != 1 || published[0].Kind != tracepb.Span_SPAN_KIND_PRODUCER || !linked(published[0]) {
		t.Errorf("flushed by the drain: %v", published)
	}

	rc.set(nil)
	p = start(t, dir, env...)
	p.deliveryOf(t, id, "delivered", inState("delivered"))
	p.stop(t)

	served := c.named("POST /admin/events")
	if len(served) != 1 || served[0].Kind != tracepb.Span_SPAN_KIND_SERVER || len(served[0].ParentSpanId) != 0 || !linked(served[0]) {
		t.Errorf("server spans: %v", served)
	}
	if refused := c.named("POST /admin/"); len(refused) != 1 || attrOf(refused[0].Attributes, "http.response.status_code") != "401" || strings.Contains(refused[0].String(), wrongCode) {
		t.Errorf("the one refused: %v", refused)
	}
	attempts, requests := c.named("deliver order.paid"), rc.all()
	if len(attempts) < 2 || len(attempts) != len(requests) {
		t.Fatalf("%d attempts and %d requests", len(attempts), len(requests))
	}
	for i, span := range attempts {
		own := "00-" + hex.EncodeToString(span.TraceId) + "-" + hex.EncodeToString(span.SpanId) + "-01"
		if span.Kind != tracepb.Span_SPAN_KIND_CLIENT || !linked(span) || len(span.ParentSpanId) != 0 || requests[i].header.Get("Traceparent") != own || requests[i].header.Get("Baggage") != "" {
			t.Errorf("attempt %d sent %q: %v", i+1, requests[i].header.Get("Traceparent"), span)
		}
		if attrOf(span.Attributes, "callback.subscription.id") != sub || attrOf(span.Attributes, "messaging.message.id") != id || strings.Contains(span.String(), "hush") {
			t.Errorf("attempt %d: %v", i+1, span)
		}
	}
	if last := attempts[len(attempts)-1]; attrOf(last.Attributes, "callback.outcome") != "accepted" || attrOf(last.Attributes, "http.response.status_code") != "200" {
		t.Errorf("the last attempt: %v", last)
	}
	for _, name := range []string{"GET /healthz", "GET"} {
		if spans := c.named(name); len(spans) != 0 {
			t.Errorf("spans of %s: %v", name, spans)
		}
	}

	done := c.latest("callback.delivery.duration")
	if h := done.GetHistogram(); done.Unit != "s" || len(h.GetDataPoints()) != 1 || h.DataPoints[0].Count != 1 || attrOf(h.DataPoints[0].Attributes, "callback.dialect") != "standard" {
		t.Errorf("%v", done)
	}
	if got := c.latest("callback.delivery.attempts"); !got.GetSum().GetIsMonotonic() || got.Unit != "{attempt}" {
		t.Errorf("%v", got)
	}
	for _, name := range []string{"callback.delivery.in_flight", "callback.store.settle.size", "callback.store.lease.duration", "http.server.request.duration"} {
		c.latest(name)
	}
	if len(c.services) != 1 || !c.services["pigeon"] {
		t.Errorf("services %v", c.services)
	}
}

// linked reports whether a span is linked to the caller's and to nothing else.
func linked(s *tracepb.Span) bool {
	return len(s.Links) == 1 && hex.EncodeToString(s.Links[0].TraceId) == callerTrace && hex.EncodeToString(s.Links[0].SpanId) == callerSpan
}

// Spans are printed to standard error, between the lines of the log.
func TestTelemetryConsole(t *testing.T) {
	t.Parallel()
	rc := receive(t, nil)
	p := start(t, configure(t, t.TempDir(), memory), "OTEL_TRACES_EXPORTER=console", "OTEL_METRICS_EXPORTER=none")
	p.subscribe(t, "t1", rc.url, "a")
	p.publish(t, event("t1", "a", `1`))
	rc.wait(t, 1)
	p.stop(t)
	if out := p.stdout.String(); strings.Count(out, "\n") != 1 {
		t.Errorf("standard output: %s", out)
	}
	type printed struct {
		Name        string
		SpanContext struct{ TraceID, SpanID string }
		Links       []struct {
			SpanContext struct{ TraceID, SpanID string }
		}
	}
	spans := map[string]printed{}
	d := json.NewDecoder(strings.NewReader(p.stderr.String()))
	for d.More() {
		var s printed
		if err := d.Decode(&s); err != nil {
			t.Fatalf("%v: %s", err, p.stderr)
		}
		if s.Name != "" {
			spans[s.Name] = s
		}
	}
	published, attempt := spans["publish a"], spans["deliver a"]
	if published.SpanContext.SpanID == "" || len(attempt.Links) != 1 || attempt.Links[0].SpanContext != published.SpanContext {
		t.Errorf("published %+v, attempt %+v", published, attempt)
	}
}

func TestTelemetryPrometheus(t *testing.T) {
	t.Parallel()
	ln, err := net.Listen("tcp", "127.0.0.1:0") // a port that is free
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil || ln.Close() != nil {
		t.Fatal(err)
	}
	rc := receive(t, nil)
	p := start(t, configure(t, t.TempDir(), memory), "OTEL_METRICS_EXPORTER=prometheus", "OTEL_EXPORTER_PROMETHEUS_HOST=127.0.0.1", "OTEL_EXPORTER_PROMETHEUS_PORT="+port)
	p.subscribe(t, "t1", rc.url, "a")
	p.publish(t, event("t1", "a", `1`))
	p.call(t, "GET", "/tencent/callback", "", "").want(t, 405)
	metrics := ""
	eventually(t, "the delivery among the metrics", func() bool {
		resp, err := caller.Get("http://127.0.0.1:" + port + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		metrics = string(b)
		return strings.Contains(metrics, `callback_delivery_attempts_total{callback_dialect="standard",callback_outcome="accepted"`)
	})
	for _, line := range []string{
		"callback_delivery_waiting{", "callback_delivery_waiting_oldest_age_seconds{", "callback_endpoints{callback_endpoint_state=\"active\"",
		"callback_requests_denied_total{callback_gate=", "http_server_request_duration_seconds_bucket{",
	} {
		if !strings.Contains(metrics, "\n"+line) {
			t.Errorf("no %s in\n%s", line, metrics)
		}
	}
}

// Without the variables, and with telemetry switched off, nothing is traced; a
// name that nobody knows is an error that says what to do.
func TestTelemetryOff(t *testing.T) {
	t.Parallel()
	for _, env := range [][]string{nil, {"OTEL_TRACES_EXPORTER=none"}, {"OTEL_SDK_DISABLED=true", "OTEL_TRACES_EXPORTER=console"}} {
		rc := receive(t, nil)
		p := start(t, configure(t, t.TempDir(), memory), env...)
		p.subscribe(t, "t1", rc.url, "a")
		p.publish(t, event("t1", "a", `1`))
		if got := rc.wait(t, 1)[0].header.Get("Traceparent"); got != "" {
			t.Errorf("%v: sent traceparent %q", env, got)
		}
		p.stop(t)
		if strings.Contains(p.stderr.String(), "SpanContext") {
			t.Errorf("%v: %s", env, p.stderr)
		}
	}
	for env, says := range map[string]string{
		"OTEL_TRACES_EXPORTER=jaeger":     "OTEL_TRACES_EXPORTER takes one of otlp, console, none",
		"OTEL_METRICS_EXPORTER=statsd":    "OTEL_METRICS_EXPORTER takes one of otlp, console, prometheus, none",
		"OTEL_RESOURCE_ATTRIBUTES=a=1,no": "OTEL_RESOURCE_ATTRIBUTES",
	} {
		p := launch(t, configure(t, t.TempDir(), memory), env, "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1")
		if status := p.wait(t); status != 2 || !strings.Contains(p.stderr.String(), says) {
			t.Errorf("%s: status %d, %s", env, status, p.stderr)
		}
	}
}

// A collector that is away fails nothing.
func TestTelemetryAway(t *testing.T) {
	t.Parallel()
	rc := receive(t, nil)
	p := start(t, configure(t, t.TempDir(), memory), "OTEL_TRACES_EXPORTER=otlp", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1")
	p.subscribe(t, "t1", rc.url, "a")
	p.publish(t, event("t1", "a", `1`))
	rc.wait(t, 1)
	p.stop(t) // with status 0
	if !strings.Contains(p.stderr.String(), "gateway: telemetry") {
		t.Errorf("nobody is told: %s", p.stderr)
	}
}
