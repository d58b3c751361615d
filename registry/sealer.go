package registry

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrSealed says that a sealed secret cannot be opened: by a wrong key, because
// it was changed, or because it belongs elsewhere. It does not say which.
var ErrSealed = errors.New("registry: sealed secret cannot be opened")

// A Sealer protects secrets at rest. Seal and Open are safe for concurrent use
// and keep none of their arguments. Open gives back what was sealed only for
// the same additional data (aad), else an error that wraps ErrSealed. [AESGCM]
// is one; another may call a key management system.
type Sealer interface {
	Seal(plaintext, aad []byte) ([]byte, error)
	Open(sealed, aad []byte) ([]byte, error)
}

const (
	sealVersion = 1
	sealHeader  = 1 + 4   // version, key id
	sealRest    = 12 + 16 // nonce, tag
	maxSealed   = 1 << 20 // of a whole list
	keyIDLabel  = "ringback/registry/seal/key-id/v1\x00"
	secretLabel = "ringback/registry/subscription/secret/v1\x00"
)

// AESGCM is a [Sealer] by AES-256-GCM with a random nonce. The zero value has
// no key: it seals and opens nothing. A key is good for 2^32 secrets.
//
// What is sealed is a version byte (1), four bytes that name the key, the
// first of SHA-256 over a label and the key, the 12 bytes of the nonce, then
// the ciphertext and its tag.
type AESGCM struct {
	keys []aesKey // the first one seals
}

type aesKey struct {
	id   [4]byte
	aead cipher.AEAD
}

// NewAESGCM returns a Sealer by keys of 32 random bytes: the first one seals,
// all of them open. To rotate, put a new key first, set every subscription
// again (see [Reseal]), then take the old key away.
func NewAESGCM(keys ...[]byte) (*AESGCM, error) {
	if len(keys) == 0 {
		return nil, errors.New("registry: no key to seal with")
	}
	s := &AESGCM{keys: make([]aesKey, 0, len(keys))}
	for i, key := range keys {
		if len(key) != 32 {
			return nil, fmt.Errorf("registry: sealing key %d has %d bytes, not 32", i, len(key))
		}
		block, err := aes.NewCipher(key)
		if err != nil {
			return nil, fmt.Errorf("registry: sealing key %d: %w", i, err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("registry: sealing key %d: %w", i, err)
		}
		sum := sha256.Sum256(append([]byte(keyIDLabel), key...))
		s.keys = append(s.keys, aesKey{[4]byte(sum[:4]), aead})
	}
	return s, nil
}

// Seal implements [Sealer].
func (s *AESGCM) Seal(plaintext, aad []byte) ([]byte, error) {
	if s == nil || len(s.keys) == 0 {
		return nil, errors.New("registry: no key to seal with")
	}
	k := s.keys[0]
	out := make([]byte, 0, sealHeader+sealRest+len(plaintext))
	out = append(out, sealVersion)
	out = append(out, k.id[:]...)
	return k.aead.Seal(out, nil, plaintext, aad), nil
}

// Open implements [Sealer].
func (s *AESGCM) Open(sealed, aad []byte) ([]byte, error) {
	if s == nil || len(sealed) < sealHeader+sealRest || sealed[0] != sealVersion {
		return nil, ErrSealed
	}
	for _, k := range s.keys {
		if k.id != [4]byte(sealed[1:sealHeader]) {
			continue // the id is no secret
		}
		if plain, err := k.aead.Open(nil, nil, sealed[sealHeader:], aad); err == nil {
			return plain, nil
		}
	}
	return nil, ErrSealed
}

// SealSecrets seals the secrets of the subscription id for storage, each on
// its own and bound to the id and its place in the list. No secrets are no
// bytes. It is for those who write a Registry.
func SealSecrets(s Sealer, id string, secrets []Secret) ([]byte, error) {
	var out []byte
	for i, secret := range secrets {
		sealed, err := s.Seal([]byte(secret.Reveal()), secretAAD(id, i))
		if err != nil {
			return nil, fmt.Errorf("registry: seal: %w", err)
		}
		out = binary.AppendUvarint(out, uint64(len(sealed)))
		out = append(out, sealed...)
	}
	if len(out) > maxSealed {
		return nil, errors.New("registry: sealed secrets are too long")
	}
	return out, nil
}

// OpenSecrets opens what [SealSecrets] returned for the same id. Its error
// wraps ErrSealed when the bytes are not that.
func OpenSecrets(s Sealer, id string, sealed []byte) ([]Secret, error) {
	if len(sealed) > maxSealed {
		return nil, ErrSealed
	}
	var secrets []Secret
	for len(sealed) > 0 {
		n, size := binary.Uvarint(sealed)
		if size <= 0 || n > uint64(len(sealed)-size) || len(secrets) == MaxSecrets {
			return nil, ErrSealed
		}
		end := size + int(n)
		plain, err := s.Open(sealed[size:end], secretAAD(id, len(secrets)))
		if err != nil {
			return nil, fmt.Errorf("registry: open: %w", err)
		}
		secrets = append(secrets, NewSecret(string(plain)))
		sealed = sealed[end:]
	}
	return secrets, nil
}

func secretAAD(id string, index int) []byte {
	aad := append([]byte(secretLabel), byte(index)) // MaxSecrets is 16
	return append(aad, id...)
}
