package egress

import (
	"context"
	"fmt"
	"strings"
)

// A Prover finds out whether callbacks may be sent to a URL. These are here, from the weakest proof
// to the strongest:
//
//	Resolution  the name is a public one; nobody is asked
//	Existence   somebody answers HEAD with 200
//	Challenge   who answers reads our question
//	Handshake   who answers says yes to us by name, and how many requests it takes
//
// None of them proves who owns a URL for ever: have registrations expire
// (registry.Subscription.ExpiresAt) and prove again when they are renewed. All of them go through
// the guarded [Client], take 5 s at most, follow nothing and send no credentials.
type Prover interface {
	// Prove returns the proof, or why there is none. The error of a URL that is refused as text, before
	// anything was looked up, matches [ErrURL]; one of a limit in front of the Prover matches
	// [ErrTooMany].
	Prove(ctx context.Context, rawURL string) (Proof, error)
}

// Proof is what a [Prover] found out.
type Proof struct {
	// URL is the URL in its canonical spelling, which is what is to be stored.
	URL URL
	// PerMinute is how many requests a minute the endpoint takes; 0 when it named no bound.
	PerMinute int
}

// PerSecond is PerMinute as registry.Limits wants it; 0 is no bound.
func (p Proof) PerSecond() float64 { return float64(p.PerMinute) / 60 }

// Resolution is [Client.Resolve] as a [Prover]: no request is sent. The zero value proves nothing.
type Resolution struct{ Client *Client }

// Prove looks the name up.
func (p Resolution) Prove(ctx context.Context, rawURL string) (Proof, error) {
	u, err := checked(p.Client, rawURL)
	if err != nil {
		return Proof{}, err
	}
	if _, err = p.Client.resolveAll(ctx, u); err != nil {
		return Proof{}, err
	}
	return Proof{URL: u}, nil
}

// Existence is [Client.Probe] as a [Prover]. It is a weak proof: most servers answer HEAD, also those
// of people who never asked for callbacks. The zero value proves nothing.
type Existence struct{ Client *Client }

// Prove asks with HEAD.
func (p Existence) Prove(ctx context.Context, rawURL string) (Proof, error) {
	u, err := checked(p.Client, rawURL)
	if err != nil {
		return Proof{}, err
	}
	if err = p.Client.Probe(ctx, u.text); err != nil {
		return Proof{}, err
	}
	return Proof{URL: u}, nil
}

var (
	_ Prover = Resolution{}
	_ Prover = Existence{}
	_ Prover = Challenge{}
	_ Prover = Handshake{}
)

// checked judges a URL as text for a Prover.
func checked(c *Client, rawURL string) (URL, error) {
	if c == nil {
		return URL{}, fmt.Errorf("%w: a Prover without a Client", ErrConfig)
	}
	return c.Check(rawURL)
}

// withQuery adds one parameter, which needs no escapes, to a canonical URL.
func withQuery(u URL, name, value string) string {
	separator := "?"
	if strings.Contains(u.text, "?") {
		separator = "&"
	}
	return u.text + separator + name + "=" + value
}
