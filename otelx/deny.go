package otelx

import (
	"errors"
	"net/http"

	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/ringback-go/ringback/middleware"
	"github.com/ringback-go/ringback/verify"
)

// Deny returns a DenyFunc for the field Deny of one gate: it counts the refusal
// in callback.requests.denied, adds the event callback.denied to the span of
// [Middleware], and has deny write the answer. Nil is [middleware.Problem].
//
// gate names the gate in both, such as "Signature"; a DenyFunc is not told.
// Deny panics when it is empty. The reason is a word for the error's class, as
// "mismatch" or "rate_limited", never its text.
func Deny(gate string, deny middleware.DenyFunc, opts ...Option) middleware.DenyFunc {
	if gate == "" {
		panic("otelx: Deny: the gate has no name, pass that of its type")
	}
	if deny == nil {
		deny = middleware.Problem
	}
	denied := made(newConfig(opts).meter().Int64Counter("callback.requests.denied", metric.WithUnit("{request}"),
		metric.WithDescription("Requests refused by a gate.")))
	counts := make(map[string][]metric.AddOption, len(reasons)+1)
	for _, c := range reasons {
		counts[c.word] = nil
	}
	counts[otherReason] = nil
	for word := range counts {
		counts[word] = []metric.AddOption{metric.WithAttributes(gateKey.String(gate), reasonKey.String(word))}
	}
	return func(w http.ResponseWriter, r *http.Request, err error) {
		ctx := r.Context()
		span, counted := trace.SpanFromContext(ctx), denied.Enabled(ctx)
		if counted || span.IsRecording() {
			word := refusal(err)
			if counted {
				denied.Add(ctx, 1, counts[word]...)
			}
			if span.IsRecording() {
				span.AddEvent("callback.denied", trace.WithAttributes(gateKey.String(gate), reasonKey.String(word),
					semconv.HTTPResponseStatusCode(middleware.Status(err))))
			}
		}
		deny(w, r, err)
	}
}

const otherReason = "other"

// reasons in the order in which they count when several match, which is that of
// [middleware.Status].
var reasons = []struct {
	err  error
	word string
}{
	{middleware.ErrConfig, "config"},
	{middleware.ErrUnavailable, "unavailable"},
	{middleware.ErrInProgress, "in_progress"},
	{middleware.ErrFull, "full"},
	{middleware.ErrClaimLost, "claim_lost"},
	{middleware.ErrPanic, "panic"},
	{middleware.ErrConflict, "conflict"},
	{middleware.ErrOrigin, "origin"},
	{middleware.ErrChallenge, "challenge"},
	{middleware.ErrHandshake, "handshake"},
	{middleware.ErrRateLimited, "rate_limited"},
	{middleware.ErrMethod, "method"},
	{middleware.ErrQuery, "query"},
	{middleware.ErrBodySize, "body_size"},
	{middleware.ErrBodyRead, "body_read"},
	{middleware.ErrEncoding, "encoding"},
	{middleware.ErrMediaType, "media_type"},
	{middleware.ErrSyntax, "syntax"},
	{middleware.ErrInvalid, "invalid"},
	{verify.ErrLookup, "lookup"},
	{verify.ErrConfig, "config"},
	{verify.ErrEmptyKey, "config"},
	{verify.ErrMissing, "missing"},
	{verify.ErrMalformed, "malformed"},
	{verify.ErrRepeated, "repeated"},
	{verify.ErrUnknown, "unknown"},
	{verify.ErrMismatch, "mismatch"},
	{verify.ErrExpired, "expired"},
	{verify.ErrNotYet, "not_yet"},
}

func refusal(err error) string {
	for _, c := range reasons {
		if errors.Is(err, c.err) {
			return c.word
		}
	}
	return otherReason
}
