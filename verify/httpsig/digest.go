package httpsig

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"

	"github.com/ringback-go/ringback/verify"
)

const (
	fieldDigest  = "content-digest"
	headerDigest = "Content-Digest"
)

// Digest is a hash of RFC 9530. The zero Digest is [SHA256].
type Digest uint8

// The digests that are made and checked.
const (
	SHA256 Digest = iota
	SHA512
)

// Of returns the value of the header Content-Digest for body.
func (d Digest) Of(body []byte) string {
	if d == SHA512 {
		sum := sha512.Sum512(body)
		return "sha-512=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	}
	sum := sha256.Sum256(body)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// checkDigest judges the value of Content-Digest: at least one digest that we
// know, and each of those must be right. Others, such as md5, count nothing.
func checkDigest(value string, body []byte) error {
	var d dictionary
	if !parseDictionary(&d, value) {
		return verify.ErrMalformed
	}
	known, match := 0, 1
	if m, ok := d.get("sha-256"); ok {
		var given [sha256.Size]byte
		if !decodeBytes(given[:], m) {
			return verify.ErrMalformed
		}
		sum := sha256.Sum256(body)
		match &= subtle.ConstantTimeCompare(sum[:], given[:])
		known++
	}
	if m, ok := d.get("sha-512"); ok {
		var given [sha512.Size]byte
		if !decodeBytes(given[:], m) {
			return verify.ErrMalformed
		}
		sum := sha512.Sum512(body)
		match &= subtle.ConstantTimeCompare(sum[:], given[:])
		known++
	}
	if known == 0 {
		return verify.ErrMissing
	}
	if match != 1 {
		return verify.ErrMismatch
	}
	return nil
}
