package verify

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ringback-go/ringback/verify/internal/keys"
)

const (
	schemeHMAC     = "hmac"
	maxHMACHeader  = 8 << 10
	maxMillisStamp = 14 // digits
)

// HMAC checks and makes signatures with HMAC-SHA256 over a text that an
// [HMACFormat] describes. What that text does not hold is not covered.
//
// The zero value refuses everything. An HMAC is safe for concurrent use.
type HMAC struct {
	format   HMACFormat
	template template
	keys     []hmacKey
}

type hmacKey struct {
	ownKey
	macs *keys.MACs
}

// NewHMAC returns a verifier and signer of the given format. [Key.Secret] is
// the secret's bytes; for the platforms of this package that is the printed
// text, as it is. A format that leaves the body, the time or the end of an id
// open is [ErrConfig], and so are public keys and texts with a line break at
// their end; an empty secret is [ErrEmptyKey].
func NewHMAC(f HMACFormat, secrets ...Key) (HMAC, error) {
	f, err := f.checked()
	if err != nil {
		return HMAC{}, err
	}
	t, err := parseTemplate(f)
	if err != nil {
		return HMAC{}, err
	}
	own, err := copyKeys(f.Name, secrets)
	if err != nil {
		return HMAC{}, err
	}
	h := HMAC{format: f, template: t}
	for _, k := range own {
		if why := keys.NotSecret(k.secret()); why != "" {
			return HMAC{}, configError(f.Name, keyField(k.id), why)
		}
		h.keys = append(h.keys, hmacKey{ownKey: k, macs: keys.NewMACs(k.secret())})
	}
	return h, nil
}

// Verify checks the signature; every header that the format names must stand
// there exactly once. In a list any signature that matches any valid key is
// enough, and more than 64 items are refused without a comparison. The
// identity's MessageID is the value of IDHeader.
func (h HMAC) Verify(_ context.Context, m Message) (Identity, error) {
	if len(h.keys) == 0 {
		return Identity{}, notMade(schemeHMAC)
	}
	f := &h.format
	value, err := singleHeader(m.Header, f.Header)
	if err != nil {
		return Identity{}, h.refuse(f.Header, err)
	}
	var room [fewSignatures][sha256.Size]byte
	given, stamp, err := h.parse(room[:0], value)
	if err != nil {
		return Identity{}, h.refuse(f.Header, err)
	}
	if f.TimestampHeader != "" {
		if stamp, err = singleHeader(m.Header, f.TimestampHeader); err != nil {
			return Identity{}, h.refuse(f.TimestampHeader, err)
		}
	}
	id := ""
	if f.IDHeader != "" {
		if id, err = singleHeader(m.Header, f.IDHeader); err != nil {
			return Identity{}, h.refuse(f.IDHeader, err)
		}
		if !h.template.validID(id) {
			return Identity{}, h.refuse(f.IDHeader, ErrMalformed)
		}
	}
	if err := h.inTime(stamp, m.At); err != nil {
		return Identity{}, err
	}
	if len(given) > 0 {
		for i := range h.keys {
			k := &h.keys[i]
			if !k.valid(m.At) {
				continue
			}
			want := h.template.sum(k.macs, stamp, id, &m)
			match := 0
			for j := range given {
				match |= subtle.ConstantTimeCompare(want[:], given[j][:])
			}
			if match == 1 {
				return Identity{Scheme: f.Name, Key: k.id, MessageID: id}, nil
			}
		}
	}
	return Identity{}, h.refuse(f.Header, ErrMismatch)
}

