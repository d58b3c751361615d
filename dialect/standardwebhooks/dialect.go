package standardwebhooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ringback-go/ringback/delivery"
	"github.com/ringback-go/ringback/internal/strictjson"
	"github.com/ringback-go/ringback/registry"
	"github.com/ringback-go/ringback/verify"
)

// Name is the dialect's name in subscriptions, events and
// [github.com/ringback-go/ringback/delivery.Config.Dialects].
const Name = "standard"

// The headers, spelled as the specification spells them;
// [delivery.HeaderID] is the third.
const (
	HeaderTimestamp = "webhook-timestamp"
	HeaderSignature = "webhook-signature"
)

const contentType = "application/json"

// Dialect sends Standard Webhooks. It implements [delivery.Dialect]. The zero
// value is ready for use; it must not be copied after first use. It is safe
// for concurrent use.
type Dialect struct{ signers signers }

var _ delivery.Dialect = (*Dialect)(nil)

// A Message is the body that this dialect sends, for those who receive it.
type Message struct {
	// Type is the event's type.
	Type string `json:"type" validate:"required"`
	// Timestamp is when the event happened; webhook-timestamp is when it was
	// sent.
	Timestamp time.Time `json:"timestamp" validate:"required"`
	// Data is the event's data.
	Data json.RawMessage `json:"data" validate:"required"`
}

// NewSubscription makes a subscription with a fresh secret for the engine's
// Subscribe, and returns the secret, which is to be shown to the customer once
// and not kept elsewhere. The URL should be in the canonical spelling of
// egress.Client.Check; it is not judged here.
func NewSubscription(tenant, url string, types ...string) (sub registry.Subscription, secret string) {
	secret = verify.GenerateSecret()
	return registry.Subscription{
		Dialect: Name, Tenant: tenant, URL: url, Types: types,
		Secrets: []registry.Secret{registry.NewSecret(secret)},
	}, secret
}

// Check reports what Encode would refuse, for those who want to know it of an
// event that nobody may have subscribed to. Errors wrap [delivery.ErrInvalid].
func (*Dialect) Check(ev delivery.Event) error {
	if ev.Type == "" || !utf8.ValidString(ev.Type) {
		return fmt.Errorf("%w: standardwebhooks: the type is empty or not UTF-8", delivery.ErrInvalid)
	}
	if year := ev.At.UTC().Year(); year < 0 || year > 9999 {
		return fmt.Errorf("%w: standardwebhooks: the time has no RFC 3339 form", delivery.ErrInvalid)
	}
	if len(ev.Data) == 0 {
		return fmt.Errorf("%w: standardwebhooks: no data: an event without any has null", delivery.ErrInvalid)
	}
	if err := strictjson.Check(ev.Data, 0); err != nil {
		return fmt.Errorf("%w: standardwebhooks: data: %w", delivery.ErrInvalid, err)
	}
	return nil
}

// CheckSubscription implements [delivery.SubscriptionChecker]: without a secret, or
// with one that nothing can be signed with, nothing could be sent. Who embeds the
// Dialect and signs otherwise replaces it.
func (d *Dialect) CheckSubscription(sub registry.Subscription) error {
	if _, err := d.sign(sub.Secrets, "check", time.Unix(0, 0), nil); err != nil {
		return &delivery.Error{Field: "Secrets", Err: err}
	}
	return nil
}

// Encode makes the body {"type","timestamp","data"}: compact, the time of the
// event in UTC with as many digits as it has. The data may be any JSON text;
// numbers, escapes and the order of members stay as they are.
func (d *Dialect) Encode(ev delivery.Event, _ registry.Subscription) (delivery.Payload, error) {
	if err := d.Check(ev); err != nil {
		return delivery.Payload{}, err
	}
	const frame = len(`{"type":"","timestamp":"","data":}`)
	body := make([]byte, 0, frame+len(ev.Type)+len(time.RFC3339Nano)+len(ev.Data))
	body = append(body, `{"type":`...)
	body = appendString(body, ev.Type)
	body = append(body, `,"timestamp":"`...)
	body = ev.At.UTC().AppendFormat(body, time.RFC3339Nano)
	body = append(body, `","data":`...)
	body = appendCompact(body, ev.Data)
	return delivery.Payload{ContentType: contentType, Body: append(body, '}')}, nil
}

// appendString appends s, which is UTF-8, as a JSON string with the escapes
// that JSON demands and no others.
func appendString(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '"')
}

// appendCompact appends data, which is valid JSON, without the white space
// between its tokens.
func appendCompact(dst, data []byte) []byte {
	start := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			i += stringEnd(data[i:])
		case ' ', '\n', '\t', '\r':
			dst = append(dst, data[start:i]...)
			start = i + 1
		}
	}
	return append(dst, data[start:]...)
}

// stringEnd returns the index of the quote that ends the string at the
// beginning of data.
func stringEnd(data []byte) int {
	for i, quote := 1, 0; ; {
		if quote < i { // the last one was escaped
			quote = i + bytes.IndexByte(data[i:], '"')
		}
		escape := bytes.IndexByte(data[i:quote], '\\')
		if escape < 0 {
			return quote
		}
		i += escape + 2 // what is escaped ends nothing
	}
}

// errUnsigned never fails an attempt that could be signed.
var errUnsigned = errors.New("standardwebhooks: the subscription has no secret")

// Request posts the body to the subscription's URL, signed with all of its
// secrets at the time of the attempt. Without a secret the delivery is dead;
// with one that cannot be used the attempt fails, so that it can be repaired.
func (d *Dialect) Request(ctx context.Context, dl delivery.Delivery, sub registry.Subscription, at time.Time) (*http.Request, error) {
	signature, err := d.sign(sub.Secrets, dl.EventID, at, dl.Body)
	if err != nil {
		return nil, err
	}
	req, err := delivery.NewRequest(ctx, dl, sub.URL)
	if err != nil {
		return nil, err
	}
	values := [2]string{strconv.FormatInt(at.Unix(), 10), signature}
	req.Header[HeaderTimestamp] = values[0:1:1] // the wire's spelling, so not by Set
	req.Header[HeaderSignature] = values[1:2:2]
	return req, nil
}

func (d *Dialect) sign(secrets []registry.Secret, id string, at time.Time, body []byte) (string, error) {
	switch len(secrets) {
	case 0:
		return "", delivery.Permanent(errUnsigned)
	case 1:
		return d.signOne(secrets[0], id, at, body)
	}
	all := make([]string, len(secrets))
	for i, secret := range secrets {
		var err error
		if all[i], err = d.signOne(secret, id, at, body); err != nil {
			return "", err
		}
	}
	return strings.Join(all, " "), nil
}

func (d *Dialect) signOne(secret registry.Secret, id string, at time.Time, body []byte) (string, error) {
	s, err := d.signers.get(secret)
	if err != nil {
		return "", fmt.Errorf("standardwebhooks: %w", err)
	}
	signature, err := s.Sign(id, at, body)
	if err != nil {
		return "", fmt.Errorf("standardwebhooks: %w", err)
	}
	return signature, nil
}

// Judge is [delivery.Judge].
func (*Dialect) Judge(status int, _ http.Header, _ []byte) delivery.Verdict {
	return delivery.Judge(status)
}

// Schedule is [delivery.Standard].
func (*Dialect) Schedule(registry.Subscription) delivery.Backoff { return delivery.Standard() }
