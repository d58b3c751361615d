package delivery

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/registry/egress"
)

// A Client sends one request and follows nothing. *egress.Client is the one to
// use: it judges every address that it dials.
//
// A subscription with TLS material of its own is sent to only by a Client that
// says by a method TakesIdentity() bool that it obeys egress.WithIdentity in the
// context of a request. Who wraps a Client and passes the context on has such a
// method, too, and returns what the wrapped one does.
type Client interface {
	Do(req *http.Request) (*http.Response, error)
}

var errIdentity = errors.New("the subscription has TLS material and the Client does not say that it takes it")

// identify returns a request to be made with the subscription's TLS material, if
// any, whatever context the dialect gave it.
func (s *Sender) identify(req *http.Request, sub registry.Subscription) (*http.Request, error) {
	if sub.TLS.IsZero() {
		return req, nil
	}
	c, ok := s.Client.(interface{ TakesIdentity() bool })
	if !ok || !c.TakesIdentity() {
		return nil, errIdentity
	}
	identity := egress.NewIdentity(sub.ID, sub.TLS.Certificate, sub.TLS.Key.Reveal(), sub.TLS.Roots)
	return req.WithContext(egress.WithIdentity(req.Context(), identity)), nil
}

// addHeaders adds the subscription's headers to those that the dialect set,
// which stay as they are. What [registry.Validate] would refuse is not sent,
// whoever stored it.
func addHeaders(req *http.Request, headers []registry.Header) error {
	if len(headers) == 0 {
		return nil
	}
	if req.Header == nil {
		req.Header = make(http.Header, len(headers))
	}
	h := req.Header
	var set [16]string
	names := set[:0]
	for name := range h {
		names = append(names, name)
	}
	for _, add := range headers {
		if detail := add.Check(); detail != "" {
			return errors.New("header of the subscription: " + detail)
		}
		if !slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, add.Name) }) {
			h[add.Name] = []string{add.Value.Reveal()}
			names = append(names, add.Name)
		}
	}
	return nil
}

// A Sender makes attempts, without a store: for those who schedule deliveries
// with River, Temporal, Kafka or by hand. It is safe for concurrent use.
type Sender struct {
	// Client sends the requests. Needed.
	Client Client
	// Dialects encode, sign and judge, by name. Needed.
	Dialects map[string]Dialect
	// Now gives the wall clock for timestamps and signatures. Nil is time.Now.
	Now func() time.Time
}

// MaxRetryAfter is the longest pause that an answer can ask for.
const MaxRetryAfter = 24 * time.Hour

// Attempt makes attempt number d.Attempts+1 of a delivery to a subscription:
// one request, its answer read within bounds and judged by the dialect. What
// goes wrong is in the result; a panic of the dialect is, too.
func (s *Sender) Attempt(ctx context.Context, d Delivery, sub registry.Subscription) Attempt {
	return s.attempt(ctx, d, sub, func(context.Context, *http.Request) {})
}

// attempt calls ready with the request before it is sent.
func (s *Sender) attempt(ctx context.Context, d Delivery, sub registry.Subscription, ready func(context.Context, *http.Request)) (a Attempt) {
	now := s.Now
	if now == nil {
		now = time.Now
	}
	begin := time.Now()
	a = Attempt{Number: d.Attempts + 1, At: now()}
	defer func() {
		if p := recover(); p != nil {
			a.fail(VerdictRetry, "internal", panicked(p).Error())
		}
		a.Duration = time.Since(begin)
	}()

	dialect := s.Dialects[d.Dialect]
	if dialect == nil {
		a.fail(VerdictDead, "internal", ErrDialect.Error())
		return a
	}
	if sub.Limits.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, sub.Limits.Timeout)
		defer cancel()
	}
	req, err := dialect.Request(ctx, d, sub, a.At)
	if err != nil {
		verdict, class := VerdictRetry, "internal"
		if isPermanent(err) {
			verdict = VerdictDead
		}
		if errors.Is(err, errURL) {
			class = "bad_url"
		}
		a.fail(verdict, class, err.Error())
		return a
	}
	if req == nil {
		a.fail(VerdictRetry, "internal", "the dialect's Request returned neither a request nor an error")
		return a
	}
	if err := addHeaders(req, sub.Headers); err != nil {
		a.fail(VerdictRetry, "internal", err.Error())
		return a
	}
	if req, err = s.identify(req, sub); err != nil {
		a.fail(VerdictRetry, "tls", err.Error())
		return a
	}
	ready(ctx, req)
	resp, err := s.Client.Do(req) //nolint:bodyclose // ReadBounded closes it
	if err != nil {
		verdict := VerdictRetry
		if errors.Is(err, egress.ErrURL) { // the same tomorrow; a resolved address may change
			verdict = VerdictDead
		}
		text := err.Error()
		if u, ok := errors.AsType[*url.Error](err); ok { // net/http's own client puts the URL in front: tokens stand there
			text = u.Err.Error()
		}
		a.fail(verdict, egress.Classify(err), text)
		return a
	}
	a.Status = resp.StatusCode
	a.Response, _ = egress.ReadBounded(resp.Body, MaxResponse, egress.DrainBytes)
	a.Verdict = dialect.Judge(resp.StatusCode, resp.Header, a.Response)
	if a.Verdict != VerdictAccepted {
		a.fail(a.Verdict, "status", "answered "+strconv.Itoa(resp.StatusCode))
		if a.Verdict == VerdictRetry {
			a.RetryAfter = retryAfter(resp.Header, a.At.Add(time.Since(begin)))
		}
	}
	return a
}

const maxErrorText = 512

func (a *Attempt) fail(v Verdict, class, text string) {
	text = strings.ToValidUTF8(text[:min(len(text), maxErrorText)], "") // not every database takes other bytes
	a.Verdict, a.Class, a.Error = v, class, text
}

// retryAfter reads the header: whole seconds or an HTTP date, cut to
// MaxRetryAfter; 0 for none, a repeated or a malformed one.
func retryAfter(h http.Header, now time.Time) time.Duration {
	values := h["Retry-After"]
	if len(values) != 1 {
		return 0
	}
	v := values[0]
	if at, err := http.ParseTime(v); err == nil {
		return min(max(at.Sub(now), 0), MaxRetryAfter)
	}
	digits := 0
	for digits < len(v) && v[digits] >= '0' && v[digits] <= '9' {
		digits++
	}
	if digits == 0 || digits != len(v) {
		return 0
	}
	seconds, err := strconv.ParseInt(v, 10, 64)
	if err != nil || seconds > int64(MaxRetryAfter/time.Second) {
		return MaxRetryAfter // an overflow is a long time, not none
	}
	return time.Duration(seconds) * time.Second
}
