package keys

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"time"
)

// Hidden returns v behind a func: fmt prints unexported fields without asking
// their String method, but shows of a func its address alone.
func Hidden[T any](v T) func() T { return func() T { return v } }

// Valid reports whether a key counts at the given time; both ends are
// included, and a zero end is none.
func Valid(at, notBefore, notAfter time.Time) bool {
	return (notBefore.IsZero() || !at.Before(notBefore)) && (notAfter.IsZero() || !at.After(notAfter))
}

// BadSpan reports whether no moment lies between the two ends.
func BadSpan(notBefore, notAfter time.Time) bool {
	return !notBefore.IsZero() && !notAfter.IsZero() && notAfter.Before(notBefore)
}

// Age judges the time t of a message received at now: 0 inside the window,
// both ends included, 1 when it is too old, -1 when it is too far ahead.
func Age(t, now time.Time, window time.Duration) int {
	switch age := now.Sub(t); { // Sub saturates, it does not wrap around
	case age > window:
		return 1
	case age < -window:
		return -1
	}
	return 0
}

// NotSecret says why b cannot be a shared secret, as the end of a sentence, or
// returns "". A public key is known to everybody; whoever uses it as a secret
// lets everybody sign.
func NotSecret(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("whpk_")), bytes.HasPrefix(b, []byte("whsk_")):
		return "is an ed25519 key, give the shared secret instead"
	case bytes.Contains(b, []byte("-----BEGIN ")):
		return "is a PEM block, give the shared secret instead"
	case endsLine(b):
		return "ends with a line break, trim what was read from a file"
	}
	return ""
}

// endsLine is about texts: a random secret may end with any byte.
func endsLine(b []byte) bool {
	text := bytes.TrimRight(b, "\r\n")
	if len(text) == len(b) {
		return false
	}
	for _, c := range text {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

// smallOrder are the y coordinates, without their sign bit, of the points of
// order 1, 2, 4 and 8, those above the field's prime included. Under such a
// key a signature can be made that fits many messages.
var smallOrder = [...]string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
}

// WeakEd25519 reports whether pub is not the public key of anybody: of a wrong
// length, or a point of small order.
func WeakEd25519(pub []byte) bool {
	if len(pub) != ed25519.PublicKeySize {
		return true
	}
	y := [ed25519.PublicKeySize]byte(pub)
	y[len(y)-1] &= 0x7f
	text := hex.EncodeToString(y[:])
	for _, bad := range smallOrder {
		if text == bad {
			return true
		}
	}
	return false
}
