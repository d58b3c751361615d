package egress

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/ringback-go/ringback/internal/consent"
)

// The fields of the handshake, as net/http spells them.
const (
	requestOrigin = "Webhook-Request-Origin"
	requestRate   = "Webhook-Request-Rate"
	allowedOrigin = "Webhook-Allowed-Origin"
	allowedRate   = "Webhook-Allowed-Rate"
)

// Handshake is a [Prover] that asks for consent as the CloudEvents web hooks do (HTTP 1.1 Web Hooks for
// Event Delivery 1.0.2, section 4): OPTIONS with WebHook-Request-Origin. Consent is the field
// WebHook-Allowed-Origin with that very origin or an asterisk, once, on an answer of 2xx; a
// status alone is none. The rate it allows is in [Proof.PerMinute]; store it as
// registry.Limits.PerSecond, and the engine keeps to it.
//
// Consent by WebHook-Request-Callback is not offered: the registration would have to wait for a
// stranger. The zero value proves nothing; Client and Origin are needed. Safe for concurrent use.
type Handshake struct {
	Client *Client
	// Origin is the sending system's DNS name, such as "events.example.com".
	Origin string
	// Rate is how many requests a minute are asked for; 0 asks for no number.
	Rate int
}

// Prove asks for consent. Errors are those of [Client.Resolve] and [Client.Do], [ErrProbe] for an
// answer that is no consent or names no readable rate, and [ErrConfig] for a Handshake that cannot
// ask.
func (p Handshake) Prove(ctx context.Context, rawURL string) (Proof, error) {
	if !consent.Origin(p.Origin) || p.Origin == "*" || p.Rate < 0 || p.Rate > consent.MaxRate {
		return Proof{}, fmt.Errorf("%w: Handshake.Origin takes a DNS name, Rate 0 to %d", ErrConfig, consent.MaxRate)
	}
	u, err := checked(p.Client, rawURL)
	if err != nil {
		return Proof{}, err
	}
	q := question{method: http.MethodOptions, target: u.text, header: http.Header{requestOrigin: {p.Origin}}}
	if p.Rate > 0 {
		q.header[requestRate] = []string{strconv.Itoa(p.Rate)}
	}
	proof := Proof{URL: u}
	err = p.Client.visit(ctx, u, q, func(response *http.Response) (err error) {
		proof.PerMinute, err = p.granted(response)
		return err
	})
	if err != nil {
		return Proof{}, err
	}
	return proof, nil
}

// granted reads the consent and the rate. What the endpoint allows beyond the rate that was asked for is
// not used; without a number it is that rate.
func (p Handshake) granted(response *http.Response) (perMinute int, err error) {
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return 0, fmt.Errorf("%w: status %s", ErrProbe, strconv.Itoa(response.StatusCode))
	}
	origins, rates := response.Header[allowedOrigin], response.Header[allowedRate]
	if len(origins) != 1 || origins[0] != p.Origin && origins[0] != "*" {
		return 0, fmt.Errorf("%w: no consent to this origin", ErrProbe)
	}
	if len(rates) == 0 || len(rates) == 1 && rates[0] == "*" {
		return p.Rate, nil
	}
	allowed, ok := consent.Rate(rates[0])
	if len(rates) > 1 || !ok {
		return 0, fmt.Errorf("%w: not a rate", ErrProbe)
	}
	if p.Rate > 0 {
		allowed = min(allowed, p.Rate)
	}
	return allowed, nil
}