// parse appends the signatures of the header to dst, and returns the time of
// sending where it is among them.
func (h *HMAC) parse(dst [][sha256.Size]byte, value string) (given [][sha256.Size]byte, stamp string, err error) {
	f := &h.format
	if len(value) > maxHMACHeader {
		return nil, "", ErrMalformed
	}
	var sum [sha256.Size]byte
	if !f.List {
		encoded, ok := strings.CutPrefix(value, f.Prefix)
		if !ok || !f.Encoding.decode(sum[:], encoded) {
			return nil, "", ErrMalformed
		}
		return append(dst, sum), "", nil
	}
	if strings.Count(value, ",") >= maxSignatures {
		return nil, "", ErrMalformed
	}
	stamps := 0
	for value != "" {
		var item string
		item, value, _ = strings.Cut(value, ",")
		if encoded, ok := strings.CutPrefix(item, f.Prefix); ok {
			if f.Encoding.decode(sum[:], encoded) {
				dst = append(dst, sum)
			}
		} else if text, ok := strings.CutPrefix(item, f.TimestampPrefix); ok && f.TimestampPrefix != "" {
			stamp = text
			stamps++
		}
	}
	switch {
	case stamps > 1:
		return nil, "", ErrRepeated
	case f.TimestampPrefix != "" && stamp == "":
		return nil, "", ErrMissing
	}
	return dst, stamp, nil
}

func (e Encoding) decode(dst []byte, s string) bool {
	if e == Base64 {
		return decodeBase64(dst, s)
	}
	return decodeHex(dst, s)
}

func (h *HMAC) inTime(stamp string, at time.Time) error {
	f := &h.format
	if !f.timed() {
		return nil
	}
	field := f.TimestampHeader
	if field == "" {
		field = f.Header
	}
	digits := maxTimestamp
	if f.TimestampUnit == time.Millisecond {
		digits = maxMillisStamp
	}
	sent, ok := unixTime(stamp, digits)
	if !ok {
		return h.refuse(field, ErrMalformed)
	}
	if f.TimestampUnit == time.Millisecond {
		sent = time.UnixMilli(sent.Unix())
	}
	if err := within(sent, at, f.Tolerance); err != nil {
		return h.refuse(field, err)
	}
	return nil
}

func (h *HMAC) refuse(field string, err error) error {
	return &Error{Scheme: h.format.Name, Field: field, Err: err}
}

// Sign returns the headers that a message sent at [Message.At] needs: the
// signature, and the time of sending and the id where the format has headers
// for them. It reads of m what the format covers. id must be empty when the
// format has no IDHeader, and one that Verify accepts otherwise; else it is
// [ErrMalformed], like a time before 1970 or after the year 5138. The first
// valid key signs, in a list all of them; no valid key is [ErrEmptyKey].
func (h HMAC) Sign(id string, m Message) (http.Header, error) {
	if len(h.keys) == 0 {
		return nil, notMade(schemeHMAC)
	}
	f := &h.format
	out := make(http.Header, 3)
	if f.IDHeader != "" {
		out[f.IDHeader] = []string{id}
	}
	if f.IDHeader == "" && id != "" || f.IDHeader != "" && !h.template.validID(id) {
		return nil, h.refuse("id", ErrMalformed)
	}
	stamp := ""
	if f.timed() {
		n := m.At.Unix()
		if f.TimestampUnit == time.Millisecond {
			n = m.At.UnixMilli()
		}
		stamp = strconv.FormatInt(n, 10)
		if m.At.Unix() < 0 || len(strconv.FormatInt(m.At.Unix(), 10)) > maxTimestamp {
			return nil, h.refuse("At", ErrMalformed)
		}
	}
	if f.TimestampHeader != "" {
		out[f.TimestampHeader] = []string{stamp}
	}
	value, err := h.value(stamp, id, &m)
	if err != nil {
		return nil, err
	}
	out[f.Header] = []string{value}
	return out, nil
}

// value returns the content of the format's header.
func (h *HMAC) value(stamp, id string, m *Message) (string, error) {
	f := &h.format
	var b []byte
	if f.TimestampPrefix != "" {
		b = append(append(append(b, f.TimestampPrefix...), stamp...), ',')
	}
	n := 0
	for i := range h.keys {
		k := &h.keys[i]
		if !k.valid(m.At) {
			continue
		}
		if n > 0 {
			b = append(b, ',')
		}
		sum := h.template.sum(k.macs, stamp, id, m)
		b = append(b, f.Prefix...)
		if f.Encoding == Base64 {
			b = base64.StdEncoding.AppendEncode(b, sum[:])
		} else {
			b = hex.AppendEncode(b, sum[:])
		}
		if n++; !f.List || n == maxSignatures-1 { // one item is the time
			break
		}
	}
	if n == 0 {
		return "", h.refuse("keys", ErrEmptyKey)
	}
	return string(b), nil
}
