package verify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
)

const (
	schemeSecret    = "secret"
	paramSecret     = "secret"
	paramSecretSHA1 = "secret_sha1"
	mediaForm       = "application/x-www-form-urlencoded"
)

// Digest is the only form in which the code of a group is kept: HMAC-SHA256,
// under a key of the server, of the lowercase hex SHA-1 of the code. The SHA-1
// itself opens the API just as the code does, so neither is stored. A Digest
// also serves as the fingerprint of a code.
type Digest = [sha256.Size]byte

// CodeDigest returns the digest of a group's code under the server's key. It
// panics when the server's key is empty, because a digest under no key is as
// good as the code.
func CodeDigest(serverKey []byte, code string) Digest {
	sum := sha1.Sum([]byte(code))
	return digestOf(serverKey, sum)
}

// CodeDigestSHA1 returns the same digest as [CodeDigest] from the SHA-1 of
// the code, 40 hex digits of either letter case. Another form is
// [ErrMalformed], an empty server key is [ErrEmptyKey].
func CodeDigestSHA1(serverKey []byte, hexSHA1 string) (Digest, error) {
	if len(serverKey) == 0 {
		return Digest{}, &Error{Scheme: schemeSecret, Field: "server key", Err: ErrEmptyKey}
	}
	var sum [sha1.Size]byte
	if !decodeHex(sum[:], hexSHA1) {
		return Digest{}, &Error{Scheme: schemeSecret, Field: paramSecretSHA1, Err: ErrMalformed}
	}
	return digestOf(serverKey, sum), nil
}

func digestOf(serverKey []byte, sum [sha1.Size]byte) Digest {
	if len(serverKey) == 0 {
		panic("verify: CodeDigest needs a server key, pass at least 16 random bytes")
	}
	var text [2 * sha1.Size]byte
	hex.Encode(text[:], sum[:])
	mac := hmac.New(sha256.New, serverKey)
	mac.Write(text[:])
	var d Digest
	mac.Sum(d[:0])
	return d
}

// SecretChecker compares a code that somebody sent with the digest that is
// stored. It is the part of [Secret] that knows nothing about requests.
//
// The zero value refuses everything. A SecretChecker is safe for concurrent
// use.
type SecretChecker struct {
	serverKey func() []byte // hidden as in ownKey
	dummy     Digest        // what an unknown group is compared with
}

// NewSecretChecker returns a checker under the server's key, which it copies.
// An empty key is [ErrEmptyKey]; use at least 16 random bytes.
func NewSecretChecker(serverKey []byte) (SecretChecker, error) {
	if len(serverKey) == 0 {
		return SecretChecker{}, &Error{Scheme: schemeSecret, Field: "server key", Err: ErrEmptyKey}
	}
	own := bytes.Clone(serverKey)
	return SecretChecker{serverKey: hidden(own), dummy: CodeDigest(own, "\x00 a group that does not exist")}, nil
}

// Check compares secret, the code, and secretSHA1, its SHA-1 in 40 hex digits
// of either letter case, with want. An empty text counts as not given; one of
// the two is needed, and when both are given both must match. known says
// whether the group exists; when it does not, want is ignored, and Check does
// the same work and returns the same error as for a wrong code. The digest of
// the empty code never matches.
//
// It returns nil, [ErrMissing], [ErrMalformed] or [ErrMismatch].
func (c SecretChecker) Check(secret, secretSHA1 string, want Digest, known bool) error {
	if c.serverKey == nil {
		return notMade(schemeSecret)
	}
	if secret == "" && secretSHA1 == "" {
		return &Error{Scheme: schemeSecret, Field: paramSecret, Err: ErrMissing}
	}
	match := 1
	if !known {
		want, match = c.dummy, 0
	}
	if secret != "" {
		got := CodeDigest(c.serverKey(), secret)
		match &= subtle.ConstantTimeCompare(got[:], want[:])
	}
	if secretSHA1 != "" {
		var sum [sha1.Size]byte
		if !decodeHex(sum[:], secretSHA1) {
			return &Error{Scheme: schemeSecret, Field: paramSecretSHA1, Err: ErrMalformed}
		}
		if sum == emptySHA1 { // not a secret: the form of "no code"
			match = 0
		}
		got := digestOf(c.serverKey(), sum)
		match &= subtle.ConstantTimeCompare(got[:], want[:])
	}
	if match != 1 {
		return &Error{Scheme: schemeSecret, Err: ErrMismatch}
	}
	return nil
}

