package verify

import (
	"errors"
	"strings"
)

// The classes of refusal, to be looked for with [errors.Is]. The last three
// do not speak about the message.
var (
	// ErrMissing: a required input is absent or empty.
	ErrMissing = errors.New("verify: missing")
	// ErrMalformed: an input does not have the form that the scheme demands.
	ErrMalformed = errors.New("verify: malformed")
	// ErrRepeated: an input that must stand once stands more often.
	ErrRepeated = errors.New("verify: given more than once")
	// ErrUnknown: the message names a party or key that is none of ours.
	ErrUnknown = errors.New("verify: unknown party or key")
	// ErrMismatch: the signature, secret or token is not the right one.
	ErrMismatch = errors.New("verify: does not match")
	// ErrExpired: the message is older than the window allows.
	ErrExpired = errors.New("verify: too old")
	// ErrNotYet: the message is dated further ahead than the window allows.
	ErrNotYet = errors.New("verify: too far in the future")

	// ErrLookup: the look-up of a key failed; nothing is known about the
	// message.
	ErrLookup = errors.New("verify: look-up failed")
	// ErrEmptyKey: a constructor was given an empty key, or a signer has no
	// key that is still valid.
	ErrEmptyKey = errors.New("verify: empty key")
	// ErrConfig: a constructor was given values it cannot use, or a zero
	// value was used.
	ErrConfig = errors.New("verify: bad configuration")
)

// Error is a refusal with its place. Its text is for operators: it never
// contains key material, signatures or body bytes, and should not be shown to
// the sender.
type Error struct {
	// Scheme is the name of the scheme, as in [Identity.Scheme].
	Scheme string
	// Field is the input that was looked at, such as a header's name; it may
	// be empty.
	Field string
	// Err is one of this package's sentinels, possibly wrapped.
	Err error
}

func (e *Error) Error() string {
	text := "unknown error"
	if e.Err != nil {
		text = strings.TrimPrefix(e.Err.Error(), "verify: ")
	}
	if e.Field == "" {
		return "verify: " + e.Scheme + ": " + text
	}
	return "verify: " + e.Scheme + ": " + e.Field + ": " + text
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }
