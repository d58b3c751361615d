package ednapulse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/registry"
)

// Name is the dialect's name in events, subscriptions and delivery.Config.
const Name = "edna"

// The types of events, which are also the slots of subscriptions.
const (
	TypeStatus         = "status"         // how far a message came
	TypeInMessage      = "inMessage"      // a message from a subscriber
	TypeMessageMatcher = "messageMatcher" // templates and other management
)

// validType reports whether t is one of the three types.
func validType(t string) bool {
	return t == TypeStatus || t == TypeInMessage || t == TypeMessageMatcher
}

// Documented is the schedule of the documentation of POST /api/callback/set:
// ten resends after 4, 8, 16, … 2048 s, each counted from the end of the failed
// attempt, without jitter.
func Documented() delivery.Backoff {
	return delivery.Exponential(4*time.Second, 2, 2048*time.Second, 10, 0)
}

// Since2026 is the schedule of the newer pages: three resends after 4, 128 and
// 2048 s.
func Since2026() delivery.Backoff {
	return delivery.Schedule{Pauses: []time.Duration{4 * time.Second, 128 * time.Second, 2048 * time.Second}}
}

// Dialect posts events to the callbacks of tenants: the event's data byte for
// byte as application/json, with "Authorization: Token KEY" where the tenant
// has a webhook key. Only status 200 is accepted; everything else is sent
// again by the schedule, and nothing disables a subscription.
//
// An event has the tenant's id as Tenant, the subjectId as text as Scope and
// one of the three types. The zero value sends no key and uses [Documented].
// A Dialect is safe for concurrent use as long as its fields are left alone.
type Dialect struct {
	// Keys returns the webhook key of a tenant, false if it has none. It is
	// asked at every attempt, so that a new key counts at once. Nil: no tenant
	// has one. See [Tenants.WebhookKey].
	Keys func(tenant string) (registry.Secret, bool)
	// Backoff is the schedule of resends. Nil is [Documented].
	Backoff delivery.Backoff
}

var (
	_ delivery.Dialect  = Dialect{}
	_ delivery.Enduring = Dialect{}
)

// errWebhookKey says that a key cannot stand in a header. It fails the attempt,
// because sending without the key would not be what the tenant asked for.
var errWebhookKey = errors.New("ednapulse: the webhook key is not 1 to 256 printable ASCII characters")

// Check reports what is wrong with an event, as an error that wraps
// delivery.ErrInvalid: another dialect or type, no tenant, a scope that is no
// subjectId, data that is not JSON.
func (d Dialect) Check(ev delivery.Event) error {
	invalid := func(what string) error { return fmt.Errorf("%w: %s", delivery.ErrInvalid, what) }
	switch {
	case ev.Dialect != Name:
		return invalid("another dialect")
	case !validType(ev.Type):
		return invalid("the type is none of status, inMessage, messageMatcher")
	case ev.Tenant == "":
		return invalid("no tenant") // the registry would match every tenant
	case ev.Scope != "" && !validScope(ev.Scope):
		return invalid("the scope is not a subjectId")
	case !json.Valid(ev.Data):
		return invalid("the data is not JSON")
	}
	return nil
}

// validScope reports whether s is a subjectId as this package writes it.
func validScope(s string) bool {
	n, err := strconv.ParseInt(s, 10, 64)
	return err == nil && strconv.FormatInt(n, 10) == s
}

// Encode implements [delivery.Dialect]: the body is the event's data.
func (d Dialect) Encode(ev delivery.Event, sub registry.Subscription) (delivery.Payload, error) {
	if err := d.Check(ev); err != nil {
		return delivery.Payload{}, err
	}
	if ev.Tenant != sub.Tenant {
		return delivery.Payload{}, fmt.Errorf("%w: subscription of another tenant", delivery.ErrInvalid)
	}
	return delivery.Payload{ContentType: mediaJSON, Body: bytes.Clone(ev.Data)}, nil
}

// Request implements [delivery.Dialect].
func (d Dialect) Request(ctx context.Context, dl delivery.Delivery, sub registry.Subscription, _ time.Time) (*http.Request, error) {
	req, err := delivery.NewRequest(ctx, dl, sub.URL)
	if err != nil || d.Keys == nil {
		return req, err
	}
	key, ok := d.Keys(sub.Tenant)
	if !ok {
		return req, nil
	}
	if !validKey(key.Reveal()) {
		return nil, errWebhookKey
	}
	req.Header["Authorization"] = []string{"Token " + key.Reveal()}
	return req, nil
}

// Judge implements [delivery.Dialect]: 200 is accepted, all else tried again.
func (d Dialect) Judge(status int, _ http.Header, _ []byte) delivery.Verdict {
	if status == http.StatusOK {
		return delivery.VerdictAccepted
	}
	return delivery.VerdictRetry
}

// Endures implements [delivery.Enduring]: a callback stays set however long it
// fails.
func (d Dialect) Endures(registry.Subscription) bool { return true }

// Schedule implements [delivery.Dialect].
func (d Dialect) Schedule(registry.Subscription) delivery.Backoff {
	if d.Backoff == nil {
		return Documented()
	}
	return d.Backoff
}

// NewSubscription returns what wants the events of one type: of one channel,
// whose subjectId is scope in decimal, or, with an empty scope, of all channels
// of the tenant that have no row of their own. url must have passed the egress
// policy.
func NewSubscription(tenant, scope, typ, url string) registry.Subscription {
	return registry.Subscription{
		Dialect: Name,
		Tenant:  tenant,
		Scope:   scope,
		Slot:    typ,
		Types:   []string{typ},
		URL:     url,
	}
}
