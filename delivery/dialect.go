package delivery

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ringback-go/ringback/internal/version"
	"github.com/ringback-go/ringback/registry"
)

// A Dialect is how one platform talks to its subscribers. Implementations are
// safe for concurrent use and keep no state that an attempt changes.
type Dialect interface {
	// Encode makes the body of an event for a subscription, once, at publish:
	// every attempt sends these bytes. An error refuses the event; it should
	// wrap [ErrInvalid] when the event is to blame.
	Encode(ev Event, sub registry.Subscription) (Payload, error)
	// Request builds the request of one attempt: URL, secrets, signature and
	// timestamp are those of the moment. Start from [NewRequest]. An error that
	// [Permanent] made ends the delivery with its text as the reason; others
	// fail the attempt. d.Attempts+1 is the number of the attempt.
	Request(ctx context.Context, d Delivery, sub registry.Subscription, at time.Time) (*http.Request, error)
	// Judge says what an answer means. body holds MaxResponse bytes at most.
	Judge(status int, header http.Header, body []byte) Verdict
	// Schedule says when to try again.
	Schedule(sub registry.Subscription) Backoff
}

// A Fareweller is a Dialect that tells a subscription of its removal.
type Fareweller interface {
	// Farewell returns the last event for sub, whose Reason says why it ends,
	// or false if there is none.
	Farewell(sub registry.Subscription) (Event, bool)
}

// An EventChecker is a Dialect that can refuse an event before it is known
// whether anybody wants it. Publish asks it about events that nobody wants, since
// those are not encoded; without it they are not looked at.
type EventChecker interface {
	// Check returns why ev cannot be encoded, wrapping [ErrInvalid], or nil.
	Check(ev Event) error
}

// A SubscriptionChecker is a Dialect that knows what it could never send to, for
// want of a secret, say. Subscribe asks it about active subscriptions.
type SubscriptionChecker interface {
	// CheckSubscription returns why nothing could be sent to sub, an [*Error]
	// that names the field if there is one, or nil.
	CheckSubscription(sub registry.Subscription) error
}

// A Payload is an event as it goes over the wire.
type Payload struct {
	// ContentType is the request's; empty sends none.
	ContentType string
	// Body is sent unchanged by every attempt.
	Body []byte
	// Meta is kept for [Dialect.Request]. It is stored in the clear.
	Meta map[string]string
}

// Verdict is what a dialect makes of an answer.
type Verdict int

const (
	// VerdictRetry tries again by the schedule. It is the zero value.
	VerdictRetry Verdict = iota
	// VerdictAccepted means delivered.
	VerdictAccepted
	// VerdictDead gives this delivery up.
	VerdictDead
	// VerdictDisable disables the subscription; its backlog is dead.
	VerdictDisable
)

// Judge is the verdict by status alone: 2xx is accepted; 410 disables; other 4xx
// but 408, 425 and 429 are dead; all else, codes outside 100 to 599 and 3xx
// included, is tried again.
func Judge(status int) Verdict {
	switch {
	case status >= 200 && status <= 299:
		return VerdictAccepted
	case status == http.StatusGone:
		return VerdictDisable
	case status == http.StatusRequestTimeout, status == http.StatusTooEarly, status == http.StatusTooManyRequests:
		return VerdictRetry
	case status >= 400 && status <= 499:
		return VerdictDead
	}
	return VerdictRetry
}

// HeaderID carries the event's ID in every request, spelled as Standard
// Webhooks spells it.
const HeaderID = "webhook-id"

var errURL = errors.New("the URL cannot be parsed")

// NewRequest starts the request of an attempt: POST to rawURL with the
// delivery's body, its content type, User-Agent, Content-Length and webhook-id.
func NewRequest(ctx context.Context, d Delivery, rawURL string) (*http.Request, error) {
	// net/http knows a bytes.Reader: it writes head and body at once, and takes
	// the body again only for a reused connection that took no byte of it.
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, rawURL, bytes.NewReader(d.Body))
	if err != nil {
		return nil, Permanent(errURL)
	}
	h := req.Header
	values := [3]string{version.UserAgent, d.EventID, d.ContentType}
	h["User-Agent"] = values[0:1:1]
	h[HeaderID] = values[1:2:2] // the wire's spelling, so not by Set
	if d.ContentType != "" {
		h["Content-Type"] = values[2:3:3]
	}
	return req, nil
}

// Permanent marks an error of [Dialect.Request] as final: the delivery is dead
// with the error's text as its reason.
func Permanent(err error) error { return &permanentError{err} }

type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

func isPermanent(err error) bool {
	_, ok := errors.AsType[*permanentError](err)
	return ok
}
