package verify

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"strings"

	"github.com/ringback-go/ringback/verify/internal/keys"
)

const (
	prefixSecret  = "whsec_" // v1, HMAC-SHA256
	prefixPrivate = "whsk_"  // v1a, ed25519
	prefixPublic  = "whpk_"
	minSecret     = 24 // bytes, from the specification
	maxSecret     = 64
)

// standardKey is symmetric when it has macs, else it has a public key, and a
// private one when it can sign.
type standardKey struct {
	ownKey
	macs    *keys.MACs
	public  ed25519.PublicKey
	private func() ed25519.PrivateKey
}

func (k standardKey) signs() bool { return k.macs != nil || k.private != nil }

// newStandardKey reads the printed form, whose prefix chooses the algorithm.
func newStandardKey(k ownKey) (standardKey, error) {
	bad := func(why string) (standardKey, error) {
		return standardKey{}, configError(schemeStandard, keyField(k.id), why)
	}
	prefix, encoded, _ := strings.Cut(string(k.secret()), "_")
	switch prefix += "_"; prefix {
	case prefixSecret, prefixPrivate, prefixPublic:
	default:
		return bad("does not begin with whsec_, whsk_ or whpk_; give the printed key, with its prefix")
	}
	if encoded == "" {
		return standardKey{}, &Error{Scheme: schemeStandard, Field: keyField(k.id), Err: ErrEmptyKey}
	}
	raw, err := strictBase64.DecodeString(encoded)
	if err != nil || base64.StdEncoding.EncodedLen(len(raw)) != len(encoded) { // the decoder skips line ends
		return bad("is not padded standard base64 behind its prefix")
	}
	own := standardKey{ownKey: k}
	own.secret = hidden(raw)
	switch prefix {
	case prefixSecret:
		if len(raw) < minSecret || len(raw) > maxSecret {
			return bad("is not 24 to 64 bytes long, make one with GenerateSecret")
		}
		own.macs = keys.NewMACs(raw)
		return own, nil
	case prefixPublic:
		if len(raw) != ed25519.PublicKeySize {
			return bad("is not the 32 bytes of an ed25519 public key")
		}
		own.public = raw
	case prefixPrivate:
		if len(raw) != ed25519.SeedSize && len(raw) != ed25519.PrivateKeySize {
			return bad("is neither the 32 bytes of an ed25519 seed nor the 64 of seed and public key")
		}
		private := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
		own.public = bytes.Clone(private[ed25519.SeedSize:])
		if len(raw) == ed25519.PrivateKeySize && !bytes.Equal(raw[ed25519.SeedSize:], own.public) {
			return bad("has a public half that does not belong to its seed")
		}
		own.private = hidden(private)
	}
	if keys.WeakEd25519(own.public) {
		return bad("is a point of small order and nobody's key")
	}
	return own, nil
}

// confused looks for a secret that is another entry's public key: everybody
// could sign with it.
func confused(list []standardKey) error {
	for _, s := range list {
		for _, p := range list {
			if s.macs != nil && p.macs == nil && bytes.Equal(s.secret(), p.public) {
				return configError(schemeStandard, keyField(s.id), "is the public key of another entry, which is no secret")
			}
		}
	}
	return nil
}

// GenerateSecret returns a new symmetric secret for [NewStandard], of 32
// random bytes.
func GenerateSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails; it ends the program instead
	return prefixSecret + base64.StdEncoding.EncodeToString(b[:])
}

// GenerateKeyPair returns a new pair of ed25519 keys for [NewStandard]: the
// private key for the sender, whsk_ and the base64 of seed and public key, and
// the public key for its receivers, whpk_ and its base64.
func GenerateKeyPair() (private, public string) {
	var seed [ed25519.SeedSize]byte
	_, _ = rand.Read(seed[:])
	k := ed25519.NewKeyFromSeed(seed[:])
	return prefixPrivate + base64.StdEncoding.EncodeToString(k), prefixPublic + base64.StdEncoding.EncodeToString(k[ed25519.SeedSize:])
}
