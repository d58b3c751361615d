package httpsig

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/verify"
	"github.com/ringback-go/ringback/verify/internal/keys"
)

// Algorithm is a signature algorithm of RFC 9421, section 3.3. It belongs to
// a key; a message cannot choose it. The zero Algorithm is none.
type Algorithm uint8

// The algorithms that are made and checked.
const (
	// HMACSHA256 is hmac-sha256.
	HMACSHA256 Algorithm = iota + 1
	// Ed25519 is ed25519.
	Ed25519
	// ECDSAP256SHA256 is ecdsa-p256-sha256.
	ECDSAP256SHA256
)

// String returns the algorithm's registered name.
func (a Algorithm) String() string {
	switch a {
	case HMACSHA256:
		return "hmac-sha256"
	case Ed25519:
		return "ed25519"
	case ECDSAP256SHA256:
		return "ecdsa-p256-sha256"
	}
	return "none"
}

const (
	minSecret = 16 // bytes
	maxName   = 256
)

// Key is one key with its algorithm. To rotate, list the old and the new one,
// each with its own ID, and let the old one end. The zero Key is refused.
// Printing, logging and encoding a Key as JSON never show its material.
type Key struct {
	// ID is the keyid on the wire and [verify.Identity.Key]: 1 to 256
	// printable ASCII characters without spaces. Required.
	ID string
	// Algorithm is what the key is for. Required.
	Algorithm Algorithm
	// Secret is the shared secret of HMACSHA256, at least 16 bytes.
	Secret []byte `json:"-"`
	// Public checks signatures: an ed25519.PublicKey or an *ecdsa.PublicKey
	// on P-256. It may be left out where Private is set.
	Public crypto.PublicKey `json:"-"`
	// Private makes signatures: an ed25519.PrivateKey or an
	// *ecdsa.PrivateKey on P-256. A verifier needs none.
	Private crypto.PrivateKey `json:"-"`
	// NotBefore and NotAfter are the first and the last moment at which the
	// key counts, both included. The zero time means no such end.
	NotBefore, NotAfter time.Time
}

// String returns the key's name without its material.
func (k Key) String() string { return "key " + strconv.Quote(k.ID) + " ***" }

// GoString is String, for the verb %#v.
func (k Key) GoString() string { return k.String() }

// LogValue is the form of the key in logs.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// ownKey is a copy of a Key, its material out of sight of package fmt.
type ownKey struct {
	id                  string
	algorithm           Algorithm
	notBefore, notAfter time.Time
	macs                *keys.MACs
	secret              func() []byte
	ed                  ed25519.PublicKey
	ec                  *ecdsa.PublicKey
	edPrivate           func() ed25519.PrivateKey
	ecPrivate           func() *ecdsa.PrivateKey
}

func (k *ownKey) valid(at time.Time) bool { return keys.Valid(at, k.notBefore, k.notAfter) }

func (k *ownKey) signs() bool { return k.macs != nil || k.edPrivate != nil || k.ecPrivate != nil }

func keyField(id string) string { return "key " + strconv.Quote(id) }

func configError(field, why string) error {
	return &verify.Error{Scheme: scheme, Field: field, Err: fmt.Errorf("%w: %s", verify.ErrConfig, why)}
}

func emptyKey(field string) error {
	return &verify.Error{Scheme: scheme, Field: field, Err: verify.ErrEmptyKey}
}

func copyKeys(given []Key) ([]ownKey, error) {
	if len(given) == 0 {
		return nil, emptyKey("keys")
	}
	out := make([]ownKey, 0, len(given))
	for _, k := range given {
		if !printable(k.ID) {
			return nil, configError(keyField(k.ID), "needs an ID of 1 to 256 printable ASCII characters without spaces")
		}
		for _, other := range out {
			if other.id == k.ID {
				return nil, configError(keyField(k.ID), "two keys have this name")
			}
		}
		if keys.BadSpan(k.NotBefore, k.NotAfter) {
			return nil, configError(keyField(k.ID), "NotAfter lies before NotBefore")
		}
		own, err := newOwnKey(k)
		if err != nil {
			return nil, err
		}
		out = append(out, own)
	}
	for _, s := range out {
		for _, p := range out {
			if s.macs != nil && p.ed != nil && bytes.Equal(s.secret(), p.ed) {
				return nil, configError(keyField(s.id), "is the public key of another entry, which is no secret")
			}
		}
	}
	return out, nil
}