var emptySHA1 = sha1.Sum(nil)

// SecretLookup finds the stored digest of the group that a message speaks
// about, by the message's parameters. It returns the group's name for
// [Identity.Subject], the digest, and whether the group exists. An error
// means that it could not find out, not that there is no such group. It may
// block on I/O, obeys ctx, and must be safe for concurrent use. To keep
// unknown groups from being told by time, it should do the same work for
// both.
type SecretLookup func(ctx context.Context, params url.Values) (subject string, digest Digest, known bool, err error)

// Secret checks the parameters secret and secret_sha1 of the SmartBots group
// API (https://www.mysmartbots.com/dev/docs/Simple_Groups_API). A POST has
// them in its application/x-www-form-urlencoded body, and then the query is
// not read; a GET has them in the query. They are a password: nothing else in
// the message is covered.
//
// The zero value refuses everything. A Secret is safe for concurrent use.
type Secret struct {
	checker SecretChecker
	lookup  SecretLookup
}

// NewSecret returns a verifier under the server's key. lookup is required.
func NewSecret(serverKey []byte, lookup SecretLookup) (Secret, error) {
	checker, err := NewSecretChecker(serverKey)
	if err != nil {
		return Secret{}, err
	}
	if lookup == nil {
		return Secret{}, configError(schemeSecret, "lookup", "nil")
	}
	return Secret{checker: checker, lookup: lookup}, nil
}

// Verify applies the rules of [SecretChecker.Check]; each parameter must be
// given at most once, also with equal values. A failed look-up is
// [ErrLookup].
func (s Secret) Verify(ctx context.Context, m Message) (Identity, error) {
	if s.lookup == nil {
		return Identity{}, notMade(schemeSecret)
	}
	params, err := parameters(m)
	if err != nil {
		return Identity{}, err
	}
	for _, name := range [...]string{paramSecret, paramSecretSHA1} {
		if len(params[name]) > 1 {
			return Identity{}, &Error{Scheme: schemeSecret, Field: name, Err: ErrRepeated}
		}
	}
	subject, want, known, err := s.lookup(ctx, params)
	if err != nil {
		return Identity{}, &Error{Scheme: schemeSecret, Field: "group", Err: lookupFailed(err)}
	}
	if err := s.checker.Check(params.Get(paramSecret), params.Get(paramSecretSHA1), want, known); err != nil {
		return Identity{}, err
	}
	return Identity{Scheme: schemeSecret, Subject: subject}, nil
}

func lookupFailed(err error) error {
	if errors.Is(err, ErrLookup) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrLookup, err)
}

func parameters(m Message) (url.Values, error) {
	var raw string
	switch m.Method {
	case http.MethodGet:
		raw = m.RawQuery
	case http.MethodPost:
		value, err := singleHeader(m.Header, "Content-Type")
		if err != nil {
			return nil, &Error{Scheme: schemeSecret, Field: "Content-Type", Err: err}
		}
		if media, _, err := mime.ParseMediaType(value); err != nil || media != mediaForm {
			return nil, &Error{Scheme: schemeSecret, Field: "Content-Type", Err: ErrMalformed}
		}
		raw = string(m.Body)
	default:
		return nil, &Error{Scheme: schemeSecret, Field: "method", Err: ErrMalformed}
	}
	params, err := url.ParseQuery(raw)
	if err != nil { // its text would quote the message
		return nil, &Error{Scheme: schemeSecret, Field: "parameters", Err: ErrMalformed}
	}
	return params, nil
}
