package delivery

import (
	"crypto/sha256"
	"strings"
	"time"

	"github.com/ringback-go/ringback/internal/ids"
)

// An Event is an immutable fact that subscribers want to hear of. The zero
// value is not valid: Dialect and Type are needed.
type Event struct {
	// ID names the event for ever and is the webhook-id of every request made
	// for it: 1 to 256 printable ASCII characters without a dot. Empty, Publish
	// makes one ("msg_…"). Publishing an ID again is harmless: it is answered as
	// the first time, whatever else the event says. IDs that tenants choose want
	// the tenant's name in them, or two tenants' events pass for one.
	ID string
	// Dialect names the entry of [Config.Dialects] that encodes the event.
	Dialect string
	// Tenant, Scope and Type address the event; see [registry.Topic]. Without a
	// Tenant it goes to all tenants' subscriptions of its Scope; without both only
	// to such as have no tenant either: it is [ErrInvalid] where others would match.
	Tenant, Scope, Type string
	// Key, not empty, asks for order: deliveries of one endpoint with the same
	// key go out one after another, in the order in which Publish returned.
	Key string
	// Data is the payload as the dialect takes it, MaxData bytes at most.
	Data []byte
	// Meta is what the dialect wants beside the data.
	Meta map[string]string
	// At is when it happened. Zero is the time of Publish.
	At time.Time
	// ExpiresIn, if positive, ends the wait: what is not delivered so long
	// after Publish is dead with the reason "expired".
	ExpiresIn time.Duration
	// To, not empty, sends the event to this subscription alone, whatever
	// types it asked for.
	To string
	// Ahead puts the delivery before all that waits for the endpoint; the
	// others wait for its first attempt, not for its success.
	Ahead bool
	// TraceParent is the W3C trace context of the publisher, kept with the
	// deliveries. It may be empty.
	TraceParent string
}

// Bounds of an event.
const (
	MaxID   = 256       // bytes of Event.ID
	MaxKey  = 256       // bytes of Event.Key
	MaxData = 256 << 10 // bytes of Event.Data
)

// NewEventID returns a new event ID, "msg_" and a UUIDv7 in 26 letters and
// digits that sort by time.
func NewEventID() string { return ids.New("msg") }

// ValidEventID reports whether id may name an event: 1 to 256 printable ASCII
// characters other than space and dot, as Standard Webhooks asks.
func ValidEventID(id string) bool {
	if id == "" || len(id) > MaxID {
		return false
	}
	for i := range len(id) {
		if c := id[i]; c <= ' ' || c > '~' || c == '.' {
			return false
		}
	}
	return true
}

// DeliveryID returns the ID of the delivery of an event to a subscription: a
// function of both, so that publishing twice stores once. Event IDs hold no
// dot, hence no two pairs share an ID. The prefix that made subscription IDs
// have is left out.
func DeliveryID(eventID, subscriptionID string) string {
	rest, ok := strings.CutPrefix(subscriptionID, "sub_")
	if !ok || strings.HasPrefix(rest, ".") {
		rest = "." + subscriptionID // somebody's own: kept apart from the others
	}
	return eventID + "." + rest
}

// derivedEventID names an event that the engine makes from a subscription by
// itself, the same one whenever it is asked again.
func derivedEventID(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return ids.Format("msg", [16]byte(sum[:16]))
}
