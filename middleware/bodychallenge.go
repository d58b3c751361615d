package middleware

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"net/http"

	"github.com/ringback-go/ringback/internal/strictjson"
)

// BodyChallenge answers challenges that come as a signed message, as Slack's
// do: a JSON object whose member type is url_verification is answered with its
// member challenge, as text/plain; it is 400 when that is not a text of up to
// 1,024 printable ASCII characters. Other requests pass.
//
// A [Body] gate must stand outside, else every request is refused with 500,
// and [Signature], or anybody can ask.
//
// The zero value is Slack's.
type BodyChallenge struct {
	// Type is the value of the member type. Empty means url_verification.
	Type string
	// Deny writes refusals. Nil is [Problem].
	Deny DenyFunc
	// Logger gets the causes. Nil is slog.Default().
	Logger *slog.Logger
}

// Check returns the challenge to send back, and whether r is one. The error is
// an [*Error] of class [ErrHandshake], or [ErrConfig] without a [Body] gate.
func (g BodyChallenge) Check(r *http.Request) (challenge string, asked bool, err error) {
	raw, ok := RawBody(r)
	if !ok {
		return "", false, &Error{Err: wrap(ErrConfig, errNoBody)}
	}
	kind := g.Type
	if kind == "" {
		kind = "url_verification"
	}
	// Nearly all requests are none, and need not be decoded for that. One
	// that writes the type with escapes is none, either.
	if !bytes.Contains(raw, []byte(kind)) {
		return "", false, nil
	}
	return decodeChallenge(raw, kind)
}

func decodeChallenge(raw []byte, kind string) (challenge string, asked bool, err error) {
	var m struct {
		Type      json.RawMessage `json:"type"`
		Challenge json.RawMessage `json:"challenge"`
	}
	if err := strictjson.Unmarshal(raw, &m); err != nil {
		return "", false, nil //nolint:nilerr // Payload's to judge
	}
	if is, ok := jsonText(m.Type); !ok || is != kind {
		return "", false, nil
	}
	if challenge, asked = jsonText(m.Challenge); !asked || !printable(challenge) {
		return "", true, &Error{Err: ErrHandshake}
	}
	return challenge, true, nil
}

// jsonText reads a JSON string.
func jsonText(raw json.RawMessage) (text string, ok bool) {
	ok = json.Unmarshal(raw, &text) == nil
	return text, ok
}

// Handler returns the gate in front of next. It panics when next is nil and
// when the order is wrong.
func (g BodyChallenge) Handler(next http.Handler) http.Handler {
	return wire("BodyChallenge", rankChallenge, next, func(w http.ResponseWriter, r *http.Request) {
		challenge, asked, err := g.Check(r)
		switch {
		case err != nil:
			refuse(w, r, "BodyChallenge", err, g.Deny, g.Logger)
		case !asked:
			next.ServeHTTP(w, r)
		default:
			sendBack(w, challenge)
		}
	})
}