func newOwnKey(k Key) (ownKey, error) {
	bad := func(why string) (ownKey, error) { return ownKey{}, configError(keyField(k.ID), why) }
	own := ownKey{id: k.ID, algorithm: k.Algorithm, notBefore: k.NotBefore, notAfter: k.NotAfter}
	if k.Algorithm == HMACSHA256 {
		switch {
		case k.Public != nil || k.Private != nil:
			return bad("HMACSHA256 takes a Secret, not Public or Private")
		case len(k.Secret) == 0:
			return ownKey{}, emptyKey(keyField(k.ID))
		case len(k.Secret) < minSecret:
			return bad("is shorter than 16 bytes, use a longer random Secret")
		}
		if why := keys.NotSecret(k.Secret); why != "" {
			return bad(why)
		}
		own.secret = keys.Hidden(bytes.Clone(k.Secret))
		own.macs = keys.NewMACs(own.secret())
		return own, nil
	}
	if len(k.Secret) > 0 {
		return bad("has a Secret, which only HMACSHA256 takes")
	}
	if k.Public == nil && k.Private == nil && (k.Algorithm == Ed25519 || k.Algorithm == ECDSAP256SHA256) {
		return ownKey{}, emptyKey(keyField(k.ID))
	}
	switch k.Algorithm {
	case Ed25519:
		return own, own.setEd25519(k)
	case ECDSAP256SHA256:
		return own, own.setECDSA(k)
	}
	return bad("needs an Algorithm: HMACSHA256, Ed25519 or ECDSAP256SHA256")
}

func (own *ownKey) setEd25519(k Key) error {
	bad := func(why string) error { return configError(keyField(k.ID), why) }
	if k.Private != nil {
		private, ok := k.Private.(ed25519.PrivateKey)
		if !ok || len(private) != ed25519.PrivateKeySize {
			return bad("Private is not an ed25519.PrivateKey of 64 bytes, as Ed25519 needs")
		}
		private = ed25519.NewKeyFromSeed(private.Seed()) // a copy whose halves belong together
		own.edPrivate = keys.Hidden(private)
		own.ed = bytes.Clone(private[ed25519.SeedSize:])
	}
	if k.Public != nil {
		public, ok := k.Public.(ed25519.PublicKey)
		if !ok || len(public) != ed25519.PublicKeySize {
			return bad("Public is not an ed25519.PublicKey of 32 bytes, as Ed25519 needs")
		}
		if own.ed != nil && !bytes.Equal(own.ed, public) {
			return bad("Public does not belong to Private")
		}
		own.ed = bytes.Clone(public)
	}
	if keys.WeakEd25519(own.ed) {
		return bad("is a point of small order and nobody's key")
	}
	return nil
}

func (own *ownKey) setECDSA(k Key) error {
	bad := func(why string) error { return configError(keyField(k.ID), why) }
	if k.Private != nil {
		private, ok := k.Private.(*ecdsa.PrivateKey)
		if !ok || private == nil || private.D == nil || !onP256(&private.PublicKey) { //nolint:staticcheck // only nil is looked for
			return bad("Private is not an *ecdsa.PrivateKey on P-256, as ECDSAP256SHA256 needs")
		}
		if _, err := private.ECDH(); err != nil {
			return bad("Private is not a key of the curve")
		}
		copied := *private
		own.ecPrivate = keys.Hidden(&copied)
		own.ec = &copied.PublicKey
	}
	if k.Public != nil {
		public, ok := k.Public.(*ecdsa.PublicKey)
		if !ok || public == nil || !onP256(public) {
			return bad("Public is not an *ecdsa.PublicKey on P-256, as ECDSAP256SHA256 needs")
		}
		if own.ec != nil && !own.ec.Equal(public) {
			return bad("Public does not belong to Private")
		}
		copied := *public
		own.ec = &copied
	}
	if _, err := own.ec.ECDH(); err != nil {
		return bad("Public is not a point of the curve")
	}
	return nil
}

// onP256 keeps keys of other curves, and those that were never made, from the
// functions that panic at them.
func onP256(k *ecdsa.PublicKey) bool {
	return k.Curve == elliptic.P256() && k.X != nil && k.Y != nil //nolint:staticcheck // only nil is looked for
}

// printable reports whether s is 1 to 256 characters of ASCII from '!' to '~'.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}
