package verify

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/internal/rawquery"
)

const (
	schemeTencent = "tencent-sign"
	paramSign     = "Sign"
	paramTime     = "RequestTime"

	// DefaultTencentWindow is how far RequestTime may be from the receiver's
	// clock, to both sides. Tencent's documentation names no value.
	DefaultTencentWindow = time.Minute

	maxTencentToken = 128
	timeDigits      = 10 // of RequestTime
)

// TencentSign checks the Sign of a Tencent Cloud Chat callback
// (https://trtc.io/document/34354): the query parameter Sign is the hex
// SHA-256 of a token followed by the query parameter RequestTime.
//
// WARNING: the body is NOT covered. Whoever sees one request can send any
// body with the same Sign until the window closes. Serve such callbacks over
// TLS alone, keep the window small, and limit the source where you can.
//
// RequestTime must be exactly ten ASCII digits. This is not pedantry: the
// hash is not an HMAC, and a longer text can be signed without the token by
// length extension.
//
// The zero value refuses everything. A TencentSign is safe for concurrent
// use.
type TencentSign struct {
	keys   []ownKey
	window time.Duration
}

// NewTencentSign returns a verifier and signer. [Key.Secret] is the token,
// 1 to 128 bytes, as it stands in the console. window is how far RequestTime
// may be from [Message.At], to both sides and ends included; 0 means
// [DefaultTencentWindow].
func NewTencentSign(window time.Duration, tokens ...Key) (TencentSign, error) {
	if window < 0 {
		return TencentSign{}, configError(schemeTencent, "window", "negative")
	}
	keys, err := copyKeys(schemeTencent, tokens)
	if err != nil {
		return TencentSign{}, err
	}
	for _, k := range keys {
		if len(k.secret()) > maxTencentToken {
			return TencentSign{}, configError(schemeTencent, keyField(k.id), "token over 128 bytes")
		}
	}
	if window == 0 {
		window = DefaultTencentWindow
	}
	return TencentSign{keys: keys, window: window}, nil
}

// Verify checks Sign and RequestTime, each of which must stand in the query
// exactly once. The hex digits may be in either letter case. It does not
// allocate when it accepts.
func (t TencentSign) Verify(_ context.Context, m Message) (Identity, error) {
	if len(t.keys) == 0 {
		return Identity{}, notMade(schemeTencent)
	}
	params := [...]rawquery.Param{{Key: paramTime}, {Key: paramSign}}
	if err := rawquery.Find(m.RawQuery, params[:]); err != nil {
		return Identity{}, t.refuse("query", ErrMalformed)
	}
	requestTime, err := once(params[0].Value, params[0].N)
	if err != nil {
		return Identity{}, t.refuse(paramTime, err)
	}
	sign, err := once(params[1].Value, params[1].N)
	if err != nil {
		return Identity{}, t.refuse(paramSign, err)
	}
	sent, ok := unixTime(requestTime, timeDigits)
	if !ok || len(requestTime) != timeDigits {
		return Identity{}, t.refuse(paramTime, ErrMalformed)
	}
	var given [sha256.Size]byte
	if !decodeHex(given[:], sign) {
		return Identity{}, t.refuse(paramSign, ErrMalformed)
	}
	if err := within(sent, m.At, t.window); err != nil {
		return Identity{}, t.refuse(paramTime, err)
	}
	match := -1
	for i, k := range t.keys {
		sum := tencentSum(k.secret(), requestTime)
		if subtle.ConstantTimeCompare(sum[:], given[:]) == 1 && k.valid(m.At) && match < 0 {
			match = i
		}
	}
	if match < 0 {
		return Identity{}, t.refuse(paramSign, ErrMismatch)
	}
	return Identity{Scheme: schemeTencent, Key: t.keys[match].id}, nil
}

func (t TencentSign) refuse(field string, err error) error {
	return &Error{Scheme: schemeTencent, Field: field, Err: err}
}

// Sign returns the values of the query parameters Sign and RequestTime for a
// request sent at the given time, made with the first token that is valid
// then. Both are empty on the zero value, when there is no such token, and for
// times that do not have ten digits (before September 2001, after November
// 2286).
func (t TencentSign) Sign(at time.Time) (sign, requestTime string) {
	requestTime = strconv.FormatInt(at.Unix(), 10)
	i := slices.IndexFunc(t.keys, func(k ownKey) bool { return k.valid(at) })
	if i < 0 || len(requestTime) != timeDigits || at.Unix() < 0 {
		return "", ""
	}
	sum := tencentSum(t.keys[i].secret(), requestTime)
	return hex.EncodeToString(sum[:]), requestTime
}

func tencentSum(token []byte, requestTime string) [sha256.Size]byte {
	var buf [maxTencentToken + timeDigits]byte
	b := append(buf[:0], token...)
	b = append(b, requestTime...)
	return sha256.Sum256(b)
}

// decodeHex fills dst from exactly 2*len(dst) hex digits of either case.
func decodeHex(dst []byte, s string) bool {
	if len(s) != 2*len(dst) {
		return false
	}
	bad := byte(0)
	for i := range dst {
		hi, lo := nibbles[s[2*i]], nibbles[s[2*i+1]]
		dst[i] = hi<<4 | lo&15
		bad |= hi | lo
	}
	return bad <= 15
}

// nibbles are the values of the hex digits, and 255 for all other bytes.
var nibbles = func() (t [256]byte) {
	for c := range t {
		t[c] = 255
	}
	for v, c := range []byte("0123456789abcdef") {
		t[c] = byte(v)
	}
	for v, c := range []byte("ABCDEF") {
		t[c] = byte(10 + v)
	}
	return t
}()
