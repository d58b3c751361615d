package verify

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	schemeStandard  = "standard"
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"

	// DefaultTolerance is how far a timestamp may be from the receiver's
	// clock, to both sides, for [Standard] and [HMAC].
	DefaultTolerance = 5 * time.Minute

	maxMessageID = 256
	maxTimestamp = 11 // digits
)

// Standard checks and makes signatures by Standard Webhooks
// (https://github.com/standard-webhooks/standard-webhooks): the header
// webhook-signature holds, for each valid key, either "v1," and the base64 of
// the HMAC-SHA256 of id.timestamp.body, or "v1a," and the base64 of its
// ed25519 signature. Id, time and body are covered; method, URL and other
// headers are not.
//
// The zero value refuses everything. A Standard is safe for concurrent use.
type Standard struct {
	keys       []standardKey
	tolerance  time.Duration
	asymmetric bool
}

// NewStandard returns a verifier and signer. [Key.Secret] is the printed key,
// and its prefix chooses the algorithm; both kinds may stand in one list:
//
//   - whsec_ and the base64 of 24 to 64 bytes, as made by [GenerateSecret],
//     checks and makes v1;
//   - whpk_ and the base64 of an ed25519 public key checks v1a;
//   - whsk_ and the base64 of an ed25519 private key, 64 bytes as made by
//     [GenerateKeyPair] or its seed of 32, checks and makes v1a.
//
// Base64 is standard and padded. Other texts are [ErrConfig], an empty one is
// [ErrEmptyKey]. tolerance is how far webhook-timestamp may be from
// [Message.At], to both sides and ends included; 0 means [DefaultTolerance].
func NewStandard(tolerance time.Duration, secrets ...Key) (Standard, error) {
	if tolerance < 0 {
		return Standard{}, configError(schemeStandard, "tolerance", "negative")
	}
	if tolerance == 0 {
		tolerance = DefaultTolerance
	}
	own, err := copyKeys(schemeStandard, secrets)
	if err != nil {
		return Standard{}, err
	}
	s := Standard{tolerance: tolerance}
	for _, o := range own {
		k, err := newStandardKey(o)
		if err != nil {
			return Standard{}, err
		}
		s.keys = append(s.keys, k)
		s.asymmetric = s.asymmetric || k.macs == nil
	}
	if err := confused(s.keys); err != nil {
		return Standard{}, err
	}
	return s, nil
}

// Verify checks the headers webhook-id, webhook-timestamp and
// webhook-signature, each of which must stand there exactly once. Any entry
// that matches any valid key is enough. Entries of other versions and of
// another form are skipped; more than 64 entries, or more than 8 of v1a, are
// refused without a comparison. The identity's MessageID is webhook-id.
func (s Standard) Verify(_ context.Context, m Message) (Identity, error) {
	if len(s.keys) == 0 {
		return Identity{}, notMade(schemeStandard)
	}
	id, stamp, list, err := s.headers(m.Header)
	if err != nil {
		return Identity{}, err
	}
	sent, ok := unixTime(stamp, maxTimestamp)
	if !ok {
		return Identity{}, s.refuse(headerTimestamp, ErrMalformed)
	}
	if err := within(sent, m.At, s.tolerance); err != nil {
		return Identity{}, s.refuse(headerTimestamp, err)
	}
	var room [fewSignatures][sha256.Size]byte
	given, ok := parseSignatures(room[:0], list)
	if !ok {
		return Identity{}, s.refuse(headerSignature, ErrMalformed)
	}
	if len(given) > 0 {
		if i := s.matchV1(given, id, stamp, m.Body, m.At); i >= 0 {
			return Identity{Scheme: schemeStandard, Key: s.keys[i].id, MessageID: id}, nil
		}
	}
	if s.asymmetric {
		i, ok := s.matchV1a(id, stamp, list, m.Body, m.At)
		if !ok {
			return Identity{}, s.refuse(headerSignature, ErrMalformed)
		}
		if i >= 0 {
			return Identity{Scheme: schemeStandard, Key: s.keys[i].id, MessageID: id}, nil
		}
	}
	return Identity{}, s.refuse(headerSignature, ErrMismatch)
}

