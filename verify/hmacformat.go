package verify

import (
	"net/textproto"
	"strings"
	"time"
)

// Encoding is how a signature is written. The zero Encoding is [Hex].
type Encoding uint8

// The encodings of an [HMACFormat].
const (
	// Hex is 64 hexadecimal digits of either letter case.
	Hex Encoding = iota
	// Base64 is the padded standard alphabet, 44 characters.
	Base64
)

// HMACFormat is how one platform signs with HMAC-SHA256, as data. [GitHub],
// [Stripe], [Slack] and [Shopify] return the formats of those platforms; other
// platforms are described by hand and checked by [NewHMAC]. The zero
// HMACFormat is refused.
type HMACFormat struct {
	// Name is the scheme's name in [Identity.Scheme] and in errors: lower
	// case letters, digits and hyphens. Required.
	Name string
	// Header carries the signature. Required.
	Header string
	// List says that Header holds items separated by commas. Those that
	// begin with Prefix are signatures, any of which may match; items of
	// other kinds are skipped. Otherwise Header holds one signature.
	List bool
	// Prefix stands before the signature, such as "sha256=", in exactly this
	// letter case. Required in a list.
	Prefix string
	// Encoding is how the signature is written behind Prefix.
	Encoding Encoding
	// Signed is the text under the signature. The names {timestamp}, {id},
	// {method}, {url} and {body} in braces stand for parts of the message,
	// all else for itself. {body} must be there once, and the others at most
	// once. Empty means "{body}".
	Signed string
	// TimestampHeader carries the time of sending; it must be in Signed.
	TimestampHeader string
	// TimestampPrefix marks the item of a list that carries the time of
	// sending, instead of TimestampHeader.
	TimestampPrefix string
	// TimestampUnit is time.Second or time.Millisecond; 0 means a second.
	TimestampUnit time.Duration
	// Tolerance is how far the time of sending may be from [Message.At], to
	// both sides and ends included; 0 means [DefaultTolerance]. Without a
	// time of sending it must be 0, and then replays are found by
	// [Identity.MessageID] alone.
	Tolerance time.Duration
	// IDHeader carries the message's id, which becomes [Identity.MessageID].
	// Empty means that the platform has none. An id that is not in Signed is
	// not covered: whoever replays a message can give it another one.
	IDHeader string
	// Origin, such as "https://hooks.example.com", stands at the beginning
	// of {url}; a proxy may have changed the Host that arrives here. Empty
	// means "https://" and the Host of the message.
	Origin string
}

// GitHub is the format of GitHub's webhooks
// (https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries).
// [Key.Secret] is the secret as typed there. Only the body is covered: not
// the time, and not X-GitHub-Delivery, which becomes the MessageID.
func GitHub() HMACFormat {
	return HMACFormat{Name: "github", Header: "X-Hub-Signature-256", Prefix: "sha256=", IDHeader: "X-Github-Delivery"}
}

// Stripe is the format of Stripe's webhooks
// (https://docs.stripe.com/webhooks/signature). [Key.Secret] is the printed
// secret, its whsec_ included. Time and body are covered. The event's id is in
// the body, so that MessageID is empty.
func Stripe() HMACFormat {
	return HMACFormat{
		Name: "stripe", Header: "Stripe-Signature", List: true, Prefix: "v1=",
		TimestampPrefix: "t=", Signed: "{timestamp}.{body}",
	}
}

// Slack is the format of requests from Slack
// (https://docs.slack.dev/authentication/verifying-requests-from-slack).
// [Key.Secret] is the signing secret as printed. Time and body are covered.
// MessageID is empty.
func Slack() HMACFormat {
	return HMACFormat{
		Name: "slack", Header: "X-Slack-Signature", Prefix: "v0=",
		TimestampHeader: "X-Slack-Request-Timestamp", Signed: "v0:{timestamp}:{body}",
	}
}

// Shopify is the format of Shopify's webhooks
// (https://shopify.dev/docs/apps/build/webhooks/subscribe/https).
// [Key.Secret] is the app's client secret as printed. Only the body is
// covered: not the time, and not X-Shopify-Webhook-Id, which becomes the
// MessageID.
func Shopify() HMACFormat {
	return HMACFormat{Name: "shopify", Header: "X-Shopify-Hmac-Sha256", Encoding: Base64, IDHeader: "X-Shopify-Webhook-Id"}
}

func (f HMACFormat) timed() bool { return f.TimestampHeader != "" || f.TimestampPrefix != "" }

// checked returns the format with its defaults filled in.
func (f HMACFormat) checked() (HMACFormat, error) {
	name := f.Name
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || name == "" {
		return f, configError("hmac", "Name", "needs lower case letters, digits and hyphens, such as \"acme\"")
	}
	bad := func(field, why string) (HMACFormat, error) { return f, configError(name, field, why) }
	for _, h := range [...]struct {
		field    string
		value    *string
		required bool
	}{{"Header", &f.Header, true}, {"TimestampHeader", &f.TimestampHeader, false}, {"IDHeader", &f.IDHeader, false}} {
		if *h.value == "" && !h.required {
			continue
		}
		if !headerName(*h.value) {
			return bad(h.field, "needs the name of a header")
		}
		*h.value = textproto.CanonicalMIMEHeaderKey(*h.value)
	}
	switch {
	case f.Header == f.TimestampHeader, f.Header == f.IDHeader, f.IDHeader != "" && f.IDHeader == f.TimestampHeader:
		return bad("Header", "carries two things, give each its own header")
	case f.Encoding > Base64:
		return bad("Encoding", "is neither Hex nor Base64")
	case f.Prefix != "" && !printable(f.Prefix), f.TimestampPrefix != "" && !printable(f.TimestampPrefix):
		return bad("Prefix", "is not printable ASCII without spaces")
	case f.List && (f.Prefix == "" || strings.Contains(f.Prefix+f.TimestampPrefix, ",")):
		return bad("Prefix", "a list needs one without a comma, to know its signatures by")
	case f.TimestampPrefix != "" && !f.List:
		return bad("TimestampPrefix", "is for lists, set List or use TimestampHeader")
	case f.TimestampPrefix != "" && f.TimestampHeader != "":
		return bad("TimestampPrefix", "and TimestampHeader are both set, the time must stand in one place")
	case f.TimestampPrefix != "" && (strings.HasPrefix(f.Prefix, f.TimestampPrefix) || strings.HasPrefix(f.TimestampPrefix, f.Prefix)):
		return bad("TimestampPrefix", "and Prefix cannot be told apart")
	case f.TimestampUnit != 0 && f.TimestampUnit != time.Second && f.TimestampUnit != time.Millisecond:
		return bad("TimestampUnit", "is neither a second nor a millisecond")
	case f.Tolerance < 0:
		return bad("Tolerance", "negative")
	case !f.timed() && (f.Tolerance != 0 || f.TimestampUnit != 0):
		return bad("Tolerance", "needs a TimestampHeader or TimestampPrefix to judge by")
	}
	if f.Tolerance == 0 {
		f.Tolerance = DefaultTolerance
	}
	if f.Signed == "" {
		f.Signed = "{body}"
	}
	return f, nil
}

// headerName reports whether s is a token of RFC 9110.
func headerName(s string) bool {
	for i := range len(s) {
		c := lower(s[i])
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}
