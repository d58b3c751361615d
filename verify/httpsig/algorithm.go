package httpsig

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"math/big"
)

const ecdsaHalf = 32 // bytes of r, and of s

// check judges the signature in m of base. One of a wrong length is wrong.
func (k *ownKey) check(base []byte, m member) bool {
	switch k.algorithm {
	case HMACSHA256:
		var given [sha256.Size]byte
		if !decodeBytes(given[:], m) {
			return false
		}
		st := k.macs.Start()
		st.Bytes(base)
		want := k.macs.Finish(st)
		return subtle.ConstantTimeCompare(want[:], given[:]) == 1
	case Ed25519:
		var given [ed25519.SignatureSize]byte
		return decodeBytes(given[:], m) && ed25519.Verify(k.ed, base, given[:])
	case ECDSAP256SHA256:
		var given [2 * ecdsaHalf]byte
		if !decodeBytes(given[:], m) {
			return false
		}
		hash := sha256.Sum256(base)
		r, s := new(big.Int).SetBytes(given[:ecdsaHalf]), new(big.Int).SetBytes(given[ecdsaHalf:])
		return ecdsa.Verify(k.ec, hash[:], r, s)
	}
	return false
}

// sign returns the signature of base; k.signs must be true.
func (k *ownKey) sign(base []byte) ([]byte, error) {
	switch {
	case k.macs != nil:
		st := k.macs.Start()
		st.Bytes(base)
		sum := k.macs.Finish(st)
		return sum[:], nil
	case k.edPrivate != nil:
		return ed25519.Sign(k.edPrivate(), base), nil
	}
	hash := sha256.Sum256(base)
	r, s, err := ecdsa.Sign(rand.Reader, k.ecPrivate(), hash[:])
	if err != nil {
		return nil, configError(keyField(k.id), "cannot sign")
	}
	out := make([]byte, 2*ecdsaHalf)
	r.FillBytes(out[:ecdsaHalf])
	s.FillBytes(out[ecdsaHalf:])
	return out, nil
}
