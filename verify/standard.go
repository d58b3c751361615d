package verify

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	schemeStandard  = "standard"
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"

	// DefaultTolerance is how far webhook-timestamp may be from the
	// receiver's clock, to both sides.
	DefaultTolerance = 5 * time.Minute

	secretPrefix    = "whsec_"
	minSecret       = 24 // bytes, from the specification
	maxSecret       = 64
	maxMessageID    = 256
	maxTimestamp    = 11 // digits
	maxSignatures   = 64
	signatureDigits = 44 // of the base64 of 32 bytes
)

// Standard checks and makes signatures by Standard Webhooks v1
// (https://github.com/standard-webhooks/standard-webhooks): the header
// webhook-signature holds, for each valid secret, "v1," and the base64 of the
// HMAC-SHA256 of id.timestamp.body. Id, time and body are covered; method,
// URL and other headers are not.
//
// The zero value refuses everything. A Standard is safe for concurrent use.
type Standard struct {
	keys      []standardKey
	tolerance time.Duration
}

type standardKey struct {
	ownKey
	mac *macPool
}

// NewStandard returns a verifier and signer. [Key.Secret] is the printed
// secret: whsec_ and the padded standard base64 of 24 to 64 bytes, as made by
// [GenerateSecret]. Secrets of other lengths, of other prefixes or without
// one are [ErrConfig], an empty one is [ErrEmptyKey]. tolerance is how far
// webhook-timestamp may be from [Message.At], to both sides and ends
// included; 0 means [DefaultTolerance].
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
	for _, k := range own {
		// The prefix chooses the algorithm; v1a will bring its own.
		encoded, ok := strings.CutPrefix(string(k.secret()), secretPrefix)
		if !ok {
			return Standard{}, configError(schemeStandard, keyField(k.id), "secret does not begin with whsec_")
		}
		if encoded == "" {
			return Standard{}, &Error{Scheme: schemeStandard, Field: keyField(k.id), Err: ErrEmptyKey}
		}
		raw, err := strictBase64.DecodeString(encoded)
		if err != nil || base64.StdEncoding.EncodedLen(len(raw)) != len(encoded) { // the decoder skips line ends
			return Standard{}, configError(schemeStandard, keyField(k.id), "secret is not padded standard base64")
		}
		if len(raw) < minSecret || len(raw) > maxSecret {
			return Standard{}, configError(schemeStandard, keyField(k.id), "secret is not 24 to 64 bytes long")
		}
		k.secret = hidden(raw)
		s.keys = append(s.keys, standardKey{ownKey: k, mac: newMACPool(raw)})
	}
	return s, nil
}

// GenerateSecret returns a new secret for [NewStandard], of 32 random bytes.
func GenerateSecret() string {
	var b [32]byte
	_, _ = rand.Read(b[:]) // never fails; it ends the program instead
	return secretPrefix + base64.StdEncoding.EncodeToString(b[:])
}

// Verify checks the headers webhook-id, webhook-timestamp and
// webhook-signature, each of which must stand there exactly once. Entries of
// other versions and of another form are skipped; more than 64 entries are
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
	var room [maxSignatures][sha256.Size]byte
	given, ok := parseSignatures(room[:0], list)
	if !ok {
		return Identity{}, s.refuse(headerSignature, ErrMalformed)
	}
	if len(given) == 0 {
		return Identity{}, s.refuse(headerSignature, ErrMismatch)
	}
	for _, k := range s.keys {
		if !k.valid(m.At) {
			continue
		}
		want := k.mac.sum(id, stamp, m.Body)
		match := 0
		for i := range given {
			match |= subtle.ConstantTimeCompare(want[:], given[i][:])
		}
		if match == 1 {
			return Identity{Scheme: schemeStandard, Key: k.id, MessageID: id}, nil
		}
	}
	return Identity{}, s.refuse(headerSignature, ErrMismatch)
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

// parseSignatures appends the well-formed v1 entries of list to dst. It is
// false when the list has too many entries of any kind.
func parseSignatures(dst [][sha256.Size]byte, list string) (given [][sha256.Size]byte, ok bool) {
	if strings.Count(list, " ") >= maxSignatures {
		return nil, false
	}
	for list != "" {
		var entry string
		entry, list, _ = strings.Cut(list, " ")
		encoded, found := strings.CutPrefix(entry, "v1,")
		if !found || len(encoded) != signatureDigits {
			continue
		}
		var text [signatureDigits]byte
		copy(text[:], encoded)
		// Decode may write a byte more than it counts.
		var raw [sha256.Size + 1]byte
		if n, err := strictBase64.Decode(raw[:], text[:]); err == nil && n == sha256.Size {
			dst = append(dst, [sha256.Size]byte(raw[:]))
		}
	}
	return dst, true
}

var strictBase64 = base64.StdEncoding.Strict()

// Sign returns the value of the header webhook-signature for a message that
// is sent at the given time with the header webhook-id id and the header
// webhook-timestamp at.Unix(): one entry for each secret that is still valid,
// separated by spaces. An id that Verify would not accept and a time before
// 1970 or after the year 5138 are [ErrMalformed], no valid secret is
// [ErrEmptyKey], more than 64 are [ErrConfig].
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
	out := make([]byte, 0, len(s.keys)*(signatureDigits+len("v1, ")))
	n := 0
	for _, k := range s.keys {
		if !k.valid(at) {
			continue
		}
		if n++; n > maxSignatures {
			return "", configError(schemeStandard, "keys", "more valid secrets than a receiver reads")
		}
		if len(out) > 0 {
			out = append(out, ' ')
		}
		sum := k.mac.sum(id, stamp, body)
		out = append(out, "v1,"...)
		out = base64.StdEncoding.AppendEncode(out, sum[:])
	}
	if n == 0 {
		return "", s.refuse("keys", ErrEmptyKey)
	}
	return string(out), nil
}
