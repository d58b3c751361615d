package egress

import (
	"errors"
	"net/netip"
)

var (
	// ErrURL is in every refusal of a URL as text, a refused literal address included.
	// It is final: the same URL is refused again until the policy changes.
	ErrURL = errors.New("egress: url refused")

	// ErrAddress is in every refusal of an address, literal or resolved.
	ErrAddress = errors.New("egress: address refused")

	// ErrLiteral is in the refusal of an address, or of its port, written in the URL. Final, as ErrURL.
	ErrLiteral = errors.New("egress: literal address refused")

	// ErrResolvedAddress is in the refusal of an address, or of its port, that a name resolved to.
	// It may pass: DNS can be repaired.
	ErrResolvedAddress = errors.New("egress: resolved address refused")

	// ErrResolve says that a name gave no address. The *net.DNSError, where there was one, is wrapped
	// without the resolver's own address. It may pass.
	ErrResolve = errors.New("egress: name not resolved")

	// ErrProbe says that an endpoint answered [Client.Probe] with something else than 200.
	ErrProbe = errors.New("egress: probe not answered with 200")

	// ErrResponse says that an answer was not HTTP or over the bounds; its bytes are not in the text.
	ErrResponse = errors.New("egress: answer is not acceptable HTTP")

	// ErrIdempotencyKey says that a request carried Idempotency-Key or X-Idempotency-Key,
	// with which net/http would resend it by itself, unseen by the attempt log.
	ErrIdempotencyKey = errors.New("egress: Idempotency-Key is never sent")

	// ErrFraming says that a request carried Host, Trailer, Content-Length or Transfer-Encoding spelled so
	// that net/http would send it beside its own.
	ErrFraming = errors.New("egress: a header that frames the request")

	// ErrConfig is in every error of [New] and [Policy.Validate].
	ErrConfig = errors.New("egress: config")
)

// Reason is the word that tells a customer what is wrong with a URL.
type Reason string

// The reasons, in the order in which they are looked for: the first that applies is given.
const (
	ReasonLength   Reason = "length"   // longer than 8,192 bytes
	ReasonScheme   Reason = "scheme"   // not https:// (nor http://, where that is allowed)
	ReasonUserinfo Reason = "userinfo" // something before an @ in the authority
	ReasonHost     Reason = "host"     // empty, not a public name, a number spelling, a zone
	ReasonPort     Reason = "port"     // not a port, or not an allowed one
	ReasonAddress  Reason = "address"  // a literal address that may not be called
	ReasonSyntax   Reason = "syntax"   // characters, escapes, fragment
)

// Error is a refusal by the policy. Use errors.Is with [ErrURL], [ErrAddress], [ErrLiteral] or
// [ErrResolvedAddress] to tell the kinds apart. Its text names neither the URL nor an address.
type Error struct {
	// Reason is the word for the customer. For an address it is ReasonAddress or ReasonPort.
	Reason Reason
	// Detail is a fixed phrase for the operator.
	Detail string
	// Addr is the refused address; the zero Addr when it was the URL's text.
	Addr netip.Addr

	kind error // ErrURL, ErrLiteral, ErrResolvedAddress or ErrAddress
}

// Error gives the kind, the reason and the detail.
func (e *Error) Error() string {
	kind := e.kind
	if kind == nil {
		kind = ErrURL
	}
	return kind.Error() + ": " + string(e.Reason) + ": " + e.Detail
}

// Is reports whether the refusal is of the kind of target.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrURL:
		return e.kind == nil || e.kind == ErrURL || e.kind == ErrLiteral
	case ErrAddress:
		return e.kind == ErrAddress || e.kind == ErrLiteral || e.kind == ErrResolvedAddress
	case ErrLiteral, ErrResolvedAddress:
		return e.kind == target
	}
	return false
}

func refuse(reason Reason, detail string) *Error {
	return &Error{Reason: reason, Detail: detail, kind: ErrURL}
}