// matchV1 returns the index of the key that made one of given, or -1.
func (s Standard) matchV1(given [][sha256.Size]byte, id, stamp string, body []byte, at time.Time) int {
	for i := range s.keys {
		k := &s.keys[i]
		if k.macs == nil || !k.valid(at) {
			continue
		}
		want := k.sum(id, stamp, body)
		match := 0
		for j := range given {
			match |= subtle.ConstantTimeCompare(want[:], given[j][:])
		}
		if match == 1 {
			return i
		}
	}
	return -1
}

// matchV1a is the same for ed25519. It is false when there are more entries
// than a message may make us check.
func (s Standard) matchV1a(id, stamp, list string, body []byte, at time.Time) (int, bool) {
	var room [maxAsymmetric][ed25519.SignatureSize]byte
	given, ok := parseAsymmetric(room[:0], list)
	if !ok || len(given) == 0 {
		return -1, ok
	}
	text := signedText(id, stamp, body)
	defer text.free()
	for i := range s.keys {
		k := &s.keys[i]
		if k.macs != nil || !k.valid(at) {
			continue
		}
		for j := range given {
			if ed25519.Verify(k.public, text.b, given[j][:]) {
				return i, true
			}
		}
	}
	return -1, true
}

func (s Standard) headers(h http.Header) (id, stamp, list string, err error) {
	if id, err = singleHeader(h, headerID); err != nil {
		return "", "", "", s.refuse(headerID, err)
	}
	if stamp, err = singleHeader(h, headerTimestamp); err != nil {
		return "", "", "", s.refuse(headerTimestamp, err)
	}
	if list, err = singleHeader(h, headerSignature); err != nil {
		return "", "", "", s.refuse(headerSignature, err)
	}
	if !validMessageID(id) {
		return "", "", "", s.refuse(headerID, ErrMalformed)
	}
	return id, stamp, list, nil
}

func (s Standard) refuse(field string, err error) error {
	return &Error{Scheme: schemeStandard, Field: field, Err: err}
}

// validMessageID refuses dots, because a dot in the id lets its end pass for
// the timestamp and the timestamp for a part of the body.
func validMessageID(id string) bool {
	return len(id) <= maxMessageID && printable(id) && strings.IndexByte(id, '.') < 0
}

// Sign returns the value of the header webhook-signature for a message that
// is sent at the given time with the header webhook-id id and the header
// webhook-timestamp at.Unix(): one entry for each key that is valid then and
// can sign, separated by spaces. An id that Verify would not accept and a time
// before 1970 or after the year 5138 are [ErrMalformed], no valid key is
// [ErrEmptyKey]; public keys alone, and more keys than a receiver reads
// entries (64, of them 8 v1a), are [ErrConfig].
func (s Standard) Sign(id string, at time.Time, body []byte) (string, error) {
	if len(s.keys) == 0 {
		return "", notMade(schemeStandard)
	}
	if !validMessageID(id) {
		return "", s.refuse(headerID, ErrMalformed)
	}
	stamp := strconv.FormatInt(at.Unix(), 10)
	if at.Unix() < 0 || len(stamp) > maxTimestamp {
		return "", s.refuse(headerTimestamp, ErrMalformed)
	}
	if !slices.ContainsFunc(s.keys, standardKey.signs) {
		return "", configError(schemeStandard, "keys", "a whpk_ key only checks, signing takes a whsec_ or whsk_ key")
	}
	out := make([]byte, 0, len(s.keys)*(digitsV1+len("v1, ")))
	n, asymmetric := 0, 0
	for i := range s.keys {
		k := &s.keys[i]
		if !k.signs() || !k.valid(at) {
			continue
		}
		if n++; k.macs == nil {
			asymmetric++
		}
		if n > maxSignatures || asymmetric > maxAsymmetric {
			return "", configError(schemeStandard, "keys", "more valid keys than a receiver reads signatures, let old ones end")
		}
		if len(out) > 0 {
			out = append(out, ' ')
		}
		out = k.appendEntry(out, id, stamp, body)
	}
	if n == 0 {
		return "", s.refuse("keys", ErrEmptyKey)
	}
	return string(out), nil
}

func (k *standardKey) appendEntry(out []byte, id, stamp string, body []byte) []byte {
	if k.macs != nil {
		sum := k.sum(id, stamp, body)
		return base64.StdEncoding.AppendEncode(append(out, entryV1...), sum[:])
	}
	text := signedText(id, stamp, body)
	defer text.free()
	return base64.StdEncoding.AppendEncode(append(out, entryV1a...), ed25519.Sign(k.private(), text.b))
}
