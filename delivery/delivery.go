package delivery

import "time"

// A Delivery is one event on its way to one subscription: what a [Store] keeps
// and the engine leases. Body and Meta are handed over with it: neither side
// changes them from then on.
type Delivery struct {
	// ID is unique: the EventID, or that with a dot and more behind it; see
	// [DeliveryID].
	ID string
	// EventID is the webhook-id of every request.
	EventID string
	// SubscriptionID is the endpoint, resolved at every attempt. Empty for a
	// marker: it is never leased nor listed, the store only remembers its ID.
	SubscriptionID string
	// Lane is the queue it waits in. Empty is SubscriptionID.
	Lane string
	// Key asks for order among the lane's deliveries with the same key.
	Key string
	// Dialect, Type and Tenant are the event's.
	Dialect, Type, Tenant string
	// ContentType, Body and Meta are what [Dialect.Encode] made of the event.
	ContentType string
	Body        []byte
	Meta        map[string]string
	// TraceParent is the event's.
	TraceParent string
	// PublishedAt is when Publish took the event.
	PublishedAt time.Time
	// Ahead puts it before all that waits in its lane; the others wait for its
	// first attempt.
	Ahead bool
	// DelayIn, if positive, is how long after Enqueue the first attempt may
	// start. Stores read it once, when they take the delivery.
	DelayIn time.Duration
	// ExpiresIn, if positive, is how long after Enqueue it is dead at the
	// latest. Stores read it once, when they take the delivery.
	ExpiresIn time.Duration
	// Attempts is how many attempts have been made. Stores set it on the way
	// out; the next attempt is number Attempts+1.
	Attempts int
}

// LaneName returns Lane, or SubscriptionID where that is empty.
func (d *Delivery) LaneName() string {
	if d.Lane != "" {
		return d.Lane
	}
	return d.SubscriptionID
}

// An Attempt is one HTTP try, as the attempt log keeps it.
type Attempt struct {
	// Number counts from 1 over the life of the delivery.
	Number int
	// At is when it began, Duration how long it took until the answer's end.
	At       time.Time
	Duration time.Duration
	// Status is the answer's, 0 if none came.
	Status int
	// Class is a word for what went wrong, empty for an accepted attempt:
	// "status", "timeout", "dns", "tls", "conn", "addr_denied", "bad_url",
	// "bad_response", "unknown" (cut off by a shutdown), "internal".
	Class string
	// Error says it in a sentence for operators, without any secret.
	Error string
	// Response is the beginning of the answer's body, MaxResponse bytes at most.
	Response []byte

	// Verdict and RetryAfter are what the answer asked for. They are not kept
	// in the log.
	Verdict    Verdict
	RetryAfter time.Duration
}

// MaxResponse is how many bytes of an answer's body the attempt log keeps.
const MaxResponse = 4 << 10

// State is where a delivery stands.
type State string

const (
	// Pending deliveries wait or are being attempted.
	Pending State = "pending"
	// Delivered ones were accepted.
	Delivered State = "delivered"
	// Dead ones were given up; see [Status.Reason].
	Dead State = "dead"
)

// A Status is a delivery and how far it has come, as a [Browser] shows it.
type Status struct {
	Delivery
	State State
	// LastStatus and LastError are the latest attempt's.
	LastStatus int
	LastError  string
	// Reason says why a dead delivery is dead.
	Reason string
	// NextAttemptAt is when a pending delivery may be attempted; zero once it
	// is settled.
	NextAttemptAt time.Time
	// SettledAt is when it was delivered or given up; zero while pending.
	SettledAt time.Time
}

// Reasons of dead deliveries that are not a failure's own text.
const (
	ReasonRemoved   = "registration removed"
	ReasonGone      = "gone"
	ReasonExpired   = "expired"
	ReasonCancelled = "cancelled"
)
