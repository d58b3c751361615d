package verify

import (
	"bytes"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/ringback-go/ringback/verify/internal/keys"
)

// Key is one secret of a scheme. What its bytes mean is said by the scheme's
// constructor. To rotate, put the new key first, keep the old one behind it
// with a NotAfter, and drop it later; where the change is to come at a known
// time, give the new one a NotBefore. The zero Key is refused by every
// constructor. Printing, logging and encoding a Key as JSON never show the
// secret.
type Key struct {
	// ID names the key in [Identity.Key] and in logs. Empty means its
	// position in the list: "0", "1", …
	ID string
	// Secret is the key material. Constructors copy it.
	Secret []byte `json:"-"`
	// NotBefore is the first moment at which the key counts, the moment
	// included. The zero time means since ever.
	NotBefore time.Time
	// NotAfter is the last moment at which the key counts, the moment
	// included. The zero time means no end.
	NotAfter time.Time
}

// String returns the key's name without its secret.
func (k Key) String() string { return "key " + strconv.Quote(k.ID) + " ***" }

// GoString is String, for the verb %#v.
func (k Key) GoString() string { return k.String() }

// LogValue is the form of the key in logs, without its secret.
func (k Key) LogValue() slog.Value { return slog.StringValue(k.String()) }

// ownKey is a scheme's copy of a key, its secret out of sight of package fmt.
type ownKey struct {
	id                  string
	notBefore, notAfter time.Time
	secret              func() []byte
}

func (k ownKey) valid(at time.Time) bool { return keys.Valid(at, k.notBefore, k.notAfter) }

// copyKeys returns a deep copy with every id filled. An empty list, an empty
// secret, two keys of one name and an end before the beginning are errors.
func copyKeys(scheme string, given []Key) ([]ownKey, error) {
	if len(given) == 0 {
		return nil, &Error{Scheme: scheme, Field: "keys", Err: ErrEmptyKey}
	}
	out := make([]ownKey, len(given))
	names := make(map[string]bool, len(given))
	for i, k := range given {
		if k.ID == "" {
			k.ID = strconv.Itoa(i)
		}
		if len(k.Secret) == 0 {
			return nil, &Error{Scheme: scheme, Field: keyField(k.ID), Err: ErrEmptyKey}
		}
		if names[k.ID] {
			return nil, configError(scheme, keyField(k.ID), "two keys have this name")
		}
		if keys.BadSpan(k.NotBefore, k.NotAfter) {
			return nil, configError(scheme, keyField(k.ID), "NotAfter lies before NotBefore")
		}
		names[k.ID] = true
		out[i] = ownKey{id: k.ID, notBefore: k.NotBefore, notAfter: k.NotAfter, secret: hidden(bytes.Clone(k.Secret))}
	}
	return out, nil
}

func hidden[T any](v T) func() T { return keys.Hidden(v) }

func keyField(id string) string { return "key " + strconv.Quote(id) }

func configError(scheme, field, why string) error {
	return &Error{Scheme: scheme, Field: field, Err: fmt.Errorf("%w: %s", ErrConfig, why)}
}

// notMade is what every scheme's zero value answers.
func notMade(scheme string) error {
	return configError(scheme, "", "zero value used, make it with its constructor")
}

// within judges the time t of a message received at now: nil inside the
// window, both ends included.
func within(t, now time.Time, window time.Duration) error {
	switch keys.Age(t, now, window) {
	case 1:
		return ErrExpired
	case -1:
		return ErrNotYet
	}
	return nil
}

// unixTime reads plain decimal digits: no sign, no leading zero, no more than
// maxDigits, which must be at most 18.
func unixTime(s string, maxDigits int) (time.Time, bool) {
	if s == "" || len(s) > maxDigits || s[0] == '0' && len(s) > 1 {
		return time.Time{}, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return time.Time{}, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return time.Unix(n, 0), true
}
